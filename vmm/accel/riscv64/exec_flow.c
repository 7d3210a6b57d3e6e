/* SPDX-License-Identifier: Apache-2.0 */
/* Jumps and branches. Offsets in the entries count from the block's first byte. */
#include "vmm/accel/riscv64/exec.h"

/*
 * A branch whose two ways stay in the page follows its chain; the other kind looks its way up, for
 * what another page holds depends on the page tables. Each way has its own jump, which the host
 * predicts by itself.
 */
#define OP_BRANCH(name, condition)                                \
    OP(name)                                                      \
    {                                                             \
        uint64_t a = h->r.x[i->rs1], b = h->r.x[i->rs2];          \
                                                                  \
        if (condition) {                                          \
            pc += (uint64_t)(int64_t)i->imm;                      \
            ENTER(insn_chain(i)->taken, exec_chain_taken);        \
        }                                                         \
        pc += 2u * i->rd;                                         \
        ENTER(insn_chain(i)->not_taken, exec_chain_not_taken);    \
    }                                                             \
    OP(name##_far)                                                \
    {                                                             \
        uint64_t a = h->r.x[i->rs1], b = h->r.x[i->rs2];          \
                                                                  \
        pc += condition ? (uint64_t)(int64_t)i->imm : 2u * i->rd; \
        JUMP();                                                   \
    }

OP_BRANCH(beq, (a == b))
OP_BRANCH(bne, (a != b))
OP_BRANCH(blt, ((int64_t)a < (int64_t)b))
OP_BRANCH(bge, ((int64_t)a >= (int64_t)b))
OP_BRANCH(bltu, (a < b))
OP_BRANCH(bgeu, (a >= b))

OP(jal)
{
    h->r.x[i->rd] = pc + 2u * i->rs2;
    pc += (uint64_t)(int64_t)i->imm;
    ENTER(insn_chain(i)->taken, exec_chain_taken);
}

OP(jal_far)
{
    h->r.x[i->rd] = pc + 2u * i->rs2;
    pc += (uint64_t)(int64_t)i->imm;
    JUMP();
}

OP(jalr)
{
    uint64_t target = (h->r.x[i->rs1] + (uint64_t)(int64_t)i->imm) & ~UINT64_C(1);

    h->r.x[i->rd] = pc + 2u * i->rs2;
    pc = target;
    JUMP();
}
