/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hart under a debugger: the functions of struct vcpu_debug (vmm/machine/accel.h), which says
 * what they do. For the owner of a stopped hart, on the main thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ferry/err.h>

#include "vmm/machine/accel.h"

struct hart;

/* GDB's numbers of registers: what its riscv feature descriptions count from. */
enum hart_reg {
    HART_REG_X0 = 0,
    HART_REG_PC = 32,
    HART_REG_F0 = 33,
    HART_REG_CSR0 = 65, /* + the CSR's number, below 4096 */
    HART_REG_PRIV = HART_REG_CSR0 + 4096,
};

void hart_debug_attach(struct hart *h, void (*stopped)(void *arg), void *arg);
bool hart_debug_get(struct hart *h, unsigned reg, uint64_t *ret);
bool hart_debug_set(struct hart *h, unsigned reg, uint64_t value);
int hart_debug_read(const struct hart *h, uint64_t va, void *data, size_t n) FERRY_MUST_CHECK;
int hart_debug_write(struct hart *h, uint64_t va, const void *data, size_t n) FERRY_MUST_CHECK;
void hart_debug_code_changed(struct hart *h);
void hart_debug_set_breakpoints(struct hart *h, const uint64_t *va, size_t count);
void hart_debug_set_step(struct hart *h, bool on);
void hart_debug_set_hold(struct hart *h, bool on);
enum vcpu_break hart_debug_reason(const struct hart *h);
