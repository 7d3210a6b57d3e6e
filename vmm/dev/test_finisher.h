/* SPDX-License-Identifier: Apache-2.0 */
/* SiFive test finisher: how a guest powers the machine off or resets it. No saved state. */
#pragma once

#include "vmm/dev/dev.h"

extern const struct dev_type test_finisher_type;
