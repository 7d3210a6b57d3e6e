/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest RAM as a migration sees it: the blocks of the stream, which pages are to be sent, and the
 * only way from a page's number to its bytes. Main thread, but for what is said to be the lane's.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ferry/ram.h>

#include "lib/wire/ram.h"

struct guest_ram {
    struct ferry_ram *ram; /* a loan */
    struct ferry_ram_region *regions[WIRE_RAM_BLOCKS_MAX];
    struct ram_block at[WIRE_RAM_BLOCKS_MAX];
    struct ram_blocks blocks;
    /* Bits of pages, owned. The lane's while it works, else the main thread's. */
    uint64_t *pending[WIRE_RAM_BLOCKS_MAX]; /* source: to be sent */
    uint64_t *backed[WIRE_RAM_BLOCKS_MAX];  /* may be something else than zeros */
};

/* g: zeroed. ignore_shared: memory of files stays there, since the other side has the same files.
 */
int guest_ram_init(struct guest_ram *g, struct ferry_ram *ram, bool ignore_shared,
                   struct ferry_err *err) FERRY_MUST_CHECK;
/*
 * May pages be written? Not where somebody else has mapped the file that they would go to: that may
 * be the source, whose guest runs. Memory whose file is still to come is nobody's.
 */
int guest_ram_check_ours(const struct guest_ram *g, struct ferry_err *err) FERRY_MUST_CHECK;
/*
 * Finds out which pages are backed; those that are not were never touched. Where a guest runs, only
 * with its log on: what it touches from then on is backed by the harvest that finds it. The kernel
 * looks at every page that is (20 ms per GiB). The lane's, or the main thread's while none works.
 */
void guest_ram_find_backed(struct guest_ram *g);
void guest_ram_free(struct guest_ram *g);
/* The page's bytes; NULL if offset_bytes is not that of a page inside the block. */
uint8_t *guest_ram_page(const struct guest_ram *g, size_t block, uint64_t offset_bytes);
static inline uint64_t guest_ram_pages(const struct guest_ram *g, size_t block)
{
    return g->at[block].used_bytes / WIRE_PAGE_BYTES;
}
/* Everything is pending. Returns the number of pages. */
uint64_t guest_ram_all(struct guest_ram *g);
/* What was written since the last harvest is pending. Returns how many pages were not before. */
uint64_t guest_ram_harvest(struct guest_ram *g);

static inline bool guest_bit(const uint64_t *bits, uint64_t page)
{
    return bits[page / 64] >> (page % 64) & 1;
}
static inline void guest_bit_set(uint64_t *bits, uint64_t page)
{
    bits[page / 64] |= UINT64_C(1) << (page % 64);
}
static inline void guest_bit_clear(uint64_t *bits, uint64_t page)
{
    bits[page / 64] &= ~(UINT64_C(1) << (page % 64));
}
/* The same where other threads change other bits of the same word. */
static inline bool guest_bit_shared(const uint64_t *bits, uint64_t page)
{
    return __atomic_load_n(&bits[page / 64], __ATOMIC_RELAXED) >> (page % 64) & 1;
}
static inline void guest_bit_set_shared(uint64_t *bits, uint64_t page)
{
    __atomic_fetch_or(&bits[page / 64], UINT64_C(1) << (page % 64), __ATOMIC_RELAXED);
}
/* The first set bit at or after page, or pages. */
uint64_t guest_bit_next(const uint64_t *bits, uint64_t page, uint64_t pages);
