/* SPDX-License-Identifier: Apache-2.0 */
/* Explicit byte order: the only place that turns wire bytes into numbers and back. */
#pragma once

#include <endian.h>
#include <stdint.h>
#include <string.h>

#define BE_LE_ACCESSOR_(order, bits)                                  \
    static inline uint##bits##_t order##bits##_load(const void *p)    \
    {                                                                 \
        uint##bits##_t v;                                             \
        memcpy(&v, p, sizeof(v));                                     \
        return order##bits##toh(v);                                   \
    }                                                                 \
    static inline void order##bits##_store(void *p, uint##bits##_t v) \
    {                                                                 \
        v = hto##order##bits(v);                                      \
        memcpy(p, &v, sizeof(v));                                     \
    }

BE_LE_ACCESSOR_(be, 16)
BE_LE_ACCESSOR_(be, 32)
BE_LE_ACCESSOR_(be, 64)
BE_LE_ACCESSOR_(le, 16)
BE_LE_ACCESSOR_(le, 32)
BE_LE_ACCESSOR_(le, 64)

#undef BE_LE_ACCESSOR_
