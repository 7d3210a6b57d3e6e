/* SPDX-License-Identifier: Apache-2.0 */
/* The registers of a hart as GDB's target description (GDB manual, appendix G: RISC-V features).
 * Main thread. */
#pragma once

#include <stddef.h>

#include "base/buf.h"

struct hart;

/* Those that this stopped hart has, by the numbers of enum hart_reg; xml: added to. */
void registers_describe(struct buf *xml, struct hart *h);
/* The floating-point status is narrower than its CSR. */
size_t registers_bytes(unsigned reg);
