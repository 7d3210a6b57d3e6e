/* SPDX-License-Identifier: Apache-2.0 */
/* The registers of a hart as GDB's target description (GDB manual, appendix G: RISC-V features). */
#pragma once

#include <stdbool.h>

#include "base/buf.h"

/* has: is there a CSR of that number? */
void registers_describe(struct buf *xml, bool (*has)(void *arg, unsigned csr), void *arg);
