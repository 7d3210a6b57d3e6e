/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest virtual memory: the TLBs, and what to do when they miss.
 *
 * Functions that can fault return 0, or -1 with the exception in h->trap, or with h->stalled. Hart
 * thread only, or the owner of a stopped hart.
 */
#pragma once

#include <ferry/err.h>

#include "vmm/accel/riscv64/core.h"

enum access {
    ACCESS_READ,
    ACCESS_WRITE,
    ACCESS_FETCH,
};

/* --- Fast path ------------------------------------------------------------------------------- */

/*
 * The address as a TLB entry must have it: bits that make the access misaligned stay, so that one
 * compare finds the page and the alignment.
 */
static inline uint64_t tlb_tag(uint64_t va, unsigned size_bytes)
{
    return va & (~(PAGE_BYTES - 1) | (size_bytes - 1));
}

static inline unsigned tlb_index(uint64_t va)
{
    return va >> PAGE_BITS & (TLB_ENTRIES - 1);
}

/* --- Slow path ------------------------------------------------------------------------------- */

/* Any alignment; the value read, not extended, is h->value. */
int mmu_load(struct hart *h, uint64_t va, unsigned size_bytes) FERRY_MUST_CHECK;
int mmu_store(struct hart *h, uint64_t va, unsigned size_bytes, uint64_t value) FERRY_MUST_CHECK;
/* For LR (ACCESS_READ) and for SC and AMO (ACCESS_WRITE): host memory in h->atomic; only RAM, only
 * aligned. */
int mmu_atomic(struct hart *h, uint64_t va, unsigned size_bytes,
               enum access access) FERRY_MUST_CHECK;

struct fetched {
    const uint8_t *host;
    bool cacheable; /* false: PMP tells bytes of this page apart; good for two bytes */
};
int mmu_fetch(struct hart *h, uint64_t va, struct fetched *ret) FERRY_MUST_CHECK;

/* --- When things change ---------------------------------------------------------------------- */

/* After a change of privilege, mstatus.MPRV, MPP or SUM. */
void mmu_update_mode(struct hart *h);
/* SFENCE.VMA, satp, MXR: what went through page tables. */
void mmu_flush(struct hart *h);
void mmu_flush_page(struct hart *h, uint64_t va);
/* PMP, reset, load: everything, the pages of M-mode too. */
void mmu_flush_all(struct hart *h);
/* The dirty log wants to hear of stores again. */
void mmu_flush_write(struct hart *h);
