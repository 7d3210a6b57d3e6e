/* SPDX-License-Identifier: Apache-2.0 */
/* Physical memory protection (privileged spec 3.7), 16 entries, granularity 4 bytes. */
#pragma once

#include "vmm/accel/riscv64/core.h"
#include "vmm/accel/riscv64/mmu.h"

#define PMP_R 0x01
#define PMP_W 0x02
#define PMP_X 0x04
#define PMP_A 0x18
#define PMP_L 0x80

#define PMP_ADDR_MASK    ((UINT64_C(1) << 54) - 1)
#define PMP_CFG_WRITABLE (PMP_L | PMP_A | PMP_X | PMP_W | PMP_R)

enum pmp_verdict {
    PMP_DENIED,
    PMP_ALLOWED,
    PMP_MIXED, /* a rule begins or ends inside the range */
};

/* May priv do this to every byte of [pa, pa + size_bytes)? */
enum pmp_verdict pmp_check(const struct hart *h, uint64_t pa, uint64_t size_bytes,
                           enum access access, uint64_t priv);

/* CSRs. index is the entry; a write to a locked one is ignored. The caller flushes the TLBs. */
void pmp_write_addr(struct hart *h, unsigned index, uint64_t value);
/* pmpcfg0 and pmpcfg2: eight entries from first on. */
uint64_t pmp_read_cfg(const struct hart *h, unsigned first);
void pmp_write_cfg(struct hart *h, unsigned first, uint64_t value);

/* Registers that restrict nobody: those of a CPU without. */
void pmp_allow_all(struct hart_pmp_entry entries[static PMP_ENTRIES]);
/* Derive the ranges from the registers. */
void pmp_update(struct hart *h);
