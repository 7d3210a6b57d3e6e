/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One hart, driven instruction by instruction from the test's own thread: its thread stays parked.
 * Programs are arrays of words, made with the encoders below; they end with an ebreak or any other
 * trap into RIG_TRAP.
 */
#pragma once

#include "tests/vmm/accel/riscv64/machine.h"
#include "vmm/accel/riscv64/core.h"

#define RIG_CODE MACHINE_RAM_BASE
#define RIG_TRAP (MACHINE_RAM_BASE + 0x1000) /* mtvec: where a program has ended */
#define RIG_DATA (MACHINE_RAM_BASE + 0x10000)

struct rig {
    struct machine m;
    struct hart *h;
};

void rig_init(struct rig *r);
void rig_free(struct rig *r);
/* Power-on state, mtvec at RIG_TRAP (a WFI), PMP open, FS on. */
void rig_reset(struct rig *r);
/* Write the program and run from its first word until mtvec is reached; fails if that takes long.
 */
void rig_run(struct rig *r, const uint32_t *words, size_t count);
#define RIG_RUN(r, ...)                         \
    rig_run(r, (const uint32_t[]){__VA_ARGS__}, \
            sizeof((const uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t))
/* Go on from h->r.pc. */
void rig_continue(struct rig *r);

/* Guest RAM. */
void rig_write64(struct rig *r, uint64_t gpa, uint64_t value);
uint64_t rig_read64(struct rig *r, uint64_t gpa);

/* Encoders: the instruction of isa.def with this name. */
uint32_t rig_r(const char *name, unsigned rd, unsigned rs1, unsigned rs2);
uint32_t rig_i(const char *name, unsigned rd, unsigned rs1, int imm);
uint32_t rig_s(const char *name, unsigned rs2, unsigned rs1, int imm);
uint32_t rig_csr(const char *name, unsigned rd, unsigned csr, unsigned rs1);
/* Offsets in bytes from this instruction. */
uint32_t rig_b(const char *name, unsigned rs1, unsigned rs2, int offset);
uint32_t rig_j(unsigned rd, int offset);
/* lui and auipc: imm is the upper 20 bits. */
uint32_t rig_u(const char *name, unsigned rd, unsigned imm);
uint32_t rig_word(const char *name);

enum { X0, RA, SP, GP, TP, T0, T1, T2, S0, S1, A0, A1, A2, A3, A4, A5 };
