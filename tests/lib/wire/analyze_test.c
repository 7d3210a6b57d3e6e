/* SPDX-License-Identifier: Apache-2.0 */
/* A stream is told field by field; a broken one up to where it breaks, whatever its bytes are. */
#include "tests/unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <ferry/analyze.h>

#include "base/buf.h"
#include "base/own.h"
#include "lib/wire/stream_out.h"

static const char description[] =
    "{\"page_size\": 4096, \"devices\": [{\"name\": \"toy\", \"instance_id\": 7, \"fields\": ["
    "{\"name\": \"level\", \"type\": \"uint16\", \"size\": 2}, "
    "{\"name\": \"rings\", \"array_len\": 2, \"type\": \"uint8\", \"size\": 1}]}]}";

/* One block of RAM with a zero page, and one device. */
static struct buf make_stream(void)
{
    struct buf out = {0};
    struct wire_config config;
    struct ferry_err err;

    assert_int_equal(wire_config_make(&config, "virt", &err), 0);
    assert_int_equal(stream_put_header(&out, &config, &err), 0);
    stream_put_section(&out, WIRE_SECTION_START, 1, WIRE_RAM_IDSTR, 0, WIRE_RAM_VERSION);
    buf_be64(&out, 4096 | WIRE_RAM_MEM_SIZE);
    buf_u8(&out, 3);
    buf_put(&out, "mem", 3);
    buf_be64(&out, 4096);
    buf_be64(&out, 0 | WIRE_RAM_ZERO);
    buf_u8(&out, 3);
    buf_put(&out, "mem", 3);
    buf_u8(&out, 0);
    buf_be64(&out, WIRE_RAM_EOS);
    stream_put_footer(&out, 1);
    stream_put_section(&out, WIRE_SECTION_FULL, 2, "toy", 7, 1);
    buf_be16(&out, 513);
    buf_u8(&out, 1);
    buf_u8(&out, 2);
    stream_put_footer(&out, 2);
    stream_put_eof(&out);
    stream_put_description(&out, description, sizeof(description) - 1);
    assert_false(out.failed);
    return out;
}

static void tells_fields_and_ram(void **state)
{
    struct buf s = make_stream();
    struct ferry_err err;
    char *text;

    assert_int_equal(ferry_analyze(&text, s.data, s.len_bytes, true, &err), 0);
    assert_non_null(strstr(text, "\"machine\":\"virt\""));
    assert_non_null(strstr(text, "\"level\":513"));
    assert_non_null(strstr(text, "\"rings\":[1,2]"));
    assert_non_null(strstr(text, "\"block\":\"mem\",\"bytes\":4096,\"pages\":0,\"zero-pages\":1"));
    free(text);
    assert_int_equal(ferry_analyze(&text, s.data, s.len_bytes, false, &err), 0);
    assert_non_null(strstr(text, "level: 513\n"));
    free(text);
    buf_free(&s);
}

/* The sentence is all there is to say. */
static void what_is_no_stream_has_nothing_to_list(void **state)
{
    static const char elf[] = "\x7f"
                              "ELF\x02\x01\x01\0\0\0";
    struct ferry_err err;
    char *text;

    assert_int_equal(ferry_analyze(&text, elf, sizeof(elf), false, &err), -EINVAL);
    assert_string_equal(text, "");
    free(text);
    assert_non_null(strstr(err.text, "no migration stream: it begins with 7f454c46, not with"));
    assert_int_equal(ferry_analyze(&text, elf, sizeof(elf), true, &err), -EINVAL);
    assert_non_null(strstr(text, "\"error\""));
    free(text);
    assert_int_equal(ferry_analyze(&text, "QE", 2, false, &err), -EINVAL);
    assert_string_equal(text, "");
    free(text);
}

static void any_bytes_may_be_given(void **state)
{
    struct buf s = make_stream();
    size_t end = s.len_bytes - sizeof(description) - 5;
    struct ferry_err err;
    char *text;

    for (size_t n = 0; n < end; n++) {
        assert_true(ferry_analyze(&text, s.data, n, true, &err) < 0);
        assert_non_null(strstr(text, "\"error\""));
        free(text);
    }
    for (size_t at = 0; at < s.len_bytes; at++)
        for (int bit = 0; bit < 8; bit++) {
            uint8_t *copy = malloc(s.len_bytes);

            memcpy(copy, s.data, s.len_bytes);
            copy[at] ^= (uint8_t)(1u << bit);
            if (ferry_analyze(&text, copy, s.len_bytes, false, &err) < 0)
                assert_true(err.text[0]);
            free(text);
            free(copy);
        }
    buf_free(&s);
}

/* A stream with one section "x" of one byte, and that description. */
static struct buf described_as(const struct buf *text)
{
    struct buf out = {0};
    struct wire_config config;
    struct ferry_err err;

    assert_int_equal(wire_config_make(&config, "virt", &err), 0);
    assert_int_equal(stream_put_header(&out, &config, &err), 0);
    stream_put_section(&out, WIRE_SECTION_FULL, 0, "x", 0, 1);
    buf_u8(&out, 1);
    stream_put_footer(&out, 0);
    stream_put_eof(&out);
    stream_put_description(&out, (const char *)text->data, text->len_bytes);
    assert_false(out.failed);
    return out;
}

#define DEVICE "{\"devices\": [{\"name\": \"x\", \"instance_id\": 0, \"fields\": ["

static void expect_too_much(struct buf *stream)
{
    for (int json = 0; json < 2; json++) {
        struct ferry_err err = {0};
        char *text;

        assert_int_equal(ferry_analyze(&text, stream->data, stream->len_bytes, json, &err), -E2BIG);
        assert_non_null(strstr(err.text, "MiB of memory, the limit for a file of this length"));
        free(text);
    }
    buf_free(stream);
}

/* Each describes much more than it is. */
static void a_file_pays_for_what_it_makes_of_itself(void **state)
{
    static const struct {
        const char *head, *piece, *tail;
    } rows[] = {
        /* What the parser would create. */
        {"{\"a\": [", "{},", "0]}"},
        {"{\"a\": [", "[],", "0]}"},
        /* Elements of no bytes. */
        {DEVICE "{\"name\": \"a\", \"array_len\": 4000000000, \"size\": 0", " ", "}]}]}"},
        {DEVICE "{\"name\": \"a\", \"array_len\": 4000000000, \"struct\": {\"fields\": []}", " ",
         "}]}]}"},
        {DEVICE "{\"name\": \"a\", \"array_len\": 100000, \"struct\": {\"fields\": ["
                "{\"name\": \"b\", \"array_len\": 100000, \"struct\": {}}]}",
         " ", "}]}]}"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        OWN(buf_free) struct buf text = {0};
        struct buf stream;

        buf_str(&text, rows[i].head);
        while (text.len_bytes < 1 << 20)
            buf_str(&text, rows[i].piece);
        buf_str(&text, rows[i].tail);
        stream = described_as(&text);
        expect_too_much(&stream);
    }
}

static void many_descriptions_in_one_another_are_few(void **state)
{
    struct buf s = {0};
    struct ferry_err err;
    char *text;

    /* Each is an unfinished object, and its length reaches to the end. */
    for (uint32_t left = 4 << 20; left >= 6; left -= 6) {
        buf_u8(&s, WIRE_DESCRIPTION);
        buf_be32(&s, left - 5);
        buf_u8(&s, '{');
    }
    assert_true(ferry_analyze(&text, s.data, s.len_bytes, false, &err) < 0);
    free(text);
    buf_free(&s);
}

static void as_many_sections_as_devices_take_no_longer_than_both(void **state)
{
    OWN(buf_free) struct buf text = {0};
    struct buf out = {0};
    struct wire_config config;
    struct ferry_err err;
    char *told;

    assert_int_equal(wire_config_make(&config, "virt", &err), 0);
    assert_int_equal(stream_put_header(&out, &config, &err), 0);
    buf_str(&text, "{\"devices\": [");
    for (uint32_t i = 0; i < 4000; i++) {
        buf_printf(&text, "%s{\"name\": \"x\", \"instance_id\": %u, \"fields\": []}", i ? ", " : "",
                   i);
        stream_put_section(&out, WIRE_SECTION_FULL, i, "x", 3999 - i, 1);
        stream_put_footer(&out, i);
    }
    buf_str(&text, "]}");
    stream_put_eof(&out);
    stream_put_description(&out, (const char *)text.data, text.len_bytes);
    assert_int_equal(ferry_analyze(&told, out.data, out.len_bytes, true, &err), 0);
    assert_non_null(strstr(told, "\"instance\":3999"));
    free(told);
    buf_free(&out);
}

static void what_it_names_does_no_more_than_be_read(void **state)
{
    static const char hostile[] = "\\u001b]0;title\\u0007\\u009b2J\\u202e\\n\x9b\x1b[31m";

    for (int json = 0; json < 2; json++) {
        OWN(buf_free) struct buf text = {0};
        struct buf s;
        struct ferry_err err;
        char *told;

        buf_printf(&text, DEVICE "{\"name\": \"%s\", \"size\": 1}]}]}", hostile);
        s = described_as(&text);
        assert_int_equal(ferry_analyze(&told, s.data, s.len_bytes, json, &err), 0);
        for (const char *c = told; *c; c++)
            assert_true(*c == '\n' || (*c >= 0x20 && *c < 0x7f));
        assert_non_null(strstr(told, json ? "\\u001b]0;title" : "\\x1b]0;title"));
        free(told);
        buf_free(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells_fields_and_ram),
        cmocka_unit_test(what_is_no_stream_has_nothing_to_list),
        cmocka_unit_test(any_bytes_may_be_given),
        cmocka_unit_test(a_file_pays_for_what_it_makes_of_itself),
        cmocka_unit_test(many_descriptions_in_one_another_are_few),
        cmocka_unit_test(as_many_sections_as_devices_take_no_longer_than_both),
        cmocka_unit_test(what_it_names_does_no_more_than_be_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
