/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where in its saved bytes each value of a table is: a second, naive reading of the table, so that
 * the contract does not take the library's word for it.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <ferry/state.h>

struct walk_value {
    const struct ferry_table *table;
    const struct ferry_field *field; /* one element of it: UINT, UINT_LE, EQUAL or BOOL */
    size_t wire_offset;
    uint64_t value;
    const char *counts; /* the field whose elements it counts, or NULL */
    uint32_t capacity;  /* of that field */
};
typedef void walk_fn(void *arg, const struct walk_value *v);

/*
 * Call fn for the first and last element of everything in bytes, which were saved from obj.
 * Returns the number of bytes that the table accounts for.
 */
size_t walk_values(const struct ferry_table *t, const void *obj, const uint8_t *bytes, size_t n,
                   walk_fn *fn, void *arg);

/* An element's value in wire order. */
void walk_store(const struct ferry_field *f, uint8_t *at, uint64_t value);
