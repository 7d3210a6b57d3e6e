/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit.h"

#include "lib/state/json.h"

static void strings_are_ascii(void **state)
{
    static const char want[] = "\"a\\\"b\\\\c\\u000ad\\u007f\\u00e9/\"";
    struct buf b = {0};

    json_string(&b, "a\"b\\c\nd\x7f\xe9/");
    assert_int_equal(b.len_bytes, sizeof(want) - 1);
    assert_memory_equal(b.data, want, b.len_bytes);
    buf_free(&b);
}

static void numbers_and_keys(void **state)
{
    static const char want[] = "\"k\": 0, 18446744073709551615, 10";
    struct buf b = {0};

    json_key(&b, "k");
    json_u64(&b, 0);
    buf_str(&b, ", ");
    json_u64(&b, UINT64_MAX);
    buf_str(&b, ", ");
    json_u64(&b, 10);
    assert_int_equal(b.len_bytes, sizeof(want) - 1);
    assert_memory_equal(b.data, want, b.len_bytes);
    buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strings_are_ascii),
        cmocka_unit_test(numbers_and_keys),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
