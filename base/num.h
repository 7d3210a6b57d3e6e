/* SPDX-License-Identifier: Apache-2.0 */
/* Checked arithmetic on numbers that somebody else chose. Returns 0, or -EOVERFLOW and leaves *r.
 */
#pragma once

#include <errno.h>
#include <stdint.h>

static inline int num_add(uint64_t a, uint64_t b, uint64_t *r)
{
    uint64_t v;

    if (__builtin_add_overflow(a, b, &v))
        return -EOVERFLOW;
    *r = v;
    return 0;
}

static inline int num_mul(uint64_t a, uint64_t b, uint64_t *r)
{
    uint64_t v;

    if (__builtin_mul_overflow(a, b, &v))
        return -EOVERFLOW;
    *r = v;
    return 0;
}

static inline uint64_t num_min(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* align is a power of two. */
static inline uint64_t num_align_up(uint64_t v, uint64_t align)
{
    return (v + align - 1) & ~(align - 1);
}

static inline uint64_t num_align_down(uint64_t v, uint64_t align)
{
    return v & ~(align - 1);
}
