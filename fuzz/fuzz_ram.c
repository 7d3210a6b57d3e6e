/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RAM records. Input: one byte of rules, one that chooses the split, then the data of a section. In
 * pieces and at once it must be read as the same events, or be refused at the same one with the
 * same words; pages must lie inside their block, and deltas are applied.
 */
#include <string.h>

#include "fuzz/fuzz.h"
#include "lib/codec/xbzrle.h"
#include "lib/wire/ram_in.h"

struct reading {
    struct ram_block at[4];
    struct ram_blocks blocks;
    struct ram_in in;
    uint8_t page[WIRE_PAGE_BYTES];
    uint8_t body[WIRE_PAGE_BYTES];
    size_t body_bytes, body_wanted_bytes;
    bool delta, ended;
    unsigned events;
    uint64_t sum; /* stands for all events */
};

static void reading_init(struct reading *r, uint8_t rules)
{
    const struct ram_rules as = {.ignore_shared = rules & 1,
                                 .mapped_ram = rules & 2,
                                 .xbzrle = rules & 4,
                                 .multifd = rules & 8,
                                 .postcopy = rules & 16};
    struct ferry_err err;

    *r = (struct reading){
        .at = {{.name = "virt.flash0", .used_bytes = 0x2000000, .ignored = rules & 1},
               {.name = "riscv_virt_board.ram", .used_bytes = 0x800000, .gpa = 0x80000000},
               {.name = "/rom@etc/acpi/tables", .used_bytes = 0x20000, .max_bytes = 0x200000},
               {.name = "r", .used_bytes = 0x1000, .host_page_bytes = 0x200000}}};
    r->blocks = (struct ram_blocks){.at = r->at, .count = 4};
    ram_in_init(&r->in, &r->blocks, &as);
    FUZZ_CHECK(ram_in_section(&r->in, WIRE_SECTION_START, WIRE_RAM_VERSION, &err) == 0, err.text);
}

static void take_event(struct reading *r, const struct ram_event *e)
{
    const struct ram_block *b = &r->at[e->block];

    r->events++;
    r->sum = r->sum * 31 + e->kind + e->block * 8 + e->offset_bytes + e->body_bytes;
    r->body_wanted_bytes = e->body_bytes;
    r->delta = e->kind == RAM_XBZRLE;
    r->ended = e->kind == RAM_EOS;
    FUZZ_CHECK(e->body_bytes <= sizeof(r->body), "a body is longer than a page");
    if (e->kind == RAM_ZERO || e->kind == RAM_PAGE || e->kind == RAM_XBZRLE) {
        FUZZ_CHECK(e->block < r->blocks.count, "no such block");
        FUZZ_CHECK(b->listed && !b->ignored, "a block that takes no pages");
        FUZZ_CHECK(e->offset_bytes % WIRE_PAGE_BYTES == 0, "half a page");
        FUZZ_CHECK(e->offset_bytes <= b->used_bytes &&
                       b->used_bytes - e->offset_bytes >= WIRE_PAGE_BYTES,
                   "a page outside of its block");
    }
}

static int take_body(struct reading *r, struct rd *bytes, struct ferry_err *err)
{
    size_t n = r->body_wanted_bytes - r->body_bytes;

    if (n > rd_left(bytes))
        n = rd_left(bytes);
    if (n != 0)
        memcpy(r->body + r->body_bytes, rd_take(bytes, n), n);
    r->body_bytes += n;
    if (r->body_bytes != r->body_wanted_bytes)
        return 0;
    n = r->body_bytes;
    r->body_bytes = r->body_wanted_bytes = 0;
    return r->delta && n ? xbzrle_decode(r->body, n, r->page, err) : 0;
}

static int read_some(struct reading *r, const uint8_t *data, size_t n, struct ferry_err *err)
{
    uint8_t *exact = malloc(n ? n : 1); /* so that overruns show */
    struct rd bytes = rd_make(exact, n);
    struct ram_event e;
    int result;

    memcpy(exact, data, n);
    do {
        result = take_body(r, &bytes, err);
        if (result == 0 && r->body_wanted_bytes == 0 && !r->ended) {
            result = ram_in_next(&r->in, &bytes, &e, err);
            if (result > 0)
                take_event(r, &e);
            else if (result == 0)
                FUZZ_CHECK(rd_left(&bytes) == 0, "waits for more with bytes left");
        }
    } while (result > 0 && !r->ended);
    free(exact);
    return result < 0 ? result : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct reading *whole = calloc(1, sizeof(*whole)), *pieces = calloc(1, sizeof(*pieces));
    struct ferry_err err = {0}, piece_err = {0};
    int r, piece_r = 0;

    FUZZ_CHECK(whole && pieces, "no memory");
    if (n >= 2) {
        size_t piece = data[1] + 1u;

        reading_init(whole, data[0]);
        reading_init(pieces, data[0]);
        r = read_some(whole, data + 2, n - 2, &err);
        for (size_t at = 2; at < n && piece_r == 0; at += piece)
            piece_r = read_some(pieces, data + at, n - at < piece ? n - at : piece, &piece_err);
        FUZZ_CHECK(r == piece_r, r < 0 ? err.text : piece_err.text);
        FUZZ_CHECK(strcmp(err.text, piece_err.text) == 0, piece_err.text);
        FUZZ_CHECK(whole->events == pieces->events, "other events");
        FUZZ_CHECK(whole->sum == pieces->sum, "events that differ");
    }
    free(whole);
    free(pieces);
    return 0;
}
