/* SPDX-License-Identifier: Apache-2.0 */
/* What a custom field has to write with and to read from. */
#include "tests/unit.h"

#include <ferry/state.h>

#include "base/buf.h"

static void numbers_are_big_endian(void **state)
{
    static const uint8_t want[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0, 0, 'x'};
    struct buf buf = {0};
    struct ferry_out *out = (struct ferry_out *)&buf;
    struct rd rd;
    struct ferry_in *in = (struct ferry_in *)&rd;

    ferry_out_u8(out, 1);
    ferry_out_be16(out, 0x0203);
    ferry_out_be32(out, 0x04050607);
    ferry_out_be64(out, UINT64_C(0x08090a0b0c0d0e0f));
    ferry_out_be16(out, 0);
    ferry_out_put(out, "x", 1);
    assert_int_equal(buf.len_bytes, sizeof(want));
    assert_memory_equal(buf.data, want, sizeof(want));

    rd = rd_make(buf.data, buf.len_bytes);
    assert_memory_equal(ferry_in_take(in, 17), want, 17);
    assert_null(ferry_in_take(in, 2)); /* one is left */
    buf_free(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(numbers_are_big_endian)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
