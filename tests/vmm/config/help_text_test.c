/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit.h"

#include <stdio.h>
#include <stdlib.h>

#include "vmm/config/help_text.h"

static void prints(const char *sentence, const char *expected)
{
    char *text = NULL;
    size_t n = 0;
    FILE *to = open_memstream(&text, &n);

    assert_non_null(to);
    help_option(to, "-x", "N", sentence);
    assert_int_equal(fclose(to), 0);
    assert_string_equal(text, expected);
    free(text);
}

static void a_line_has_80_columns_at_most(void **state)
{
    prints("short", "  -x N\n        short\n");
    /* The last word ends in column 80, and the next one does not. */
    prints("0123456789 0123456789 0123456789 0123456789 0123456789 0123456789 012345 a",
           "  -x N\n"
           "        0123456789 0123456789 0123456789 0123456789 0123456789 0123456789 012345\n"
           "        a\n");
    prints("0123456789 0123456789 0123456789 0123456789 0123456789 0123456789 0123456",
           "  -x N\n"
           "        0123456789 0123456789 0123456789 0123456789 0123456789 0123456789\n"
           "        0123456\n");
}

static void a_word_is_never_cut(void **state)
{
    prints(
        "a 01234567890123456789012345678901234567890123456789012345678901234567890123456789 b",
        "  -x N\n"
        "        a\n"
        "        01234567890123456789012345678901234567890123456789012345678901234567890123456789\n"
        "        b\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_has_80_columns_at_most),
        cmocka_unit_test(a_word_is_never_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
