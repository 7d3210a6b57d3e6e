/* SPDX-License-Identifier: Apache-2.0 */
/* An input that is read as a list of things to do. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* What is left of an input; behind its end there are zeros. */
struct script {
    const uint8_t *at;
    size_t left_bytes;
};

static inline uint8_t script_u8(struct script *s)
{
    if (!s->left_bytes)
        return 0;
    s->left_bytes--;
    return *s->at++;
}

/* Up to n bytes; a loan. */
static inline const uint8_t *script_take(struct script *s, size_t n, size_t *ret)
{
    const uint8_t *at = s->at;

    *ret = n < s->left_bytes ? n : s->left_bytes;
    s->at += *ret;
    s->left_bytes -= *ret;
    return at;
}
