/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "base/own.h"
#include "base/text.h"

/* What a terminal, a log or a reader would take for more than text; and what is just text. */
static const struct {
    const char *in, *name, *put;
} rows[] = {
    {"ram", "ram", "ram"},
    {"", "", ""},
    {"a\033]0;title\007b", "a?]0;title?b", "a\\x1b]0;title\\x07b"},
    {"\033[2J", "?[2J", "\\x1b[2J"},
    {"\x9b"
     "2J",
     "?2J", "\\x9b2J"}, /* CSI in one byte */
    {"\xc2\x9b"
     "2J",
     "??2J", "\\xc2\\x9b2J"}, /* and in UTF-8 */
    {"one\ntwo\rthree\x7f", "one?two?three?", "one\\x0atwo\\x0dthree\\x7f"},
    {"\xe2\x80\xae"
     "cod.exe",
     "???cod.exe", "\\xe2\\x80\\xaecod.exe"}, /* right to left */
    {"a\xe2\x80\x8b"
     "b",
     "a???b", "a\\xe2\\x80\\x8bb"},                       /* without width */
    {"\xf3\xa0\x81\x81", "????", "\\xf3\\xa0\\x81\\x81"}, /* a tag */
    {"\xc3\xa9t\xc3\xa9 \xe2\x82\xac \xf0\x9f\x9a\xa2",
     "\xc3\xa9t\xc3\xa9 \xe2\x82\xac \xf0\x9f\x9a\xa2",
     "\xc3\xa9t\xc3\xa9 \xe2\x82\xac \xf0\x9f\x9a\xa2"},
    {"\xc0\x80", "??", "\\xc0\\x80"}, /* a NUL */
    {"\xff\xc3", "??", "\\xff\\xc3"},
    {"\\x41", "\\x41", "\\x5cx41"},
};

static void what_does_not_print_is_replaced(void **state)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char name[TEXT_NAME_BYTES], *copy = strdup(rows[i].in);
        OWN(buf_free) struct buf out = {0};

        assert_string_equal(text_name(name, rows[i].in, strlen(rows[i].in)), rows[i].name);
        assert_string_equal(text_make_printable(copy), rows[i].name);
        text_put(&out, rows[i].in, strlen(rows[i].in));
        buf_u8(&out, 0);
        assert_string_equal(out.data, rows[i].put);
        free(copy);
    }
}

static void a_name_is_cut_and_a_character_is_not(void **state)
{
    char name[TEXT_NAME_BYTES], text[4], longer[200];

    memset(longer, 'x', sizeof(longer));
    assert_int_equal(strlen(text_name(name, longer, sizeof(longer))), TEXT_NAME_BYTES - 1);
    assert_string_equal(text_copy(text, sizeof(text), "ab\xc3\xa9", 4), "ab?");
    assert_string_equal(text_copy(text, sizeof(text), "a\0b", 3), "a?b");
}

static void an_error_is_printable_whatever_it_quotes(void **state)
{
    struct ferry_err err;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(err_set(&err, EINVAL, "%s", rows[i].in), -EINVAL);
        assert_string_equal(err.text, rows[i].name);
        assert_int_equal(err_prefix(&err, "\033%s", rows[i].in), -EINVAL);
        assert_null(strchr(err.text, '\033'));
        err_sys(&err, EIO, "%s", rows[i].in);
        assert_memory_equal(err.text, rows[i].name, strlen(rows[i].name));
    }
}

static void a_log_line_is_one_printable_line(void **state)
{
    int ends[2], saved = dup(STDERR_FILENO);
    char got[256] = {0};

    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    assert_true(dup2(ends[1], STDERR_FILENO) >= 0);
    log_warn("from the guest: %s", "\033[31m\nferry: all is well");
    assert_true(dup2(saved, STDERR_FILENO) >= 0);
    assert_true(read(ends[0], got, sizeof(got) - 1) > 0);
    assert_string_equal(got, "ferry: warning: from the guest: ?[31m?ferry: all is well\n");
    close(saved);
    close(ends[0]);
    close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_does_not_print_is_replaced),
        cmocka_unit_test(a_name_is_cut_and_a_character_is_not),
        cmocka_unit_test(an_error_is_printable_whatever_it_quotes),
        cmocka_unit_test(a_log_line_is_one_printable_line),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
