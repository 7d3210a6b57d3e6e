/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing RAM records (format: ram.h). Only heads are written here; the bytes of a page go behind
 * them straight from guest RAM by iovec. One struct ram_out per channel, because CONTINUE refers
 * to what this channel sent before. Pure, allocates nothing but in struct buf.
 */
#pragma once

#include "base/buf.h"
#include "lib/wire/ram.h"

/* No head is longer: flags, name, encoding and length. */
#define RAM_HEAD_MAX_BYTES (8u + 1u + WIRE_TEXT8_MAX_BYTES + 3u)

struct ram_out {
    const struct ram_blocks *blocks; /* a loan */
    size_t last;                     /* block of the record before; count: none */
};

void ram_out_init(struct ram_out *out, const struct ram_blocks *blocks);
/* The next record names its block: after the list, at a switch to postcopy, after a recovery. */
void ram_out_forget(struct ram_out *out);

/*
 * Each writes a head and returns its length. block < count, offset within the block. Behind the
 * head belong 4096 bytes (page), nothing (zero), n bytes of delta (xbzrle, n <= 4096).
 */
size_t ram_out_page(struct ram_out *out, uint8_t head[static RAM_HEAD_MAX_BYTES], size_t block,
                    uint64_t offset_bytes);
size_t ram_out_zero(struct ram_out *out, uint8_t head[static RAM_HEAD_MAX_BYTES], size_t block,
                    uint64_t offset_bytes);
size_t ram_out_xbzrle(struct ram_out *out, uint8_t head[static RAM_HEAD_MAX_BYTES], size_t block,
                      uint64_t offset_bytes, uint16_t n);
size_t ram_out_flush(uint8_t head[static RAM_HEAD_MAX_BYTES]);
size_t ram_out_eos(uint8_t head[static RAM_HEAD_MAX_BYTES]);

/* The block list, whole. Not for mapped-ram, whose list has page areas in between. */
void ram_put_list(struct buf *out, const struct ram_rules *rules, const struct ram_blocks *blocks);
/* Its pieces: the number in front, then each entry up to where a mapped header would be. */
void ram_put_total(struct buf *out, const struct ram_blocks *blocks);
void ram_put_entry(struct buf *out, const struct ram_rules *rules, const struct ram_block *block);
