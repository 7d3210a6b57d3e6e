/* SPDX-License-Identifier: Apache-2.0 */
/* What every codec that is listed promises. */
#include "tests/unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "lib/codec/codec.h"

#define PAGES WIRE_MULTIFD_PAGES

struct lane {
    const struct codec_ops *codec;
    void *compressor, *decompressor;
    uint8_t *from, *to; /* PAGES pages each */
    const uint8_t *from_at[PAGES];
    uint8_t *to_at[PAGES];
    uint8_t *data;
};

static void lane_init(struct lane *l, const struct codec_ops *codec, int level)
{
    struct ferry_err err = {0};

    *l = (struct lane){.codec = codec};
    assert_int_equal(codec->compressor_new(&l->compressor, level, &err), 0);
    assert_int_equal(codec->decompressor_new(&l->decompressor, &err), 0);
    l->from = malloc(PAGES * WIRE_PAGE_BYTES);
    l->to = malloc(PAGES * WIRE_PAGE_BYTES);
    l->data = malloc(WIRE_MULTIFD_DATA_MAX_BYTES);
    for (size_t i = 0; i < PAGES; i++) {
        l->from_at[i] = l->from + i * WIRE_PAGE_BYTES;
        l->to_at[PAGES - 1 - i] = l->to + i * WIRE_PAGE_BYTES; /* backwards: not one array */
    }
}

static void lane_free(struct lane *l)
{
    l->codec->compressor_free(l->compressor);
    l->codec->decompressor_free(l->decompressor);
    free(l->from);
    free(l->to);
    free(l->data);
}

/* kind 0: no two bytes alike, 1: words of text, 2: zeros */
static void fill(struct lane *l, unsigned kind, uint32_t seed)
{
    for (size_t i = 0; i < PAGES * WIRE_PAGE_BYTES; i++) {
        seed = seed * 1664525u + 1013904223u;
        l->from[i] = kind == 0 ? (uint8_t)(seed >> 24) : 0;
        if (kind == 1)
            l->from[i] = (uint8_t) "page "[i % 5];
    }
}

static size_t pack(struct lane *l, size_t count)
{
    struct ferry_err err = {0};
    int n = l->codec->compress(l->compressor, l->from_at, count, l->data, &err);

    if (n <= 0)
        fail_msg("%s: %s", l->codec->name, err.text);
    assert_true(n <= (int)WIRE_MULTIFD_DATA_MAX_BYTES);
    return (size_t)n;
}

static int unpack(struct lane *l, size_t n, size_t count, struct ferry_err *err)
{
    uint8_t *exact = malloc(n ? n : 1); /* so that overruns show */
    int r;

    memcpy(exact, l->data, n);
    r = l->codec->decompress(l->decompressor, exact, n, l->to_at, count, err);
    free(exact);
    return r;
}

static void test_round_trip(void **state)
{
    static const size_t counts[] = {1, 2, PAGES, 7, PAGES, 1};
    struct ferry_err err = {0};

    for (size_t i = 0; codec_types[i]; i++) {
        for (int level = codec_types[i]->level_min; level <= codec_types[i]->level_max; level++) {
            struct lane l;

            lane_init(&l, codec_types[i], level);
            for (unsigned k = 0; k < sizeof(counts) / sizeof(counts[0]); k++) {
                size_t n;

                fill(&l, k % 3, k);
                n = pack(&l, counts[k]);
                if (unpack(&l, n, counts[k], &err) < 0)
                    fail_msg("%s, level %d: %s", l.codec->name, level, err.text);
                for (size_t p = 0; p < counts[k]; p++)
                    assert_memory_equal(l.to_at[p], l.from_at[p], WIRE_PAGE_BYTES);
            }
            lane_free(&l);
        }
    }
}

static void must_refuse(struct lane *l, size_t n, size_t count)
{
    struct ferry_err err = {0};

    assert_int_equal(unpack(l, n, count, &err), -EINVAL);
    assert_int_not_equal(err.text[0], 0);
    l->codec->decompressor_free(l->decompressor);
    assert_int_equal(l->codec->decompressor_new(&l->decompressor, &err), 0);
}

/* Just so many pages: neither cut data, nor more output than pages, nor more input than output. */
static void test_exactly(void **state)
{
    for (size_t i = 0; codec_types[i]; i++) {
        struct lane l;
        size_t n;

        lane_init(&l, codec_types[i], codec_types[i]->level_default);
        fill(&l, 1, 0);
        n = pack(&l, 4); /* the first packet: whole for a new decompressor */
        must_refuse(&l, n, 5);
        must_refuse(&l, n, 3);
        must_refuse(&l, n / 2, 4);
        must_refuse(&l, 0, 4);
        memset(l.data + n, 0xff, 16);
        must_refuse(&l, n + 16, 4);
        must_refuse(&l, n - n / 4, 4);
        memset(l.data, 0xff, n);
        if (!l.codec->plain)
            must_refuse(&l, n, 4);
        lane_free(&l);
    }
}

/* A page of output hidden behind the last one, as small as it gets: zeros compress to nothing. */
static void test_surplus(void **state)
{
    for (size_t i = 0; codec_types[i]; i++) {
        struct lane l;

        lane_init(&l, codec_types[i], codec_types[i]->level_default);
        fill(&l, 2, 0);
        for (size_t count = 2; count <= PAGES; count++) {
            size_t n = pack(&l, count);

            must_refuse(&l, n, count - 1);
            l.codec->compressor_free(l.compressor);
            assert_int_equal(l.codec->compressor_new(&l.compressor, l.codec->level_default,
                                                     &(struct ferry_err){0}),
                             0);
        }
        lane_free(&l);
    }
}

/* Complete streams, which never continue, and windows beyond the limit. */
static void test_foreign(void **state)
{
    struct lane l;
    uLongf zlib_bytes = WIRE_MULTIFD_DATA_MAX_BYTES;
    ZSTD_CCtx *c = ZSTD_createCCtx();
    ZSTD_inBuffer from;
    ZSTD_outBuffer to;

    lane_init(&l, codec_find("zlib"), 1);
    fill(&l, 1, 0);
    assert_int_equal(compress(l.data, &zlib_bytes, l.from, 2 * WIRE_PAGE_BYTES), Z_OK);
    must_refuse(&l, zlib_bytes, 2);
    lane_free(&l);

    lane_init(&l, codec_find("zstd"), 1);
    fill(&l, 1, 0);
    must_refuse(
        &l, ZSTD_compress(l.data, WIRE_MULTIFD_DATA_MAX_BYTES, l.from, 2 * WIRE_PAGE_BYTES, 1), 2);
    for (int log = 25; log <= 26; log++) {
        struct ferry_err err = {0};

        from = (ZSTD_inBuffer){.src = l.from, .size = WIRE_PAGE_BYTES};
        to = (ZSTD_outBuffer){.dst = l.data, .size = WIRE_MULTIFD_DATA_MAX_BYTES};
        ZSTD_CCtx_reset(c, ZSTD_reset_session_only);
        ZSTD_CCtx_setParameter(c, ZSTD_c_windowLog, log);
        assert_int_equal(ZSTD_compressStream2(c, &to, &from, ZSTD_e_flush), 0);
        if (log == 25)
            assert_int_equal(unpack(&l, to.pos, 1, &err), 0);
        else
            must_refuse(&l, to.pos, 1);
        l.codec->decompressor_free(l.decompressor);
        assert_int_equal(l.codec->decompressor_new(&l.decompressor, &err), 0);
    }
    ZSTD_freeCCtx(c);
    lane_free(&l);
}

/* One byte more than a page, and then nothing: no input is left over that could tell. */
static void test_one_byte(void **state)
{
    struct lane l;
    z_stream z = {0};
    ZSTD_CCtx *c = ZSTD_createCCtx();
    ZSTD_inBuffer from;
    ZSTD_outBuffer to;

    lane_init(&l, codec_find("zlib"), 1);
    fill(&l, 2, 0);
    assert_int_equal(deflateInit(&z, 1), Z_OK);
    z.next_in = l.from;
    z.avail_in = WIRE_PAGE_BYTES + 1;
    z.next_out = l.data;
    z.avail_out = WIRE_MULTIFD_DATA_MAX_BYTES;
    assert_int_equal(deflate(&z, Z_SYNC_FLUSH), Z_OK);
    must_refuse(&l, z.total_out, 1);
    deflateEnd(&z);
    lane_free(&l);

    lane_init(&l, codec_find("zstd"), 1);
    fill(&l, 2, 0);
    from = (ZSTD_inBuffer){.src = l.from, .size = WIRE_PAGE_BYTES + 1};
    to = (ZSTD_outBuffer){.dst = l.data, .size = WIRE_MULTIFD_DATA_MAX_BYTES};
    assert_int_equal(ZSTD_compressStream2(c, &to, &from, ZSTD_e_flush), 0);
    must_refuse(&l, to.pos, 1);
    ZSTD_freeCCtx(c);
    lane_free(&l);
}

static void test_table(void **state)
{
    for (size_t i = 0; codec_types[i]; i++) {
        const struct codec_ops *c = codec_types[i];

        assert_ptr_equal(codec_find(c->name), c);
        assert_true(c->level_min <= c->level_default && c->level_default <= c->level_max);
        assert_int_equal(c->method & ~(unsigned)WIRE_MULTIFD_METHOD_MASK, 0);
        assert_int_equal(c->plain, c->method == WIRE_METHOD_NONE);
        for (size_t k = 0; k < i; k++)
            assert_int_not_equal(codec_types[k]->method, c->method);
        c->compressor_free(NULL);
        c->decompressor_free(NULL);
    }
    assert_null(codec_find("lzma"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip), cmocka_unit_test(test_exactly),
        cmocka_unit_test(test_surplus),    cmocka_unit_test(test_foreign),
        cmocka_unit_test(test_one_byte),   cmocka_unit_test(test_table),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
