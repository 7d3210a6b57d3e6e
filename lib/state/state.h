/* SPDX-License-Identifier: Apache-2.0 */
/*
 * State tables to bytes and back: save, describe, load, check, commit.
 *
 * Loading is in two steps, so that many parts can be loaded before the first one changes:
 *
 *     struct state_scratch *s;                 ahead of the pause: all memory that a load needs
 *     state_scratch_new(&s, table, obj, obj_bytes, err);
 *     state_scratch_load(s, version, &in, final, err);     obj is untouched, whatever happens
 *     state_scratch_commit(s);                             cannot fail
 *
 * Wire format of one table: its fields in order, without tags or lengths; then its subsections,
 * each u8 5, u8 length, full name, u32 version, its fields, its own subsections. A nested table is
 * the same without version. Which bytes belong to a subsection is decided by looking ahead, see
 * load.c.
 *
 * Pure: no I/O, no clock, no threads. Different objects may be saved and loaded concurrently.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ferry/err.h>
#include <ferry/state.h>

#include "base/buf.h"

/* The deepest nesting of tables and subsections. Today's deepest (a virtio queue over MMIO) has 6.
 */
#define STATE_MAX_DEPTH       8u
/* Subsections of one table; the CPU has 15. They are counted in one 64 bit word. */
#define STATE_MAX_SUBSECTIONS 64u

/*
 * Is the table itself sound for an object of obj_bytes? What load and save rely on without looking
 * again: members inside the object, widths, names, depth. A failure is a bug of the table's author.
 */
int state_table_check(const struct ferry_table *table, size_t obj_bytes,
                      struct ferry_err *err) FERRY_MUST_CHECK;

/*
 * Append obj's state to out. Runs pre_save, hence obj is not const. With json: also append the
 * members of its JSON description, without the braces around them:
 *     "vmsd_name": "serial", "version": 3, "fields": [...], "subsections": [...]
 * On failure out and json hold part of it.
 */
int state_save(const struct ferry_table *table, void *obj, struct buf *out, struct buf *json,
               struct ferry_err *err) FERRY_MUST_CHECK;

/* The description alone. */
int state_describe(const struct ferry_table *table, void *obj, struct buf *json,
                   struct ferry_err *err) FERRY_MUST_CHECK;

struct state_scratch; /* a copy of one object to load into, and all memory that takes */

/*
 * obj: a loan, the object that commit will change; NULL for a section that is understood and
 * thrown away (loads over zeros, commit does nothing). Checks the table.
 */
int state_scratch_new(struct state_scratch **ret, const struct ferry_table *table, void *obj,
                      size_t obj_bytes, struct ferry_err *err) FERRY_MUST_CHECK;
void state_scratch_free(struct state_scratch *s);

/*
 * Copy the object, load version's bytes at in's cursor over the copy, check bounds, then run every
 * check of a table that was loaded, innermost first. The cursor ends behind the last byte used.
 * final: no byte will ever follow those in `in`. Returns 0; -ENODATA when the bytes end too early
 * (with a sentence; with final unset it only means: try again from the start with more of them);
 * any other negative errno is a refusal. May be called again, before or after any outcome.
 */
int state_scratch_load(struct state_scratch *s, uint32_t version, struct rd *in, bool final,
                       struct ferry_err *err) FERRY_MUST_CHECK;

/*
 * After a load that returned 0, once: copy the members that the table names to the object, then
 * run post_load of every table that was loaded, innermost first. Allocates nothing.
 */
void state_scratch_commit(struct state_scratch *s);
/* The two halves of it, for many parts: all copies first, so that a post_load sees no old part. */
void state_scratch_copy(struct state_scratch *s);
void state_scratch_post_load(struct state_scratch *s);

/* All of it at once: load over obj from in, which is final, and commit. */
int state_load(const struct ferry_table *table, void *obj, size_t obj_bytes, uint32_t version,
               struct rd *in, struct ferry_err *err) FERRY_MUST_CHECK;
