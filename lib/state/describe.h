/* SPDX-License-Identifier: Apache-2.0 */
/* The words of a state description, in QEMU's shape. Inside lib/state only; json may be NULL. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ferry/state.h>

#include "base/buf.h"

/*
 * Can n equal elements of this field be described once? Not if one could look different from the
 * next: a predicate, a counter, own code or a subsection somewhere below.
 */
bool describe_once(const struct ferry_field *f);

/*
 * One field entry. begin writes everything up to the type, end the size in wire bytes; what a
 * nested table says goes between describe_nested and describe_nested_end.
 * count: elements, index: which one is described (0 if all at once).
 */
void describe_field_begin(struct buf *json, const struct ferry_table *t,
                          const struct ferry_field *f, uint32_t index, uint32_t count);
void describe_nested(struct buf *json);
void describe_nested_end(struct buf *json);
void describe_field_end(struct buf *json, size_t wire_bytes);

/* `"vmsd_name": S, "version": N, "fields": [`; close it with a ']'. */
void describe_table_begin(struct buf *json, const struct ferry_table *t);
