/* SPDX-License-Identifier: Apache-2.0 */
/* Integer arithmetic: RV64I and M. Nothing here can trap. */
#include "vmm/accel/riscv64/exec.h"

typedef __int128 int128;
typedef unsigned __int128 uint128;

/* An operation that writes rd: `value` in terms of a (rs1), b (rs2) and imm. */
#define OP_RD(name, value)                               \
    OP(name)                                             \
    {                                                    \
        uint64_t a = h->r.x[i->rs1], b = h->r.x[i->rs2]; \
                                                         \
        (void)a;                                         \
        (void)b;                                         \
        h->r.x[i->rd] = (uint64_t)(value);               \
        NEXT();                                          \
    }
#define IMM       ((uint64_t)(int64_t)i->imm)
#define SIGNED(v) ((int64_t)(v))
/* The low word, sign-extended: what every W instruction leaves. */
#define WORD(v)   ((int64_t)(int32_t)(v))

OP_RD(lui, IMM)
OP_RD(auipc, pc + IMM)

OP_RD(addi, a + IMM)
OP_RD(slti, SIGNED(a) < SIGNED(IMM))
OP_RD(sltiu, a < IMM)
OP_RD(xori, a ^ IMM)
OP_RD(ori, a | IMM)
OP_RD(andi, a &IMM)
OP_RD(slli, a << i->imm)
OP_RD(srli, a >> i->imm)
OP_RD(srai, SIGNED(a) >> i->imm)

OP_RD(add, a + b)
OP_RD(sub, a - b)
OP_RD(sll, a << (b & 63))
OP_RD(slt, SIGNED(a) < SIGNED(b))
OP_RD(sltu, a < b)
OP_RD(xor, a ^ b)
OP_RD(srl, a >> (b & 63))
OP_RD(sra, SIGNED(a) >> (b & 63))
OP_RD(or, a | b)
OP_RD(and, a &b)

OP_RD(addiw, WORD(a + IMM))
OP_RD(slliw, WORD((uint32_t)a << i->imm))
OP_RD(srliw, WORD((uint32_t)a >> i->imm))
OP_RD(sraiw, WORD((int32_t)a >> i->imm))
OP_RD(addw, WORD(a + b))
OP_RD(subw, WORD(a - b))
OP_RD(sllw, WORD((uint32_t)a << (b & 31)))
OP_RD(srlw, WORD((uint32_t)a >> (b & 31)))
OP_RD(sraw, WORD((int32_t)a >> (b & 31)))

OP_RD(mul, a *b)
OP_RD(mulh, ((int128)SIGNED(a) * (int128)SIGNED(b)) >> 64)
OP_RD(mulhsu, ((int128)SIGNED(a) * (int128)(uint128)b) >> 64)
OP_RD(mulhu, ((uint128)a * (uint128)b) >> 64)
OP_RD(mulw, WORD((uint32_t)a *(uint32_t)b))

/* Division never traps: by zero gives all ones and the dividend, and overflow the dividend and 0.
 */
OP_RD(divu, b ? a / b : ~UINT64_C(0))
OP_RD(remu, b ? a % b : a)
OP_RD(divuw, WORD((uint32_t)b ? (uint32_t)a / (uint32_t)b : ~UINT32_C(0)))
OP_RD(remuw, WORD((uint32_t)b ? (uint32_t)a % (uint32_t)b : (uint32_t)a))
OP_RD(div, b == 0 ? ~UINT64_C(0) : SIGNED(b) == -1 ? 0 - a : (uint64_t)(SIGNED(a) / SIGNED(b)))
OP_RD(rem, b == 0 ? a : SIGNED(b) == -1 ? 0 : (uint64_t)(SIGNED(a) % SIGNED(b)))
OP_RD(divw, WORD((int32_t)b == 0    ? ~UINT32_C(0)
                 : (int32_t)b == -1 ? 0 - (uint32_t)a
                                    : (uint32_t)((int32_t)a / (int32_t)b)))
OP_RD(remw, WORD((int32_t)b == 0    ? (uint32_t)a
                 : (int32_t)b == -1 ? 0
                                    : (uint32_t)((int32_t)a % (int32_t)b)))
