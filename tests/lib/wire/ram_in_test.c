/* SPDX-License-Identifier: Apache-2.0 */
/* Every refusal of RAM records, what is legal though odd, and records of our own. */
#include "tests/unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/be.h"
#include "lib/wire/ram_in.h"
#include "lib/wire/ram_out.h"

#define A_BYTES 0x8000u
#define B_BYTES 0x3000u

struct machine {
    struct ram_block at[3];
    struct ram_blocks blocks;
    struct ram_rules rules;
    struct ram_in in;
    struct buf data;
};

static void machine_init(struct machine *m, struct ram_rules rules)
{
    struct ferry_err err = {0};

    *m = (struct machine){
        .at = {{.name = "a", .used_bytes = A_BYTES, .gpa = 0x1000},
               {.name = "b", .used_bytes = B_BYTES, .max_bytes = 0x8000, .gpa = 0x2000},
               {.name = "s", .used_bytes = 0x1000, .gpa = 0x3000, .ignored = rules.ignore_shared}},
        .rules = rules,
    };
    m->blocks = (struct ram_blocks){.at = m->at, .count = rules.ignore_shared ? 3 : 2};
    assert_int_equal(ram_check_rules(&rules, &m->blocks, &err), 0);
    ram_in_init(&m->in, &m->blocks, &rules);
    assert_int_equal(ram_in_section(&m->in, WIRE_SECTION_START, WIRE_RAM_VERSION, &err), 0);
}

static void put_text8(struct buf *b, const char *text)
{
    buf_u8(b, (uint8_t)strlen(text));
    buf_str(b, text);
}

static void put_page(struct machine *m, uint64_t word, const char *name)
{
    buf_be64(&m->data, word);
    if (name)
        put_text8(&m->data, name);
}

/* Decode all of data, in pieces of `piece` bytes; the last event's kind in *last. */
static int decode(struct machine *m, size_t piece, unsigned *events, struct ram_event *last,
                  struct ferry_err *err)
{
    size_t body_bytes = 0;
    int r = 0;

    for (size_t at = 0; at < m->data.len_bytes; at += piece) {
        size_t n = m->data.len_bytes - at < piece ? m->data.len_bytes - at : piece;
        uint8_t *exact = malloc(n); /* so that overruns show */
        struct rd bytes = rd_make(exact, n);
        struct ram_event e;

        memcpy(exact, m->data.data + at, n);
        do {
            size_t skip = rd_left(&bytes) < body_bytes ? rd_left(&bytes) : body_bytes;

            rd_take(&bytes, skip);
            body_bytes -= skip;
            if (body_bytes != 0)
                break;
            r = ram_in_next(&m->in, &bytes, &e, err);
            if (r > 0) {
                ++*events;
                *last = e;
                body_bytes = e.body_bytes;
            }
        } while (r > 0);
        free(exact);
        if (r < 0)
            return r;
    }
    return 0;
}

/* Whole and byte by byte the same refusal, which says `want`. */
static void must_refuse(struct machine *m, const char *want)
{
    struct ferry_err err = {0}, piece_err = {0};
    unsigned events = 0, piece_events = 0;
    struct ram_event e;
    struct machine again = *m;
    struct ferry_err ignored;

    again.blocks.at = again.at;
    again.in.blocks = &again.blocks;
    assert_int_equal(decode(m, SIZE_MAX / 2, &events, &e, &err), -EINVAL);
    if (!strstr(err.text, want))
        fail_msg("\"%s\" does not say \"%s\"", err.text, want);
    assert_int_equal(ram_in_section(&again.in, WIRE_SECTION_START, WIRE_RAM_VERSION, &ignored), 0);
    assert_int_equal(decode(&again, 1, &piece_events, &e, &piece_err), -EINVAL);
    assert_string_equal(err.text, piece_err.text);
    assert_int_equal(events, piece_events);
    buf_free(&m->data);
}

static void must_take(struct machine *m, unsigned want_events, struct ram_event *last)
{
    struct ferry_err err = {0};
    unsigned events = 0;

    if (decode(m, 3, &events, last, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(events, want_events);
    buf_free(&m->data);
    m->data = (struct buf){0};
}

static const struct ram_rules plain_rules;

static void test_list_refusals(void **state)
{
    struct machine m;

    machine_init(&m, plain_rules); /* a page before the list */
    put_page(&m, WIRE_RAM_ZERO, "a");
    must_refuse(&m, "in front of the list");

    machine_init(&m, plain_rules);
    ram_put_list(&m.data, &m.rules, &m.blocks);
    ram_put_total(&m.data, &m.blocks);
    must_refuse(&m, "where none may come");

    machine_init(&m, plain_rules); /* unknown block */
    ram_put_total(&m.data, &m.blocks);
    put_text8(&m.data, "c");
    buf_be64(&m.data, 0x1000);
    must_refuse(&m, "\"c\" (0x1000 bytes) of the sender does not exist here");

    machine_init(&m, plain_rules); /* no name */
    ram_put_total(&m.data, &m.blocks);
    put_text8(&m.data, "");
    buf_be64(&m.data, 0x1000);
    must_refuse(&m, "does not exist here");

    machine_init(&m, plain_rules); /* a name with a NUL in it is not that block */
    ram_put_total(&m.data, &m.blocks);
    buf_u8(&m.data, 2);
    buf_put(&m.data, "a", 2);
    buf_be64(&m.data, A_BYTES);
    must_refuse(&m, "does not exist here");

    machine_init(&m, plain_rules); /* twice */
    ram_put_total(&m.data, &m.blocks);
    ram_put_entry(&m.data, &m.rules, &m.at[1]);
    ram_put_entry(&m.data, &m.rules, &m.at[1]);
    must_refuse(&m, "listed twice");

    machine_init(&m, plain_rules); /* another length */
    ram_put_total(&m.data, &m.blocks);
    put_text8(&m.data, "a");
    buf_be64(&m.data, 0x4000);
    must_refuse(&m, "has 0x4000 bytes at the sender and 0x8000 here");

    machine_init(&m, plain_rules); /* none at all is another length, too */
    ram_put_total(&m.data, &m.blocks);
    put_text8(&m.data, "a");
    buf_be64(&m.data, 0);
    must_refuse(&m, "has 0x0 bytes at the sender and 0x8000 here");

    machine_init(&m, plain_rules); /* resizable, but not so far */
    buf_be64(&m.data, 0x100000 | WIRE_RAM_MEM_SIZE);
    put_text8(&m.data, "b");
    buf_be64(&m.data, 0x9000);
    must_refuse(&m, "has 0x9000 bytes at the sender and 0x3000 here");

    machine_init(&m, plain_rules); /* no whole pages */
    ram_put_total(&m.data, &m.blocks);
    put_text8(&m.data, "b");
    buf_be64(&m.data, 0x3001);
    must_refuse(&m, "not whole pages");

    machine_init(&m, plain_rules); /* more than the total */
    buf_be64(&m.data, A_BYTES | WIRE_RAM_MEM_SIZE);
    ram_put_entry(&m.data, &m.rules, &m.at[1]);
    ram_put_entry(&m.data, &m.rules, &m.at[0]);
    must_refuse(&m, "\"a\" has 0x8000 bytes, but only 0x5000");

    machine_init(&m, plain_rules); /* a block that is here is not listed */
    buf_be64(&m.data, A_BYTES | WIRE_RAM_MEM_SIZE);
    ram_put_entry(&m.data, &m.rules, &m.at[0]);
    must_refuse(&m, "\"b\" of this machine is not in the sender's list");

    machine_init(&m, plain_rules);
    buf_be64(&m.data, 0 | WIRE_RAM_MEM_SIZE);
    must_refuse(&m, "\"a\" of this machine is not in the sender's list");
}

static void test_list_extras(void **state)
{
    struct ram_rules shared = {.ignore_shared = true}, huge = {.postcopy = true};
    struct machine m;
    struct ram_event e;

    machine_init(&m, shared); /* addresses of ignored blocks must agree, others do not matter */
    m.at[0].gpa = 0x7000;
    m.at[2].gpa = 0x8000;
    ram_put_list(&m.data, &m.rules, &m.blocks);
    m.at[0].gpa = 0x1000;
    m.at[2].gpa = 0x3000;
    must_refuse(&m, "\"s\" is at guest address 0x8000 at the sender and at 0x3000 here");

    machine_init(&m, shared);
    ram_put_list(&m.data, &m.rules, &m.blocks);
    put_page(&m, WIRE_RAM_ZERO, "s");
    must_refuse(&m, "x-ignore-shared leaves");

    machine_init(&m, huge);
    m.at[0].host_page_bytes = 0x200000;
    ram_put_list(&m.data, &m.rules, &m.blocks);
    assert_int_equal(m.data.len_bytes, 8 + (2 + 8 + 8) + (2 + 8));
    must_take(&m, 2, &e);

    machine_init(&m, huge);
    m.at[0].host_page_bytes = 0x200000;
    ram_put_list(&m.data, &m.rules, &m.blocks);
    m.at[0].host_page_bytes = 0x40000000;
    must_refuse(&m, "backed by pages of 0x200000 bytes at the sender and of 0x40000000 here");
}

/* A list, then one record that is refused. */
static void refuse_record(struct ram_rules rules, uint64_t word, const char *name, int more,
                          const char *want)
{
    struct machine m;

    machine_init(&m, rules);
    ram_put_list(&m.data, &m.rules, &m.blocks);
    put_page(&m, word, name);
    if (more >= 0)
        buf_u8(&m.data, (uint8_t)more);
    must_refuse(&m, want);
}

static void test_record_refusals(void **state)
{
    const struct ram_rules xbzrle = {.xbzrle = true};
    static const uint64_t flags[] = {
        0,
        WIRE_RAM_FULL,
        WIRE_RAM_HOOK,
        WIRE_RAM_COMPRESS,
        WIRE_RAM_ZERO | WIRE_RAM_PAGE,
        WIRE_RAM_CONTINUE,
        WIRE_RAM_EOS | WIRE_RAM_CONTINUE,
        WIRE_RAM_MULTIFD_FLUSH | WIRE_RAM_CONTINUE,
        WIRE_RAM_MEM_SIZE | WIRE_RAM_CONTINUE,
        WIRE_RAM_EOS | WIRE_RAM_MULTIFD_FLUSH,
        0x400,
        0x800 | WIRE_RAM_PAGE,
    };

    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
        refuse_record(plain_rules, flags[i], NULL, -1, "do not go together or are not known");
    refuse_record(plain_rules, WIRE_RAM_MEM_SIZE, NULL, -1, "where none may come");
    refuse_record(plain_rules, WIRE_RAM_ZERO | WIRE_RAM_CONTINUE, NULL, 0, "there was none");
    refuse_record(plain_rules, 0x2000 | WIRE_RAM_ZERO, "c", 0,
                  "a page at 0x2000 of RAM block \"c\", which does not exist");
    refuse_record(plain_rules, WIRE_RAM_ZERO, "", 0, "which does not exist");
    refuse_record(plain_rules, B_BYTES | WIRE_RAM_PAGE, "b", -1,
                  "a page at 0x3000 of RAM block \"b\", which has only 0x3000 bytes");
    refuse_record(plain_rules, ~(uint64_t)0xfff | WIRE_RAM_PAGE, "b", -1, "has only 0x3000");
    refuse_record(plain_rules, 0x1000 | WIRE_RAM_ZERO, "a", 1,
                  "the page at 0x1000 of RAM block \"a\" is filled with 01");
    refuse_record(plain_rules, 0x1000 | WIRE_RAM_EOS, NULL, -1, "the mark has an address");
    refuse_record(plain_rules, WIRE_RAM_MULTIFD_FLUSH, NULL, -1, "multifd is off");
    refuse_record(plain_rules, WIRE_RAM_XBZRLE, "a", -1, "xbzrle is off");
    refuse_record(xbzrle, WIRE_RAM_XBZRLE, "c", -1, "does not exist");
}

static void refuse_delta(uint8_t encoding, uint16_t n, const char *want)
{
    struct machine m;

    machine_init(&m, (struct ram_rules){.xbzrle = true});
    ram_put_list(&m.data, &m.rules, &m.blocks);
    put_page(&m, WIRE_RAM_XBZRLE, "a");
    buf_u8(&m.data, encoding);
    buf_be16(&m.data, n);
    must_refuse(&m, want);
}

static void test_delta_refusals(void **state)
{
    struct machine m;

    refuse_delta(0, 4, "encoding 0");
    refuse_delta(2, 4, "encoding 2");
    refuse_delta(1, 0, "a delta of 0 bytes");
    refuse_delta(1, 4097, "a delta of 4097 bytes");

    machine_init(&m, (struct ram_rules){.xbzrle = true});
    ram_in_advised(&m.in);
    ram_put_list(&m.data, &m.rules, &m.blocks);
    put_page(&m, WIRE_RAM_XBZRLE, "a");
    must_refuse(&m, "postcopy has none");
}

static void test_sections(void **state)
{
    struct machine m;
    struct ferry_err err = {0};
    struct ram_event e;

    machine_init(&m, plain_rules);
    assert_int_equal(ram_in_section(&m.in, WIRE_SECTION_START, 3, &err), -EINVAL);
    assert_int_equal(ram_in_section(&m.in, WIRE_SECTION_FULL, 4, &err), -EINVAL);
    /* The list only in START, only first. */
    assert_int_equal(ram_in_section(&m.in, WIRE_SECTION_PART, 4, &err), 0);
    ram_put_total(&m.data, &m.blocks);
    assert_int_equal(decode(&m, 100, &(unsigned){0}, &e, &err), -EINVAL);
    assert_non_null(strstr(err.text, "where none may come"));
    buf_free(&m.data);

    /* CONTINUE refers to the section before. */
    machine_init(&m, plain_rules);
    ram_put_list(&m.data, &m.rules, &m.blocks);
    put_page(&m, WIRE_RAM_ZERO, "b");
    buf_u8(&m.data, 0);
    buf_be64(&m.data, WIRE_RAM_EOS);
    must_take(&m, 4, &e);
    assert_int_equal(e.kind, RAM_EOS);
    assert_int_equal(ram_in_section(&m.in, WIRE_SECTION_PART, 0, &err), 0);
    put_page(&m, 0x1000 | WIRE_RAM_PAGE | WIRE_RAM_CONTINUE, NULL);
    must_take(&m, 1, &e);
    assert_int_equal(e.kind, RAM_PAGE);
    assert_int_equal(e.block, 1);
    assert_int_equal(e.offset_bytes, 0x1000);
    assert_int_equal(e.body_bytes, 4096);
}

/* A resizable block takes the sender's length, and its pages are checked against that. */
static void test_resize(void **state)
{
    struct machine m;
    struct ram_event e;

    machine_init(&m, plain_rules);
    buf_be64(&m.data, (A_BYTES + 0x5000) | WIRE_RAM_MEM_SIZE);
    ram_put_entry(&m.data, &m.rules, &m.at[0]);
    put_text8(&m.data, "b");
    buf_be64(&m.data, 0x5000);
    put_page(&m, 0x4000 | WIRE_RAM_PAGE, "b");
    must_take(&m, 3, &e);
    assert_int_equal(m.at[1].used_bytes, 0x5000);
    assert_int_equal(e.offset_bytes, 0x4000);
}

/* Whatever ram_out writes is read as that, in pieces of any size. */
static void test_round_trip(void **state)
{
    for (size_t piece = 1; piece < 5000; piece = piece * 3 + 1) {
        struct machine m;
        struct ram_out out;
        struct ram_event e;
        struct ferry_err err = {0};
        uint8_t head[RAM_HEAD_MAX_BYTES];
        unsigned events = 0;

        machine_init(&m, (struct ram_rules){.xbzrle = true});
        ram_out_init(&out, &m.blocks);
        ram_put_list(&m.data, &m.rules, &m.blocks);
        for (unsigned i = 0; i < 3; i++) {
            buf_put(&m.data, head, ram_out_page(&out, head, i & 1, 0x1000));
            buf_zeros(&m.data, 4096);
            buf_put(&m.data, head, ram_out_zero(&out, head, i & 1, 0x2000));
            buf_put(&m.data, head, ram_out_xbzrle(&out, head, 0, 0x7000, 77));
            buf_zeros(&m.data, 77);
        }
        buf_put(&m.data, head, ram_out_eos(head));
        if (decode(&m, piece, &events, &e, &err) < 0)
            fail_msg("%s", err.text);
        assert_int_equal(events, 2 + 9 + 1);
        assert_int_equal(e.kind, RAM_EOS);
        buf_free(&m.data);
    }
}

static void put_mapped(struct machine *m, uint32_t version, uint64_t page_bytes, uint64_t pages_at)
{
    ram_put_total(&m->data, &m->blocks);
    ram_put_entry(&m->data, &m->rules, &m->at[0]);
    mapped_put_header(&m->data, &(struct mapped_header){.version = version,
                                                        .page_bytes = page_bytes,
                                                        .bitmap_offset_bytes = 100,
                                                        .pages_offset_bytes = pages_at});
}

static void test_mapped(void **state)
{
    const struct ram_rules rules = {.mapped_ram = true};
    struct machine m;
    struct ram_event e;

    machine_init(&m, rules);
    put_mapped(&m, 1, 4096, 0x2000);
    must_take(&m, 1, &e);
    assert_int_equal(e.kind, RAM_BLOCK);
    assert_int_equal(e.mapped.bitmap_offset_bytes, 100);
    assert_int_equal(e.mapped.pages_offset_bytes, 0x2000);

    machine_init(&m, rules);
    put_mapped(&m, 2, 4096, 0x2000);
    must_refuse(&m, "version 2");
    machine_init(&m, rules);
    put_mapped(&m, 1, 0, 0x2000);
    must_refuse(&m, "pages of 0x0 bytes");
    machine_init(&m, rules);
    put_mapped(&m, 1, 4096, 0x2001);
    must_refuse(&m, "begin at 0x2001");

    /* No pages, deltas or marks on the main channel of a file. */
    for (unsigned i = 0; i < 4; i++) {
        static const uint64_t words[] = {WIRE_RAM_ZERO, WIRE_RAM_PAGE, WIRE_RAM_XBZRLE,
                                         WIRE_RAM_MULTIFD_FLUSH};

        machine_init(&m, (struct ram_rules){.mapped_ram = true, .multifd = true});
        buf_be64(&m.data, (A_BYTES + B_BYTES) | WIRE_RAM_MEM_SIZE);
        for (unsigned b = 0; b < 2; b++) {
            ram_put_entry(&m.data, &m.rules, &m.at[b]);
            mapped_put_header(&m.data, &(struct mapped_header){.version = 1, .page_bytes = 4096});
        }
        put_page(&m, words[i], i < 3 ? "a" : NULL);
        must_refuse(&m, "mapped-ram");
    }
}

static void test_rules(void **state)
{
    static const struct ram_rules bad[] = {
        {.mapped_ram = true, .ignore_shared = true}, {.mapped_ram = true, .xbzrle = true},
        {.mapped_ram = true, .postcopy = true},      {.multifd = true, .xbzrle = true},
        {.multifd = true, .postcopy = true},
    };
    struct ram_block b = {.name = "a", .used_bytes = 0x1000};
    struct ram_blocks blocks = {.at = &b, .count = 1};
    struct ferry_err err;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(ram_check_rules(&bad[i], &blocks, &err), -EINVAL);
    b.used_bytes = 0x1001;
    assert_int_equal(ram_check_rules(&plain_rules, &blocks, &err), -EINVAL);
    b = (struct ram_block){.name = ""};
    assert_int_equal(ram_check_rules(&plain_rules, &blocks, &err), -EINVAL);
    blocks.count = WIRE_RAM_BLOCKS_MAX + 1;
    assert_int_equal(ram_check_rules(&plain_rules, &blocks, &err), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_list_refusals),   cmocka_unit_test(test_list_extras),
        cmocka_unit_test(test_record_refusals), cmocka_unit_test(test_delta_refusals),
        cmocka_unit_test(test_sections),        cmocka_unit_test(test_resize),
        cmocka_unit_test(test_round_trip),      cmocka_unit_test(test_mapped),
        cmocka_unit_test(test_rules),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
