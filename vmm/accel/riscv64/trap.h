/* SPDX-License-Identifier: Apache-2.0 */
/* Traps and returns from them (privileged spec 3.1.6 to 3.1.16, 12.1). Hart thread only. */
#pragma once

#include "vmm/accel/riscv64/core.h"

/* Enter the handler of an exception or interrupt that interrupts h->r.pc. */
void trap_take(struct hart *h, uint64_t cause, uint64_t tval);
/* MRET and SRET: h->r.pc is where to go on. */
void trap_mret(struct hart *h);
void trap_sret(struct hart *h);

/* The interrupt that is to be taken now, or -1. */
int trap_pending(const struct hart *h);
