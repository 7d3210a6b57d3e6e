/* SPDX-License-Identifier: Apache-2.0 */
/* Compressed instructions (unprivileged spec, "C"): each is another spelling of a 32-bit one. */
#include "vmm/accel/riscv64/decode.h"

/* Bits hi..lo of c, moved so that lo lands on bit `to`. */
static uint32_t bits(uint32_t c, unsigned hi, unsigned lo, unsigned to)
{
    return (c >> lo & ((1u << (hi - lo + 1)) - 1)) << to;
}

static int32_t sign_extend(uint32_t v, unsigned width)
{
    return (int32_t)(v << (32 - width)) >> (32 - width);
}

/* --- 32-bit encodings ------------------------------------------------------------------------ */

static uint32_t enc_i(uint32_t base, uint32_t rd, uint32_t rs1, int32_t imm)
{
    return base | rd << 7 | rs1 << 15 | (uint32_t)imm << 20;
}

static uint32_t enc_r(uint32_t base, uint32_t rd, uint32_t rs1, uint32_t rs2)
{
    return base | rd << 7 | rs1 << 15 | rs2 << 20;
}

static uint32_t enc_s(uint32_t base, uint32_t rs1, uint32_t rs2, uint32_t imm)
{
    return base | rs1 << 15 | rs2 << 20 | bits(imm, 4, 0, 7) | bits(imm, 11, 5, 25);
}

static uint32_t enc_b(uint32_t base, uint32_t rs1, int32_t imm)
{
    uint32_t u = (uint32_t)imm;

    return base | rs1 << 15 | bits(u, 11, 11, 7) | bits(u, 4, 1, 8) | bits(u, 10, 5, 25) |
           bits(u, 12, 12, 31);
}

static uint32_t enc_j(uint32_t rd, int32_t imm)
{
    uint32_t u = (uint32_t)imm;

    return 0x6f | rd << 7 | bits(u, 19, 12, 12) | bits(u, 11, 11, 20) | bits(u, 10, 1, 21) |
           bits(u, 20, 20, 31);
}

#define ENC_LW    0x00002003u
#define ENC_LD    0x00003003u
#define ENC_FLD   0x00003007u
#define ENC_SW    0x00002023u
#define ENC_SD    0x00003023u
#define ENC_FSD   0x00003027u
#define ENC_ADDI  0x00000013u
#define ENC_ADDIW 0x0000001bu
#define ENC_SLLI  0x00001013u
#define ENC_SRLI  0x00005013u
#define ENC_SRAI  0x40005013u
#define ENC_ANDI  0x00007013u
#define ENC_ADD   0x00000033u
#define ENC_LUI   0x00000037u
#define ENC_JALR  0x00000067u
#define ENC_BEQ   0x00000063u
#define ENC_BNE   0x00001063u

/* --- The quadrants --------------------------------------------------------------------------- */

static uint32_t quadrant0(uint32_t c)
{
    uint32_t rd = 8 + bits(c, 4, 2, 0), rs1 = 8 + bits(c, 9, 7, 0);
    uint32_t w = bits(c, 12, 10, 3) | bits(c, 6, 6, 2) | bits(c, 5, 5, 6);
    uint32_t d = bits(c, 12, 10, 3) | bits(c, 6, 5, 6);
    uint32_t sp = bits(c, 12, 11, 4) | bits(c, 10, 7, 6) | bits(c, 6, 6, 2) | bits(c, 5, 5, 3);

    switch (c >> 13) {
    case 0: /* c.addi4spn */
        return sp ? enc_i(ENC_ADDI, rd, 2, (int32_t)sp) : 0;
    case 1:
        return enc_i(ENC_FLD, rd, rs1, (int32_t)d);
    case 2:
        return enc_i(ENC_LW, rd, rs1, (int32_t)w);
    case 3:
        return enc_i(ENC_LD, rd, rs1, (int32_t)d);
    case 5:
        return enc_s(ENC_FSD, rs1, rd, d);
    case 6:
        return enc_s(ENC_SW, rs1, rd, w);
    case 7:
        return enc_s(ENC_SD, rs1, rd, d);
    default:
        return 0;
    }
}

/* c.sub and its like: bits 12, 6 and 5 choose. */
static uint32_t register_pair(uint32_t c)
{
    static const uint32_t base[8] = {
        0x40000033, 0x00004033, 0x00006033, 0x00007033, /* sub xor or and */
        0x4000003b, 0x0000003b, 0,          0,          /* subw addw */
    };
    uint32_t op = base[bits(c, 12, 12, 2) | bits(c, 6, 5, 0)];
    uint32_t rd = 8 + bits(c, 9, 7, 0);

    return op ? enc_r(op, rd, rd, 8 + bits(c, 4, 2, 0)) : 0;
}

static uint32_t arithmetic(uint32_t c, int32_t imm)
{
    uint32_t rd = 8 + bits(c, 9, 7, 0);

    switch (bits(c, 11, 10, 0)) {
    case 0:
        return enc_i(ENC_SRLI, rd, rd, imm & 63);
    case 1:
        return enc_i(ENC_SRAI, rd, rd, imm & 63);
    case 2:
        return enc_i(ENC_ANDI, rd, rd, imm);
    default:
        return register_pair(c);
    }
}

static uint32_t quadrant1(uint32_t c)
{
    uint32_t rd = bits(c, 11, 7, 0);
    int32_t imm = sign_extend(bits(c, 12, 12, 5) | bits(c, 6, 2, 0), 6);
    int32_t sp = sign_extend(bits(c, 12, 12, 9) | bits(c, 6, 6, 4) | bits(c, 5, 5, 6) |
                                 bits(c, 4, 3, 7) | bits(c, 2, 2, 5),
                             10);
    int32_t jump = sign_extend(bits(c, 12, 12, 11) | bits(c, 11, 11, 4) | bits(c, 10, 9, 8) |
                                   bits(c, 8, 8, 10) | bits(c, 7, 7, 6) | bits(c, 6, 6, 7) |
                                   bits(c, 5, 3, 1) | bits(c, 2, 2, 5),
                               12);
    int32_t branch = sign_extend(bits(c, 12, 12, 8) | bits(c, 11, 10, 3) | bits(c, 6, 5, 6) |
                                     bits(c, 4, 3, 1) | bits(c, 2, 2, 5),
                                 9);

    switch (c >> 13) {
    case 0: /* c.addi, c.nop */
        return enc_i(ENC_ADDI, rd, rd, imm);
    case 1: /* c.addiw */
        return rd ? enc_i(ENC_ADDIW, rd, rd, imm) : 0;
    case 2: /* c.li */
        return enc_i(ENC_ADDI, rd, 0, imm);
    case 3: /* c.addi16sp, c.lui */
        if (imm == 0)
            return 0;
        return rd == 2 ? enc_i(ENC_ADDI, 2, 2, sp) : ENC_LUI | rd << 7 | (uint32_t)imm << 12;
    case 4:
        return arithmetic(c, imm);
    case 5:
        return enc_j(0, jump);
    case 6:
        return enc_b(ENC_BEQ, 8 + bits(c, 9, 7, 0), branch);
    default:
        return enc_b(ENC_BNE, 8 + bits(c, 9, 7, 0), branch);
    }
}

static uint32_t jump_move_add(uint32_t c)
{
    uint32_t rd = bits(c, 11, 7, 0), rs2 = bits(c, 6, 2, 0), link = bits(c, 12, 12, 0);

    if (rs2)
        return enc_r(ENC_ADD, rd, link ? rd : 0, rs2); /* c.add, c.mv */
    if (rd)
        return enc_i(ENC_JALR, link, rd, 0); /* c.jalr, c.jr */
    return link ? 0x00100073 : 0;            /* c.ebreak */
}

static uint32_t quadrant2(uint32_t c)
{
    uint32_t rd = bits(c, 11, 7, 0), rs2 = bits(c, 6, 2, 0);
    uint32_t load_w = bits(c, 12, 12, 5) | bits(c, 6, 4, 2) | bits(c, 3, 2, 6);
    uint32_t load_d = bits(c, 12, 12, 5) | bits(c, 6, 5, 3) | bits(c, 4, 2, 6);
    uint32_t store_w = bits(c, 12, 9, 2) | bits(c, 8, 7, 6);
    uint32_t store_d = bits(c, 12, 10, 3) | bits(c, 9, 7, 6);

    switch (c >> 13) {
    case 0: /* c.slli */
        return enc_i(ENC_SLLI, rd, rd, (int32_t)(bits(c, 12, 12, 5) | rs2));
    case 1:
        return enc_i(ENC_FLD, rd, 2, (int32_t)load_d);
    case 2:
        return rd ? enc_i(ENC_LW, rd, 2, (int32_t)load_w) : 0;
    case 3:
        return rd ? enc_i(ENC_LD, rd, 2, (int32_t)load_d) : 0;
    case 4:
        return jump_move_add(c);
    case 5:
        return enc_s(ENC_FSD, 2, rs2, store_d);
    case 6:
        return enc_s(ENC_SW, 2, rs2, store_w);
    default:
        return enc_s(ENC_SD, 2, rs2, store_d);
    }
}

uint32_t rvc_expand(uint16_t c)
{
    switch (c & 3) {
    case 0:
        return quadrant0(c);
    case 1:
        return quadrant1(c);
    default:
        return quadrant2(c);
    }
}
