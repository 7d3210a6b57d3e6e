/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Blocks of guest RAM as both sides of a stream know them, and the rules that both must have been
 * given alike because the bytes do not say. Format only; ram_out.h writes records, ram_in.h reads
 * them:
 *
 *     data   := record..., EOS                    of each of START, PART and END
 *     record := u64 total | MEM_SIZE, entry... until their lengths add up to total; START only
 *             | u64 offset | ZERO [| CONTINUE], [text8 block], u8 0
 *             | u64 offset | PAGE [| CONTINUE], [text8 block], 4096 bytes
 *             | u64 offset | XBZRLE [| CONTINUE], [text8 block], u8 1, u16 n, n bytes of delta
 *             | u64 MULTIFD_FLUSH
 *     EOS    := u64 EOS
 *     entry  := text8 block, u64 used length
 *               [u64 page size]    postcopy, and the block's pages are not of the ordinary size
 *               [u64 address]      x-ignore-shared
 *               [mapped header]    mapped-ram, see mapped.h; then a jump in the file
 *     CONTINUE: the block of the record before, no name
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ferry/err.h>

#include "lib/wire/format.h"

struct ram_block {
    const char *name;         /* 1 to WIRE_TEXT8_MAX_BYTES bytes; a loan */
    uint64_t used_bytes;      /* a multiple of WIRE_PAGE_BYTES */
    uint64_t max_bytes;       /* can become as long as this; 0: its length is fixed */
    uint64_t host_page_bytes; /* of its backing; 0: the ordinary ones */
    uint64_t gpa;             /* 0 if not mapped directly */
    bool ignored;             /* x-ignore-shared: listed, but its pages stay where they are */
    bool listed;              /* set by a reader when the peer's list named it */
};

/* All blocks of a VM, the caller's array; at most WIRE_RAM_BLOCKS_MAX. */
struct ram_blocks {
    struct ram_block *at;
    size_t count;
};

struct ram_rules {
    bool ignore_shared;
    bool mapped_ram;
    bool xbzrle;                  /* reader: deltas may come */
    bool multifd;                 /* reader: flush marks may come */
    bool postcopy;                /* ADVISE was sent or seen */
    uint64_t ordinary_page_bytes; /* of the host, at least WIRE_PAGE_BYTES; 0: that */
};

/* Do the rules go together, are the blocks what their comments say? */
int ram_check_rules(const struct ram_rules *rules, const struct ram_blocks *blocks,
                    struct ferry_err *err) FERRY_MUST_CHECK;

/* The block's index, or -ENOENT. */
int ram_find(const struct ram_blocks *blocks, const void *name, size_t n);

/* May a page at this offset of the block be received? The sentence names block and offset. */
int ram_check_page(const struct ram_block *block, uint64_t offset_bytes,
                   struct ferry_err *err) FERRY_MUST_CHECK;

/* Of all blocks: the number in front of the list. */
uint64_t ram_total_bytes(const struct ram_blocks *blocks);

/* Must the block's entry say how large its pages are? */
bool ram_entry_has_page_size(const struct ram_rules *rules, const struct ram_block *block);
