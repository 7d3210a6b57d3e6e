/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/wire/mapped.h"

#define MIB (1u << 20)

static void test_layout(void **state)
{
    struct mapped_header h, got;
    struct buf out = {0};
    struct rd in;
    struct ferry_err err = {0};

    assert_int_equal(mapped_layout(&h, 0x6d, 32 * MIB, &err), 0);
    assert_int_equal(h.bitmap_offset_bytes, 0x89);
    assert_int_equal(h.pages_offset_bytes, MIB);
    assert_int_equal(mapped_bitmap_bytes(32 * MIB), 1024);
    assert_int_equal(mapped_bitmap_bytes(4096 * 65), 16);
    /* A bitmap that just reaches the boundary, and one byte more. */
    assert_int_equal(mapped_layout(&h, MIB - 28 - 8, 4096, &err), 0);
    assert_int_equal(h.pages_offset_bytes, MIB);
    assert_int_equal(mapped_layout(&h, MIB - 28 - 7, 4096, &err), 0);
    assert_int_equal(h.pages_offset_bytes, 2 * MIB);
    assert_int_equal(mapped_layout(&got, UINT64_MAX - 10, 4096, &err), -EFBIG);
    assert_int_equal(mapped_layout(&got, 0, ~(uint64_t)4095, &err), -EFBIG);

    mapped_put_header(&out, &h);
    assert_int_equal(out.len_bytes, MAPPED_HEADER_BYTES);
    in = rd_make(out.data, out.len_bytes);
    got = mapped_get_header(&in);
    assert_false(in.failed);
    assert_int_equal(got.bitmap_offset_bytes, h.bitmap_offset_bytes);
    assert_int_equal(got.pages_offset_bytes, h.pages_offset_bytes);
    assert_int_equal(mapped_check_header(&got, "a", &err), 0);
    buf_free(&out);
}

static void check_place(uint64_t bitmap, uint64_t pages, uint64_t used_bytes, const char *want)
{
    struct mapped_header h = {.version = 1,
                              .page_bytes = 4096,
                              .bitmap_offset_bytes = bitmap,
                              .pages_offset_bytes = pages};
    struct ferry_err err = {0};
    int r = mapped_check_place(&h, "a", used_bytes, 100, 0x10000, &err);

    assert_int_equal(r, want ? -EINVAL : 0);
    if (want && !strstr(err.text, want))
        fail_msg("\"%s\" does not say \"%s\"", err.text, want);
}

static void test_place(void **state)
{
    check_place(100, 0x1000, 0xf000, NULL); /* up to the last byte of the file */
    check_place(200, 0x1000, 0x1000, NULL);
    check_place(99, 0x1000, 0x1000, "overlaps what comes before 0x64");
    check_place(0, 0x1000, 0x1000, "overlaps what comes before");
    check_place(4088, 0x1000, 0x1000, NULL);
    check_place(4089, 0x1000, 0x1000, "overlap its bitmap, which ends at 0x1001");
    check_place(0x3000, 0x1000, 0x1000, "overlap its bitmap");
    check_place(100, 0x1000, 0x10000, "the file has only 0x10000 bytes");
    check_place(100, 0x1001, 0xf000, "end at 0x10001, but the file has only 0x10000 bytes");
    check_place(100, 0x11000, 0, "the file has only 0x10000 bytes");
    check_place(100, ~(uint64_t)0xfff, 0x2000, "overflow");
    check_place(UINT64_MAX - 4, 0x1000, 0x1000, "overflow");
}

static void test_runs(void **state)
{
    uint8_t bitmap[32] = {0};
    uint64_t first;

    assert_int_equal(mapped_next_run(bitmap, sizeof(bitmap), 0, 100, &first), 0);
    for (uint64_t i = 60; i < 200; i++)
        mapped_set(bitmap, i);
    mapped_set(bitmap, 0);
    mapped_set(bitmap, 255);
    mapped_clear(bitmap, 130);
    assert_int_equal(bitmap[0], 1);
    assert_int_equal(bitmap[7], 0xf0);
    assert_int_equal(mapped_next_run(bitmap, sizeof(bitmap), 0, 100, &first), 1);
    assert_int_equal(first, 0);
    assert_int_equal(mapped_next_run(bitmap, sizeof(bitmap), 1, 100, &first), 70);
    assert_int_equal(first, 60);
    assert_int_equal(mapped_next_run(bitmap, sizeof(bitmap), 1, 10, &first), 10);
    assert_int_equal(mapped_next_run(bitmap, sizeof(bitmap), 70, 100, &first), 60);
    assert_int_equal(first, 70);
    assert_int_equal(mapped_next_run(bitmap, sizeof(bitmap), 130, 100, &first), 69);
    assert_int_equal(first, 131);
    assert_int_equal(mapped_next_run(bitmap, sizeof(bitmap), 200, 100, &first), 1);
    assert_int_equal(first, 255);
    assert_int_equal(mapped_next_run(bitmap, sizeof(bitmap), 256, 100, &first), 0);
    assert_int_equal(mapped_next_run(bitmap, sizeof(bitmap), UINT64_MAX, 100, &first), 0);
}

static void test_bitmap(void **state)
{
    uint8_t *bitmap = calloc(1, 16); /* exact, so that overruns show */
    struct ferry_err err = {0};

    mapped_set(bitmap, 69);
    assert_int_equal(mapped_check_bitmap(bitmap, 16, "a", 70 * 4096, &err), 0);
    assert_int_equal(mapped_check_bitmap(bitmap, 16, "a", 69 * 4096, &err), -EINVAL);
    assert_non_null(strstr(err.text, "has page 69, but there are only 69"));
    assert_int_equal(mapped_check_bitmap(bitmap, 8, "a", 70 * 4096, &err), -EINVAL);
    mapped_set(bitmap, 127);
    assert_int_equal(mapped_check_bitmap(bitmap, 16, "a", 128 * 4096, &err), 0);
    assert_int_equal(mapped_check_bitmap(bitmap, 16, "a", 127 * 4096, &err), -EINVAL);
    free(bitmap);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layout),
        cmocka_unit_test(test_place),
        cmocka_unit_test(test_runs),
        cmocka_unit_test(test_bitmap),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
