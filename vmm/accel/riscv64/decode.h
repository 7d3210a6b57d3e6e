/* SPDX-License-Identifier: Apache-2.0 */
/* From bytes to entries of a block. Pure: no hart, no guest memory. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/accel/riscv64/insn.h"

enum insn_format {
    FORMAT_R = 1, /* rd, rs1, rs2: x registers as far as rd goes */
    FORMAT_RF,    /* rd is an f register */
    FORMAT_I,
    FORMAT_IF, /* rd is an f register */
    FORMAT_SH, /* shift amount */
    FORMAT_S,
    FORMAT_U,
    FORMAT_UPC, /* relative to pc */
    FORMAT_R4,  /* f registers; imm = rm | rs3 << 8 */
    FORMAT_RM,  /* f registers or rs1 an x register; imm = rm */
    FORMAT_RMX, /* rd is an x register; imm = rm */
    FORMAT_RAW, /* imm = the word */
    /* Those that end a block. */
    FORMAT_B,
    FORMAT_J,
    FORMAT_JR,
    FORMAT_CSR, /* imm = the word */
    FORMAT_END, /* imm = the word */
};

struct insn_type {
    const char *name;
    op_fn *fn;
    uint32_t match, mask;
    enum insn_format format;
};

/* The type of a 32-bit instruction word; NULL = illegal. */
const struct insn_type *decode_type(uint32_t word);
/* All of isa.def, in order. */
const struct insn_type *decode_type_at(size_t index);

/* The word a compressed instruction stands for, 0 (itself illegal) if it stands for none. */
uint32_t rvc_expand(uint16_t c);

/*
 * Decode a block from the n bytes at source (a copy that nobody changes), which lie at this offset
 * of a page; n > 0 is even. At most insns_max instructions. Writes entries, the chain (to
 * `nowhere`) and count, entries and source_bytes of b; source_bytes is 0 if the first instruction
 * is longer than n. Then the caller adds the source.
 */
void decode_block(struct block *b, const uint8_t *source, size_t n, uint32_t page_offset,
                  uint32_t insns_max, struct block *nowhere);

static inline bool insn_is_compressed(uint32_t word)
{
    return (word & 3) != 3;
}
