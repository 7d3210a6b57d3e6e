/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hart under a debugger: its registers, its memory as it sees it, where and when it stops by
 * itself. For the owner of a stopped hart, on the main thread; nothing of it is saved.
 *
 * A hart that stops by itself parks, as if it had been told to, says why and calls stopped(). Other
 * harts run on until somebody stops them.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ferry/err.h>

struct hart;

#define HART_BREAKPOINTS_MAX 64

/* GDB's numbers of registers: what its riscv feature descriptions count from. */
enum hart_reg {
    HART_REG_X0 = 0,
    HART_REG_PC = 32,
    HART_REG_F0 = 33,
    HART_REG_CSR0 = 65, /* + the CSR's number, below 4096 */
    HART_REG_PRIV = HART_REG_CSR0 + 4096,
};

enum hart_break {
    HART_BREAK_NONE = 0,
    HART_BREAK_BREAKPOINT, /* pc is one, and what stands there is not done */
    HART_BREAK_STEP,       /* one instruction is done, or its trap taken */
};

/* stopped: called on the hart's thread, which it must not keep waiting; NULL = nobody listens. */
void hart_debug_attach(struct hart *h, void (*stopped)(void *arg), void *arg);
/* false: there is no such register, or it cannot be written. */
bool hart_debug_get(struct hart *h, unsigned reg, uint64_t *ret);
bool hart_debug_set(struct hart *h, unsigned reg, uint64_t value);
/*
 * Through the page tables in force; what they allow does not matter and they stay as they are. RAM
 * only, ROM for reading: devices are not touched. -EFAULT: part of it is not there.
 */
int hart_debug_read(const struct hart *h, uint64_t va, void *data, size_t n) FERRY_MUST_CHECK;
int hart_debug_write(struct hart *h, uint64_t va, const void *data, size_t n) FERRY_MUST_CHECK;
/* Memory was written: instructions that were decoded before are looked at again. */
void hart_debug_code_changed(struct hart *h);
/* Instead of those before; count is at most HART_BREAKPOINTS_MAX. Virtual addresses of any mode. */
void hart_debug_set_breakpoints(struct hart *h, const uint64_t *va, size_t count);
/* It stops after one instruction, in which no breakpoint counts and no interrupt comes. */
void hart_debug_set_step(struct hart *h, bool on);
/* It stays where it is, whatever hart_run() says. */
void hart_debug_set_hold(struct hart *h, bool on);
/* Why it stopped by itself since it was last told to run. Any thread. */
enum hart_break hart_debug_reason(const struct hart *h);
