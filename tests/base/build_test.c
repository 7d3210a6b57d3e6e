/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit.h"

#include <string.h>

#include <ferry/ferry.h>

#include "base/build.h"

static void a_program_knows_its_build(void **state)
{
    char text[BUILD_TEXT_BYTES], again[BUILD_TEXT_BYTES];
    const char *id = build_text(text) + strlen(FERRY_VERSION " (");

    assert_memory_equal(text, FERRY_VERSION " (", strlen(FERRY_VERSION " ("));
    assert_int_equal(strspn(id, "0123456789abcdef"), 12);
    assert_string_equal(id + 12, ")");
    assert_string_equal(build_text(again), text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_program_knows_its_build),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
