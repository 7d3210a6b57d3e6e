/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A machine of harts and 64 MiB of RAM, with just enough around them to run a bare-metal program:
 * a UART that only sends, the test finisher, software interrupts. No board, no loop running.
 */
#pragma once

#include <stdint.h>
#include <stdio.h>

#include "vmm/accel/riscv64/hart.h"

#define MACHINE_RAM_BASE  UINT64_C(0x80000000)
#define MACHINE_RAM_BYTES (UINT64_C(64) << 20)
#define MACHINE_HARTS_MAX 8

struct machine {
    struct ferry_ram *ram;
    struct ferry_ram_region *region;
    uint8_t *host; /* of MACHINE_RAM_BASE */
    struct guestmem mem;
    struct machine_lock lock;
    struct bus bus;
    struct bus_region regions[4];
    struct loop *loop;
    struct guest_clock *clock;
    uint32_t hart_count;
    struct hart *harts[MACHINE_HARTS_MAX];
    FILE *uart;                /* NULL: dropped */
    _Atomic uint32_t finished; /* what was written to the finisher; 0 = still running */
};

/* Ends the test program if r is negative. */
void machine_check(int r, const struct ferry_err *err);
/* Ends the test program if anything fails. The harts are at MACHINE_RAM_BASE, parked. */
void machine_init(struct machine *m, uint32_t hart_count);
void machine_free(struct machine *m);
void machine_start(struct machine *m);
void machine_stop(struct machine *m);
/* Until something is written to the finisher; what it was, or 0 after this long. */
uint32_t machine_wait(struct machine *m, int64_t timeout_ns);
