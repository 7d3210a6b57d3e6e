/* SPDX-License-Identifier: Apache-2.0 */
/* Loading into scratch, between load.c (the walk) and scratch.c (the memory). Inside lib/state. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ferry/err.h>
#include <ferry/state.h>

#include "base/buf.h"

/* A table with a check or post_load that was loaded, in the order they finished. */
struct load_done {
    const struct ferry_table *table;
    size_t offset; /* of its object in the part's */
};

struct loader {
    struct rd *in;
    bool final; /* nothing follows the bytes in `in` */
    struct ferry_err *err;
    uint8_t *base;          /* the part's scratch object */
    struct load_done *done; /* room for load_done_max() */
    size_t done_count;
};

/* The most tables with hooks that one load can finish. */
size_t load_done_max(const struct ferry_table *t);

/* Fields, bounds and subsections of a whole part over l->base. As state_scratch_load, no checks. */
int load_root(struct loader *l, const struct ferry_table *t, uint32_t version);
