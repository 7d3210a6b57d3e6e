/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/config/option_file.h"
#include "vmm/config/options.h"

static char path[] = "/tmp/ferry-options-XXXXXX";

static int make_file(void **state)
{
    int fd = mkstemp(path);

    return fd < 0 ? -1 : close(fd);
}

static int remove_file(void **state)
{
    return unlink(path);
}

static void write_bytes(const void *data, size_t n)
{
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

static void write_text(const char *text)
{
    write_bytes(text, strlen(text));
}

/* The words with '|' between them. */
static void means(const char *text, const char *words)
{
    struct option_file file;
    struct ferry_err err;
    char all[256] = "";

    write_text(text);
    if (option_file_read(&file, path, &err) < 0)
        fail_msg("%s", err.text);
    for (int i = 0; i < file.count; i++)
        snprintf(all + strlen(all), sizeof(all) - strlen(all), "%s%s", i ? "|" : "", file.words[i]);
    assert_string_equal(all, words);
    option_file_free(&file);
}

static void words_are_as_in_a_shell(void **state)
{
    means("", "");
    means("\n  \t\n", "");
    means("-smp 2 -m\t512\n-S", "-smp|2|-m|512|-S");
    means("-smp 2\r\n-S\r\n", "-smp|2|-S");
    means("-append 'a b  \"c\" \\d'", "-append|a b  \"c\" \\d");
    means("-append \"a 'b' \\\"c\\\" \\\\ #d\"\n", "-append|a 'b' \"c\" \\ #d");
    means("a''b \"\" c\\ d", "ab||c d");
    means("-append \"two\nlines\"", "-append|two\nlines");
    means("-device virtio-blk-device,\\\ndrive=d0", "-device|virtio-blk-device,drive=d0");
    means("# all of this\n-smp 2 # and this 'too\n-S a#b", "-smp|2|-S|a#b");
    means("-append $HOME*", "-append|$HOME*");
    means("\\", "");
}

static void refuses(const char *sentence, int errnum)
{
    struct option_file file;
    struct ferry_err err;

    assert_int_equal(option_file_read(&file, path, &err), -errnum);
    assert_string_equal(err.text, sentence);
}

static void what_is_no_list_of_words_is_refused(void **state)
{
    char *big = malloc(OPTION_FILE_BYTES_MAX + 1);

    write_text("-smp 2\n-append 'a\n-S\n");
    refuses("line 2: a quote in this word is not closed", EINVAL);
    write_bytes("-S\0-smp", 7);
    refuses("byte 2 is 0; text was expected", EINVAL);
    memset(big, ' ', OPTION_FILE_BYTES_MAX + 1);
    write_bytes(big, OPTION_FILE_BYTES_MAX + 1);
    refuses("it has more than 65536 bytes", EFBIG);
    for (size_t i = 0; i < OPTION_FILE_BYTES_MAX; i += 2)
        big[i] = 'a';
    write_bytes(big, OPTION_FILE_BYTES_MAX);
    refuses("there are more than 512 words", E2BIG);
    free(big);
    assert_int_equal(unlink(path), 0);
    refuses("cannot read it: No such file or directory", ENOENT);
    assert_int_equal(mkfifo(path, 0600), 0);
    refuses("it is no regular file", EINVAL);
    assert_int_equal(unlink(path), 0);
    write_text("");
}

static void a_command_line_takes_it_where_an_option_is_expected(void **state)
{
    char at[sizeof(path) + 1];
    const char *const argv[] = {"-name", "first", at, "-kernel", "@not-read", "-name", "last"};
    struct options o = {0};
    struct vm_config c;
    struct ferry_err err;

    snprintf(at, sizeof(at), "@%s", path);
    write_text("-name inside\n-smp 4 -bios default");
    assert_int_equal(options_from_argv(&o, 7, argv, &err), 0);
    assert_int_equal(o.count, 6);
    assert_string_equal(o.list[2].value, "4");
    assert_int_equal(config_from_options(&c, &o, &err), 0);
    assert_string_equal(c.name, "last");
    config_free(&c);
    options_free(&o);
}

static void what_is_wrong_in_it_names_it(void **state)
{
    char at[sizeof(path) + 1], text[64], sentence[256];
    const char *const argv[] = {at};
    struct options o = {0};
    struct ferry_err err;

    snprintf(at, sizeof(at), "@%s", path);
    snprintf(text, sizeof(text), "-S %s", at); /* itself: it would never end */
    write_text(text);
    assert_int_equal(options_from_argv(&o, 1, argv, &err), -EINVAL);
    snprintf(sentence, sizeof(sentence),
             "options in %s: '%s': an option beginning with '-' was expected", path, at);
    assert_string_equal(err.text, sentence);
    options_free(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_as_in_a_shell),
        cmocka_unit_test(what_is_no_list_of_words_is_refused),
        cmocka_unit_test(a_command_line_takes_it_where_an_option_is_expected),
        cmocka_unit_test(what_is_wrong_in_it_names_it),
    };

    return cmocka_run_group_tests(tests, make_file, remove_file);
}
