/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a machine that comes from elsewhere can have of this host by name: what this host's command
 * line says, and nothing else. The sandbox keeps the process that builds it to that, from before
 * the first byte of a peer, whatever becomes of the code that reads those bytes. Main thread.
 */
#pragma once

#include <stddef.h>

#include <ferry/err.h>

#include "vmm/config/this_host.h"
#include "vmm/sandbox/sandbox.h"

#define REACH_MAX 128

struct reach {
    struct sandbox_path paths[REACH_MAX]; /* for sandbox_enter(); their names are owned */
    size_t count;
};

/*
 * What is not there cannot be kept open: a file that would be made for the machine (of RAM, of a
 * console) is made now, empty; others are left out, and missed by who opens them.
 */
int reach_of(struct reach *ret, const struct this_host *host,
             struct ferry_err *err) FERRY_MUST_CHECK;
void reach_free(struct reach *r);
