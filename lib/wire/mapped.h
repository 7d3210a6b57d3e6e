/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mapped-ram: a stream in a file, with the pages of each RAM block at a fixed place. Behind the
 * name and length of each block in the list (ram.h):
 *
 *     u32 version 1, u64 page size, u64 bitmap offset, u64 pages offset    absolute in the file
 *     bitmap: 8 * ceil(pages / 64) bytes; bit k % 8 of byte k / 8: page k is there. Written last
 *     a gap up to the pages offset, then the pages; page k at pages offset + k * 4096
 *
 * The next entry, or the rest of the stream, comes behind the page area. Layout only: who reads
 * and writes the file is elsewhere. Bits may be set from several threads.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ferry/err.h>

#include "base/buf.h"
#include "lib/wire/format.h"

#define MAPPED_HEADER_BYTES 28u

struct mapped_header {
    uint32_t version;
    uint64_t page_bytes;
    uint64_t bitmap_offset_bytes; /* in the file */
    uint64_t pages_offset_bytes;  /* in the file */
};

static inline uint64_t mapped_bitmap_bytes(uint64_t used_bytes)
{
    return (used_bytes / WIRE_PAGE_BYTES + 63) / 64 * 8;
}

/*
 * Where things go for a block of this length whose header begins at header_offset_bytes. -EFBIG if
 * a file cannot be that long.
 */
int mapped_layout(struct mapped_header *ret, uint64_t header_offset_bytes, uint64_t used_bytes,
                  struct ferry_err *err) FERRY_MUST_CHECK;
void mapped_put_header(struct buf *out, const struct mapped_header *h);
/* Sticky as r is. */
struct mapped_header mapped_get_header(struct rd *r);

/* What needs no file: version, page size, alignment. ram_in does it. */
int mapped_check_header(const struct mapped_header *h, const char *block,
                        struct ferry_err *err) FERRY_MUST_CHECK;
/*
 * Do bitmap and pages lie behind the header, which ends at position, in this order, and inside the
 * file? Since reading goes on behind the pages, all of all blocks are then disjoint.
 */
int mapped_check_place(const struct mapped_header *h, const char *block, uint64_t used_bytes,
                       uint64_t position_bytes, uint64_t file_bytes,
                       struct ferry_err *err) FERRY_MUST_CHECK;
/* Refuses bits behind the last page. n: of the bitmap. */
int mapped_check_bitmap(const uint8_t *bitmap, size_t n, const char *block, uint64_t used_bytes,
                        struct ferry_err *err) FERRY_MUST_CHECK;

/* Any thread; others may change other bits of the same byte. */
void mapped_set(uint8_t *bitmap, uint64_t page);
void mapped_clear(uint8_t *bitmap, uint64_t page);
/*
 * The first run of set bits at or after `from`, at most max_pages long: its length, and where it
 * begins in *first; 0 if there is none. n: of the bitmap, a multiple of 8.
 */
uint64_t mapped_next_run(const uint8_t *bitmap, size_t n, uint64_t from, uint64_t max_pages,
                         uint64_t *first);
