/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/accel/riscv64/csr.h"

#include "vmm/accel/riscv64/mmu.h"
#include "vmm/accel/riscv64/pmp.h"

#define MSTATUS_WRITABLE                                                                   \
    (MSTATUS_SIE | MSTATUS_MIE | MSTATUS_SPIE | MSTATUS_MPIE | MSTATUS_SPP | MSTATUS_MPP | \
     MSTATUS_FS | MSTATUS_MPRV | MSTATUS_SUM | MSTATUS_MXR | MSTATUS_TVM | MSTATUS_TW |    \
     MSTATUS_TSR)
#define SSTATUS_WRITABLE \
    (MSTATUS_SIE | MSTATUS_SPIE | MSTATUS_SPP | MSTATUS_FS | MSTATUS_SUM | MSTATUS_MXR)
#define SSTATUS_READABLE (SSTATUS_WRITABLE | MSTATUS_UXL | MSTATUS_SD)

#define MIE_WRITABLE           (MIP_SSIP | MIP_MSIP | MIP_STIP | MIP_MTIP | MIP_SEIP | MIP_MEIP)
#define MIP_WRITABLE           (MIP_SSIP | MIP_STIP | MIP_SEIP)
#define MIDELEG_WRITABLE       (MIP_SSIP | MIP_STIP | MIP_SEIP | UINT64_C(1) << 13)
#define MEDELEG_WRITABLE       UINT64_C(0xf4b7ff)
#define COUNTEREN_WRITABLE     (1u << COUNTER_CYCLE | 1u << COUNTER_TIME | 1u << COUNTER_INSTRET)
#define MCOUNTINHIBIT_WRITABLE (1u << COUNTER_CYCLE | 1u << COUNTER_INSTRET)
#define SENVCFG_WRITABLE       UINT64_C(0xf1) /* FIOM CBIE CBCFE CBZE */
#define MENVCFG_WRITABLE       (SENVCFG_WRITABLE | UINT64_C(1) << 60 | MENVCFG_STCE)

/* --- Counters and the timer ------------------------------------------------------------------ */

uint64_t csr_counter_get(const struct hart *h, enum csr_counter which)
{
    bool held = h->r.mcountinhibit >> which & 1;

    return h->counter_base[which] + (held ? 0 : h->retired);
}

void csr_counter_set(struct hart *h, enum csr_counter which, uint64_t value)
{
    bool held = h->r.mcountinhibit >> which & 1;

    h->counter_base[which] = value - (held ? 0 : h->retired);
}

static void write_mcountinhibit(struct hart *h, uint32_t value)
{
    uint64_t cycle = csr_counter_get(h, COUNTER_CYCLE);
    uint64_t instret = csr_counter_get(h, COUNTER_INSTRET);

    h->r.mcountinhibit = value & MCOUNTINHIBIT_WRITABLE;
    csr_counter_set(h, COUNTER_CYCLE, cycle);
    csr_counter_set(h, COUNTER_INSTRET, instret);
}

void csr_stimecmp_changed(struct hart *h)
{
    if (h->r.stimecmp <= hart_mtime(h)) {
        h->mip_soft |= MIP_STIP;
        h->stimer_armed = false;
    } else {
        h->mip_soft &= ~MIP_STIP;
        h->stimer_armed = h->r.stimecmp != ~UINT64_C(0);
    }
}

/* --- Who may --------------------------------------------------------------------------------- */

static bool counter_allowed(const struct hart *h, enum csr_counter which)
{
    if (h->r.priv < PRIV_M && !(h->r.mcounteren >> which & 1))
        return false;
    return h->r.priv != PRIV_U || h->r.scounteren >> which & 1;
}

static bool stimecmp_allowed(const struct hart *h)
{
    return h->r.priv == PRIV_M ||
           (h->r.mcounteren >> COUNTER_TIME & 1 && h->r.menvcfg & MENVCFG_STCE);
}

static bool is_allowed(const struct hart *h, unsigned csr, bool write)
{
    /* Bits 9:8 of the number say the lowest mode (2: a hypervisor's, which is not there), 11:10 = 3
     * that it is read-only. */
    unsigned lowest = csr >> 8 & 3;

    if (lowest == 2 || h->r.priv < lowest || (write && csr >> 10 == 3))
        return false;
    switch (csr) {
    case CSR_FFLAGS:
    case CSR_FRM:
    case CSR_FCSR:
        return h->r.mstatus & MSTATUS_FS;
    case CSR_CYCLE:
        return counter_allowed(h, COUNTER_CYCLE);
    case CSR_TIME:
        return counter_allowed(h, COUNTER_TIME);
    case CSR_INSTRET:
        return counter_allowed(h, COUNTER_INSTRET);
    case CSR_STIMECMP:
        return stimecmp_allowed(h);
    case CSR_SATP:
        return h->r.priv == PRIV_M || !(h->r.mstatus & MSTATUS_TVM);
    default:
        return true;
    }
}

/* --- Reading --------------------------------------------------------------------------------- */

static uint64_t read_mstatus(const struct hart *h)
{
    uint64_t dirty = (h->r.mstatus & MSTATUS_FS) == MSTATUS_FS ? MSTATUS_SD : 0;

    return h->r.mstatus | dirty;
}

/* -1: there is no such CSR. */
static int read_csr(const struct hart *h, unsigned csr, uint64_t *v)
{
    const struct hart_regs *r = &h->r;

    switch (csr) {
    case CSR_FFLAGS:
        *v = fp_flags(&h->fp);
        return 0;
    case CSR_FRM:
        *v = h->fp.frm;
        return 0;
    case CSR_FCSR:
        *v = fp_flags(&h->fp) | (unsigned)h->fp.frm << 5;
        return 0;
    case CSR_CYCLE:
    case CSR_MCYCLE:
        *v = csr_counter_get(h, COUNTER_CYCLE);
        return 0;
    case CSR_INSTRET:
    case CSR_MINSTRET:
        *v = csr_counter_get(h, COUNTER_INSTRET);
        return 0;
    case CSR_TIME:
        *v = hart_mtime(h);
        return 0;
    case CSR_SSTATUS:
        *v = read_mstatus(h) & SSTATUS_READABLE;
        return 0;
    case CSR_SIE:
        *v = r->mie & r->mideleg;
        return 0;
    case CSR_STVEC:
        *v = r->stvec;
        return 0;
    case CSR_SCOUNTEREN:
        *v = r->scounteren;
        return 0;
    case CSR_SENVCFG:
        *v = r->senvcfg;
        return 0;
    case CSR_SSCRATCH:
        *v = r->sscratch;
        return 0;
    case CSR_SEPC:
        *v = r->sepc;
        return 0;
    case CSR_SCAUSE:
        *v = r->scause;
        return 0;
    case CSR_STVAL:
        *v = r->stval;
        return 0;
    case CSR_SIP:
        *v = hart_mip(h) & r->mideleg;
        return 0;
    case CSR_STIMECMP:
        *v = r->stimecmp;
        return 0;
    case CSR_SATP:
        *v = r->satp;
        return 0;
    case CSR_MSTATUS:
        *v = read_mstatus(h);
        return 0;
    case CSR_MISA:
        *v = UINT64_C(2) << 62 | MISA_EXT;
        return 0;
    case CSR_MEDELEG:
        *v = r->medeleg;
        return 0;
    case CSR_MIDELEG:
        *v = r->mideleg;
        return 0;
    case CSR_MIE:
        *v = r->mie;
        return 0;
    case CSR_MTVEC:
        *v = r->mtvec;
        return 0;
    case CSR_MCOUNTEREN:
        *v = r->mcounteren;
        return 0;
    case CSR_MENVCFG:
        *v = r->menvcfg;
        return 0;
    case CSR_MCOUNTINHIBIT:
        *v = r->mcountinhibit;
        return 0;
    case CSR_MSCRATCH:
        *v = r->mscratch;
        return 0;
    case CSR_MEPC:
        *v = r->mepc;
        return 0;
    case CSR_MCAUSE:
        *v = r->mcause;
        return 0;
    case CSR_MTVAL:
        *v = r->mtval;
        return 0;
    case CSR_MIP:
        *v = hart_mip(h);
        return 0;
    case CSR_PMPCFG0:
    case CSR_PMPCFG2:
        if (r->quirks.no_pmp)
            return -1;
        *v = pmp_read_cfg(h, (csr - CSR_PMPCFG0) * 4);
        return 0;
    case CSR_PMPADDR0 ... CSR_PMPADDR15:
        if (r->quirks.no_pmp)
            return -1;
        *v = r->pmp[csr - CSR_PMPADDR0].addr_reg;
        return 0;
    case CSR_MHARTID:
        *v = r->mhartid;
        return 0;
    case CSR_MVENDORID:
    case CSR_MARCHID:
    case CSR_MIMPID:
    case CSR_MCONFIGPTR:
        *v = 0;
        return 0;
    default:
        return -1;
    }
}

/* --- Writing --------------------------------------------------------------------------------- */

static void write_mstatus(struct hart *h, uint64_t value, uint64_t writable)
{
    uint64_t old = h->r.mstatus, m = (old & ~writable) | (value & writable);

    /* There is no mode 2. */
    if ((m & MSTATUS_MPP) >> MSTATUS_MPP_S == 2)
        m = (m & ~MSTATUS_MPP) | (old & MSTATUS_MPP);
    h->r.mstatus = m;
    if ((old ^ m) & MSTATUS_MXR)
        mmu_flush(h);
    mmu_update_mode(h);
}

static void write_satp(struct hart *h, uint64_t value)
{
    uint64_t mode = value >> SATP_MODE_SHIFT;

    if (!satp_mode_exists(&h->r, mode) || value == h->r.satp)
        return;
    h->r.satp = value;
    mmu_flush(h);
}

static void write_tvec(uint64_t *tvec, uint64_t value)
{
    if ((value & 3) < 2)
        *tvec = value;
}

static void write_bits(uint64_t *reg, uint64_t value, uint64_t writable)
{
    *reg = (*reg & ~writable) | (value & writable);
}

static void write_fp(struct hart *h, unsigned csr, uint64_t value)
{
    h->r.mstatus |= MSTATUS_FS;
    if (csr == CSR_FRM) {
        fp_set_frm(&h->fp, value & 7);
        return;
    }
    fp_set_flags(&h->fp, value & 31);
    if (csr == CSR_FCSR)
        fp_set_frm(&h->fp, value >> 5 & 7);
}

/* Those that may make an interrupt due. */
static int write_interrupts(struct hart *h, unsigned csr, uint64_t value)
{
    struct hart_regs *r = &h->r;

    switch (csr) {
    case CSR_SSTATUS:
        write_mstatus(h, value, SSTATUS_WRITABLE);
        return 1;
    case CSR_MSTATUS:
        write_mstatus(h, value, MSTATUS_WRITABLE);
        return 1;
    case CSR_SIE:
        write_bits(&r->mie, value, r->mideleg & MIE_WRITABLE);
        return 1;
    case CSR_MIE:
        write_bits(&r->mie, value, MIE_WRITABLE);
        return 1;
    case CSR_SIP:
        write_bits(&h->mip_soft, value, r->mideleg & MIP_SSIP);
        return 1;
    case CSR_MIP:
        write_bits(&h->mip_soft, value,
                   r->menvcfg & MENVCFG_STCE ? MIP_WRITABLE & ~MIP_STIP : MIP_WRITABLE);
        return 1;
    case CSR_MIDELEG:
        write_bits(&r->mideleg, value, MIDELEG_WRITABLE);
        return 1;
    case CSR_STIMECMP:
        r->stimecmp = value;
        csr_stimecmp_changed(h);
        return 1;
    default:
        return -1;
    }
}

/* What is not here can be read and not changed. */
static int write_csr(struct hart *h, unsigned csr, uint64_t value)
{
    struct hart_regs *r = &h->r;
    int due = write_interrupts(h, csr, value);

    if (due >= 0)
        return due;
    switch (csr) {
    case CSR_FFLAGS:
    case CSR_FRM:
    case CSR_FCSR:
        write_fp(h, csr, value);
        break;
    case CSR_MCYCLE:
    case CSR_MINSTRET:
        /* What the next instruction reads: this one does not count. */
        h->retired++;
        csr_counter_set(h, csr == CSR_MCYCLE ? COUNTER_CYCLE : COUNTER_INSTRET, value);
        h->retired--;
        break;
    case CSR_STVEC:
        write_tvec(&r->stvec, value);
        break;
    case CSR_SCOUNTEREN:
        r->scounteren = value & COUNTEREN_WRITABLE;
        break;
    case CSR_SENVCFG:
        write_bits(&r->senvcfg, value, SENVCFG_WRITABLE);
        break;
    case CSR_SSCRATCH:
        r->sscratch = value;
        break;
    case CSR_SEPC:
        r->sepc = value & ~UINT64_C(1);
        break;
    case CSR_SCAUSE:
        r->scause = value;
        break;
    case CSR_STVAL:
        r->stval = value;
        break;
    case CSR_SATP:
        write_satp(h, value);
        break;
    case CSR_MEDELEG:
        write_bits(&r->medeleg, value, MEDELEG_WRITABLE);
        break;
    case CSR_MTVEC:
        write_tvec(&r->mtvec, value);
        break;
    case CSR_MCOUNTEREN:
        r->mcounteren = value & COUNTEREN_WRITABLE;
        break;
    case CSR_MENVCFG:
        write_bits(&r->menvcfg, value, MENVCFG_WRITABLE);
        break;
    case CSR_MCOUNTINHIBIT:
        write_mcountinhibit(h, (uint32_t)value);
        break;
    case CSR_MSCRATCH:
        r->mscratch = value;
        break;
    case CSR_MEPC:
        r->mepc = value & ~UINT64_C(1);
        break;
    case CSR_MCAUSE:
        r->mcause = value;
        break;
    case CSR_MTVAL:
        r->mtval = value;
        break;
    case CSR_PMPCFG0:
    case CSR_PMPCFG2:
        pmp_write_cfg(h, (csr - CSR_PMPCFG0) * 4, value);
        mmu_flush_all(h);
        break;
    case CSR_PMPADDR0 ... CSR_PMPADDR15:
        pmp_write_addr(h, csr - CSR_PMPADDR0, value);
        mmu_flush_all(h);
        break;
    default:
        break;
    }
    return 0;
}

int csr_access(struct hart *h, unsigned csr, enum csr_op op, uint64_t operand, bool write)
{
    uint64_t old, value;

    if (!is_allowed(h, csr, write) || read_csr(h, csr, &old))
        return -1;
    h->value = old;
    if (!write)
        return 0;
    /* The line of the interrupt controller is read with the bit, but not written back into it. */
    if (csr == CSR_MIP)
        old = (old & ~MIP_SEIP) | (h->mip_soft & MIP_SEIP);
    value = op == CSR_OP_WRITE ? operand : op == CSR_OP_SET ? old | operand : old & ~operand;
    return write_csr(h, csr, value);
}

int csr_look(const struct hart *h, unsigned csr, uint64_t *ret)
{
    return read_csr(h, csr, ret);
}

int csr_poke(struct hart *h, unsigned csr, uint64_t value)
{
    uint64_t old;

    if (csr >> 10 == 3 || read_csr(h, csr, &old))
        return -1;
    /* An interrupt that is due now is looked for when the hart runs. */
    (void)write_csr(h, csr, value);
    return 0;
}

void csr_mask_all(struct hart *h)
{
    struct hart_regs *r = &h->r;

    r->mstatus = (r->mstatus & MSTATUS_WRITABLE) | MSTATUS_XL64;
    r->mie &= MIE_WRITABLE;
    r->mideleg &= MIDELEG_WRITABLE;
    r->medeleg &= MEDELEG_WRITABLE;
    r->mcounteren &= COUNTEREN_WRITABLE;
    r->scounteren &= COUNTEREN_WRITABLE;
    r->mcountinhibit &= MCOUNTINHIBIT_WRITABLE;
    r->menvcfg &= MENVCFG_WRITABLE;
    r->senvcfg &= SENVCFG_WRITABLE;
    for (unsigned i = 0; i < PMP_ENTRIES; i++) {
        r->pmp[i].addr_reg &= PMP_ADDR_MASK;
        r->pmp[i].cfg_reg &= PMP_CFG_WRITABLE;
    }
}
