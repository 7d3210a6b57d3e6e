/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit.h"

#include <errno.h>
#include <string.h>

#include "tests/vmm/accel/riscv64/rig.h"
#include "vmm/accel/riscv64/block.h"
#include "vmm/accel/riscv64/csr.h"
#include "vmm/accel/riscv64/exec.h"
#include "vmm/accel/riscv64/mmu.h"

#define V      1u
#define R      2u
#define W      4u
#define X      8u
#define TABLES (MACHINE_RAM_BASE + 0x100000)
#define VA     UINT64_C(0xffffffffc0000000)
#define INSNS  1000
#define C_ADDI 0x0505 /* c.addi a0, 1 */

static struct rig rig;
static struct hart *h;

static int setup(void **state)
{
    rig_init(&rig);
    h = rig.h;
    return 0;
}

static int teardown(void **state)
{
    hart_debug_set_breakpoints(h, NULL, 0);
    rig_free(&rig);
    return 0;
}

/* Ten times addi a0, a0, 1, then round again. */
static void load(void)
{
    uint32_t words[11];

    rig_reset(&rig);
    for (unsigned i = 0; i < 10; i++)
        words[i] = rig_i("addi", A0, A0, 1);
    words[10] = rig_j(X0, -40);
    memcpy(rig.m.host, words, sizeof(words));
    block_new_epoch(h);
    h->r.pc = RIG_CODE;
}

/* true: it ended at a breakpoint. */
static bool run(void)
{
    bool hit;

    fp_enter(&h->fp);
    exec_slice(h, INSNS);
    fp_leave(&h->fp);
    hit = h->debug.hit;
    h->debug.hit = false;
    return hit;
}

static void step(void)
{
    fp_enter(&h->fp);
    exec_one(h);
    fp_leave(&h->fp);
}

static void set(uint64_t va)
{
    hart_debug_set_breakpoints(h, &va, 1);
}

static void stops_before_a_breakpoint(void **state)
{
    load();
    assert_false(run()); /* it is decoded as a whole, and chained */
    for (unsigned at = 0; at <= 10; at++) {
        uint64_t retired;

        load();
        retired = h->retired;
        set(RIG_CODE + 4 * at);
        assert_true(run());
        assert_int_equal(h->r.pc, RIG_CODE + 4 * at);
        assert_int_equal(h->r.gpr[A0], at);
        assert_int_equal(h->retired - retired, at);
        /* It stays there until it is stepped over; then it comes round. */
        assert_true(run());
        assert_int_equal(h->r.gpr[A0], at);
        step();
        assert_int_equal(h->r.gpr[A0], at < 10 ? at + 1 : at);
        assert_true(run());
        assert_int_equal(h->r.gpr[A0], at + 10);
    }
    hart_debug_set_breakpoints(h, NULL, 0);
    assert_false(run());
}

/* The same code under another address, and other code at the same place of a page. */
static void another_address_is_another(void **state)
{
    load();
    set(RIG_CODE + 0x1000 + 8);
    assert_false(run());
    assert_true(h->r.gpr[A0] > 500);
    load();
    set(RIG_CODE + 6); /* between two instructions */
    assert_false(run());
    assert_true(h->r.gpr[A0] > 500);
}

static void many_in_one_block(void **state)
{
    uint64_t all[VCPU_BREAKPOINTS_MAX];

    load();
    for (unsigned i = 0; i < VCPU_BREAKPOINTS_MAX; i++)
        all[i] = RIG_CODE + 4 * (i % 10);
    hart_debug_set_breakpoints(h, all, VCPU_BREAKPOINTS_MAX);
    for (unsigned i = 0; i < 10; i++) {
        assert_true(run());
        assert_int_equal(h->r.gpr[A0], i);
        step();
    }
}

static void steps_one_or_its_trap(void **state)
{
    static const uint64_t after[] = {4, 6, 8};
    const uint16_t compressed[] = {C_ADDI, C_ADDI};

    load();
    memcpy(rig.m.host + 4, compressed, sizeof(compressed));
    hart_debug_code_changed(h);
    for (unsigned i = 1; i <= 3; i++) {
        step();
        assert_int_equal(h->r.gpr[A0], i);
        assert_int_equal(h->r.pc, RIG_CODE + after[i - 1]);
    }
    /* A trap is taken, and nothing of its handler done. */
    memset(rig.m.host + 8, 0, 4);
    hart_debug_code_changed(h);
    step();
    assert_int_equal(h->r.pc, RIG_TRAP);
    assert_int_equal(h->r.mcause, CAUSE_ILLEGAL);
    /* So is that of a fetch. */
    h->r.pc = 0x10;
    step();
    assert_int_equal(h->r.pc, RIG_TRAP);
    assert_int_equal(h->r.mcause, CAUSE_FETCH_ACCESS);
}

static void registers(void **state)
{
    uint64_t v;

    load();
    assert_true(hart_debug_set(h, HART_REG_X0 + A0, 7));
    assert_true(hart_debug_set(h, HART_REG_PC, RIG_CODE + 5));
    assert_true(hart_debug_set(h, HART_REG_F0 + 3, 9));
    assert_true(hart_debug_set(h, HART_REG_CSR0 + CSR_MSCRATCH, 11));
    assert_int_equal(h->r.gpr[A0], 7);
    assert_int_equal(h->r.pc, RIG_CODE + 4);
    assert_true(hart_debug_get(h, HART_REG_F0 + 3, &v) && v == 9);
    assert_true(hart_debug_get(h, HART_REG_CSR0 + CSR_MSCRATCH, &v) && v == 11);
    assert_true(hart_debug_get(h, HART_REG_PRIV, &v) && v == PRIV_M);
    /* What only M-mode can see is seen in any. */
    h->r.priv = PRIV_U;
    assert_true(hart_debug_get(h, HART_REG_CSR0 + CSR_MSCRATCH, &v) && v == 11);
    assert_false(hart_debug_set(h, HART_REG_X0, 1));
    assert_false(hart_debug_set(h, HART_REG_CSR0 + CSR_MHARTID, 1));
    assert_false(hart_debug_set(h, HART_REG_PRIV, PRIV_M));
    assert_false(hart_debug_get(h, HART_REG_CSR0 + 0x7ff, &v));
    assert_false(hart_debug_get(h, HART_REG_PRIV + 1, &v));
}

static void memory_through_page_tables(void **state)
{
    uint64_t leaf = (MACHINE_RAM_BASE + 0x20000) >> 12 << 10 | V | X; /* neither R, U, A nor D */
    char text[32] = "";

    load();
    rig_write64(&rig, TABLES + 511 * 8, (TABLES + 0x1000) >> 12 << 10 | V);
    rig_write64(&rig, TABLES + 0x1000, (TABLES + 0x2000) >> 12 << 10 | V);
    rig_write64(&rig, TABLES + 0x2000, leaf);
    rig_write64(&rig, TABLES + 0x2008, leaf + (5 << 10));
    h->r.satp = SATP_SV39 << 60 | TABLES >> 12;
    /* M-mode sees memory as it is. */
    assert_int_equal(hart_debug_read(h, VA, text, 1), -EFAULT);
    h->r.priv = PRIV_U;
    assert_int_equal(hart_debug_write(h, VA + 0xffa, "over the edge", 13), 0);
    assert_memory_equal(rig.m.host + 0x20ffa, "over t", 6);
    assert_memory_equal(rig.m.host + 0x25000, "he edge", 7);
    assert_int_equal(hart_debug_read(h, VA + 0xffa, text, 13), 0);
    assert_string_equal(text, "over the edge");
    /* Looking changes nothing. */
    assert_int_equal(rig_read64(&rig, TABLES + 0x2000), leaf);
    assert_int_equal(hart_debug_read(h, VA + 0x1ff0, text, 32), -EFAULT);
    assert_int_equal(hart_debug_read(h, UINT64_MAX, text, 8), -EFAULT);
    assert_int_equal(hart_debug_read(h, UINT64_C(1) << 40, text, 8), -EFAULT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stops_before_a_breakpoint),
        cmocka_unit_test(another_address_is_another),
        cmocka_unit_test(many_in_one_block),
        cmocka_unit_test(steps_one_or_its_trap),
        cmocka_unit_test(registers),
        cmocka_unit_test(memory_through_page_tables),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
