/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Options that are short for others: -nic for a -netdev and the -device that uses it. They are
 * written out while the command line is read, so that nothing behind it, a peer least of all, knows
 * of them.
 */
#pragma once

#include <stdio.h>

#include "vmm/config/options.h"

struct option_short {
    const char *name;
    const char *argument; /* NULL: a flag */
    const char *help;
    /* value: NULL for a flag. */
    int (*expand)(struct options *o, const char *value, struct ferry_err *err);
};

/* NULL: it is none of these. */
const struct option_short *option_short_find(const char *name);
/* NULL past the end. */
const struct option_short *option_short_at(size_t i);
