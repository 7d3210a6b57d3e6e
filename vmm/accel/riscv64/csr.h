/* SPDX-License-Identifier: Apache-2.0 */
/* Control and status registers: which there are, who may touch them, what can be written. */
#pragma once

#include <ferry/err.h>

#include "vmm/accel/riscv64/core.h"

enum csr {
    CSR_FFLAGS = 0x001,
    CSR_FRM = 0x002,
    CSR_FCSR = 0x003,
    CSR_CYCLE = 0xc00,
    CSR_TIME = 0xc01,
    CSR_INSTRET = 0xc02,
    CSR_SSTATUS = 0x100,
    CSR_SIE = 0x104,
    CSR_STVEC = 0x105,
    CSR_SCOUNTEREN = 0x106,
    CSR_SENVCFG = 0x10a,
    CSR_SSCRATCH = 0x140,
    CSR_SEPC = 0x141,
    CSR_SCAUSE = 0x142,
    CSR_STVAL = 0x143,
    CSR_SIP = 0x144,
    CSR_STIMECMP = 0x14d,
    CSR_SATP = 0x180,
    CSR_MSTATUS = 0x300,
    CSR_MISA = 0x301,
    CSR_MEDELEG = 0x302,
    CSR_MIDELEG = 0x303,
    CSR_MIE = 0x304,
    CSR_MTVEC = 0x305,
    CSR_MCOUNTEREN = 0x306,
    CSR_MENVCFG = 0x30a,
    CSR_MCOUNTINHIBIT = 0x320,
    CSR_MSCRATCH = 0x340,
    CSR_MEPC = 0x341,
    CSR_MCAUSE = 0x342,
    CSR_MTVAL = 0x343,
    CSR_MIP = 0x344,
    CSR_PMPCFG0 = 0x3a0,
    CSR_PMPCFG2 = 0x3a2,
    CSR_PMPADDR0 = 0x3b0,
    CSR_PMPADDR15 = 0x3bf,
    CSR_MCYCLE = 0xb00,
    CSR_MINSTRET = 0xb02,
    CSR_MVENDORID = 0xf11,
    CSR_MARCHID = 0xf12,
    CSR_MIMPID = 0xf13,
    CSR_MHARTID = 0xf14,
    CSR_MCONFIGPTR = 0xf15,
};

enum csr_op {
    CSR_OP_WRITE = 1,
    CSR_OP_SET,
    CSR_OP_CLEAR,
};

/*
 * One CSR instruction: the old value goes to h->value, then, if `write`, the operation is done with
 * operand. 0, or 1 if an interrupt may be due now, or -1: an illegal instruction, nothing has
 * changed. h->retired must be right.
 */
int csr_access(struct hart *h, unsigned csr, enum csr_op op, uint64_t operand,
               bool write) FERRY_MUST_CHECK;

/* For a debugger, whatever mode the hart is in: 0, or -1: there is no such CSR. */
int csr_look(const struct hart *h, unsigned csr, uint64_t *ret) FERRY_MUST_CHECK;
int csr_poke(struct hart *h, unsigned csr, uint64_t value) FERRY_MUST_CHECK;

/* Bits of mcounteren and mcountinhibit, and indices of h->counter_base. */
enum csr_counter {
    COUNTER_CYCLE = 0,
    COUNTER_TIME = 1,
    COUNTER_INSTRET = 2,
};
/* mcycle and minstret: they count instructions unless inhibited. */
uint64_t csr_counter_get(const struct hart *h, enum csr_counter which);
void csr_counter_set(struct hart *h, enum csr_counter which, uint64_t value);

/* stimecmp has a new value: set STIP, or arm the timer that will. */
void csr_stimecmp_changed(struct hart *h);

/* Registers that came from elsewhere: clear the bits that cannot be written. */
void csr_mask_all(struct hart *h);
