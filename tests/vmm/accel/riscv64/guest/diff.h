/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random programs: what the generator (../diff_gen.py) appends to the image, and where things are.
 * Shared by C and assembly of the guest; the generator repeats these numbers.
 */
#pragma once

#define PROGRAMS_BASE 0x80010000
#define CODE_BASE     0x82000000 /* a program is copied here */
#define CODE_BYTES    0x4000
#define DATA_BASE     0x82200000 /* its ordinary loads and stores */
#define DATA_BYTES    0x4000
#define ODD_BASE      0x82400000 /* memory behind the pages with odd permissions */
#define ODD_BYTES     0x4000
#define TABLES_BASE   0x82600000
#define LOG_BASE      0x82800000 /* traps taken to S-mode */
#define TRAPS_MAX     120

#define PROGRAM_MAGIC 0x31475250

#ifndef __ASSEMBLER__
#include <stdint.h>

enum { FLAG_VERBOSE = 1 };

struct program {
    uint32_t magic;
    uint32_t size_bytes; /* with the header; a multiple of 8 */
    uint32_t number;
    uint32_t flags;
    uint32_t code_bytes; /* what follows it is filled with c.ebreak: the end */
    uint32_t fcsr;
    uint64_t seed;    /* of the memory */
    uint64_t mstatus; /* MPP: the mode it starts in */
    uint64_t satp;    /* mode and ASID; the runtime adds the root */
    uint64_t user;    /* 1: code and data pages are U pages */
    uint64_t medeleg;
    uint64_t mideleg;
    uint64_t mie;
    uint64_t x[32]; /* x0 unused */
    uint64_t f[32];
    uint8_t code[];
};

struct trap {
    uint64_t cause;
    uint64_t epc;
    uint64_t tval;
    uint64_t status;
};

/* x[0] holds the runtime's stack pointer while a program runs. */
struct context {
    uint64_t x[32];
};

/* What the S-mode handler has at sscratch. */
struct s_log {
    uint64_t saved[3];
    uint64_t count;
    uint64_t unused[4];
    struct trap traps[TRAPS_MAX];
};

void run_program(struct context *ctx);
void load_f(const uint64_t f[32]);
void save_f(uint64_t f[32]);
extern char m_trap[], s_trap[], s_trap_end[];
uint64_t on_trap(struct context *ctx);
#endif
