/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/be.h"
#include "lib/wire/stream_in.h"
#include "lib/wire/stream_out.h"
#include "tests/golden/qemu_virt.h"

/* Sections here have as many bytes of data as their version says. */

/* What comes out, in one line of text. */
static void tell(struct buf *log, const struct stream_item *item)
{
    static const char types[] = "?SPEF";

    switch (item->kind) {
    case STREAM_CONFIG:
        buf_printf(log, "config %.*s;", (int)item->config->machine_bytes, item->config->machine);
        break;
    case STREAM_SECTION:
        buf_printf(log, "%c %s %u;", types[item->section->type], item->section->idstr,
                   item->section->instance_id);
        break;
    case STREAM_COMMAND:
        buf_printf(log, "cmd %d %zu;", (int)item->command, rd_left(&item->payload));
        break;
    case STREAM_PACKAGE_END:
        buf_str(log, "package end;");
        break;
    case STREAM_EOF:
        buf_str(log, "eof;");
        break;
    case STREAM_DESCRIPTION:
        buf_printf(log, "description %u;", item->description_bytes);
        break;
    case STREAM_END:
        buf_str(log, "end;");
        break;
    }
}

struct reading {
    struct stream_in *in;
    bool in_data;
    size_t data_bytes; /* of the section under way */
    bool ended;
};

/* All that can be read now; -errno, or 0. */
static int read_some(struct reading *rd, struct buf *log, struct ferry_err *err)
{
    struct stream_item item;
    int r;

    for (;;) {
        if (rd->in_data) {
            struct rd data = stream_in_data(rd->in);

            if (!rd_take(&data, rd->data_bytes))
                return stream_in_data_final(rd->in) ? -ENODATA : 0;
            stream_in_data_used(rd->in, rd->data_bytes);
            stream_in_data_end(rd->in);
            rd->in_data = false;
        }
        r = stream_in_next(rd->in, &item, err);
        if (r <= 0)
            return r;
        tell(log, &item);
        if (item.kind == STREAM_SECTION) {
            rd->in_data = true;
            rd->data_bytes = item.section->version;
        }
        if (item.kind == STREAM_END) {
            rd->ended = true;
            return 0;
        }
    }
}

/* Read a whole stream, in pieces of n bytes (0: as one loan). */
static int read_all(const struct buf *stream, size_t n, struct buf *log, struct ferry_err *err)
{
    struct reading rd = {0};
    int r = 0;

    *err = (struct ferry_err){0};
    assert_int_equal(stream_in_new(&rd.in, err), 0);
    if (n == 0) {
        stream_in_whole(rd.in, stream->data, stream->len_bytes);
        r = read_some(&rd, log, err);
        assert_true(r < 0 || rd.ended);
    }
    for (size_t at = 0; n && at < stream->len_bytes && r == 0; at += n) {
        size_t some = stream->len_bytes - at < n ? stream->len_bytes - at : n;

        assert_int_equal(stream_in_feed(rd.in, stream->data + at, some, err), 0);
        r = read_some(&rd, log, err);
    }
    if (n && r == 0 && !rd.ended) {
        stream_in_finish(rd.in);
        r = read_some(&rd, log, err);
        assert_true(r < 0 || rd.ended);
    }
    stream_in_free(rd.in);
    buf_u8(log, 0);
    return r;
}

static struct buf header(void)
{
    struct buf b = {0};
    struct wire_config c;
    struct ferry_err err;

    assert_int_equal(wire_config_make(&c, "virt", &err), 0);
    c.capabilities = WIRE_CAP_MAPPED_RAM;
    c.has_uuid = true;
    assert_int_equal(stream_put_header(&b, &c, &err), 0);
    return b;
}

static void put_full(struct buf *b, uint32_t id, const char *idstr, uint32_t data_bytes)
{
    stream_put_section(b, WIRE_SECTION_FULL, id, idstr, 0, data_bytes);
    for (uint32_t i = 0; i < data_bytes; i++)
        buf_u8(b, 0x7e); /* looks like a footer, and is not */
    stream_put_footer(b, id);
}

static void everything_there_is_in_any_split(void **state)
{
    static const char want[] =
        "config virt;cmd 1 0;cmd 2 4;cmd 3 16;S ram 0;P ram 0;cmd 11 0;E ram 0;F timer 0;"
        "cmd 7 4;cmd 4 0;F cpu 0;cmd 5 0;package end;E ram 0;eof;description 9;end;";
    struct buf b = header(), package = {0};
    uint8_t size[4];

    stream_put_command(&b, WIRE_CMD_OPEN_RETURN_PATH, NULL, 0);
    stream_put_command(&b, WIRE_CMD_PING, "\0\0\0\1", 4);
    stream_put_command(&b, WIRE_CMD_POSTCOPY_ADVISE, "\0\0\0\0\0\0\x10\0\0\0\0\0\0\0\x10\0", 16);
    stream_put_section(&b, WIRE_SECTION_START, 7, "ram", 0, 4);
    buf_zeros(&b, 4);
    stream_put_footer(&b, 7);
    stream_put_section_next(&b, WIRE_SECTION_PART, 7);
    buf_zeros(&b, 4);
    stream_put_footer(&b, 7);
    stream_put_command(&b, WIRE_CMD_SWITCHOVER_START, NULL, 0);
    stream_put_section_next(&b, WIRE_SECTION_END, 7);
    buf_zeros(&b, 4);
    stream_put_footer(&b, 7);
    put_full(&b, 9, "timer", 24);
    stream_put_command(&package, WIRE_CMD_POSTCOPY_LISTEN, NULL, 0);
    put_full(&package, 0xffffffff, "cpu", 3);
    stream_put_command(&package, WIRE_CMD_POSTCOPY_RUN, NULL, 0);
    be32_store(size, (uint32_t)package.len_bytes);
    stream_put_command(&b, WIRE_CMD_PACKAGED, size, 4);
    buf_put(&b, package.data, package.len_bytes);
    stream_put_section_next(&b, WIRE_SECTION_END, 7);
    buf_zeros(&b, 4);
    stream_put_footer(&b, 7);
    stream_put_eof(&b);
    stream_put_description(&b, "{\"a\": 12}", 9);
    for (size_t n = 0; n <= b.len_bytes; n++) {
        struct buf log = {0};
        struct ferry_err err;

        if (read_all(&b, n, &log, &err) < 0)
            fail_msg("in pieces of %zu: %s", n, err.text);
        assert_string_equal((char *)log.data, want);
        buf_free(&log);
    }
    buf_free(&package);
    buf_free(&b);
}

static void every_cut_is_waited_for_or_refused(void **state)
{
    struct buf b = header();

    put_full(&b, 1, "timer", 5);
    stream_put_command(&b, WIRE_CMD_PING, "abcd", 4);
    stream_put_eof(&b);
    stream_put_description(&b, "{}", 2);
    for (size_t cut = 0; cut < b.len_bytes; cut++) {
        struct buf part = {.data = b.data, .len_bytes = cut}, log = {0};
        struct ferry_err err;
        int r = read_all(&part, 0, &log, &err);

        /* Only the description may be missing, and only all of it. */
        assert_int_equal(r == 0, cut == b.len_bytes - 7);
        buf_free(&log);
    }
    buf_free(&b);
}

static void expect(const struct buf *stream, const char *text)
{
    /* Byte by byte it must be the same refusal. */
    for (size_t n = 0; n < 2; n++) {
        struct buf log = {0};
        struct ferry_err err;

        if (read_all(stream, n, &log, &err) == 0)
            fail_msg("accepted as %s, expected \"%s\"", (char *)log.data, text);
        if (!strstr(err.text, text))
            fail_msg("\"%s\" does not say \"%s\"", err.text, text);
        buf_free(&log);
    }
}

static void bad_header(const char *bytes, size_t n, const char *text)
{
    struct buf b = {0};

    buf_put(&b, bytes, n);
    expect(&b, text);
    buf_free(&b);
}

static void hostile_headers_are_refused(void **state)
{
    bad_header("GET / HTTP/1.0\r\n", 16, "begins with 47455420");
    bad_header("QEVM\0\0\0\2\7", 9, "format version 2");
    bad_header("QEVM\0\0\0\4\7", 9, "format version 4");
    bad_header("QEVM\0\0\0\3\1", 9, "send-configuration=on");
    bad_header("QEVM\0\0\0\3\7\xff\xff\xff\xff", 13, "4294967295 is more than 255");
    bad_header("QEVM", 4, "ends inside its header");
    bad_header("QEVM\0\0\0\3\7\0\0\0\4vir", 16, "configuration.machine: the stream ends");
}

/* A header, then what `put` writes, then something that is legal anywhere. */
static void hostile(void (*put)(struct buf *b), const char *text)
{
    struct buf b = header();

    put(&b);
    stream_put_command(&b, WIRE_CMD_PING, "abcd", 4);
    expect(&b, text);
    buf_free(&b);
}

static void put_no_name(struct buf *b)
{
    stream_put_section(b, WIRE_SECTION_FULL, 1, "", 0, 0);
}
static void put_nul_name(struct buf *b)
{
    stream_put_section(b, WIRE_SECTION_FULL, 1, "serial", 0, 0);
    b->data[b->len_bytes - 9] = 0;
}
static void put_same_id(struct buf *b)
{
    put_full(b, 1, "timer", 1);
    put_full(b, 1, "cpu", 1);
}
static void put_part_of_nothing(struct buf *b)
{
    stream_put_section_next(b, WIRE_SECTION_PART, 0);
}
static void put_part_of_full(struct buf *b)
{
    put_full(b, 3, "timer", 1);
    stream_put_section_next(b, WIRE_SECTION_PART, 3);
}
static void put_start(struct buf *b)
{
    stream_put_section(b, WIRE_SECTION_START, 3, "ram", 0, 0);
    stream_put_footer(b, 3);
}
static void put_end(struct buf *b)
{
    stream_put_section_next(b, WIRE_SECTION_END, 3);
}
static void put_part_after_end(struct buf *b)
{
    put_start(b);
    put_end(b);
    stream_put_footer(b, 3);
    stream_put_section_next(b, WIRE_SECTION_PART, 3);
}
static void put_three_ends(struct buf *b)
{
    put_start(b);
    for (int i = 0; i < 2; i++) {
        put_end(b);
        stream_put_footer(b, 3);
    }
    put_end(b);
}
static void put_wrong_footer_id(struct buf *b)
{
    stream_put_section(b, WIRE_SECTION_FULL, 1, "timer", 0, 0);
    stream_put_footer(b, 2);
}
static void put_no_footer(struct buf *b)
{
    stream_put_section(b, WIRE_SECTION_FULL, 1, "timer", 0, 0);
}
static void put_subsection_item(struct buf *b)
{
    buf_u8(b, WIRE_SUBSECTION);
}
static void put_description_item(struct buf *b)
{
    stream_put_description(b, NULL, 0);
}
static void put_second_configuration(struct buf *b)
{
    buf_u8(b, WIRE_CONFIGURATION);
}
static void put_footer_item(struct buf *b)
{
    stream_put_footer(b, 1);
}
static void put_command_0(struct buf *b)
{
    stream_put_command(b, 0, NULL, 0);
}
static void put_command_12(struct buf *b)
{
    stream_put_command(b, WIRE_CMD_COUNT, NULL, 0);
}
static void put_long_ping(struct buf *b)
{
    stream_put_command(b, WIRE_CMD_PING, "abcde", 5);
}
static void put_odd_advise(struct buf *b)
{
    stream_put_command(b, WIRE_CMD_POSTCOPY_ADVISE, "abcdefgh", 8);
}
static void put_package_in_package(struct buf *b)
{
    stream_put_command(b, WIRE_CMD_PACKAGED, "\0\0\0\x12", 4);
    stream_put_command(b, WIRE_CMD_PACKAGED, "\0\0\0\x09", 4);
    stream_put_command(b, WIRE_CMD_PING, "abcd", 4);
}
static void put_huge_package(struct buf *b)
{
    stream_put_command(b, WIRE_CMD_PACKAGED, "\x04\0\0\1", 4);
}
static void put_eof_in_package(struct buf *b)
{
    stream_put_command(b, WIRE_CMD_PACKAGED, "\0\0\0\1", 4);
    stream_put_eof(b);
}
static void put_item_over_package(struct buf *b)
{
    stream_put_command(b, WIRE_CMD_PACKAGED, "\0\0\0\x08", 4);
    stream_put_command(b, WIRE_CMD_PING, "abcd", 4);
}
static void put_junk_after_eof(struct buf *b)
{
    stream_put_eof(b);
    stream_put_eof(b);
}
static void put_huge_description(struct buf *b)
{
    stream_put_eof(b);
    buf_u8(b, WIRE_DESCRIPTION);
    buf_be32(b, WIRE_DESCRIPTION_MAX_BYTES + 1);
}
static void put_too_many_sections(struct buf *b)
{
    for (uint32_t i = 0; i <= WIRE_SECTIONS_MAX; i++)
        put_full(b, i, "x", 0);
}

static void hostile_items_are_refused(void **state)
{
    hostile(put_no_name, "without a name");
    hostile(put_nul_name, "the section name \"seria?\" has byte 00 in it");
    hostile(put_same_id, "section id 1 is taken by \"timer\"");
    hostile(put_part_of_nothing, "part of section id 0, which was not started");
    hostile(put_part_of_full, "part of section id 3, which was not started");
    hostile(put_end, "end of section id 3, which was not started");
    hostile(put_part_after_end, "part of section \"ram\", which has ended");
    hostile(put_three_ends, "end of section \"ram\", which has ended");
    hostile(put_wrong_footer_id, "the footer of section \"timer\" has id 2, not 1");
    hostile(put_no_footer, "after section \"timer\" comes byte 08, not a footer");
    hostile(put_subsection_item, "item type 05");
    hostile(put_description_item, "item type 06");
    hostile(put_second_configuration, "item type 07");
    hostile(put_footer_item, "item type 7e");
    hostile(put_command_0, "unknown command 0");
    hostile(put_command_12, "unknown command 12");
    hostile(put_long_ping, "command 2 with 5 bytes");
    hostile(put_odd_advise, "command 3 with 8 bytes");
    hostile(put_package_in_package, "a package inside a package");
    hostile(put_huge_package, "a package of 67108865 bytes is more than 67108864");
    hostile(put_eof_in_package, "an end mark inside a package");
    hostile(put_item_over_package, "ends inside a command");
    hostile(put_junk_after_eof, "after the end mark comes item 00");
    hostile(put_huge_description, "a description of 16777217 bytes is more than 16777216");
    hostile(put_too_many_sections, "more than 4096 sections");
}

static void what_waits_is_bounded(void **state)
{
    struct stream_in *s = NULL;
    struct buf b = header();
    struct ferry_err err = {0};
    struct stream_item item;
    uint8_t *much = calloc(1, WIRE_BUFFER_MAX_BYTES);

    assert_non_null(much);
    assert_int_equal(stream_in_new(&s, &err), 0);
    stream_put_section(&b, WIRE_SECTION_FULL, 1, "timer", 0, 0);
    assert_int_equal(stream_in_feed(s, b.data, b.len_bytes, &err), 0);
    assert_int_equal(stream_in_next(s, &item, &err), 1);
    assert_int_equal(stream_in_next(s, &item, &err), 1);
    /* A section that never ends. */
    assert_int_equal(stream_in_feed(s, much, WIRE_BUFFER_MAX_BYTES, &err), 0);
    assert_int_equal(stream_in_feed(s, much, 1, &err), -EFBIG);
    stream_in_free(s);
    free(much);
    buf_free(&b);
}

static void a_reader_can_be_used_again(void **state)
{
    struct reading rd = {0};
    struct buf b = header(), log = {0};
    struct ferry_err err = {0};

    assert_int_equal(stream_in_new(&rd.in, &err), 0);
    put_full(&b, 1, "timer", 2);
    assert_int_equal(stream_in_feed(rd.in, b.data, b.len_bytes - 3, &err), 0);
    assert_int_equal(read_some(&rd, &log, &err), 0);
    stream_in_reset(rd.in);
    buf_reset(&log);
    stream_put_eof(&b);
    stream_in_whole(rd.in, b.data, b.len_bytes);
    assert_int_equal(read_some(&rd, &log, &err), 0);
    buf_u8(&log, 0);
    assert_string_equal((char *)log.data, "config virt;F timer 0;eof;end;");
    /* And the other way round: what was whole is fed again. */
    stream_in_reset(rd.in);
    assert_int_equal(stream_in_feed(rd.in, b.data, 3, &err), 0);
    assert_int_equal(read_some(&rd, &log, &err), 0);
    stream_in_free(rd.in);
    buf_free(&log);
    buf_free(&b);
}

/* RAM of this recording is on other connections: a START, PARTs and END without pages. */
static size_t ram_record_bytes(const struct rd *in, enum wire_item type)
{
    const uint8_t *end = memmem(in->data, in->len_bytes, "\0\0\0\0\0\0\0\x10\x7e", 9);

    assert_non_null(end);
    return (size_t)(end - in->data) + 8;
}

static void a_recorded_stream_is_framed(void **state)
{
    static const char head[] = "config virt;S ram 0;P ram 0;";
    struct buf log = {0};
    struct ferry_err err = {0};
    struct stream_in *s = NULL;
    struct stream_item item = {0};
    size_t n;
    uint8_t *data = qemu_virt_recording("virt-10.0.2-multifd-main.stream.bin", &n);

    assert_int_equal(stream_in_new(&s, &err), 0);
    stream_in_whole(s, data, n);
    while (item.kind != STREAM_COMMAND) {
        if (stream_in_next(s, &item, &err) <= 0)
            fail_msg("%s", err.text);
        tell(&log, &item);
        if (item.kind == STREAM_SECTION) {
            struct rd in = stream_in_data(s);

            stream_in_data_used(s, ram_record_bytes(&in, item.section->type));
            stream_in_data_end(s);
        }
    }
    assert_int_equal(item.command, WIRE_CMD_SWITCHOVER_START);
    assert_memory_equal(log.data, head, sizeof(head) - 1);
    stream_in_free(s);
    buf_free(&log);
    free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_there_is_in_any_split),
        cmocka_unit_test(every_cut_is_waited_for_or_refused),
        cmocka_unit_test(hostile_headers_are_refused),
        cmocka_unit_test(hostile_items_are_refused),
        cmocka_unit_test(what_waits_is_bounded),
        cmocka_unit_test(a_reader_can_be_used_again),
        cmocka_unit_test(a_recorded_stream_is_framed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
