/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A machine that is built here from the description of one that ran elsewhere: what a guest can
 * see stays as it was; what belongs to the host (files, interfaces, monitors) is this host's.
 */
#pragma once

#include <stddef.h>
#include <stdio.h>

#include <ferry/err.h>

#include "vmm/main/options.h"

#define OVERRIDES_MAX 32

/* --drive ID=PATH and the like; strings are loans. */
struct overrides {
    struct override {
        const struct override_def *def;
        const char *value;
    } list[OVERRIDES_MAX];
    size_t count;
};

/*
 * Is argv[*i] one? 1: taken, with its value, *i is at the value; 0: it is something else; or
 * -errno.
 */
int overrides_parse(struct overrides *o, int argc, char *const argv[], int *i,
                    struct ferry_err *err) FERRY_MUST_CHECK;
void overrides_print_help(FILE *to);

/*
 * The options of the machine that description tells of, as this host runs it: without the source's
 * monitors, with a control socket of this host. overrides: NULL = none; one that finds nothing to
 * replace is an error.
 */
int overrides_machine(struct options *o, const char *description, const struct overrides *overrides,
                      struct ferry_err *err) FERRY_MUST_CHECK;
