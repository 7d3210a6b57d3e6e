/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A growing byte buffer to write into (struct buf) and a bounded cursor to read from (struct rd).
 *
 * Both are sticky: after the first failure (out of memory, limit, short input) further calls do
 * nothing, so a writer or decoder checks once at its end. Not thread safe; one owner.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ferry/err.h>

struct buf {
    uint8_t *data; /* owned */
    size_t len_bytes;
    size_t cap_bytes;
    size_t limit_bytes; /* 0 = none; growing past it sets failed */
    int failed;         /* 0, or the positive errno of the first failure */
};

void buf_free(struct buf *b);
void buf_reset(struct buf *b); /* empty, keeps the memory, clears failed */
/* Room for n more bytes; NULL (and failed set) if there is none. The bytes count as written. */
uint8_t *buf_extend(struct buf *b, size_t n);
void buf_put(struct buf *b, const void *data, size_t n);
void buf_zeros(struct buf *b, size_t n);
void buf_u8(struct buf *b, uint8_t v);
void buf_be16(struct buf *b, uint16_t v);
void buf_be32(struct buf *b, uint32_t v);
void buf_be64(struct buf *b, uint64_t v);
/* Over what was written before, at an offset; nothing after a failure. */
void buf_set_be16(struct buf *b, size_t at, uint16_t v);
void buf_set_be32(struct buf *b, size_t at, uint32_t v);
/* Text without its NUL. */
void buf_str(struct buf *b, const char *text);
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Drop the first n bytes. */
void buf_consume(struct buf *b, size_t n);

struct rd {
    const uint8_t *data; /* loan */
    size_t len_bytes;
    size_t pos_bytes;
    bool failed; /* something wanted more bytes than there were */
};

static inline struct rd rd_make(const void *data, size_t len_bytes)
{
    return (struct rd){.data = data, .len_bytes = len_bytes};
}

static inline size_t rd_left(const struct rd *r)
{
    return r->failed ? 0 : r->len_bytes - r->pos_bytes;
}

/* n bytes at the cursor, or NULL (and failed set); the cursor moves. */
const uint8_t *rd_take(struct rd *r, size_t n);
/* n bytes at the cursor without moving, or NULL; never sets failed. */
const uint8_t *rd_peek(const struct rd *r, size_t n);
/* 0 after a failure. */
uint8_t rd_u8(struct rd *r);
uint16_t rd_be16(struct rd *r);
uint32_t rd_be32(struct rd *r);
uint64_t rd_be64(struct rd *r);
