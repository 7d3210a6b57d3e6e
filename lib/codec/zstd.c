/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/codec/zstd.h"

#include <errno.h>
#include <zstd.h>

#include "base/err.h"

/*
 * A frame says how much of itself a reader must remember. The highest level a sender may be set to
 * (20) needs this much, 32 MiB; level 1 needs 512 KiB.
 */
#define WINDOW_LOG_MAX 25

static int zstd_compressor_new(void **ret, int level, struct ferry_err *err)
{
    ZSTD_CCtx *c = ZSTD_createCCtx();
    size_t z;

    if (!c)
        return err_set(err, ENOMEM, "no memory for a zstd compressor");
    z = ZSTD_CCtx_setParameter(c, ZSTD_c_compressionLevel, level);
    if (ZSTD_isError(z)) {
        ZSTD_freeCCtx(c);
        return err_set(err, EINVAL, "a zstd compressor of level %d: %s", level,
                       ZSTD_getErrorName(z));
    }
    *ret = c;
    return 0;
}

static void zstd_compressor_free(void *c)
{
    ZSTD_freeCCtx(c);
}

static int zstd_compress(void *c, const uint8_t *const *pages, size_t count, uint8_t *out,
                         struct ferry_err *err)
{
    ZSTD_outBuffer to = {.dst = out, .size = WIRE_MULTIFD_DATA_MAX_BYTES};

    /* Streaming copies its input once, so a page that changes meanwhile is one that was. */
    for (size_t i = 0; i < count; i++) {
        ZSTD_inBuffer from = {.src = pages[i], .size = WIRE_PAGE_BYTES};
        bool last = i + 1 == count;
        size_t z;

        do {
            z = ZSTD_compressStream2(c, &to, &from, last ? ZSTD_e_flush : ZSTD_e_continue);
            if (ZSTD_isError(z))
                return err_set(err, EIO, "zstd cannot compress %zu pages: %s", count,
                               ZSTD_getErrorName(z));
        } while (to.pos < to.size && (from.pos < from.size || (last && z != 0)));
        if (from.pos < from.size || (last && z != 0))
            return err_set(err, EIO, "zstd cannot compress %zu pages into %u bytes", count,
                           WIRE_MULTIFD_DATA_MAX_BYTES);
    }
    return (int)to.pos;
}

static int zstd_decompressor_new(void **ret, struct ferry_err *err)
{
    ZSTD_DCtx *d = ZSTD_createDCtx();
    size_t z;

    if (!d)
        return err_set(err, ENOMEM, "no memory for a zstd decompressor");
    z = ZSTD_DCtx_setParameter(d, ZSTD_d_windowLogMax, WINDOW_LOG_MAX);
    if (ZSTD_isError(z)) {
        ZSTD_freeDCtx(d);
        return err_set(err, EINVAL, "a zstd decompressor: %s", ZSTD_getErrorName(z));
    }
    *ret = d;
    return 0;
}

static void zstd_decompressor_free(void *d)
{
    ZSTD_freeDCtx(d);
}

/* Until out is full or nothing more comes: how many bytes came out, or a refusal. */
static int decompress_some(ZSTD_DCtx *d, ZSTD_inBuffer *from, uint8_t *out, size_t room_bytes,
                           struct ferry_err *err)
{
    ZSTD_outBuffer to = {.dst = out, .size = room_bytes};
    size_t from_before, to_before;

    do {
        size_t z;

        from_before = from->pos;
        to_before = to.pos;
        z = ZSTD_decompressStream(d, &to, from);
        if (ZSTD_isError(z))
            return err_set(err, EINVAL, "the data are no zstd frame of a window up to %u MiB: %s",
                           1u << (WINDOW_LOG_MAX - 20), ZSTD_getErrorName(z));
        if (z == 0)
            return err_set(err, EINVAL, "the zstd frame of a channel ends, it may not");
    } while (to.pos < to.size && (from->pos != from_before || to.pos != to_before));
    return (int)to.pos;
}

static int zstd_decompress(void *d, const uint8_t *data, size_t n, uint8_t *const *pages,
                           size_t count, struct ferry_err *err)
{
    ZSTD_inBuffer from = {.src = data, .size = n};
    uint8_t surplus;
    int got;

    for (size_t i = 0; i < count; i++) {
        got = decompress_some(d, &from, pages[i], WIRE_PAGE_BYTES, err);
        if (got < 0)
            return got;
        if (got != (int)WIRE_PAGE_BYTES)
            return err_set(err, EINVAL, "%zu bytes of zstd data end in page %zu of %zu", n, i,
                           count);
    }
    got = decompress_some(d, &from, &surplus, 1, err);
    if (got < 0)
        return got;
    if (got != 0 || from.pos != from.size)
        return err_set(err, EINVAL, "%zu bytes of zstd data are more than %zu pages", n, count);
    return 0;
}

const struct codec_ops codec_zstd = {
    .name = "zstd",
    .method = WIRE_METHOD_ZSTD,
    .level_min = 0,
    .level_max = 20,
    .level_default = 1,
    .compressor_new = zstd_compressor_new,
    .compressor_free = zstd_compressor_free,
    .compress = zstd_compress,
    .decompressor_new = zstd_decompressor_new,
    .decompressor_free = zstd_decompressor_free,
    .decompress = zstd_decompress,
};
