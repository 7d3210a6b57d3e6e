/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ACLINT: software interrupts between harts (MSWI) and the machine timer (MTIMER).
 *
 * Two devices with neighbouring registers; both drive one line per hart. Connect before anything
 * runs; unconnected lines go nowhere.
 */
#pragma once

#include <stdbool.h>

#include "vmm/dev/dev.h"

extern const struct dev_type mswi_type;
extern const struct dev_type mtimer_type;
/* The same with its saved state in version 3. */
extern const struct dev_type mtimer3_type;

/* A hart's MSIP: the bit in the hart is the only storage, so it is read back from there. */
struct mswi_output {
    struct irq_line line;
    bool (*level)(void *controller, unsigned source); /* of the line's */
};

void mswi_connect(struct dev *d, uint32_t hart, struct mswi_output output);
void mtimer_connect(struct dev *d, uint32_t hart, struct irq_line mtip);
