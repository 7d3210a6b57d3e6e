/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit.h"

#include <errno.h>

#include "base/buf.h"

static void numbers_are_big_endian_and_come_back(void **state)
{
    struct buf b = {0};
    struct rd r;

    buf_u8(&b, 1);
    buf_be16(&b, 0x0203);
    buf_be32(&b, 0x04050607);
    buf_be64(&b, 0x08090a0b0c0d0e0f);
    assert_int_equal(b.len_bytes, 15);
    for (uint8_t i = 0; i < 15; i++)
        assert_int_equal(b.data[i], i + 1);
    r = rd_make(b.data, b.len_bytes);
    assert_int_equal(rd_u8(&r), 1);
    assert_int_equal(rd_be16(&r), 0x0203);
    assert_int_equal(rd_be32(&r), 0x04050607);
    assert_true(rd_be64(&r) == 0x08090a0b0c0d0e0f);
    assert_int_equal(rd_left(&r), 0);
    assert_false(r.failed);
    buf_free(&b);
}

static void a_short_read_is_sticky(void **state)
{
    struct rd r = rd_make("abc", 3);

    assert_null(rd_peek(&r, 4));
    assert_false(r.failed);
    assert_int_equal(rd_be32(&r), 0);
    assert_true(r.failed);
    assert_int_equal(rd_u8(&r), 0);
    assert_int_equal(rd_left(&r), 0);
}

static void the_limit_is_kept_and_sticky(void **state)
{
    struct buf b = {.limit_bytes = 4};

    buf_be32(&b, 1);
    buf_u8(&b, 1);
    assert_int_equal(b.failed, EFBIG);
    assert_int_equal(b.len_bytes, 4);
    buf_reset(&b);
    buf_u8(&b, 1);
    assert_int_equal(b.failed, 0);
    buf_free(&b);
}

static void formatted_text_has_no_nul(void **state)
{
    struct buf b = {0};

    buf_printf(&b, "%d-%s", 42, "x");
    buf_str(&b, "!");
    assert_int_equal(b.len_bytes, 5);
    assert_memory_equal(b.data, "42-x!", 5);
    buf_consume(&b, 3);
    assert_memory_equal(b.data, "x!", 2);
    buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_big_endian_and_come_back),
        cmocka_unit_test(a_short_read_is_sticky),
        cmocka_unit_test(the_limit_is_kept_and_sticky),
        cmocka_unit_test(formatted_text_has_no_nul),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
