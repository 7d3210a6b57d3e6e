/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/accel/riscv64/decode.h"

#include <string.h>

#include "vmm/accel/riscv64/core.h"
#include "vmm/accel/riscv64/exec.h"

/* Instructions are parcels of little-endian halfwords. */
static uint32_t parcel(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8;
}

static const struct insn_type types[] = {
#define OPCODE(opcode)
#define INSN(name, format, match, mask) {#name, op_##name, match, mask, FORMAT_##format},
#include "vmm/accel/riscv64/isa.def"
#undef OPCODE
#undef INSN
};
#define TYPE_COUNT (sizeof(types) / sizeof(types[0]))

/* Positions in types[]: GROUP_<opcode> is the number of instructions before that group. */
enum {
#define OPCODE(opcode)                  GROUP_##opcode, GROUP_BACK_##opcode = GROUP_##opcode - 1,
#define INSN(name, format, match, mask) TYPE_##name,
#include "vmm/accel/riscv64/isa.def"
#undef OPCODE
#undef INSN
};

static const uint8_t group_first[32] = {
#define OPCODE(opcode) [opcode] = GROUP_##opcode,
#define INSN(name, format, match, mask)
#include "vmm/accel/riscv64/isa.def"
#undef OPCODE
#undef INSN
};

const struct insn_type *decode_type(uint32_t word)
{
    unsigned opcode = word >> 2 & 31;

    for (size_t i = group_first[opcode]; i < TYPE_COUNT; i++) {
        if ((word & types[i].mask) == types[i].match)
            return &types[i];
        if ((types[i].match >> 2 & 31) != opcode)
            break;
    }
    return NULL;
}

const struct insn_type *decode_type_at(size_t index)
{
    return index < TYPE_COUNT ? &types[index] : NULL;
}

static int32_t imm_i(uint32_t w)
{
    return (int32_t)w >> 20;
}

static int32_t imm_s(uint32_t w)
{
    return ((int32_t)w >> 25) * 32 | (int32_t)(w >> 7 & 31);
}

static int32_t imm_b(uint32_t w)
{
    return ((int32_t)w >> 31) * 4096 | (int32_t)((w >> 7 & 1) << 11 | (w >> 25 & 63) << 5) |
           (int32_t)(w >> 7 & 30);
}

static int32_t imm_j(uint32_t w)
{
    return ((int32_t)w >> 31) * 1048576 | (int32_t)(w & 0xff000) | (int32_t)((w >> 20 & 1) << 11) |
           (int32_t)(w >> 20 & 0x7fe);
}

static bool ends_block(enum insn_format format)
{
    return format >= FORMAT_B;
}

/* Whether the byte this far from the page's first lies in the page: then blocks may be chained. */
static bool is_near(uint32_t page_offset, int32_t distance)
{
    return (uint32_t)((int32_t)page_offset + distance) < PAGE_BYTES;
}

/* The same operation for when what follows lies, or may lie, in another page. */
static op_fn *far_variant(op_fn *fn)
{
    static const struct {
        op_fn *near, *far;
    } variants[] = {
        {op_beq, op_beq_far},   {op_bne, op_bne_far},   {op_blt, op_blt_far}, {op_bge, op_bge_far},
        {op_bltu, op_bltu_far}, {op_bgeu, op_bgeu_far}, {op_jal, op_jal_far},
    };

    for (size_t i = 0; i < sizeof(variants) / sizeof(variants[0]); i++) {
        if (variants[i].near == fn)
            return variants[i].far;
    }
    return fn;
}

/*
 * Operands of word, which lies `off` bytes into the block and is followed by the byte at `end`.
 * Returns whether the block ends with it.
 */
static bool decode_insn(struct insn *i, uint32_t word, uint32_t off, uint32_t end,
                        uint32_t page_offset)
{
    const struct insn_type *type = decode_type(word);
    uint8_t rd = word >> 7 & 31, x_rd = rd ? rd : 32, end_halfwords = (uint8_t)(end / 2);
    uint32_t rm = word >> 12 & 7;

    *i = (struct insn){.rs1 = word >> 15 & 31, .rs2 = word >> 20 & 31, .off = (uint8_t)(off / 2)};
    if (!type) {
        i->fn = op_illegal;
        return true;
    }
    i->fn = type->fn;
    i->rd = x_rd;
    switch (type->format) {
    case FORMAT_R:
        break;
    case FORMAT_RF:
        i->rd = rd;
        break;
    case FORMAT_I:
        i->imm = imm_i(word);
        break;
    case FORMAT_IF:
        i->rd = rd;
        i->imm = imm_i(word);
        break;
    case FORMAT_SH:
        i->imm = (int32_t)(word >> 20 & 63);
        break;
    case FORMAT_S:
        i->imm = imm_s(word);
        break;
    case FORMAT_U:
        i->imm = (int32_t)(word & 0xfffff000);
        break;
    case FORMAT_UPC:
        i->imm = (int32_t)(word & 0xfffff000) + (int32_t)off;
        break;
    case FORMAT_R4:
    case FORMAT_RM:
    case FORMAT_RMX:
        if (type->format != FORMAT_RMX)
            i->rd = rd;
        i->imm = (int32_t)(rm | (word >> 27) << 8);
        if (rm == 5 || rm == 6) {
            i->fn = op_illegal;
            return true;
        }
        break;
    case FORMAT_RAW:
        i->imm = (int32_t)word;
        break;
    case FORMAT_B:
        i->imm = imm_b(word) + (int32_t)off;
        i->rd = end_halfwords;
        if (!is_near(page_offset, i->imm) || !is_near(page_offset, (int32_t)end))
            i->fn = far_variant(i->fn);
        break;
    case FORMAT_J:
        i->imm = imm_j(word) + (int32_t)off;
        i->rs2 = end_halfwords;
        if (!is_near(page_offset, i->imm))
            i->fn = far_variant(i->fn);
        break;
    case FORMAT_JR:
        i->imm = imm_i(word);
        i->rs2 = end_halfwords;
        break;
    case FORMAT_CSR:
    case FORMAT_END:
        i->imm = (int32_t)word;
        i->rs2 = end_halfwords;
        break;
    }
    return ends_block(type->format);
}

void decode_block(struct block *b, const uint8_t *source, size_t n, uint32_t page_offset,
                  uint32_t insns_max, struct block *nowhere)
{
    uint32_t off = 0;
    bool ended = false;
    struct insn *i = b->insns;

    while (!ended && (uint32_t)(i - b->insns) < insns_max && off + 2 <= n) {
        uint32_t word = parcel(source + off), end = off + 2;

        if (insn_is_compressed(word)) {
            word = rvc_expand((uint16_t)word);
        } else {
            if (off + 4 > n)
                break;
            word |= parcel(source + off + 2) << 16;
            end = off + 4;
        }
        ended = decode_insn(i++, word, off, end, page_offset);
        off = end;
    }
    b->count = (uint32_t)(i - b->insns);
    b->source_bytes = (uint16_t)off;
    if (!ended) {
        *i++ = (struct insn){
            .fn = is_near(page_offset, (int32_t)off) ? op_next : op_next_far,
            .rd = (uint8_t)(off / 2),
            .off = (uint8_t)(off / 2),
        };
    }
    *insn_chain(i - 1) = (struct chain){.not_taken = nowhere, .taken = nowhere};
    b->entries = (uint16_t)(i + 1 - b->insns);
}
