/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/state/json.h"

#include <string.h>

static void json_escaped(struct buf *b, unsigned char c)
{
    static const char hex[] = "0123456789abcdef";
    char escape[] = "\\u00xx";

    if (c == '"' || c == '\\') {
        buf_u8(b, '\\');
        buf_u8(b, c);
        return;
    }
    escape[4] = hex[c >> 4];
    escape[5] = hex[c & 15];
    buf_str(b, escape);
}

void json_string(struct buf *b, const char *text)
{
    const char *plain = text;

    buf_u8(b, '"');
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;

        if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\')
            continue;
        buf_put(b, plain, (size_t)(text - plain));
        json_escaped(b, c);
        plain = text + 1;
    }
    buf_put(b, plain, (size_t)(text - plain));
    buf_u8(b, '"');
}

void json_u64(struct buf *b, uint64_t v)
{
    char digits[20];
    size_t at = sizeof(digits);

    do {
        digits[--at] = (char)('0' + v % 10);
        v /= 10;
    } while (v);
    buf_put(b, digits + at, sizeof(digits) - at);
}

void json_key(struct buf *b, const char *key)
{
    json_string(b, key);
    buf_str(b, ": ");
}
