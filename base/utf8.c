/* SPDX-License-Identifier: Apache-2.0 */
#include "base/utf8.h"

#include <errno.h>
#include <stdbool.h>

bool utf8_is_character(uint32_t c)
{
    return c <= 0x10ffff && !(c >= 0xd800 && c <= 0xdfff) && !(c >= 0xfdd0 && c <= 0xfdef) &&
           (c & 0xfffe) != 0xfffe;
}

int utf8_next(const uint8_t **text, size_t *n, uint32_t *code_point)
{
    static const uint32_t smallest[] = {0, 0x80, 0x800, 0x10000};
    const uint8_t *at = *text;
    size_t more = at[0] < 0x80 ? 0 : at[0] < 0xe0 ? 1 : at[0] < 0xf0 ? 2 : 3;
    uint32_t c = at[0] < 0x80 ? at[0] : at[0] & (0x3fu >> more);

    *code_point = 0;
    if ((at[0] >= 0x80 && at[0] < 0xc0) || at[0] >= 0xf8 || more >= *n)
        goto invalid;
    for (size_t i = 1; i <= more; i++) {
        if ((at[i] & 0xc0) != 0x80)
            goto invalid;
        c = c << 6 | (at[i] & 0x3f);
    }
    if (c < smallest[more] && !(c == 0 && more == 1))
        goto invalid;
    if (!utf8_is_character(c))
        goto invalid;
    *text += more + 1;
    *n -= more + 1;
    *code_point = c;
    return 0;
invalid:
    *text += 1;
    *n -= 1;
    return -EINVAL;
}
