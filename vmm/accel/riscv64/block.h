/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finding decoded blocks (insn.h), and making them when they are not there.
 *
 *   pc -> jump cache of the mode -> fetch TLB or page walk -> hash by host address -> decode
 *
 * Blocks live in an arena that is emptied as a whole when it is full. Hart thread only, or the
 * owner of a stopped hart.
 */
#pragma once

#include <ferry/err.h>

#include "vmm/accel/riscv64/core.h"

int block_cache_init(struct hart *h, struct ferry_err *err) FERRY_MUST_CHECK;
/*
 * The hart's thread, before it runs: enters a piece of the memory in the page tables, so that the
 * first instructions take no page faults; some 100 us. false: there is no more.
 */
bool block_cache_enter(struct hart *h);
void block_cache_free(struct hart *h);

/*
 * The block at pc, up to date with memory as of the hart's last FENCE.I, entered in the jump cache.
 * NULL: the fetch failed, the exception is in h->trap.
 */
struct block *block_find(struct hart *h, uint64_t pc);

/*
 * Remember that `next` follows the block that ends with `last`, in the same page. generation is
 * that of the block cache while `last` was looked at; does nothing if `last` is gone.
 */
void block_chain(struct hart *h, struct insn *last, bool taken, struct block *next,
                 uint64_t generation);

/*
 * The one instruction at pc, where no breakpoint counts. Good until the next block is looked for.
 * NULL: as above.
 */
struct block *block_find_one(struct hart *h, uint64_t pc);
/* Drop every block. */
void block_forget_all(struct hart *h);
/* Code may have changed: FENCE.I. */
void block_new_epoch(struct hart *h);
/* Mappings of this mode have changed: of all pages, or of one (for U and S). */
void block_forget_jumps(struct hart *h, uint64_t priv);
void block_forget_page(struct hart *h, uint64_t page_va);

/* A block whose epoch is never the hart's: what an empty chain points to. Never written. */
extern const struct block block_nowhere;

/*
 * Bits 12..15 of pc choose 64 entries, so that what belongs to one page can be dropped without
 * looking at everything.
 */
static inline unsigned jump_index(uint64_t pc)
{
    return (unsigned)((pc >> 6 & 0x3c0) | ((pc >> 1 ^ pc >> 7) & 0x3f));
}
