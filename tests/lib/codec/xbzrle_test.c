/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/codec/xbzrle.h"
#include "lib/codec/xbzrle_cache.h"

#define PAGE XBZRLE_PAGE_BYTES

static uint32_t next_random(uint32_t *s)
{
    *s = *s * 1664525u + 1013904223u;
    return *s >> 8;
}

static int decode(const void *delta, size_t n, uint8_t *page, struct ferry_err *err)
{
    uint8_t *exact = malloc(n ? n : 1); /* so that overruns show */
    int r;

    memcpy(exact, delta, n);
    r = xbzrle_decode(exact, n, page, err);
    free(exact);
    return r;
}

static void must_round_trip(const uint8_t *old, const uint8_t *now)
{
    uint8_t *out = malloc(PAGE), *page = malloc(PAGE);
    struct ferry_err err = {0};
    int n = xbzrle_encode(old, now, out, PAGE);

    memcpy(page, old, PAGE);
    if (n > 0) {
        assert_true(n < (int)PAGE);
        if (decode(out, (size_t)n, page, &err) < 0)
            fail_msg("%s", err.text);
    }
    if (n >= 0)
        assert_memory_equal(page, now, PAGE);
    free(out);
    free(page);
}

static void test_round_trip(void **state)
{
    uint8_t old[PAGE], now[PAGE];
    uint32_t s = 1;

    for (unsigned round = 0; round < 4000; round++) {
        unsigned changes = next_random(&s) % 40;

        for (size_t i = 0; i < PAGE; i++)
            old[i] = (uint8_t)next_random(&s);
        memcpy(now, old, PAGE);
        for (unsigned i = 0; i < changes; i++) {
            size_t at = next_random(&s) % PAGE, n = next_random(&s) % 300;

            for (size_t k = at; k < PAGE && k < at + n; k++)
                now[k] = (uint8_t)next_random(&s);
        }
        must_round_trip(old, now);
    }
    /* The first and the last byte, and each length around a second byte of it. */
    memset(old, 0, PAGE);
    for (size_t n = 1; n <= 300; n++) {
        memset(now, 0, PAGE);
        memset(now, 1, n);
        must_round_trip(old, now);
        memset(now, 0, PAGE);
        memset(now + PAGE - n, 1, n);
        must_round_trip(old, now);
    }
}

static void test_known(void **state)
{
    uint8_t old[PAGE] = {0}, now[PAGE] = {0}, out[PAGE];

    now[64] = 0x15;
    now[65] = 0x12;
    assert_int_equal(xbzrle_encode(old, now, out, PAGE), 4);
    assert_memory_equal(out, "\x40\x02\x15\x12", 4);
    /* It must be shorter than what it stands for. */
    assert_int_equal(xbzrle_encode(old, now, out, 4), -ENOSPC);
    assert_int_equal(xbzrle_encode(old, now, out, 5), 4);
    assert_int_equal(xbzrle_encode(now, now, out, PAGE), 0);
    memset(now, 1, PAGE);
    assert_int_equal(xbzrle_encode(old, now, out, PAGE), -ENOSPC);
}

static void refuse(const char *delta, size_t n, const char *want)
{
    uint8_t *page = malloc(PAGE);
    struct ferry_err err = {0};

    assert_int_equal(decode(delta, n, page, &err), -EINVAL);
    if (!strstr(err.text, want))
        fail_msg("\"%s\" does not say \"%s\"", err.text, want);
    free(page);
}

static void test_refusals(void **state)
{
    uint8_t page[PAGE] = {0};
    struct ferry_err err = {0};

    refuse("", 0, "empty");
    refuse("\x01", 1, "no two lengths");          /* what is kept at the end is not said */
    refuse("\x01\x01x\x05", 4, "no two lengths"); /* the same, later */
    refuse("\x81", 1, "no two lengths");
    refuse("\x81\x80\x01x", 4, "no two lengths"); /* three bytes of length */
    refuse("\x01\x80", 2, "no two lengths");
    refuse("\x01\x00", 2, "replaces 0 bytes");
    refuse("\x00\x01x\x00\x01x", 6, "keeps 0 and replaces 1 bytes at byte 3");
    refuse("\x01\x02x", 3, "replaces 2 bytes and has only 1 left");
    refuse("\x80\x20\x01x", 4, "of a page of 4096"); /* keeps all */
    refuse("\xff\x7f\x01x", 4, "of a page of 4096");
    refuse("\xff\x1f\x02xy", 5, "of a page of 4096"); /* the second byte is behind it */
    refuse("\x00\xff\x7fx", 4, "of a page of 4096");
    /* The last byte is in it. */
    assert_int_equal(decode("\xff\x1f\x01x", 4, page, &err), 0);
    assert_int_equal(page[PAGE - 1], 'x');
}

static void test_cache(void **state)
{
    struct xbzrle_cache *c = NULL;
    struct ferry_err err = {0};
    uint8_t page[PAGE] = {1}, other[PAGE] = {2};

    assert_int_equal(xbzrle_cache_new(&c, 5 * PAGE, &err), 0); /* room for 4 */
    assert_null(xbzrle_cache_find(c, 7, 1));
    assert_int_equal(xbzrle_cache_put(c, 7, 1, page), 0);
    assert_int_equal(xbzrle_cache_find(c, 7, 1)[0], 1);
    assert_null(xbzrle_cache_find(c, 3, 1));
    /* 3 has the place of 7, which it keeps while it is in use. */
    assert_int_equal(xbzrle_cache_put(c, 3, 1, other), -EAGAIN);
    assert_int_equal(xbzrle_cache_put(c, 3, 2, other), -EAGAIN);
    assert_int_equal(xbzrle_cache_find(c, 7, 2)[0], 1);
    assert_int_equal(xbzrle_cache_put(c, 3, 3, other), -EAGAIN);
    assert_int_equal(xbzrle_cache_put(c, 3, 4, other), 0);
    assert_null(xbzrle_cache_find(c, 7, 4));
    assert_int_equal(xbzrle_cache_find(c, 3, 4)[0], 2);
    assert_int_equal(xbzrle_cache_put(c, 3, 4, page), 0); /* its own place */
    assert_int_equal(xbzrle_cache_find(c, 3, 4)[0], 1);
    for (uint64_t i = 4; i < 7; i++)
        assert_int_equal(xbzrle_cache_put(c, i, 4, page), 0); /* neighbours do not meet */
    xbzrle_cache_free(c);
    xbzrle_cache_free(NULL);
    assert_int_equal(xbzrle_cache_new(&c, 1, &err), 0); /* one page at least */
    assert_int_equal(xbzrle_cache_put(c, 99, 0, page), 0);
    xbzrle_cache_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_known),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_cache),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
