/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading RAM records (format: ram.h): bytes in, in any split, events out. One struct ram_in per
 * channel; a plain value without memory of its own.
 *
 *     ram_in_section(in, type, version, err)          a section "ram" begins
 *     while ((r = ram_in_next(in, &bytes, &event, err)) > 0)
 *         RAM_BLOCK          the peer has this block, checked; its length is now in the array.
 *                            mapped-ram: go on with the bytes at pages_offset + used length
 *         RAM_ZERO           clear the page
 *         RAM_PAGE           the next body_bytes (4096) bytes of the channel are the page: take
 *                            what `bytes` still has, read the rest to where it belongs
 *         RAM_XBZRLE         the next body_bytes bytes are a delta: the same, to a scratch buffer
 *         RAM_FLUSH          all multifd channels stand at a SYNC
 *         RAM_EOS            the data of this section ends here; the footer comes next
 *
 * The reader never sees bodies: `bytes` must continue behind them. 0: all of `bytes` is used up,
 * more are needed. After a refusal only ram_in_init.
 */
#pragma once

#include "base/buf.h"
#include "lib/wire/mapped.h"
#include "lib/wire/ram.h"

/* The longest piece that is understood at once: a whole block entry. */
#define RAM_PIECE_MAX_BYTES (1u + WIRE_TEXT8_MAX_BYTES + 8u + 8u + 8u + MAPPED_HEADER_BYTES)

enum ram_kind {
    RAM_BLOCK = 1,
    RAM_ZERO,
    RAM_PAGE,
    RAM_XBZRLE,
    RAM_FLUSH,
    RAM_EOS,
};

struct ram_event {
    enum ram_kind kind;
    size_t block;                /* index; BLOCK, ZERO, PAGE, XBZRLE */
    uint64_t offset_bytes;       /* in the block; ZERO, PAGE, XBZRLE: a whole page lies inside */
    uint32_t body_bytes;         /* PAGE, XBZRLE */
    struct mapped_header mapped; /* BLOCK with mapped-ram: not yet checked against the file */
};

struct ram_in {
    struct ram_blocks *blocks; /* a loan; lengths and `listed` are written */
    struct ram_rules rules;
    size_t last; /* block of the record before; blocks->count: none */
    bool has_list, in_list;
    bool list_may_come; /* at the first record of START */
    uint64_t list_left_bytes;
    uint16_t held_bytes; /* of a piece that is not complete */
    uint8_t held[RAM_PIECE_MAX_BYTES];
};

/* Rules and blocks as ram_check_rules() wants them. */
void ram_in_init(struct ram_in *in, struct ram_blocks *blocks, const struct ram_rules *rules);
/* The command ADVISE came: from now on entries may have page sizes, pages no deltas. */
void ram_in_advised(struct ram_in *in);

/* type: START, PART or END. */
int ram_in_section(struct ram_in *in, enum wire_item type, uint32_t version,
                   struct ferry_err *err) FERRY_MUST_CHECK;
int ram_in_next(struct ram_in *in, struct rd *bytes, struct ram_event *event,
                struct ferry_err *err) FERRY_MUST_CHECK;
