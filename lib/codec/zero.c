/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/codec/zero.h"

#include <stdint.h>
#include <string.h>

/* As wide as the compiler can make it; 8 loads fill a 128-byte step without AVX. */
typedef uint64_t vec __attribute__((vector_size(16), aligned(1), may_alias));

#define STEP_BYTES 128u
#define STEP_VECS  (STEP_BYTES / sizeof(vec))

bool zero_check(const void *page, size_t n)
{
    const uint8_t *at = page, *end = at + n;
    uint64_t first;

    /* Most pages that are not zero show it at once. */
    memcpy(&first, at, sizeof(first));
    if (first != 0)
        return false;
    for (; at != end; at += STEP_BYTES) {
        const vec *v = (const vec *)at;
        vec any = v[0];

        for (size_t i = 1; i < STEP_VECS; i++)
            any |= v[i];
        if ((any[0] | any[1]) != 0)
            return false;
    }
    return true;
}
