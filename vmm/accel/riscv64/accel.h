/* SPDX-License-Identifier: Apache-2.0 */
/* The software CPU as an accelerator: QEMU's tcg, for riscv64. */
#pragma once

#include <stdint.h>

#include "vmm/accel/riscv64/hart.h"
#include "vmm/machine/accel.h"

/* Its vcpu_params.model. A vcpu's interrupt inputs are enum hart_irq. */
struct hart_model {
    uint64_t reset_pc;
    struct hart_quirks quirks;
};

extern const struct accel accel_riscv64;
