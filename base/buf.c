/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/be.h"

void buf_free(struct buf *b)
{
    free(b->data);
    *b = (struct buf){.limit_bytes = b->limit_bytes};
}

void buf_reset(struct buf *b)
{
    b->len_bytes = 0;
    b->failed = 0;
}

static int buf_grow(struct buf *b, size_t n)
{
    size_t want, cap;
    uint8_t *data;

    if (b->failed)
        return -b->failed;
    if (__builtin_add_overflow(b->len_bytes, n, &want) ||
        (b->limit_bytes && want > b->limit_bytes)) {
        b->failed = EFBIG;
        return -EFBIG;
    }
    if (want <= b->cap_bytes)
        return 0;
    cap = b->cap_bytes ? b->cap_bytes : 256;
    while (cap < want)
        cap *= 2;
    data = realloc(b->data, cap);
    if (!data) {
        b->failed = ENOMEM;
        return -ENOMEM;
    }
    b->data = data;
    b->cap_bytes = cap;
    return 0;
}

uint8_t *buf_extend(struct buf *b, size_t n)
{
    uint8_t *at;

    if (buf_grow(b, n) < 0)
        return NULL;
    at = b->data + b->len_bytes;
    b->len_bytes += n;
    return at;
}

void buf_put(struct buf *b, const void *data, size_t n)
{
    uint8_t *at = n ? buf_extend(b, n) : NULL;

    if (at)
        memcpy(at, data, n);
}

void buf_zeros(struct buf *b, size_t n)
{
    uint8_t *at = n ? buf_extend(b, n) : NULL;

    if (at)
        memset(at, 0, n);
}

void buf_u8(struct buf *b, uint8_t v)
{
    buf_put(b, &v, 1);
}

void buf_be16(struct buf *b, uint16_t v)
{
    uint8_t *at = buf_extend(b, sizeof(v));

    if (at)
        be16_store(at, v);
}

void buf_be32(struct buf *b, uint32_t v)
{
    uint8_t *at = buf_extend(b, sizeof(v));

    if (at)
        be32_store(at, v);
}

void buf_be64(struct buf *b, uint64_t v)
{
    uint8_t *at = buf_extend(b, sizeof(v));

    if (at)
        be64_store(at, v);
}

void buf_set_be16(struct buf *b, size_t at, uint16_t v)
{
    if (!b->failed)
        be16_store(b->data + at, v);
}

void buf_set_be32(struct buf *b, size_t at, uint32_t v)
{
    if (!b->failed)
        be32_store(b->data + at, v);
}

void buf_str(struct buf *b, const char *text)
{
    buf_put(b, text, strlen(text));
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list ap;
    int n;
    uint8_t *at;

    va_start(ap, fmt);
    n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0) {
        b->failed = b->failed ? b->failed : EINVAL;
        return;
    }
    /* One byte more for the NUL that vsnprintf writes, given back at once. */
    at = buf_extend(b, (size_t)n + 1);
    if (!at)
        return;
    va_start(ap, fmt);
    vsnprintf((char *)at, (size_t)n + 1, fmt, ap);
    va_end(ap);
    b->len_bytes--;
}

void buf_consume(struct buf *b, size_t n)
{
    if (n > b->len_bytes)
        n = b->len_bytes;
    b->len_bytes -= n;
    if (b->len_bytes)
        memmove(b->data, b->data + n, b->len_bytes);
}

const uint8_t *rd_peek(const struct rd *r, size_t n)
{
    if (r->failed || r->len_bytes - r->pos_bytes < n)
        return NULL;
    return r->data + r->pos_bytes;
}

const uint8_t *rd_take(struct rd *r, size_t n)
{
    const uint8_t *at = rd_peek(r, n);

    if (at)
        r->pos_bytes += n;
    else
        r->failed = true;
    return at;
}

uint8_t rd_u8(struct rd *r)
{
    const uint8_t *at = rd_take(r, 1);

    return at ? *at : 0;
}

uint16_t rd_be16(struct rd *r)
{
    const uint8_t *at = rd_take(r, 2);

    return at ? be16_load(at) : 0;
}

uint32_t rd_be32(struct rd *r)
{
    const uint8_t *at = rd_take(r, 4);

    return at ? be32_load(at) : 0;
}

uint64_t rd_be64(struct rd *r)
{
    const uint8_t *at = rd_take(r, 8);

    return at ? be64_load(at) : 0;
}
