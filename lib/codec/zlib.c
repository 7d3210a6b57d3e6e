/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/codec/zlib.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/err.h"
#include "base/own.h"

struct compressor {
    z_stream stream;
    /* deflate() reads its input more than once: a page that changes in between would come out as
     * one that never was. */
    uint8_t copy[WIRE_PAGE_BYTES];
};

static const char *reason(const z_stream *s, int z)
{
    return s->msg ? s->msg : zError(z);
}

static int zlib_compressor_new(void **ret, int level, struct ferry_err *err)
{
    OWN_MEM struct compressor *c = calloc(1, sizeof(*c));
    int z;

    if (!c)
        return err_set(err, ENOMEM, "no memory for a zlib compressor");
    z = deflateInit(&c->stream, level);
    if (z != Z_OK)
        return err_set(err, z == Z_MEM_ERROR ? ENOMEM : EINVAL, "a zlib compressor of level %d: %s",
                       level, reason(&c->stream, z));
    *ret = TAKE_PTR(c);
    return 0;
}

static void zlib_compressor_free(void *p)
{
    struct compressor *c = p;

    if (!c)
        return;
    deflateEnd(&c->stream);
    free(c);
}

static int zlib_compress(void *p, const uint8_t *const *pages, size_t count, uint8_t *out,
                         struct ferry_err *err)
{
    struct compressor *c = p;
    z_stream *s = &c->stream;

    s->next_out = out;
    s->avail_out = WIRE_MULTIFD_DATA_MAX_BYTES;
    for (size_t i = 0; i < count; i++) {
        int z;

        memcpy(c->copy, pages[i], WIRE_PAGE_BYTES);
        s->next_in = c->copy;
        s->avail_in = WIRE_PAGE_BYTES;
        z = deflate(s, i + 1 == count ? Z_SYNC_FLUSH : Z_NO_FLUSH);
        /* With room left all input is used up and, at the flush, all output is there. */
        if (z != Z_OK || s->avail_in != 0 || s->avail_out == 0)
            return err_set(err, EIO, "zlib cannot compress %zu pages into %u bytes: %s", count,
                           WIRE_MULTIFD_DATA_MAX_BYTES, reason(s, z));
    }
    return (int)(WIRE_MULTIFD_DATA_MAX_BYTES - s->avail_out);
}

static int zlib_decompressor_new(void **ret, struct ferry_err *err)
{
    OWN_MEM z_stream *s = calloc(1, sizeof(*s));
    int z;

    if (!s)
        return err_set(err, ENOMEM, "no memory for a zlib decompressor");
    z = inflateInit(s);
    if (z != Z_OK)
        return err_set(err, z == Z_MEM_ERROR ? ENOMEM : EINVAL, "a zlib decompressor: %s",
                       reason(s, z));
    *ret = TAKE_PTR(s);
    return 0;
}

static void zlib_decompressor_free(void *p)
{
    z_stream *s = p;

    if (!s)
        return;
    inflateEnd(s);
    free(s);
}

/* Until out is full or the input used up: how many bytes came out, or a refusal. */
static int inflate_some(z_stream *s, uint8_t *out, unsigned room_bytes, struct ferry_err *err)
{
    int z;

    s->next_out = out;
    s->avail_out = room_bytes;
    z = inflate(s, Z_SYNC_FLUSH);
    if (z == Z_STREAM_END)
        return err_set(err, EINVAL, "the zlib stream of a channel ends, it may not");
    if (z != Z_OK && z != Z_BUF_ERROR)
        return err_set(err, EINVAL, "the data are no zlib stream: %s", reason(s, z));
    return (int)(room_bytes - s->avail_out);
}

static int zlib_decompress(void *p, const uint8_t *data, size_t n, uint8_t *const *pages,
                           size_t count, struct ferry_err *err)
{
    z_stream *s = p;
    uint8_t surplus;
    int got;

    if (n > WIRE_MULTIFD_DATA_MAX_BYTES)
        return err_set(err, EINVAL, "%zu bytes of data, %u are the most", n,
                       WIRE_MULTIFD_DATA_MAX_BYTES);
    s->next_in = (z_const Bytef *)(uintptr_t)data;
    s->avail_in = (unsigned)n;
    for (size_t i = 0; i < count; i++) {
        got = inflate_some(s, pages[i], WIRE_PAGE_BYTES, err);
        if (got < 0)
            return got;
        if (got != (int)WIRE_PAGE_BYTES)
            return err_set(err, EINVAL, "%zu bytes of zlib data end in page %zu of %zu", n, i,
                           count);
    }
    /* The flush mark is still there; anything that comes out now is too much. */
    got = inflate_some(s, &surplus, 1, err);
    if (got < 0)
        return got;
    if (got != 0 || s->avail_in != 0)
        return err_set(err, EINVAL, "%zu bytes of zlib data are more than %zu pages", n, count);
    return 0;
}

const struct codec_ops codec_zlib = {
    .name = "zlib",
    .method = WIRE_METHOD_ZLIB,
    .level_min = 0,
    .level_max = 9,
    .level_default = 1,
    .compressor_new = zlib_compressor_new,
    .compressor_free = zlib_compressor_free,
    .compress = zlib_compress,
    .decompressor_new = zlib_decompressor_new,
    .decompressor_free = zlib_decompressor_free,
    .decompress = zlib_decompress,
};
