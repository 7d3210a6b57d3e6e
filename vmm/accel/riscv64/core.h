/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of a hart, for the files of this folder.
 *
 * While the hart runs everything here belongs to its thread, except the atomics.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "vmm/accel/riscv64/debug.h"
#include "vmm/accel/riscv64/fp.h"
#include "vmm/accel/riscv64/hart.h"
#include "vmm/accel/riscv64/insn.h"
#include "vmm/machine/mtime.h"

enum priv {
    PRIV_U = 0,
    PRIV_S = 1,
    PRIV_M = 3,
};

/* Exception codes of mcause. */
enum cause {
    CAUSE_FETCH_MISALIGNED = 0,
    CAUSE_FETCH_ACCESS = 1,
    CAUSE_ILLEGAL = 2,
    CAUSE_BREAKPOINT = 3,
    CAUSE_LOAD_MISALIGNED = 4,
    CAUSE_LOAD_ACCESS = 5,
    CAUSE_STORE_MISALIGNED = 6,
    CAUSE_STORE_ACCESS = 7,
    CAUSE_ECALL_U = 8,
    CAUSE_FETCH_PAGE = 12,
    CAUSE_LOAD_PAGE = 13,
    CAUSE_STORE_PAGE = 15,
};
#define CAUSE_INTERRUPT (UINT64_C(1) << 63)

#define MIP_SSIP (UINT64_C(1) << HART_IRQ_SSI)
#define MIP_MSIP (UINT64_C(1) << HART_IRQ_MSI)
#define MIP_STIP (UINT64_C(1) << HART_IRQ_STI)
#define MIP_MTIP (UINT64_C(1) << HART_IRQ_MTI)
#define MIP_SEIP (UINT64_C(1) << HART_IRQ_SEI)
#define MIP_MEIP (UINT64_C(1) << HART_IRQ_MEI)

#define MSTATUS_SIE   (UINT64_C(1) << 1)
#define MSTATUS_MIE   (UINT64_C(1) << 3)
#define MSTATUS_SPIE  (UINT64_C(1) << 5)
#define MSTATUS_MPIE  (UINT64_C(1) << 7)
#define MSTATUS_SPP   (UINT64_C(1) << 8)
#define MSTATUS_MPP   (UINT64_C(3) << 11)
#define MSTATUS_FS    (UINT64_C(3) << 13)
#define MSTATUS_MPRV  (UINT64_C(1) << 17)
#define MSTATUS_SUM   (UINT64_C(1) << 18)
#define MSTATUS_MXR   (UINT64_C(1) << 19)
#define MSTATUS_TVM   (UINT64_C(1) << 20)
#define MSTATUS_TW    (UINT64_C(1) << 21)
#define MSTATUS_TSR   (UINT64_C(1) << 22)
#define MSTATUS_UXL   (UINT64_C(3) << 32)
#define MSTATUS_XL    (UINT64_C(0xf) << 32)
#define MSTATUS_XL64  (UINT64_C(0xa) << 32) /* SXL = UXL = 2, read only */
#define MSTATUS_SD    (UINT64_C(1) << 63)
#define MSTATUS_MPP_S UINT64_C(11)
#define MSTATUS_SPP_S UINT64_C(8)

#define MENVCFG_STCE (UINT64_C(1) << 63)

#define SATP_MODE_SHIFT 60
#define SATP_SV39       UINT64_C(8)
#define SATP_SV48       UINT64_C(9)
#define SATP_PPN        ((UINT64_C(1) << 44) - 1)

#define PAGE_BITS       12
#define PAGE_BYTES      (UINT64_C(1) << PAGE_BITS)
#define PAGE_OFFSET(va) ((va) & (PAGE_BYTES - 1))

#define MISA_EXT 0x14112du /* A C D F I M S U */

#define PMP_ENTRIES 16

struct hart_pmp_entry {
    uint64_t addr_reg;
    uint8_t cfg_reg;
};

struct hart_pmu_counter {
    uint64_t val, valh, prev, prevh;
};

/*
 * What is saved (state.c). The members under "wire" mean something only while that happens.
 */
struct hart_regs {
    union {
        uint64_t x[33]; /* x[32] takes what is written to x0 */
        uint64_t gpr[32];
    };
    uint64_t f[32];
    uint64_t pc;
    uint64_t priv;
    uint64_t mstatus; /* without SD */
    uint64_t mie;
    uint64_t mideleg, medeleg;
    uint64_t mtvec, mepc, mcause, mtval, mscratch;
    uint64_t stvec, sepc, scause, stval, sscratch;
    uint64_t satp;
    uint64_t stimecmp;
    uint64_t menvcfg, senvcfg;
    uint32_t mcounteren, scounteren, mcountinhibit;
    uint32_t halted; /* in WFI, pc after it */
    uint64_t mhartid, resetvec;
    struct hart_quirks quirks; /* for life, never saved */
    struct hart_pmp_entry pmp[PMP_ENTRIES];

    struct {
        uint64_t mip, frm, load_res, load_val, badaddr, guest_phys_fault_addr;
        uint64_t priv_ver, vext_ver, miclaim, mvien, mvip, sie, miselect, siselect;
        uint32_t misa_mxl, misa_ext, misa_ext_mask, scountinhibit, interrupt_request;
        bool virt_enabled;
        struct hart_pmu_counter pmu[32];
        uint64_t mhpmevent_val[32], mhpmeventh_val[32];
        uint8_t miprio[64], siprio[64];
        uint64_t henvcfg;
        uint64_t stimer_ns, vstimer_ns;
        uint64_t trigger[7];
    } wire;
};

static inline bool satp_mode_exists(const struct hart_regs *r, uint64_t mode)
{
    return mode == 0 || mode == SATP_SV39 || (mode == SATP_SV48 && !r->quirks.no_sv48);
}

/* tag: the virtual page, as an access that lies in it has it (mmu.h); all ones = none. */
struct tlb_entry {
    uint64_t tag;
    uint64_t addend; /* host address - virtual address */
};

#define TLB_ENTRIES       256
#define TLB_FETCH_ENTRIES 64

/* For loads and stores. A page is in write[] only while it is marked dirty. */
struct tlb {
    struct tlb_entry read[TLB_ENTRIES];
    struct tlb_entry write[TLB_ENTRIES];
};

/* What loads and stores are allowed depends on the mode; S has two, without and with SUM. */
enum tlb_mode {
    TLB_U = 0,
    TLB_S,
    TLB_SUM,
    TLB_M,
    TLB_MODES,
};

/* Where a jump went: virtual pc to block, one cache per privilege mode. */
#define JUMP_ENTRIES 1024
struct jump {
    uint64_t pc; /* 1 = none */
    struct block *block;
};

/* An address range of one PMP entry, ends included; locked ones bind M-mode too. */
struct pmp_rule {
    uint64_t first, last;
    uint8_t cfg;
};

/* Virtual addresses of superpages in the TLBs: those with (va & mask) == base, if mask != 0. */
struct large_pages {
    uint64_t base, mask;
};

/*
 *   PARKED --hart_run--> RUNNING --slice end, if told to park--> PARKED
 *                        RUNNING --WFI--> SLEEPING --wake-up--> RUNNING
 *                                         SLEEPING --hart_stop_request--> PARKED
 *
 * The hart's thread makes the steps of WFI and slice end, its owner the others. While PARKED
 * everything in the hart is its owner's.
 */
enum hart_state {
    HART_PARKED = 0,
    HART_RUNNING,
    HART_SLEEPING, /* in WFI, in the kernel */
};

enum hart_command {
    HART_PARK = 0,
    HART_RUN,
    HART_EXIT,
};

/* Bits of the doorbell: a reason to look up at the next slice end, or to wake. */
#define DOORBELL_IRQ   1u
#define DOORBELL_PARK  2u
#define DOORBELL_FLUSH 4u
#define DOORBELL_PACE  8u

struct trap {
    uint64_t cause;
    uint64_t tval;
};

/* Decoded code (block.c). */
struct block_cache {
    uint8_t *arena;
    size_t used_bytes;
    size_t entered_bytes; /* in the page tables; the hart's thread only */
    uint64_t generation;  /* counts how often the arena was emptied */
    struct block **hash;
    struct block *draft; /* where blocks are decoded; run from there if they cannot be kept */
    uint32_t insns_max;  /* BLOCK_INSNS_MAX; 1 to step */
};

/* What a debugger wants of it (debug.h). */
struct hart_debug {
    uint64_t breakpoints[VCPU_BREAKPOINTS_MAX];
    uint32_t breakpoint_count;
    bool step, held;
    bool hit;                /* this slice ended at a breakpoint */
    _Atomic uint32_t reason; /* enum vcpu_break */
    void (*stopped)(void *arg);
    void *arg;
};

struct hart {
    /* What every block entry reads: near the base register of the operations. */
    uint32_t epoch; /* FENCE.I; never 0 */
    uint32_t pauses;
    struct jump *jump;       /* of the current mode */
    const struct tlb *tlb;   /* of the mode of loads and stores */
    struct tlb_entry *fetch; /* of the current mode */
    uint64_t value;          /* what the last slow load read */
    void *atomic;            /* where the last slow atomic may go on */
    int64_t slice, budget;   /* of this slice: what it began with, what is left */

    struct hart_regs r;

    struct fp_env fp;
    struct trap trap;         /* what a failed access or CSR instruction raises */
    uint64_t mip_soft;        /* SSIP, STIP and SEIP as written by the guest, STIP of stimecmp */
    uint64_t retired;         /* instructions */
    uint64_t counter_base[3]; /* csr.h: what to add to retired, or the value while inhibited */
    uint64_t reserved_va, reserved_value; /* LR; va ~0 = none */
    bool stimer_armed;
    bool stalled;         /* a device's register is not ready for the store that is next */
    int64_t ran_since_ns; /* throttled: when its time to run began; 0: with the next slice */
    bool filled;          /* something is in a TLB or a jump cache since all were emptied */
    uint8_t tlb_mode;
    uint8_t pmp_count;
    struct pmp_rule pmp_rules[PMP_ENTRIES];
    struct large_pages large[2]; /* lower and upper half of the address space */
    struct block_cache blocks;
    struct insn *next; /* where the loop goes on, if there is one (exec.h) */
    uint64_t next_pc;

    /* Loans. */
    const struct guestmem *mem;
    struct bus *bus;
    const struct guest_clock *clock;

    /* Any thread. */
    _Atomic uint64_t lines; /* bits of mip that devices drive */
    _Atomic uint32_t doorbell, state, command;
    _Atomic uint32_t flush_wanted, flush_done;
    _Atomic uint32_t throttle;  /* percent of the time in which it shall not run */
    _Atomic uint32_t thread_id; /* 0 until the thread has started */
    pthread_t thread;
    pthread_mutex_t
        on; /* its thread's while it runs: who waits for it to stop lends its priority */
    thread_begin_fn *thread_begin;
    bool thread_made;

    struct hart_debug debug;
    struct tlb tlbs[TLB_MODES];
    struct tlb_entry fetches[3][TLB_FETCH_ENTRIES]; /* U, S, M */
    struct jump jumps[3][JUMP_ENTRIES];

    struct vcpu vcpu; /* what others have of it; last, as it is none of the run loop's business */
};

/* mip as the guest reads it. */
static inline uint64_t hart_mip(const struct hart *h)
{
    return h->mip_soft | atomic_load_explicit(&h->lines, memory_order_acquire);
}

/* Which of three: U, S, M. */
static inline unsigned hart_mode_index(uint64_t priv)
{
    return priv == PRIV_M ? 2 : (unsigned)priv;
}

static inline uint64_t hart_mtime(const struct hart *h)
{
    return (uint64_t)guest_clock_ns(h->clock) / MTIME_TICK_NS;
}
