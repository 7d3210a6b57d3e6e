/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit.h"

#include <stdlib.h>
#include <string.h>

#include "lib/codec/zero.h"

static void test_every_byte(void **state)
{
    uint8_t *page = calloc(1, 4096); /* exact, so that overruns show */

    assert_true(zero_check(page, 4096));
    for (size_t i = 0; i < 4096; i++) {
        page[i] = (uint8_t)(1u << i % 8);
        assert_false(zero_check(page, 4096));
        page[i] = 0;
    }
    assert_true(zero_check(page, 4096));
    free(page);
}

static void test_any_place(void **state)
{
    uint8_t *data = malloc(4096 + 3);

    memset(data, 1, 3);
    memset(data + 3, 0, 4096);
    assert_true(zero_check(data + 3, 4096));
    assert_true(zero_check(data + 3, 128));
    assert_false(zero_check(data + 2, 128));
    free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_byte),
        cmocka_unit_test(test_any_place),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
