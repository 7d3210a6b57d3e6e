/* SPDX-License-Identifier: Apache-2.0 */
/* What save, load and commit share about tables. Inside lib/state only. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <ferry/state.h>

/* One step of where we are in nested tables; lives on the stack of the walk. */
struct table_path {
    const struct table_path *up; /* NULL at the root */
    const char *name;
    char separator; /* '.' for a field, '/' for a subsection */
    int64_t index;  /* element of an array, or -1 */
};

/* Set err to "<path>: <sentence>"; returns -errnum. */
int table_refuse(struct ferry_err *err, int errnum, const struct table_path *path,
                 const char *field, int64_t index, const char *fmt, ...)
    __attribute__((format(printf, 6, 7)));

/* The path step for a subsection of parent: its name without the parent's. */
static inline const char *table_subsection_suffix(const struct ferry_table *parent,
                                                  const struct ferry_table *sub)
{
    return sub->name + strlen(parent->name) + 1;
}

/* Is the field in the stream of this version? */
static inline bool table_has_field(const struct ferry_field *f, const void *obj, uint32_t version)
{
    return f->since <= version && (!f->present || f->present(obj, version));
}

static inline uint64_t table_uint(const void *p, uint32_t size_bytes)
{
    uint8_t v8;
    uint16_t v16;
    uint32_t v32;
    uint64_t v64;

    switch (size_bytes) {
    case 1:
        memcpy(&v8, p, sizeof(v8));
        return v8;
    case 2:
        memcpy(&v16, p, sizeof(v16));
        return v16;
    case 4:
        memcpy(&v32, p, sizeof(v32));
        return v32;
    default:
        memcpy(&v64, p, sizeof(v64));
        return v64;
    }
}

/*
 * Elements on the wire according to obj; refused (-EINVAL) when the counter is beyond capacity.
 */
int table_elements(const struct ferry_field *f, const void *obj, const struct table_path *path,
                   uint32_t *ret, struct ferry_err *err);

/*
 * Wire bytes of a table that always has the same (no counters, predicates, subsections, custom
 * fields or hooks, so that its elements need nothing but their bytes); 0 = not of this kind.
 */
size_t table_flat_bytes(const struct ferry_table *t);
/* Of a flat table: may every member be 0? */
bool table_zero_loads(const struct ferry_table *t);

/* Long arrays are looked at in runs of elements, most of which are empty or unchanged. */
static inline uint32_t table_run(uint32_t n)
{
    return n < 32 ? n : 32;
}

static inline bool table_is_zero(const uint8_t *p, size_t n)
{
    return n == 0 || (p[0] == 0 && memcmp(p, p + 1, n - 1) == 0);
}
