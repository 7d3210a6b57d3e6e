/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/qmp/json_scalar.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/own.h"
#include "base/utf8.h"

static void put_code_point(struct buf *out, uint32_t c)
{
    static const uint8_t lead[] = {0, 0xc0, 0xe0, 0xf0};
    /* U+0000 is C0 80. */
    size_t more = c != 0 && c < 0x80 ? 0 : c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;

    buf_u8(out, (uint8_t)(lead[more] | c >> 6 * more));
    while (more-- > 0)
        buf_u8(out, (uint8_t)(0x80 | (c >> 6 * more & 0x3f)));
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

static int out_of_memory(struct ferry_err *err)
{
    return err_set(err, ENOMEM, "JSON parse error, out of memory");
}

int json_scalar_string(const struct buf *text, struct buf *out, struct ferry_err *err)
{
    const uint8_t *at = text->data + 1;
    size_t n = text->len_bytes - 3; /* without the quotes and the NUL */

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
    buf_u8(out, 0);
    return out->failed ? out_of_memory(err) : 0;
}

/* An integer of 64 bits, or NULL. */
static struct json_object *integer(const char *text)
{
    int64_t i;
    uint64_t u;

    errno = 0;
    i = strtoll(text, NULL, 10);
    if (!errno)
        return json_object_new_int64(i);
    errno = 0;
    u = strtoull(text, NULL, 10);
    return !errno && text[0] != '-' ? json_object_new_uint64(u) : NULL;
}

int json_scalar(enum json_token token, const struct buf *text, struct json_object **ret,
                struct ferry_err *err)
{
    OWN(buf_free) struct buf string = {0};
    const char *word = (const char *)text->data;
    double number;
    int rc;

    *ret = NULL;
    switch (token) {
    case JSON_TOKEN_STRING:
        rc = json_scalar_string(text, &string, err);
        if (rc < 0)
            return rc;
        /* Never longer than the token, which JSON_IN_BYTES_MAX bounds. */
        *ret = json_object_new_string_len((const char *)string.data, (int)string.len_bytes - 1);
        break;
    case JSON_TOKEN_KEYWORD:
        if (!strcmp(word, "null"))
            return 0;
        if (strcmp(word, "true") != 0 && strcmp(word, "false") != 0)
            return err_set(err, EINVAL, "JSON parse error, invalid keyword '%.100s'", word);
        *ret = json_object_new_boolean(word[0] == 't');
        break;
    default: /* a number */
        *ret = token == JSON_TOKEN_INTEGER ? integer(word) : NULL;
        if (*ret)
            break;
        number = strtod(word, NULL);
        if (!isfinite(number))
            return err_set(err, ERANGE,
                           "JSON parse error, number '%.100s' is beyond what a double can hold",
                           word);
        *ret = json_object_new_double(number);
    }
    return *ret ? 0 : out_of_memory(err);
}
