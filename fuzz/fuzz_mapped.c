/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A mapped-ram file. Input: the block list at some place of a file, with bitmaps and pages where
 * the headers say, up to the end of the input. Nothing outside of the file may be read, no page
 * outside of its block be written, and no two areas may overlap.
 */
#include <string.h>

#include "fuzz/fuzz.h"
#include "lib/wire/ram_in.h"

#define HOST_BYTES 0x10000u

/* Copies what the file has for the block; where reading goes on, or 0 for a refusal. */
static uint64_t load_block(const struct ram_block *b, const struct mapped_header *h,
                           uint64_t position, const uint8_t *file, size_t n)
{
    size_t bitmap_bytes = mapped_bitmap_bytes(b->used_bytes);
    uint8_t *host = calloc(1, HOST_BYTES), *bitmap = malloc(bitmap_bytes ? bitmap_bytes : 1);
    uint64_t first, run, end = h->pages_offset_bytes + b->used_bytes;
    struct ferry_err err = {0};

    FUZZ_CHECK(host && bitmap, "no memory");
    FUZZ_CHECK(b->used_bytes <= HOST_BYTES, "a block that is longer than here");
    if (mapped_check_place(h, b->name, b->used_bytes, position, n, &err) < 0) {
        end = 0;
    } else {
        memcpy(bitmap, file + h->bitmap_offset_bytes, bitmap_bytes);
        if (mapped_check_bitmap(bitmap, bitmap_bytes, b->name, b->used_bytes, &err) < 0)
            end = 0;
    }
    for (uint64_t at = 0; end && (run = mapped_next_run(bitmap, bitmap_bytes, at, 3, &first)) != 0;
         at = first + run)
        memcpy(host + first * WIRE_PAGE_BYTES,
               file + h->pages_offset_bytes + first * WIRE_PAGE_BYTES, run * WIRE_PAGE_BYTES);
    FUZZ_CHECK(end == 0 || end >= position, "reading goes backwards");
    free(host);
    free(bitmap);
    return end;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct ram_block at[] = {{.name = "a", .used_bytes = 0x3000},
                             {.name = "b", .used_bytes = 0x1000, .max_bytes = HOST_BYTES}};
    struct ram_blocks blocks = {.at = at, .count = 2};
    const struct ram_rules rules = {.mapped_ram = true};
    struct ram_in in;
    struct ram_event e;
    struct ferry_err err = {0};
    uint64_t position = 0;
    int r;

    ram_in_init(&in, &blocks, &rules);
    r = ram_in_section(&in, WIRE_SECTION_START, WIRE_RAM_VERSION, &err);
    while (r >= 0 && position < n) {
        /* A short read, so that entries are cut. */
        size_t piece = n - position < 50 ? (size_t)(n - position) : 50;
        struct rd bytes = rd_make(data + position, piece);

        r = ram_in_next(&in, &bytes, &e, &err);
        position += bytes.pos_bytes;
        FUZZ_CHECK(r <= 0 || (e.kind == RAM_BLOCK || e.kind == RAM_EOS), "a page record");
        if (r > 0 && e.kind == RAM_BLOCK)
            position = load_block(&at[e.block], &e.mapped, position, data, n);
        if (r > 0 && (e.kind == RAM_EOS || position == 0))
            return 0;
    }
    return 0;
}
