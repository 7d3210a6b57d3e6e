/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RAM from the streams that QEMU recorded: rebuilt bit by bit, whatever pieces the bytes come in,
 * and every record, head and message written again as the same bytes.
 */
#include "tests/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ferry/analyze.h>

#include "base/be.h"
#include "lib/codec/codec.h"
#include "lib/codec/zero.h"
#include "lib/wire/command.h"
#include "lib/wire/multifd.h"
#include "lib/wire/ram_in.h"
#include "lib/wire/ram_out.h"
#include "lib/wire/return_path.h"
#include "lib/wire/stream_in.h"
#include "tests/lib/wire/recorded.h"

#define CHANNELS_MAX 4

struct incoming {
    struct recorded_ram ram;
    struct ram_rules rules;
    struct channel main;
    struct stream_in *stream;
    struct ram_in in;
    uint32_t ram_id;
    bool all_fed, ended;

    unsigned channels;
    struct channel data[CHANNELS_MAX];
    const struct codec_ops *codec;
    void *decompressor[CHANNELS_MAX];
    struct multifd_epochs epochs;

    struct buf again; /* the records of a section, written by ram_out */
    struct ram_out out;
    struct buf commands; /* their names */
    unsigned pages, zeros, marks, sections;
};

static void must(int r, const struct ferry_err *err)
{
    if (r < 0)
        fail_msg("%s", err->text);
}

/* --- multifd --- */

static void read_head(struct incoming *m, unsigned i, struct multifd_packet *p)
{
    uint8_t head[MULTIFD_HEAD_BYTES], again[MULTIFD_HEAD_BYTES];
    struct ferry_err err = {0};
    size_t n = 0;
    int r;

    do {
        size_t got = channel_read(&m->data[i], head + n, sizeof(head) - n);

        assert_int_not_equal(got, 0);
        n += got;
        r = multifd_get_head(head, n, m->codec->method, &m->ram.blocks, p, &err);
        must(r, &err);
        assert_int_equal(r, n == sizeof(head));
    } while (r == 0);
    multifd_put_head(again, p, &m->ram.blocks);
    assert_memory_equal(head, again, sizeof(head));
}

/* Up to and with the SYNC. */
static void read_epoch(struct incoming *m, unsigned i)
{
    struct multifd_packet p;
    struct ferry_err err = {0};

    do {
        uint8_t *pages[WIRE_MULTIFD_PAGES], *data;

        read_head(m, i, &p);
        must(multifd_epochs_packet(&m->epochs, i, p.sync, p.normal_count + p.zero_count != 0, &err),
             &err);
        for (size_t k = 0; k < p.normal_count + p.zero_count; k++)
            pages[k] = recorded_page(&m->ram, p.block, p.offsets[k]);
        for (size_t k = p.normal_count; k < p.normal_count + p.zero_count; k++) {
            if (!zero_check(pages[k], WIRE_PAGE_BYTES))
                memset(pages[k], 0, WIRE_PAGE_BYTES);
        }
        m->zeros += p.zero_count;
        if (p.normal_count == 0)
            continue;
        data = malloc(p.data_bytes); /* exact, so that overruns show */
        assert_non_null(data);
        channel_read_all(&m->data[i], data, p.data_bytes);
        must(m->codec->decompress(m->decompressor[i], data, p.data_bytes, pages, p.normal_count,
                                  &err),
             &err);
        m->pages += p.normal_count;
        free(data);
    } while (!p.sync);
}

static void meet_mark(struct incoming *m)
{
    for (unsigned i = 0; i < m->channels; i++) {
        assert_int_equal(multifd_epochs_mark(&m->epochs), 0);
        read_epoch(m, i);
    }
    assert_int_equal(multifd_epochs_mark(&m->epochs), 1);
    m->marks++;
}

/* --- RAM --- */

/* The next n bytes of the section: those at hand, then straight from the channel. */
static void read_body(struct incoming *m, struct rd *bytes, void *to, size_t n)
{
    size_t here = rd_left(bytes) < n ? rd_left(bytes) : n;

    if (here != 0)
        memcpy(to, rd_take(bytes, here), here);
    if (here == n)
        return;
    assert_false(m->all_fed);
    channel_read_all(&m->main, (uint8_t *)to + here, n - here);
    stream_in_data_elsewhere(m->stream, n - here);
}

static void mapped_block(struct incoming *m, const struct ram_event *e, uint64_t position_bytes)
{
    const struct ram_block *b = &m->ram.at[e->block];
    const struct mapped_header *h = &e->mapped;
    size_t bitmap_bytes = mapped_bitmap_bytes(b->used_bytes);
    const uint8_t *bitmap = m->main.data + h->bitmap_offset_bytes;
    struct mapped_header again;
    struct ferry_err err = {0};
    uint64_t first, n;

    must(mapped_check_place(h, b->name, b->used_bytes, position_bytes, m->main.len_bytes, &err),
         &err);
    must(mapped_check_bitmap(bitmap, bitmap_bytes, b->name, b->used_bytes, &err), &err);
    must(mapped_layout(&again, position_bytes - MAPPED_HEADER_BYTES, b->used_bytes, &err), &err);
    assert_memory_equal(&again.bitmap_offset_bytes, &h->bitmap_offset_bytes, 16);
    for (uint64_t at = 0; (n = mapped_next_run(bitmap, bitmap_bytes, at, 256, &first)) != 0;
         at = first + n) {
        memcpy(recorded_page(&m->ram, e->block, first * WIRE_PAGE_BYTES),
               m->main.data + h->pages_offset_bytes + first * WIRE_PAGE_BYTES, n * WIRE_PAGE_BYTES);
        m->pages += (unsigned)n;
    }
    m->main.pos_bytes = h->pages_offset_bytes + b->used_bytes;
}

static void write_again(struct incoming *m, const struct ram_event *e, const uint8_t *page)
{
    uint8_t head[RAM_HEAD_MAX_BYTES];
    size_t n = 0;

    switch (e->kind) {
    case RAM_BLOCK:
        if (e->block == 0)
            ram_put_total(&m->again, &m->ram.blocks);
        ram_put_entry(&m->again, &m->rules, &m->ram.at[e->block]);
        break;
    case RAM_ZERO:
        n = ram_out_zero(&m->out, head, e->block, e->offset_bytes);
        break;
    case RAM_PAGE:
        n = ram_out_page(&m->out, head, e->block, e->offset_bytes);
        break;
    case RAM_FLUSH:
        n = ram_out_flush(head);
        break;
    case RAM_EOS:
        n = ram_out_eos(head);
        break;
    case RAM_XBZRLE:
        fail_msg("a delta");
    }
    buf_put(&m->again, head, n);
    if (e->kind == RAM_PAGE)
        buf_put(&m->again, page, WIRE_PAGE_BYTES);
}

static void take_event(struct incoming *m, const struct ram_event *e, struct rd *bytes)
{
    uint8_t *page = NULL;

    if (e->kind == RAM_ZERO || e->kind == RAM_PAGE)
        page = recorded_page(&m->ram, e->block, e->offset_bytes);
    if (e->kind == RAM_PAGE) {
        read_body(m, bytes, page, e->body_bytes);
        m->pages++;
    }
    if (e->kind == RAM_ZERO) {
        if (!zero_check(page, WIRE_PAGE_BYTES))
            memset(page, 0, WIRE_PAGE_BYTES);
        m->zeros++;
    }
    if (e->kind == RAM_FLUSH)
        meet_mark(m);
    if (!m->rules.mapped_ram)
        write_again(m, e, page);
}

/* Where the section's data were, in the recording. */
static void compare_again(struct incoming *m, uint64_t begin)
{
    uint64_t end = stream_in_offset(m->stream);

    if (!m->rules.mapped_ram) {
        assert_int_equal(m->again.len_bytes, end - begin);
        assert_memory_equal(m->again.data, m->main.data + begin, end - begin);
    }
    buf_reset(&m->again);
}

/* The data of one section from what the stream reader has, then past it. */
static void read_ram(struct incoming *m, const struct stream_section *section)
{
    uint64_t begin = stream_in_offset(m->stream);
    struct rd bytes = stream_in_data(m->stream);
    bool from_stream = true;
    uint8_t chunk[5000];
    struct ram_event e = {0};
    struct ferry_err err = {0};
    size_t counted = 0; /* of bytes, told to the stream reader */
    int r;

    must(ram_in_section(&m->in, section->type, section->version, &err), &err);
    m->sections++;
    if (m->rules.mapped_ram && !m->all_fed) {
        m->main.pos_bytes -= rd_left(&bytes); /* a file: read again what the stream reader has */
        stream_in_data_used(m->stream, rd_left(&bytes));
        bytes = rd_make(chunk, 0);
        from_stream = false;
    }
    do {
        r = ram_in_next(&m->in, &bytes, &e, &err);
        must(r, &err);
        if (r > 0 && e.kind == RAM_BLOCK && m->rules.mapped_ram) {
            mapped_block(m, &e, m->main.pos_bytes - rd_left(&bytes));
            bytes = rd_make(chunk, 0);
            counted = 0;
        } else if (r > 0) {
            take_event(m, &e, &bytes);
        }
        if (from_stream)
            stream_in_data_used(m->stream, bytes.pos_bytes - counted);
        else
            stream_in_data_elsewhere(m->stream, bytes.pos_bytes - counted);
        counted = bytes.pos_bytes;
        if (r == 0) {
            assert_int_equal(rd_left(&bytes), 0);
            assert_false(m->all_fed);
            bytes = rd_make(chunk, channel_read(&m->main, chunk, sizeof(chunk)));
            assert_int_not_equal(bytes.len_bytes, 0);
            from_stream = false;
            counted = 0;
        }
    } while (r == 0 || e.kind != RAM_EOS);
    compare_again(m, begin);
    if (!from_stream)
        must(stream_in_feed(m->stream, rd_peek(&bytes, rd_left(&bytes)), rd_left(&bytes), &err),
             &err);
    stream_in_data_end(m->stream);
}

/* --- The rest of the main channel --- */

/* Data of a device: what it is does not matter here, the footer tells where it ends. */
static void skip_device(struct incoming *m, const struct stream_section *section)
{
    struct rd data;
    uint8_t footer[5] = {WIRE_FOOTER};
    const uint8_t *end;
    struct ferry_err err = {0};

    if (!m->all_fed) {
        must(stream_in_feed(m->stream, m->main.data + m->main.pos_bytes,
                            m->main.len_bytes - m->main.pos_bytes, &err),
             &err);
        stream_in_finish(m->stream);
        m->all_fed = true;
    }
    data = stream_in_data(m->stream);
    be32_store(footer + 1, section->id);
    end = memmem(data.data, data.len_bytes, footer, sizeof(footer));
    assert_non_null(end);
    stream_in_data_used(m->stream, (size_t)(end - data.data));
    stream_in_data_end(m->stream);
}

static void take_command(struct incoming *m, const struct stream_item *item)
{
    struct ferry_err err = {0};
    struct command c;
    struct buf again = {0};

    must(command_get(item->command, item->payload, &c, &err), &err);
    buf_printf(&m->commands, "%s;", command_name(c.number));
    command_put(&again, &c);
    assert_int_equal(again.len_bytes, 5 + rd_left(&item->payload));
    assert_int_equal(be16_load(again.data + 1), item->command);
    assert_int_equal(be16_load(again.data + 3), rd_left(&item->payload));
    assert_memory_equal(again.data + 5, item->payload.data, rd_left(&item->payload));
    buf_free(&again);
    if (c.number == WIRE_CMD_POSTCOPY_ADVISE) {
        m->rules.postcopy = true;
        ram_in_advised(&m->in);
    }
    if (c.number == WIRE_CMD_POSTCOPY_LISTEN)
        ram_out_forget(&m->out);
}

static void take_item(struct incoming *m, const struct stream_item *item)
{
    switch (item->kind) {
    case STREAM_SECTION:
        if (strcmp(item->section->idstr, WIRE_RAM_IDSTR) == 0)
            read_ram(m, item->section);
        else
            skip_device(m, item->section);
        break;
    case STREAM_COMMAND:
        take_command(m, item);
        break;
    case STREAM_END:
        m->ended = true;
        break;
    default:
        break;
    }
}

static void read_main(struct incoming *m)
{
    struct stream_item item;
    struct ferry_err err = {0};
    uint8_t chunk[5000];
    size_t n;
    int r;

    while (!m->ended) {
        r = stream_in_next(m->stream, &item, &err);
        must(r, &err);
        if (r > 0) {
            take_item(m, &item);
            continue;
        }
        n = channel_read(&m->main, chunk, sizeof(chunk));
        if (n == 0)
            stream_in_finish(m->stream);
        else
            must(stream_in_feed(m->stream, chunk, n, &err), &err);
    }
}

static struct incoming *incoming_new(const char *main, uint32_t seed, struct ram_rules rules)
{
    struct incoming *m = calloc(1, sizeof(*m));
    struct ferry_err err = {0};

    assert_non_null(m);
    recorded_ram_init(&m->ram);
    m->rules = rules;
    must(ram_check_rules(&rules, &m->ram.blocks, &err), &err);
    m->main = channel_open(main, seed);
    must(stream_in_new(&m->stream, &err), &err);
    ram_in_init(&m->in, &m->ram.blocks, &rules);
    ram_out_init(&m->out, &m->ram.blocks);
    return m;
}

static void incoming_add_channels(struct incoming *m, const char *name, unsigned channels,
                                  const char *codec, uint32_t seed)
{
    static const uint8_t no_uuid[WIRE_UUID_BYTES];
    bool seen[CHANNELS_MAX] = {0};
    struct ferry_err err = {0};
    char file[64];

    m->channels = channels;
    m->codec = codec_find(codec);
    multifd_epochs_init(&m->epochs, channels);
    for (unsigned i = 0; i < channels; i++) {
        uint8_t in[MULTIFD_HELLO_BYTES], again[MULTIFD_HELLO_BYTES];
        struct multifd_hello hello;
        struct channel c;

        snprintf(file, sizeof(file), "%s.%u.fwd", name, i + 1);
        c = channel_open(file, seed);
        channel_read_all(&c, in, sizeof(in));
        must(multifd_get_hello(in, no_uuid, channels, seen, &hello, &err), &err);
        multifd_put_hello(again, &hello);
        assert_memory_equal(in, again, sizeof(in));
        m->data[hello.channel] = c;
        must(m->codec->decompressor_new(&m->decompressor[hello.channel], &err), &err);
    }
}

static void incoming_free(struct incoming *m)
{
    for (unsigned i = 0; i < m->channels; i++) {
        m->codec->decompressor_free(m->decompressor[i]);
        channel_close(&m->data[i]);
    }
    recorded_ram_free(&m->ram);
    channel_close(&m->main);
    stream_in_free(m->stream);
    buf_free(&m->again);
    buf_free(&m->commands);
    free(m);
}

static const char *commands(struct incoming *m)
{
    buf_u8(&m->commands, 0);
    return (const char *)m->commands.data;
}

/* How the bytes come: all that is asked for, then in random pieces of at most this or that. */
static const uint32_t seeds[] = {0, 1, 62, 7, 124, 40};
#define SEEDS (sizeof(seeds) / sizeof(seeds[0]))

static void test_precopy(void **state)
{
    for (size_t i = 0; i < SEEDS; i++) {
        struct incoming *m = incoming_new("precopy-rp.0.fwd", seeds[i], (struct ram_rules){0});

        read_main(m);
        recorded_ram_compare(&m->ram, "precopy-rp.mem");
        assert_true(m->sections > 3);
        assert_true(m->pages > 27); /* more than what is not zero: sent again */
        assert_string_equal(commands(m), "OPEN_RETURN_PATH;PING;SWITCHOVER_START;");
        incoming_free(m);
    }
}

static void check_multifd(const char *name, unsigned channels, const char *codec)
{
    char file[64];
    struct ferry_err err = {0};

    for (size_t i = 0; i < SEEDS; i++) {
        struct incoming *m;

        snprintf(file, sizeof(file), "%s.0.fwd", name);
        m = incoming_new(file, seeds[i], (struct ram_rules){.multifd = true});
        incoming_add_channels(m, name, channels, codec, seeds[i]);
        read_main(m);
        must(multifd_epochs_end(&m->epochs, &err), &err);
        for (unsigned k = 0; k < channels; k++)
            assert_true(channel_ended(&m->data[k]));
        snprintf(file, sizeof(file), "%s.mem", name);
        recorded_ram_compare(&m->ram, file);
        assert_true(m->marks >= 2);
        assert_true(m->pages > 27); /* more than what is not zero: sent again */
        incoming_free(m);
    }
}

static void test_multifd(void **state)
{
    check_multifd("multifd2", 2, "none");
}

static void test_multifd_zstd(void **state)
{
    check_multifd("multifd4-zstd", 4, "zstd");
}

static void test_mapped(void **state)
{
    struct incoming *m = incoming_new("mapped-ram.bin", 62, (struct ram_rules){.mapped_ram = true});

    read_main(m);
    recorded_ram_compare(&m->ram, "mapped-ram.mem");
    assert_int_equal(m->zeros, 0);
    incoming_free(m);
}

/* As records: what came last wins, though a real destination needs more than that. */
static void test_postcopy(void **state)
{
    for (size_t i = 0; i < SEEDS; i++) {
        struct incoming *m = incoming_new("postcopy.0.fwd", seeds[i], (struct ram_rules){0});
        const char *said;

        read_main(m);
        recorded_ram_compare(&m->ram, "postcopy.mem");
        said = commands(m);
        assert_non_null(strstr(said, "OPEN_RETURN_PATH;PING;POSTCOPY_ADVISE;SWITCHOVER_START;"
                                     "POSTCOPY_DISCARD;"));
        assert_non_null(strstr(said, "PING;PACKAGED;POSTCOPY_LISTEN;PING;POSTCOPY_RUN;PING;"));
        incoming_free(m);
    }
}

static void check_return_path(const char *file, const char *want)
{
    for (size_t i = 0; i < SEEDS; i++) {
        struct channel c = channel_open(file, seeds[i]);
        struct return_path_in *in = calloc(1, sizeof(*in));
        struct return_message msg;
        struct buf said = {0}, again = {0};
        struct ferry_err err = {0};
        uint8_t chunk[9];

        assert_non_null(in);
        return_path_in_init(in);
        while (!channel_ended(&c)) {
            struct rd bytes = rd_make(chunk, channel_read(&c, chunk, sizeof(chunk)));
            int r;

            while ((r = return_path_in_next(in, &bytes, &msg, &err)) > 0) {
                bool named = msg.type == WIRE_RP_REQ_PAGES_ID;

                buf_printf(&said, "%s %u;", return_path_name(msg.type),
                           msg.value + (unsigned)(msg.offset_bytes >> 12));
                if (msg.type == WIRE_RP_PONG)
                    return_path_put_pong(&again, msg.value);
                else if (msg.type == WIRE_RP_SHUT)
                    return_path_put_shut(&again, msg.value);
                else
                    return_path_put_request(&again, named ? msg.text : NULL, msg.offset_bytes,
                                            msg.length_bytes);
            }
            must(r, &err);
        }
        buf_u8(&said, 0);
        assert_string_equal((char *)said.data, want);
        assert_int_equal(again.len_bytes, c.len_bytes);
        assert_memory_equal(again.data, c.data, c.len_bytes);
        buf_free(&said);
        buf_free(&again);
        free(in);
        channel_close(&c);
    }
}

static void test_return_path(void **state)
{
    check_return_path("precopy-rp.0.rev", "PONG 1;SHUT 0;");
    check_return_path("multifd4-zstd.0.rev", "PONG 1;SHUT 0;");
    check_return_path("postcopy.0.rev",
                      "PONG 1;PONG 2;PONG 4;PONG 3;REQ_PAGES_ID 288;REQ_PAGES 295;REQ_PAGES 296;"
                      "REQ_PAGES 303;REQ_PAGES 320;SHUT 0;");
}

/* What is told of a mapped-ram file: the pages that are there, and not its holes. */
static void test_analyze_mapped(void **state)
{
    struct channel file = channel_open("mapped-ram.bin", 0);
    struct channel memory = channel_open("mapped-ram.mem", 0);
    size_t pages = memory.len_bytes / WIRE_PAGE_BYTES, normal = 0;
    struct ferry_err err = {0};
    char want[128], *text = NULL;

    for (size_t i = 0; i < pages; i++)
        normal += !zero_check(memory.data + i * WIRE_PAGE_BYTES, WIRE_PAGE_BYTES);
    snprintf(want, sizeof(want),
             "\"block\":\"riscv_virt_board.ram\",\"bytes\":%zu,\"pages\":%zu,"
             "\"zero-pages\":%zu",
             memory.len_bytes, normal, pages - normal);
    must(ferry_analyze(&text, file.data, file.len_bytes, true, &err), &err);
    assert_non_null(strstr(text, "\"mapped-ram\":true"));
    if (!strstr(text, want))
        fail_msg("no %s in %.2000s", want, text);
    assert_non_null(strstr(text, "\"name\":\"globalstate\""));
    free(text);
    channel_close(&file);
    channel_close(&memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_precopy),        cmocka_unit_test(test_multifd),
        cmocka_unit_test(test_multifd_zstd),   cmocka_unit_test(test_mapped),
        cmocka_unit_test(test_analyze_mapped), cmocka_unit_test(test_postcopy),
        cmocka_unit_test(test_return_path),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
