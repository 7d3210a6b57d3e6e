/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What this host's command line gives a machine that comes from elsewhere (--drive ID=PATH and the
 * like), what names of the source's it allows, and how large a machine may be. Main thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <ferry/err.h>

#include "vmm/backend/allow.h"
#include "vmm/config/keyval.h"
#include "vmm/machine/config.h"

#define THIS_HOST_GIVEN_MAX 32

struct this_host {
    struct given {
        const struct given_def *def;
        const char *value; /* a loan */
    } given[THIS_HOST_GIVEN_MAX];
    size_t count;
    struct allow_list *allow; /* owned */
    uint64_t ram_bytes_max;
    uint32_t harts_max;
};

/* Nothing given, nothing allowed, a machine of this host's size. */
int this_host_init(struct this_host *h, struct ferry_err *err) FERRY_MUST_CHECK;
void this_host_free(struct this_host *h);
/* 1: argv[*i] was one of them, and *i is at its last word; 0: it is something else; or -errno. */
int this_host_parse(struct this_host *h, int argc, char *const argv[], int *i,
                    struct ferry_err *err) FERRY_MUST_CHECK;
void this_host_print_help(FILE *to);

/* id: NULL = for the option as a whole. */
bool given_is_for(const struct given *g, const char *option, const char *id);
/* What is given for it: the last one wins. NULL: nothing. */
const struct given *this_host_find(const struct this_host *h, const char *option, const char *id);
/* The sub-option that is the ID of such an option; NULL: it has none. */
const char *this_host_id_key(const char *option);
/* The text of one that is for a whole option. */
const char *given_word(const struct given *g);
/* The sub-options of one that has an ID. key: the one that names a file there, NULL: none does. */
int given_parts(const struct given *g, const char *key, struct keyval *ret,
                struct ferry_err *err) FERRY_MUST_CHECK;
const char *given_option(const struct given *g);
/* The sub-option that it usually is the answer to; NULL: it names no file. */
const char *given_key(const struct given *g);
/* It was for something that the machine does not have; returns -ENOENT. */
int given_unused(const struct given *g, struct ferry_err *err);
/* The streams that are given and are to be connected again when they are lost. c: adds to it. */
int this_host_peers(const struct this_host *h, struct vm_config *c,
                    struct ferry_err *err) FERRY_MUST_CHECK;
/* How it would be given: "--netdev n0=IFNAME". key: what of the option names something. */
void this_host_advise(char *text, size_t bytes, const char *option, const char *key,
                      const char *id);
