/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A riscv64 hart: RV64GC with M, S and U mode, and the host thread that runs it.
 *
 * Interrupt lines may be driven from any thread. Everything else is for the main thread, with the
 * hart stopped unless said otherwise. A running hart notices a stop request at an instruction
 * boundary, within one slice (some 10 us); a hart in WFI sleeps in the kernel until an interrupt,
 * its timer or a stop request.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ferry/err.h>
#include <ferry/part.h>
#include <ferry/ram.h>

#include "vmm/machine/bus.h"
#include "vmm/machine/clock.h"
#include "vmm/machine/guestmem.h"
#include "vmm/machine/thread.h"

struct hart;
struct vcpu;

/* Bits of mip that devices drive (privileged spec 3.1.9). */
enum hart_irq {
    HART_IRQ_SSI = 1,
    HART_IRQ_MSI = 3,
    HART_IRQ_STI = 5,
    HART_IRQ_MTI = 7,
    HART_IRQ_SEI = 9,
    HART_IRQ_MEI = 11,
};

/*
 * What another VMM's CPU lacks or needs, so that a guest can go there and come back. All false: the
 * CPU of this program.
 */
struct hart_quirks {
    bool no_pmp;       /* no physical memory protection: its CSRs are illegal, no "cpu/pmp" */
    bool no_sv48;      /* satp takes Bare and Sv39 only */
    bool timers_due;   /* the receiver sets no timer: save those that run as if they had fired */
    bool stimer_saved; /* stimecmp's is told in "cpu/timer", and set from there */
    bool cpu12;        /* section "cpu" has version 12, else 10 */
};

struct hart_params {
    size_t size_bytes;
    uint32_t id;       /* mhartid */
    uint64_t reset_pc; /* 0x1000: the mask ROM */
    struct hart_quirks quirks;
    const struct guestmem *mem; /* loans that outlive the hart */
    struct bus *bus;
    const struct guest_clock *clock;
    struct ferry_ram *ram; /* the hart registers its TLB flush as a dirty-log flush source */
    thread_begin_fn *thread_begin; /* said by its thread when it begins; NULL = nothing */
};

/* Creates the thread too, parked. */
int hart_new(struct hart **ret, const struct hart_params *params,
             struct ferry_err *err) FERRY_MUST_CHECK;
void hart_free(struct hart *h);
/* Power-on state: M-mode at reset_pc. */
void hart_reset(struct hart *h);

void hart_run(struct hart *h);
/*
 * Ask and do not wait, so that many harts stop at the same time; then wait for each. Not with the
 * machine lock held, which a hart may be waiting for; nor may a harvest of the dirty log begin with
 * it held.
 */
void hart_stop_request(struct hart *h);
void hart_stop_wait(struct hart *h);

/*
 * Any thread, running or not. So many percent of the time, at most 99, the hart sleeps instead of
 * running, as often as there are 10 ms of running; 0: it does not. A stop request ends the sleep at
 * once, an interrupt waits for its end.
 */
void hart_set_throttle(struct hart *h, unsigned percent);

/* Any thread. */
void hart_set_irq(struct hart *h, enum hart_irq irq, bool level);
bool hart_get_irq(const struct hart *h, enum hart_irq irq);
/* For query-cpus-fast. */
int hart_thread_id(const struct hart *h);

/* The hart as its accelerator's table has it (accel.h); it stays the hart's. */
struct vcpu *hart_vcpu(struct hart *h);

/* The two sections of a hart in QEMU's stream, "cpu_common" and "cpu", as parts to add to the VM.
 */
void hart_parts(struct hart *h, struct ferry_part ret[2]);

/* ISA as in the device tree: "rv64imafdc_zicntr_zicsr_zifencei_sstc", and "riscv,sv48". */
extern const char hart_isa_string[];
extern const char hart_mmu_type[];
