/* SPDX-License-Identifier: Apache-2.0 */
/* A stream is told field by field; a broken one up to where it breaks, whatever its bytes are. */
#include "tests/unit.h"

#include <stdlib.h>
#include <string.h>

#include <ferry/analyze.h>

#include "base/buf.h"
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells_fields_and_ram),
        cmocka_unit_test(any_bytes_may_be_given),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
