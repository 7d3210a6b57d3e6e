/* SPDX-License-Identifier: Apache-2.0 */
/* Sv39 and Sv48 page tables (privileged spec 10.3), with A and D set by hardware. */
#pragma once

#include "vmm/accel/riscv64/mmu.h"

struct walked {
    uint64_t pa;
    unsigned page_bits; /* 12, or more in a superpage */
};

/* satp's mode is not Bare, priv is U or S. 0, or the exception code. */
int walk_page_table(struct hart *h, uint64_t va, enum access access, uint64_t priv,
                    struct walked *ret) FERRY_MUST_CHECK;
/* Where it leads, whoever may go there; changes nothing. */
int walk_look(const struct hart *h, uint64_t va, struct walked *ret) FERRY_MUST_CHECK;
