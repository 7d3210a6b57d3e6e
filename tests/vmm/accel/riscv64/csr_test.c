/* SPDX-License-Identifier: Apache-2.0 */
/* What CSRs there are, what can be written to them, and traps. */
#include "tests/unit.h"

#include "tests/vmm/accel/riscv64/rig.h"
#include "vmm/accel/riscv64/csr.h"
#include "vmm/accel/riscv64/mmu.h"
#include "vmm/accel/riscv64/run.h"
#include "vmm/accel/riscv64/trap.h"

#define ALL UINT64_C(0xffffffffffffffff)

static struct rig rig;
static struct hart *h;

static int setup(void **state)
{
    rig_init(&rig);
    h = rig.h;
    fp_enter(&h->fp);
    return 0;
}

static int teardown(void **state)
{
    fp_leave(&h->fp);
    rig_free(&rig);
    return 0;
}

static uint64_t csr_get(unsigned csr)
{
    assert_int_equal(csr_access(h, csr, CSR_OP_SET, 0, false), 0);
    return h->value;
}

static void csr_put(unsigned csr, uint64_t value)
{
    assert_true(csr_access(h, csr, CSR_OP_WRITE, value, true) >= 0);
}

static void keeps_what_can_be_written(void **state)
{
    static const struct {
        unsigned csr;
        uint64_t written, read;
    } rows[] = {
        {CSR_MSTATUS, ALL, UINT64_C(0x8000000a007e79aa)},
        {CSR_MSTATUS, 0, UINT64_C(0xa00000000)},
        {CSR_SSTATUS, ALL, UINT64_C(0x80000002000c6122)},
        {CSR_MISA, 0, UINT64_C(0x800000000014112d)},
        {CSR_MEDELEG, ALL, 0xf4b7ff},
        {CSR_MIDELEG, ALL, 0x2222},
        {CSR_MIE, ALL, 0xaaa},
        {CSR_MIP, ALL, 0x222},
        {CSR_MTVEC, ALL - 2, ALL - 2},
        {CSR_MTVEC, ALL, RIG_TRAP}, /* mode 3: dropped */
        {CSR_STVEC, 0x1001, 0x1001},
        {CSR_STVEC, 0x1002, 0},
        {CSR_MCOUNTEREN, ALL, 7},
        {CSR_SCOUNTEREN, ALL, 7},
        {CSR_MCOUNTINHIBIT, ALL, 5},
        {CSR_MENVCFG, ALL, UINT64_C(0x90000000000000f1)},
        {CSR_SENVCFG, ALL, 0xf1},
        {CSR_MSCRATCH, ALL, ALL},
        {CSR_MEPC, ALL, ALL - 1},
        {CSR_MCAUSE, ALL, ALL},
        {CSR_MTVAL, ALL, ALL},
        {CSR_SSCRATCH, ALL, ALL},
        {CSR_SEPC, ALL, ALL - 1},
        {CSR_SCAUSE, ALL, ALL},
        {CSR_STVAL, ALL, ALL},
        {CSR_SATP, UINT64_C(0x8fffffffffffffff), UINT64_C(0x8fffffffffffffff)},
        {CSR_SATP, UINT64_C(0x9000000000000001), UINT64_C(0x9000000000000001)},
        {CSR_SATP, UINT64_C(0xa000000000000001), 0}, /* Sv57: dropped as a whole */
        {CSR_SATP, UINT64_C(0x1000000000000001), 0},
        {CSR_FCSR, ALL, 0xff},
        {CSR_FFLAGS, ALL, 0x1f},
        {CSR_FRM, ALL, 7},
        {CSR_PMPADDR0, ALL, UINT64_C(0x3fffffffffffff)},
        {CSR_PMPCFG0, UINT64_C(0x7f7e02031f0f1800), UINT64_C(0x1f1c00031f0f1800)},
        {CSR_PMPCFG2, UINT64_C(0xff), 0x9f},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint64_t value;

        rig_reset(&rig);
        csr_put(rows[i].csr, rows[i].written);
        value = csr_get(rows[i].csr);
        if (value != rows[i].read)
            fail_msg("CSR 0x%x: 0x%lx written, 0x%lx read, not 0x%lx", rows[i].csr, rows[i].written,
                     value, rows[i].read);
    }
}

static void mpp_has_no_mode_2(void **state)
{
    rig_reset(&rig);
    csr_put(CSR_MSTATUS, 1 << 11);
    csr_put(CSR_MSTATUS, 2 << 11);
    assert_int_equal(csr_get(CSR_MSTATUS) & MSTATUS_MPP, 1 << 11);
}

static void identity(void **state)
{
    rig_reset(&rig);
    for (unsigned csr = CSR_MVENDORID; csr <= CSR_MCONFIGPTR; csr++)
        assert_int_equal(csr_get(csr), 0);
}

/* The lowest mode that may read it; 4: it is not there. */
static void who_may_read(void **state)
{
    static const struct {
        unsigned first, last, priv;
    } there[] = {
        {0x001, 0x003, 0}, {0xc00, 0xc02, 0}, {0x100, 0x100, 1}, {0x104, 0x106, 1},
        {0x10a, 0x10a, 1}, {0x140, 0x144, 1}, {0x14d, 0x14d, 1}, {0x180, 0x180, 1},
        {0x300, 0x306, 3}, {0x30a, 0x30a, 3}, {0x320, 0x320, 3}, {0x340, 0x344, 3},
        {0x3a0, 0x3a0, 3}, {0x3a2, 0x3a2, 3}, {0x3b0, 0x3bf, 3}, {0xb00, 0xb00, 3},
        {0xb02, 0xb02, 3}, {0xf11, 0xf15, 3},
    };

    for (unsigned csr = 0; csr < 0x1000; csr++) {
        unsigned lowest = 4;

        for (size_t i = 0; i < sizeof(there) / sizeof(there[0]); i++) {
            if (csr >= there[i].first && csr <= there[i].last)
                lowest = there[i].priv;
        }
        for (unsigned priv = 0; priv < 4; priv++) {
            int r;

            if (priv == 2)
                continue;
            rig_reset(&rig);
            h->r.priv = priv;
            h->r.mcounteren = 7;
            h->r.scounteren = 7;
            h->r.menvcfg = MENVCFG_STCE;
            r = csr_access(h, csr, CSR_OP_SET, 0, false);
            if ((r >= 0) != (priv >= lowest))
                fail_msg("CSR 0x%x in mode %u: %d", csr, priv, r);
            /* Read-only ones cannot be written by anybody. */
            if (csr >> 10 == 3)
                assert_int_equal(csr_access(h, csr, CSR_OP_SET, 0, true), -1);
        }
    }
}

static void counters_need_permission(void **state)
{
    for (unsigned bit = 0; bit < 3; bit++) {
        for (unsigned on = 0; on < 4; on++) {
            rig_reset(&rig);
            h->r.mcounteren = on & 1 ? 1u << bit : ~(1u << bit);
            h->r.scounteren = on & 2 ? 1u << bit : ~(1u << bit);
            assert_int_equal(csr_access(h, CSR_CYCLE + bit, CSR_OP_SET, 0, false), 0);
            h->r.priv = PRIV_S;
            assert_int_equal(csr_access(h, CSR_CYCLE + bit, CSR_OP_SET, 0, false), on & 1 ? 0 : -1);
            h->r.priv = PRIV_U;
            assert_int_equal(csr_access(h, CSR_CYCLE + bit, CSR_OP_SET, 0, false),
                             on == 3 ? 0 : -1);
        }
    }
}

static void stimecmp_needs_permission(void **state)
{
    rig_reset(&rig);
    assert_int_equal(csr_get(CSR_STIMECMP), 0); /* firmware probes it before it allows it */
    h->r.priv = PRIV_S;
    h->r.mcounteren = 2;
    assert_int_equal(csr_access(h, CSR_STIMECMP, CSR_OP_SET, 0, false), -1);
    h->r.menvcfg = MENVCFG_STCE;
    assert_int_equal(csr_get(CSR_STIMECMP), 0);
    h->r.mcounteren = 5;
    assert_int_equal(csr_access(h, CSR_STIMECMP, CSR_OP_SET, 0, false), -1);
}

static void stimecmp_raises_stip(void **state)
{
    rig_reset(&rig);
    guest_clock_set(rig.m.clock, 1000 * MTIME_TICK_NS);
    assert_int_equal(csr_get(CSR_TIME), 1000);
    assert_int_equal(csr_get(CSR_MIP) & MIP_STIP, 0); /* 0 at reset is not a deadline */
    csr_put(CSR_STIMECMP, 1001);
    run_check_timer(h);
    assert_int_equal(csr_get(CSR_MIP) & MIP_STIP, 0);
    csr_put(CSR_STIMECMP, 1000);
    assert_int_equal(csr_get(CSR_MIP) & MIP_STIP, MIP_STIP);
    csr_put(CSR_STIMECMP, 2000);
    assert_int_equal(csr_get(CSR_MIP) & MIP_STIP, 0);
    guest_clock_set(rig.m.clock, 2000 * MTIME_TICK_NS);
    run_check_timer(h);
    assert_int_equal(csr_get(CSR_MIP) & MIP_STIP, MIP_STIP);
    csr_put(CSR_STIMECMP, ALL);
    assert_int_equal(csr_get(CSR_MIP) & MIP_STIP, 0);
    /* M-mode may set the bit itself, unless the timer owns it. */
    csr_put(CSR_MIP, MIP_STIP);
    assert_int_equal(csr_get(CSR_MIP) & MIP_STIP, MIP_STIP);
    csr_put(CSR_MENVCFG, MENVCFG_STCE);
    csr_put(CSR_MIP, 0);
    assert_int_equal(csr_get(CSR_MIP) & MIP_STIP, MIP_STIP);
    guest_clock_set(rig.m.clock, 0);
}

static void supervisor_sees_what_is_delegated(void **state)
{
    rig_reset(&rig);
    csr_put(CSR_MIE, 0xaaa);
    csr_put(CSR_MIP, MIP_SSIP | MIP_STIP);
    assert_int_equal(csr_get(CSR_SIE), 0);
    assert_int_equal(csr_get(CSR_SIP), 0);
    csr_put(CSR_SIE, 0);
    csr_put(CSR_SIP, 0);
    assert_int_equal(csr_get(CSR_MIE), 0xaaa);
    assert_int_equal(csr_get(CSR_MIP), MIP_SSIP | MIP_STIP);
    csr_put(CSR_MIDELEG, 0x222);
    assert_int_equal(csr_get(CSR_SIE), 0x222);
    assert_int_equal(csr_get(CSR_SIP), MIP_SSIP | MIP_STIP);
    csr_put(CSR_SIE, 0);
    csr_put(CSR_SIP, 0); /* of these only SSIP */
    assert_int_equal(csr_get(CSR_MIE), 0x888);
    assert_int_equal(csr_get(CSR_MIP), MIP_STIP);
}

static void external_line_is_not_written_back(void **state)
{
    rig_reset(&rig);
    hart_set_irq(h, HART_IRQ_SEI, true);
    assert_int_equal(csr_get(CSR_MIP), MIP_SEIP);
    assert_true(csr_access(h, CSR_MIP, CSR_OP_SET, MIP_SSIP, true) >= 0);
    hart_set_irq(h, HART_IRQ_SEI, false);
    assert_int_equal(csr_get(CSR_MIP), MIP_SSIP);
    csr_put(CSR_MIP, MIP_SEIP);
    hart_set_irq(h, HART_IRQ_SEI, true);
    hart_set_irq(h, HART_IRQ_SEI, false);
    assert_int_equal(csr_get(CSR_MIP), MIP_SEIP);
}

static void virtual_memory_can_be_withheld(void **state)
{
    rig_reset(&rig);
    h->r.mstatus |= MSTATUS_TVM;
    h->r.priv = PRIV_S;
    assert_int_equal(csr_access(h, CSR_SATP, CSR_OP_SET, 0, false), -1);
    h->r.priv = PRIV_M;
    assert_int_equal(csr_access(h, CSR_SATP, CSR_OP_SET, 0, false), 0);
}

/* --- Traps ----------------------------------------------------------------------------------- */

static void interrupts_have_an_order(void **state)
{
    static const struct {
        uint64_t pending, enabled, delegated, priv, mstatus;
        int expected;
    } rows[] = {
        {0xaaa, 0, 0, PRIV_U, 0, -1},
        {0xaaa, 0xaaa, 0, PRIV_U, 0, 1},
        {0xaaa, 0xaaa, 0x222, PRIV_U, 0, 3}, /* those of M-mode first */
        {0x222, 0x222, 0x222, PRIV_U, 0, 1},
        {0x222, 0x220, 0x222, PRIV_U, 0, 5},
        {0xaaa, 0xaaa, 0, PRIV_M, 0, -1},
        {0xaaa, 0xaaa, 0, PRIV_M, MSTATUS_MIE, 1},
        {0x222, 0x222, 0x222, PRIV_M, MSTATUS_MIE, -1},
        {0x222, 0x222, 0x222, PRIV_S, 0, -1},
        {0x222, 0x222, 0x222, PRIV_S, MSTATUS_SIE, 1},
        {0x222, 0x222, 0x020, PRIV_S, 0, 1},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        rig_reset(&rig);
        h->mip_soft = rows[i].pending;
        h->r.mie = rows[i].enabled;
        h->r.mideleg = rows[i].delegated;
        h->r.priv = rows[i].priv;
        h->r.mstatus |= rows[i].mstatus;
        if (trap_pending(h) != rows[i].expected)
            fail_msg("row %zu: interrupt %d, not %d", i, trap_pending(h), rows[i].expected);
    }
}

static void traps_go_where_they_are_delegated(void **state)
{
    rig_reset(&rig);
    h->r.mtvec = 0x1001;
    h->r.stvec = 0x2001;
    h->r.pc = 0x4000;
    h->r.mstatus |= MSTATUS_MIE | MSTATUS_SIE;
    h->r.medeleg = 1 << CAUSE_LOAD_PAGE;
    h->r.mideleg = MIP_SSIP;
    /* Delegated, from U: to S; exceptions are not vectored. */
    h->r.priv = PRIV_U;
    trap_take(h, CAUSE_LOAD_PAGE, 0x123);
    assert_int_equal(h->r.priv, PRIV_S);
    assert_int_equal(h->r.pc, 0x2000);
    assert_int_equal(h->r.sepc, 0x4000);
    assert_int_equal(h->r.scause, CAUSE_LOAD_PAGE);
    assert_int_equal(h->r.stval, 0x123);
    assert_int_equal(h->r.mstatus & (MSTATUS_SIE | MSTATUS_SPIE | MSTATUS_SPP), MSTATUS_SPIE);
    trap_sret(h);
    assert_int_equal(h->r.priv, PRIV_U);
    assert_int_equal(h->r.pc, 0x4000);
    assert_int_equal(h->r.mstatus & (MSTATUS_SIE | MSTATUS_SPIE | MSTATUS_SPP),
                     MSTATUS_SIE | MSTATUS_SPIE);
    /* Interrupts are vectored. From S back to S. */
    h->r.priv = PRIV_S;
    trap_take(h, CAUSE_INTERRUPT | HART_IRQ_SSI, 0);
    assert_int_equal(h->r.pc, 0x2004);
    assert_int_equal(h->r.mstatus & MSTATUS_SPP, MSTATUS_SPP);
    /* Delegated, but from M: stays. */
    h->r.priv = PRIV_M;
    h->r.pc = 0x5000;
    trap_take(h, CAUSE_LOAD_PAGE, 0x456);
    assert_int_equal(h->r.priv, PRIV_M);
    assert_int_equal(h->r.pc, 0x1000);
    assert_int_equal(h->r.mepc, 0x5000);
    assert_int_equal(h->r.mtval, 0x456);
    assert_int_equal(h->r.mstatus & (MSTATUS_MIE | MSTATUS_MPIE | MSTATUS_MPP),
                     MSTATUS_MPIE | MSTATUS_MPP);
    h->r.mstatus = (h->r.mstatus & ~MSTATUS_MPP) | MSTATUS_MPRV;
    trap_mret(h);
    assert_int_equal(h->r.priv, PRIV_U);
    assert_int_equal(h->r.mstatus & (MSTATUS_MIE | MSTATUS_MPIE | MSTATUS_MPP | MSTATUS_MPRV),
                     MSTATUS_MIE | MSTATUS_MPIE);
    trap_take(h, CAUSE_INTERRUPT | HART_IRQ_MTI, 0);
    assert_int_equal(h->r.pc, 0x1000 + 4 * HART_IRQ_MTI);
}

/* One SYSTEM instruction in a mode with these bits of mstatus: does it trap as illegal? */
static void privileged_instructions(void **state)
{
    static const struct {
        const char *name;
        uint64_t priv, mstatus;
        bool illegal;
    } rows[] = {
        {"mret", PRIV_S, 0, true},
        {"sret", PRIV_U, 0, true},
        {"sret", PRIV_S, MSTATUS_TSR, true},
        {"wfi", PRIV_U, 0, true},
        {"wfi", PRIV_S, MSTATUS_TW, true},
        {"sfence_vma", PRIV_U, 0, true},
        {"sfence_vma", PRIV_S, MSTATUS_TVM, true},
        {"sfence_vma", PRIV_S, 0, false},
        {"sfence_vma", PRIV_M, MSTATUS_TVM, false},
        {"fence_i", PRIV_U, 0, false},
    };

    fp_leave(&h->fp);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        rig_reset(&rig);
        h->r.priv = rows[i].priv;
        h->r.mstatus |= rows[i].mstatus;
        mmu_update_mode(h);
        RIG_RUN(&rig, rig_word(rows[i].name), rig_word("ebreak"));
        if (rows[i].illegal != (h->r.mcause == CAUSE_ILLEGAL))
            fail_msg("%s in mode %lu: cause %lu", rows[i].name, rows[i].priv, h->r.mcause);
        assert_int_equal(h->r.mtval, rows[i].illegal ? rig_word(rows[i].name) : RIG_CODE + 4);
    }
    for (unsigned priv = 0; priv < 4; priv++) {
        if (priv == 2)
            continue;
        rig_reset(&rig);
        h->r.priv = priv;
        mmu_update_mode(h);
        RIG_RUN(&rig, rig_word("ecall"));
        assert_int_equal(h->r.mcause, CAUSE_ECALL_U + priv);
        assert_int_equal(h->r.mtval, 0);
        assert_int_equal(h->r.mepc, RIG_CODE);
    }
    fp_enter(&h->fp);
}

/* A CSR instruction that must not write does not, and one that fails changes no register. */
static void csr_instructions(void **state)
{
    fp_leave(&h->fp);
    rig_reset(&rig);
    h->r.mscratch = 0xf0;
    h->r.x[A0] = 0x3c;
    RIG_RUN(&rig, rig_csr("csrrs", A1, CSR_MSCRATCH, A0), rig_csr("csrrc", A2, CSR_MSCRATCH, A0),
            rig_csr("csrrw", A3, CSR_MSCRATCH, A0), rig_csr("csrrsi", A4, CSR_MSCRATCH, 3),
            rig_csr("csrrci", A5, CSR_MSCRATCH, 31), rig_csr("csrrs", A0, CSR_MHARTID, X0),
            rig_word("ebreak"));
    assert_int_equal(h->r.x[A1], 0xf0);
    assert_int_equal(h->r.x[A2], 0xfc);
    assert_int_equal(h->r.x[A3], 0xc0);
    assert_int_equal(h->r.x[A4], 0x3c);
    assert_int_equal(h->r.x[A5], 0x3f);
    assert_int_equal(h->r.mscratch, 0x20);
    assert_int_equal(h->r.x[A0], 0);
    assert_int_equal(h->r.mcause, CAUSE_BREAKPOINT);
    h->r.x[A1] = 5;
    RIG_RUN(&rig, rig_csr("csrrsi", A1, CSR_MHARTID, 1));
    assert_int_equal(h->r.mcause, CAUSE_ILLEGAL);
    assert_int_equal(h->r.x[A1], 5);
    fp_enter(&h->fp);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_what_can_be_written),
        cmocka_unit_test(mpp_has_no_mode_2),
        cmocka_unit_test(identity),
        cmocka_unit_test(who_may_read),
        cmocka_unit_test(counters_need_permission),
        cmocka_unit_test(stimecmp_needs_permission),
        cmocka_unit_test(stimecmp_raises_stip),
        cmocka_unit_test(supervisor_sees_what_is_delegated),
        cmocka_unit_test(external_line_is_not_written_back),
        cmocka_unit_test(virtual_memory_can_be_withheld),
        cmocka_unit_test(interrupts_have_an_order),
        cmocka_unit_test(traps_go_where_they_are_delegated),
        cmocka_unit_test(privileged_instructions),
        cmocka_unit_test(csr_instructions),
    };

    return cmocka_run_group_tests_name("vmm/accel/riscv64/csr", tests, setup, teardown);
}
