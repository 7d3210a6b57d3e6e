/* SPDX-License-Identifier: Apache-2.0 */
/*
 * State of a CFI flash bank in read mode, the only one it has here: the bank itself is memory of
 * the board which reads as it came (zeros) and drops what is written.
 */
#pragma once

#include "vmm/dev/dev.h"

extern const struct dev_type pflash_type;
