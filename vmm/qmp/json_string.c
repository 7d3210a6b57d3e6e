/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/qmp/json_string.h"

#include <errno.h>

#include "base/err.h"
#include "base/utf8.h"

static void put_code_point(struct buf *out, uint32_t c)
{
    if (c != 0 && c < 0x80) {
        buf_u8(out, (uint8_t)c);
    } else if (c < 0x800) { /* U+0000 is C0 80 */
        buf_u8(out, (uint8_t)(0xc0 | c >> 6));
        buf_u8(out, (uint8_t)(0x80 | (c & 0x3f)));
    } else if (c < 0x10000) {
        buf_u8(out, (uint8_t)(0xe0 | c >> 12));
        buf_u8(out, (uint8_t)(0x80 | (c >> 6 & 0x3f)));
        buf_u8(out, (uint8_t)(0x80 | (c & 0x3f)));
    } else {
        buf_u8(out, (uint8_t)(0xf0 | c >> 18));
        buf_u8(out, (uint8_t)(0x80 | (c >> 12 & 0x3f)));
        buf_u8(out, (uint8_t)(0x80 | (c >> 6 & 0x3f)));
        buf_u8(out, (uint8_t)(0x80 | (c & 0x3f)));
    }
}

/* Four hexadecimal digits, or -EINVAL. */
static int hex4(const uint8_t *at, size_t n, uint32_t *ret)
{
    uint32_t v = 0;

    if (n < 4)
        return -EINVAL;
    for (int i = 0; i < 4; i++) {
        uint8_t c = at[i] | 0x20;

        if (at[i] >= '0' && at[i] <= '9')
            v = v << 4 | (uint32_t)(at[i] - '0');
        else if (c >= 'a' && c <= 'f')
            v = v << 4 | (uint32_t)(c - 'a' + 10);
        else
            return -EINVAL;
    }
    *ret = v;
    return 0;
}

/* What follows "\u"; the number of bytes used, or -EINVAL. */
static int decode_unicode(const uint8_t *at, size_t n, uint32_t *ret)
{
    uint32_t low;

    if (hex4(at, n, ret) < 0)
        return -EINVAL;
    if (*ret >= 0xd800 && *ret <= 0xdbff) {
        if (n < 10 || at[4] != '\\' || at[5] != 'u' || hex4(at + 6, n - 6, &low) < 0 ||
            low < 0xdc00 || low > 0xdfff)
            return -EINVAL;
        *ret = 0x10000 + ((*ret & 0x3ff) << 10 | (low & 0x3ff));
        return utf8_is_character(*ret) ? 10 : -EINVAL;
    }
    return utf8_is_character(*ret) ? 4 : -EINVAL;
}

/* at[0] is the backslash; the number of bytes used. */
static int decode_escape(struct buf *out, const uint8_t *at, size_t n, struct ferry_err *err)
{
    static const char names[] = "\"'\\/bfnrt", bytes[] = "\"'\\/\b\f\n\r\t";
    uint32_t c;
    int used;

    if (n >= 2 && at[1] == 'u') {
        used = decode_unicode(at + 2, n - 2, &c);
        if (used < 0)
            return err_set(err, EINVAL, "JSON parse error, %.*s is not a valid Unicode character",
                           n < 6 ? (int)n : 6, (const char *)at);
        put_code_point(out, c);
        return used + 2;
    }
    for (size_t i = 0; n >= 2 && names[i]; i++) {
        if (at[1] == (uint8_t)names[i]) {
            buf_u8(out, (uint8_t)bytes[i]);
            return 2;
        }
    }
    return err_set(err, EINVAL, "JSON parse error, invalid escape sequence in string");
}

int json_string_decode(struct buf *out, const char *text, size_t n, struct ferry_err *err)
{
    const uint8_t *at = (const uint8_t *)text;

    while (n > 0) {
        const uint8_t *begin = at;
        uint32_t c;

        if (*at == '\\') {
            int used = decode_escape(out, at, n, err);

            if (used < 0)
                return used;
            at += used;
            n -= (size_t)used;
            continue;
        }
        if (utf8_next(&at, &n, &c) < 0)
            return err_set(err, EINVAL, "JSON parse error, invalid UTF-8 sequence in string");
        buf_put(out, begin, (size_t)(at - begin));
    }
    return out->failed ? err_set(err, out->failed, "JSON parse error, out of memory") : 0;
}
