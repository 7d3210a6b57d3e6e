/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands of the stream (numbers: format.h): their payloads as a struct and back. What ferry does
 * not do is read all the same, so that it can be refused by its name.
 *
 *     PING             u32 value                       RECV_BITMAP  text8 block
 *     POSTCOPY_ADVISE  nothing (only dirty bitmaps), or u64 all page sizes or'ed, u64 4096
 *     POSTCOPY_DISCARD u8 0, text8 block, u8 0, 1 or more of: u64 start, u64 length
 *     PACKAGED         u32 bytes, which follow outside of the payload
 *     all others       nothing
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <ferry/err.h>

#include "base/buf.h"
#include "lib/wire/format.h"

struct command {
    enum wire_command number;
    uint32_t value;                       /* PING */
    uint32_t package_bytes;               /* PACKAGED */
    bool with_ram;                        /* ADVISE: the sizes are there */
    uint64_t page_sizes_bytes;            /* ADVISE: or'ed */
    uint64_t page_bytes;                  /* ADVISE */
    char block[WIRE_TEXT8_MAX_BYTES + 1]; /* DISCARD, RECV_BITMAP */
    uint32_t range_count;                 /* DISCARD */
    const uint8_t *ranges;                /* DISCARD: a loan; see command_range() */
};

struct command_range {
    uint64_t start_bytes, length_bytes; /* in the block; not checked against it */
};

/* The name as it is written in this header; "unknown" for a number that is none. */
const char *command_name(enum wire_command number);

int command_get(enum wire_command number, struct rd payload, struct command *ret,
                struct ferry_err *err) FERRY_MUST_CHECK;
/* i < range_count. */
struct command_range command_range(const struct command *c, uint32_t i);

/* The whole item. Ranges are taken from c->ranges as they are on the wire. */
void command_put(struct buf *out, const struct command *c);
/* The ones that have no payload, and PING. */
void command_put_empty(struct buf *out, enum wire_command number);
void command_put_ping(struct buf *out, uint32_t value);
