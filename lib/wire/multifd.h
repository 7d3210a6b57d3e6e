/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Channels that carry pages besides the main one: their hello, the heads of their packets, and the
 * rule that binds them to the main channel. Format only; lib/codec makes and undoes the data.
 *
 *     channel := hello, packet...
 *     hello   := u32 0x11223344, u32 1, uuid[16], u8 channel id, 39 zeros
 *     packet  := u32 0x11223344, u32 1, u32 flags, u32 room (128; 0 in a SYNC), u32 normal pages n,
 *                u32 data bytes, u64 number, u32 zero pages z, u32 0, 24 zeros, block name[256],
 *                128 x u64 offset (first n normal, then z zero, rest 0), data
 *
 * Data are the n normal pages, plain or as the flags' method says. Per sync point each channel has
 * one SYNC packet and the main channel its mark (RAM_FLUSH); pages never cross one. The first
 * packet of a channel is a SYNC, nothing follows the last.
 *
 * A page may be named twice in a packet: the last data win, which harms nobody.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ferry/err.h>

#include "lib/wire/ram.h"

#define MULTIFD_HELLO_BYTES 64u
#define MULTIFD_HEAD_BYTES  (320u + 8u * WIRE_MULTIFD_PAGES)

struct multifd_hello {
    uint8_t uuid[WIRE_UUID_BYTES];
    uint8_t channel;
};

void multifd_put_hello(uint8_t out[static MULTIFD_HELLO_BYTES], const struct multifd_hello *hello);
/*
 * uuid: this VM's, zeros if it has none. channels: how many there shall be. seen: one flag per
 * channel, set by success.
 */
int multifd_get_hello(const uint8_t in[static MULTIFD_HELLO_BYTES],
                      const uint8_t uuid[static WIRE_UUID_BYTES], unsigned channels, bool *seen,
                      struct multifd_hello *ret, struct ferry_err *err) FERRY_MUST_CHECK;

struct multifd_packet {
    bool sync;
    enum wire_multifd_method method;
    uint64_t number;
    uint32_t data_bytes;                  /* that follow the head */
    uint32_t normal_count, zero_count;    /* together at most WIRE_MULTIFD_PAGES */
    size_t block;                         /* index; only if there are pages */
    uint64_t offsets[WIRE_MULTIFD_PAGES]; /* bytes in the block: normal ones, then zero ones */
};

/* A data packet, or with p->sync one without pages. Writes all MULTIFD_HEAD_BYTES. */
void multifd_put_head(uint8_t out[static MULTIFD_HEAD_BYTES], const struct multifd_packet *p,
                      const struct ram_blocks *blocks);
/*
 * A head from the first n bytes of a packet. 1, or 0 if more bytes are needed (what must not be
 * waited for is refused as soon as it shows), or a refusal: all pages of p can be received. method:
 * the one that was agreed on.
 */
int multifd_get_head(const uint8_t *in, size_t n, enum wire_multifd_method method,
                     const struct ram_blocks *blocks, struct multifd_packet *p,
                     struct ferry_err *err) FERRY_MUST_CHECK;

/* "none", "zlib", ... */
const char *multifd_method_name(enum wire_multifd_method method);

/*
 * The epochs of a receiver: who stands where. One owner; who reads a channel tells it. A channel
 * that has sent its SYNC waits until multifd_epochs_mark() says that all have.
 */
struct multifd_epochs {
    unsigned channels;
    uint64_t marks;                            /* met on the main channel and passed */
    uint64_t syncs[WIRE_MULTIFD_CHANNELS_MAX]; /* of each channel */
    bool open[WIRE_MULTIFD_CHANNELS_MAX];      /* pages came behind the last one */
};

/* 1 to WIRE_MULTIFD_CHANNELS_MAX channels. */
void multifd_epochs_init(struct multifd_epochs *e, unsigned channels);
/* A packet came; with_pages: it brought some. Refused: packets after a SYNC that is not passed. */
int multifd_epochs_packet(struct multifd_epochs *e, unsigned channel, bool sync, bool with_pages,
                          struct ferry_err *err) FERRY_MUST_CHECK;
/* The main channel stands at a mark. 1: all channels do, too, and may go on; 0: not yet. */
int multifd_epochs_mark(struct multifd_epochs *e);
/* The main channel stands at the end of RAM. Refused unless all had a SYNC and that its mark. */
int multifd_epochs_end(const struct multifd_epochs *e, struct ferry_err *err) FERRY_MUST_CHECK;
