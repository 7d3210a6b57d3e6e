/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The framing of GDB's remote serial protocol (GDB manual, appendix E.1): "$data#checksum", '+' and
 * '-' in answer, and a lone 0x03 that interrupts. Pure.
 *
 * A packet that is longer than there is room for is refused as one that was damaged; nothing is
 * allocated.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PACKET_BYTES 4096u /* of data in a packet, either way */

enum packet_event {
    PACKET_NONE = 0,  /* more bytes are needed */
    PACKET_WHOLE,     /* data has data_bytes, a NUL behind them */
    PACKET_DAMAGED,   /* one that has to be sent again */
    PACKET_INTERRUPT, /* 0x03 */
    PACKET_REPEAT,    /* '-': our last one has to be sent again */
};

struct packet {
    enum { PACKET_OUTSIDE = 0, PACKET_INSIDE, PACKET_SUM1, PACKET_SUM2 } state;
    uint8_t sum, told;
    bool escaped, too_long;
    size_t data_bytes;
    char data[PACKET_BYTES + 1];
};

enum packet_event packet_take(struct packet *p, uint8_t byte);
/*
 * How many of the n bytes that wait can be taken before there is something to answer, that with
 * them: the end of a packet, or one of the bytes that stand alone.
 */
size_t packet_look(const struct packet *p, const uint8_t *data, size_t n);
/* "$data#checksum" in to, which has room for 2 n + 4 bytes; what has to be escaped is. */
size_t packet_put(char *to, const char *data, size_t n);

/* --- Numbers and bytes in hex ---------------------------------------------------------------- */

/* *text moves behind the digits. false: there are none, or more than fit. */
bool hex_number(const char **text, uint64_t *ret);
/* n bytes from 2 n digits. */
bool hex_bytes(const char **text, uint8_t *to, size_t n);
/* 2 n digits and a NUL; returns their end. */
char *hex_put(char *to, const void *from, size_t n);
