/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections that have said nothing yet, to where a VM is received.
 *
 * Anybody can connect and be silent, or look whether somebody listens and go. Neither is in the way
 * of a source: so many are held at once, each so long; one too many takes the place of the one that
 * has been silent for longest. Main thread.
 */
#pragma once

#include <stdint.h>

#include <ferry/err.h>

#include "vmm/machine/loop.h"

#define CALLERS_MAX        16
#define CALLERS_SILENCE_NS INT64_C(30000000000)

struct callers;

struct callers_ops {
    /* Its first bytes can be read. *fd is closed if it is not taken. May free the callers. */
    void (*spoke)(void *arg, int *fd);
    /* Nobody is left, and nobody can connect (listen_fd was -1). May free the callers. */
    void (*gone)(void *arg);
};

/* listen_fd: a loan that stays open; -1: only those who are added. */
int callers_new(struct callers **ret, struct loop *loop, int listen_fd,
                const struct callers_ops *ops, void *arg, struct ferry_err *err) FERRY_MUST_CHECK;
/* Takes *fd, a socket, on success. */
int callers_add(struct callers *c, int *fd, struct ferry_err *err) FERRY_MUST_CHECK;
void callers_free(struct callers *c);
