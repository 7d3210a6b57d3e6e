/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a destination says to its source (numbers: format.h):
 *
 *     message := u16 type, u16 length, payload
 *     SHUT            u32 0: the guest is fine here; else it failed. The last message
 *     PONG            u32 value of the PING
 *     REQ_PAGES_ID    u64 offset, u32 bytes, text8 block
 *     REQ_PAGES       u64 offset, u32 bytes; of the block that was named last
 *     RECV_BITMAP     text8 block; behind the message u64 size, bitmap, u64 0123456789abcdef
 *     RESUME_ACK      u32 1
 *     SWITCHOVER_ACK  nothing
 * and between two ferries
 *     FERRY_HELLO     u16 protocol, u16 oldest it can speak, text8 version
 *     FERRY_ACCEPT    nothing: what "ferry/hello" described fits
 *     FERRY_REFUSE    a sentence, all of the payload: why not; also in place of LOADED
 *     FERRY_LOADED    nothing: everything is here and checked; waits for COMMIT
 *     FERRY_LEDGER    bytes of the destination's ledger
 *
 * The reader takes bytes in any split and has no memory of its own. After RECV_BITMAP it refuses to
 * go on: a bitmap comes only when it was asked for, and this side never asks.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ferry/err.h>

#include "base/buf.h"
#include "lib/wire/format.h"

struct return_message {
    enum wire_return type;
    uint32_t value;                        /* SHUT, PONG, RESUME_ACK */
    uint64_t offset_bytes;                 /* REQ_PAGES*: not checked against the block */
    uint32_t length_bytes;                 /* REQ_PAGES* */
    uint16_t protocol, oldest;             /* FERRY_HELLO */
    char text[WIRE_RP_TEXT_MAX_BYTES + 1]; /* block, version or sentence; printable, with a NUL */
    const uint8_t *ledger;                 /* FERRY_LEDGER: a loan until the next call */
    uint32_t ledger_bytes;
};

struct return_path_in {
    bool ended; /* after RECV_BITMAP */
    uint32_t held_bytes;
    uint8_t held[4 + WIRE_RP_LEDGER_MAX_BYTES];
};

/* "PONG", ...; "unknown" for a number that is none. */
const char *return_path_name(enum wire_return type);

void return_path_in_init(struct return_path_in *in);
/* 1 and a message, 0 if all of bytes is used up and more are needed, or a refusal. */
int return_path_in_next(struct return_path_in *in, struct rd *bytes, struct return_message *ret,
                        struct ferry_err *err) FERRY_MUST_CHECK;

void return_path_put_shut(struct buf *out, uint32_t value);
void return_path_put_pong(struct buf *out, uint32_t value);
/* block NULL: the one that was named last. */
void return_path_put_request(struct buf *out, const char *block, uint64_t offset_bytes,
                             uint32_t length_bytes);
/* RESUME_ACK (with its 1), SWITCHOVER_ACK, FERRY_ACCEPT, FERRY_LOADED. */
void return_path_put_plain(struct buf *out, enum wire_return type);
void return_path_put_hello(struct buf *out, const char *version);
/* Cut to WIRE_RP_TEXT_MAX_BYTES. */
void return_path_put_refuse(struct buf *out, const char *text);
/* n <= WIRE_RP_LEDGER_MAX_BYTES. */
void return_path_put_ledger(struct buf *out, const void *data, size_t n);
