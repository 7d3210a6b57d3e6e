/* SPDX-License-Identifier: Apache-2.0 */
/* The hart's thread: slices, interrupts, the timer, sleeping and parking. */
#pragma once

#include "vmm/accel/riscv64/core.h"

/* pthread start routine; arg is the hart. Returns when told HART_EXIT. */
void *run_thread(void *arg);
/* To a parked hart. */
void run_command(struct hart *h, enum hart_command command);

/* Any thread: make a running hart look up, or a sleeping one wake. */
void run_ring(struct hart *h, uint32_t bell);

/* Hart thread, or the owner of a stopped hart: do what the doorbell asked for; before it runs. */
void run_answer(struct hart *h);

/* Hart thread, or the owner of a stopped hart: set STIP if stimecmp has come. */
void run_check_timer(struct hart *h);

/* Dirty-log flush source: returns when no store can go unmarked any more. */
void run_flush_write(void *hart);
