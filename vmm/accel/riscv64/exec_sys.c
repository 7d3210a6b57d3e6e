/* SPDX-License-Identifier: Apache-2.0 */
/* SYSTEM instructions and FENCE.I. Each ends its block. */
#include "vmm/accel/riscv64/block.h"
#include "vmm/accel/riscv64/csr.h"
#include "vmm/accel/riscv64/exec.h"
#include "vmm/accel/riscv64/mmu.h"
#include "vmm/accel/riscv64/trap.h"

/* An interrupt may be due: leave if one is, else go on at pc. */
SLOW(exec_check_interrupts)
{
    if (trap_pending(h) >= 0)
        TAIL(exec_leave);
    TAIL(exec_resume);
}

/* --- CSRs ------------------------------------------------------------------------------------ */

static __attribute__((noinline)) int csr_insn(struct hart *h, const struct insn *i, int64_t budget,
                                              enum csr_op op, uint64_t operand, bool write)
{
    /* What was retired before this instruction, for the counters. */
    int64_t done = h->slice - budget - 1;
    int r;

    h->retired += (uint64_t)done;
    h->slice -= done;
    r = csr_access(h, (uint32_t)i->imm >> 20, op, operand, write);
    if (r >= 0)
        h->r.x[i->rd] = h->value;
    return r;
}

/* operand: a register, or the five bits of its number. Setting or clearing nothing is no write. */
#define OP_CSR(name, op, operand, write)                              \
    OP(name)                                                          \
    {                                                                 \
        int r_ = csr_insn(h, i, budget, CSR_OP_##op, operand, write); \
                                                                      \
        if (UNLIKELY(r_ < 0))                                         \
            TAIL(exec_illegal);                                       \
        pc += 2u * i->rs2;                                            \
        if (r_ > 0)                                                   \
            TAIL(exec_check_interrupts);                              \
        tlb = h->tlb;                                                 \
        JUMP();                                                       \
    }

OP_CSR(csrrw, WRITE, h->r.x[i->rs1], true)
OP_CSR(csrrs, SET, h->r.x[i->rs1], i->rs1 != 0)
OP_CSR(csrrc, CLEAR, h->r.x[i->rs1], i->rs1 != 0)
OP_CSR(csrrwi, WRITE, i->rs1, true)
OP_CSR(csrrsi, SET, i->rs1, i->rs1 != 0)
OP_CSR(csrrci, CLEAR, i->rs1, i->rs1 != 0)

/* --- Traps and returns ----------------------------------------------------------------------- */

OP(ecall)
{
    h->trap = (struct trap){.cause = CAUSE_ECALL_U + h->r.priv};
    TAIL(exec_trap);
}

OP(ebreak)
{
    h->trap = (struct trap){.cause = CAUSE_BREAKPOINT, .tval = pc + 2u * i->off};
    TAIL(exec_trap);
}

OP(mret)
{
    if (h->r.priv != PRIV_M)
        TAIL(exec_illegal);
    trap_mret(h);
    pc = h->r.pc;
    TAIL(exec_check_interrupts);
}

OP(sret)
{
    if (h->r.priv == PRIV_U || (h->r.priv == PRIV_S && h->r.mstatus & MSTATUS_TSR))
        TAIL(exec_illegal);
    trap_sret(h);
    pc = h->r.pc;
    TAIL(exec_check_interrupts);
}

/* --- Waiting and fences ---------------------------------------------------------------------- */

OP(wfi)
{
    if (h->r.priv == PRIV_U || (h->r.priv == PRIV_S && h->r.mstatus & MSTATUS_TW))
        TAIL(exec_illegal);
    h->r.halted = 1;
    pc += 2u * i->rs2;
    TAIL(exec_leave);
}

OP(sfence_vma)
{
    if (h->r.priv == PRIV_U || (h->r.priv == PRIV_S && h->r.mstatus & MSTATUS_TVM))
        TAIL(exec_illegal);
    if (i->rs1 == 0)
        mmu_flush(h);
    else
        mmu_flush_page(h, h->r.x[i->rs1]);
    pc += 2u * i->rs2;
    TAIL(exec_resume);
}

OP(fence_i)
{
    block_new_epoch(h);
    pc += 2u * i->rs2;
    TAIL(exec_resume);
}
