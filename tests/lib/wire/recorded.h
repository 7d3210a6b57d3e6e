/* SPDX-License-Identifier: Apache-2.0 */
/* The streams in tests/data/streams, and channels that deliver them in pieces of any size. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/wire/ram.h"

/* One direction of a connection, all of it. */
struct channel {
    uint8_t *data; /* owned */
    size_t len_bytes;
    size_t pos_bytes;
    uint32_t random;     /* state of the splits */
    uint32_t most_bytes; /* of one read */
};

struct channel channel_open(const char *file, uint32_t seed);
void channel_close(struct channel *c);
/* 1 to n bytes, as chance will have it; 0 at the end. */
size_t channel_read(struct channel *c, void *to, size_t n);
/* Just n bytes, in several reads; fails the test at the end. */
void channel_read_all(struct channel *c, void *to, size_t n);
bool channel_ended(const struct channel *c);

#define RECORDED_BLOCKS 7
#define RECORDED_RAM    2 /* index of guest RAM */

/* The RAM of the machine that was recorded, before anything arrived. */
struct recorded_ram {
    struct ram_block at[RECORDED_BLOCKS];
    struct ram_blocks blocks;
    uint8_t *host[RECORDED_BLOCKS]; /* owned */
};
void recorded_ram_init(struct recorded_ram *ram);
void recorded_ram_free(struct recorded_ram *ram);
uint8_t *recorded_page(struct recorded_ram *ram, size_t block, uint64_t offset_bytes);
/* Is guest RAM what NAME.mem.gz holds? Fails the test if not. */
void recorded_ram_compare(const struct recorded_ram *ram, const char *file);
