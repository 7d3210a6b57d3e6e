/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/accel/riscv64/trap.h"

#include "vmm/accel/riscv64/mmu.h"

static uint64_t vector(uint64_t tvec, uint64_t cause)
{
    uint64_t base = tvec & ~UINT64_C(3);

    return tvec & 1 && cause & CAUSE_INTERRUPT ? base + 4 * (cause & ~CAUSE_INTERRUPT) : base;
}

void trap_take(struct hart *h, uint64_t cause, uint64_t tval)
{
    struct hart_regs *r = &h->r;
    uint64_t delegated = cause & CAUSE_INTERRUPT ? r->mideleg : r->medeleg;
    uint64_t m = r->mstatus;

    h->reserved_va = ~UINT64_C(0);
    if (r->priv != PRIV_M && delegated >> (cause & 63) & 1) {
        r->scause = cause;
        r->sepc = r->pc;
        r->stval = tval;
        m &= ~(MSTATUS_SPIE | MSTATUS_SPP | MSTATUS_SIE);
        if (r->mstatus & MSTATUS_SIE)
            m |= MSTATUS_SPIE;
        m |= r->priv << MSTATUS_SPP_S;
        r->priv = PRIV_S;
        r->pc = vector(r->stvec, cause);
    } else {
        r->mcause = cause;
        r->mepc = r->pc;
        r->mtval = tval;
        m &= ~(MSTATUS_MPIE | MSTATUS_MPP | MSTATUS_MIE);
        if (r->mstatus & MSTATUS_MIE)
            m |= MSTATUS_MPIE;
        m |= r->priv << MSTATUS_MPP_S;
        r->priv = PRIV_M;
        r->pc = vector(r->mtvec, cause);
    }
    r->mstatus = m;
    mmu_update_mode(h);
}

void trap_mret(struct hart *h)
{
    struct hart_regs *r = &h->r;
    uint64_t m = r->mstatus;

    r->priv = (m & MSTATUS_MPP) >> MSTATUS_MPP_S;
    m &= ~(MSTATUS_MIE | MSTATUS_MPP);
    if (m & MSTATUS_MPIE)
        m |= MSTATUS_MIE;
    m |= MSTATUS_MPIE;
    if (r->priv != PRIV_M)
        m &= ~MSTATUS_MPRV;
    r->mstatus = m;
    r->pc = r->mepc;
    h->reserved_va = ~UINT64_C(0);
    mmu_update_mode(h);
}

void trap_sret(struct hart *h)
{
    struct hart_regs *r = &h->r;
    uint64_t m = r->mstatus;

    r->priv = m & MSTATUS_SPP ? PRIV_S : PRIV_U;
    m &= ~(MSTATUS_SIE | MSTATUS_SPP | MSTATUS_MPRV);
    if (m & MSTATUS_SPIE)
        m |= MSTATUS_SIE;
    m |= MSTATUS_SPIE;
    r->mstatus = m;
    r->pc = r->sepc;
    h->reserved_va = ~UINT64_C(0);
    mmu_update_mode(h);
}

int trap_pending(const struct hart *h)
{
    const struct hart_regs *r = &h->r;
    uint64_t pending = hart_mip(h) & r->mie, m, s;

    if (!pending)
        return -1;
    m = pending & ~r->mideleg;
    s = pending & r->mideleg;
    if (r->priv == PRIV_M && !(r->mstatus & MSTATUS_MIE))
        m = 0;
    if (r->priv == PRIV_M || (r->priv == PRIV_S && !(r->mstatus & MSTATUS_SIE)))
        s = 0;
    /* Among those of one mode the lowest number first: QEMU's order, which a guest that moves
     * between the two has seen before. */
    if (m)
        return __builtin_ctzll(m);
    return s ? __builtin_ctzll(s) : -1;
}
