/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PLIC: 95 interrupt sources to two contexts (M and S mode) per hart.
 *
 * A source that goes high becomes pending and stays so until it is claimed. A source that is still
 * high when its claim is completed becomes pending again.
 */
#pragma once

#include "vmm/dev/dev.h"

#define PLIC_SOURCES 96 /* counting source 0, which does not exist */

extern const struct dev_type plic_type;

/* Context = 2 * hart, + 1 for S mode. */
void plic_connect(struct dev *d, uint32_t context, struct irq_line output);
/* The line of a source, to give to a device. */
struct irq_line plic_input(struct dev *d, uint32_t source);
