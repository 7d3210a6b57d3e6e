/* SPDX-License-Identifier: Apache-2.0 */
/* Page tables, PMP, the TLBs and what empties them. */
#include "tests/unit.h"

#include <string.h>

#include "tests/vmm/accel/riscv64/rig.h"
#include "vmm/accel/riscv64/mmu.h"
#include "vmm/accel/riscv64/pmp.h"
#include "vmm/accel/riscv64/run.h"

#define V 0x01
#define R 0x02
#define W 0x04
#define X 0x08
#define U 0x10
#define A 0x40
#define D 0x80

#define TABLES (MACHINE_RAM_BASE + 0x100000)
#define PAGE   (MACHINE_RAM_BASE + 0x200000)       /* 2 MiB aligned */
#define VA     (UINT64_C(0x4000000000) - 0x200000) /* the last 2 MiB of the lower half of Sv39 */

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
    rig_free(&rig);
    return 0;
}

static uint64_t pte(uint64_t pa, unsigned bits)
{
    return pa >> 12 << 10 | bits;
}

/* The leaf for VA lies at level 0 in TABLES + 0x2000. */
static uint64_t leaf_at(unsigned page)
{
    return TABLES + 0x2000 + page * 8ull;
}

/* Sv39: VA maps 4 KiB pages from PAGE on, all allowed to S; hart in S-mode. */
static void map(void)
{
    rig_reset(&rig);
    rig_write64(&rig, TABLES + 255 * 8, pte(TABLES + 0x1000, V));
    rig_write64(&rig, TABLES + 0x1000 + 511 * 8, pte(TABLES + 0x2000, V));
    for (unsigned i = 0; i < 512; i++)
        rig_write64(&rig, leaf_at(i), pte(PAGE + i * 0x1000ull, V | R | W | X | A | D));
    h->r.satp = SATP_SV39 << 60 | TABLES >> 12;
    h->r.priv = PRIV_S;
    mmu_update_mode(h);
    mmu_flush_all(h);
}

static void expect_load(uint64_t va, unsigned size_bytes, uint64_t value)
{
    assert_int_equal(mmu_load(h, va, size_bytes), 0);
    assert_int_equal(h->value, value);
}

static void expect_fault(int rc, uint64_t cause, uint64_t tval)
{
    assert_int_equal(rc, -1);
    assert_int_equal(h->trap.cause, cause);
    assert_int_equal(h->trap.tval, tval);
}

static void translates(void **state)
{
    map();
    rig_write64(&rig, PAGE + 0x3008, 0x1234);
    expect_load(VA + 0x3008, 8, 0x1234);
    assert_int_equal(mmu_store(h, VA + 0x4010, 4, 0x55667788), 0);
    assert_int_equal(rig_read64(&rig, PAGE + 0x4010), 0x55667788);
    /* Not mapped; not canonical; a level that has nothing. */
    expect_fault(mmu_load(h, VA + 0x200000, 8), CAUSE_LOAD_PAGE, VA + 0x200000);
    expect_fault(mmu_store(h, VA | (UINT64_C(1) << 63), 1, 0), CAUSE_STORE_PAGE,
                 VA | (UINT64_C(1) << 63));
    expect_fault(mmu_load(h, 0x1000, 1), CAUSE_LOAD_PAGE, 0x1000);
}

static void crosses_pages(void **state)
{
    map();
    /* Neighbours in virtual, not in physical memory. */
    rig_write64(&rig, leaf_at(1), pte(PAGE + 0x9000, V | R | W | A | D));
    mmu_flush(h);
    assert_int_equal(mmu_store(h, VA + 0xffd, 8, UINT64_C(0x1122334455667788)), 0);
    assert_int_equal(rig_read64(&rig, PAGE + 0xff8) >> 40, 0x667788);
    assert_int_equal(rig_read64(&rig, PAGE + 0x9000), UINT64_C(0x1122334455));
    expect_load(VA + 0xffd, 8, UINT64_C(0x1122334455667788));
    /* The second page refuses: nothing is stored, and the address is where it begins. */
    rig_write64(&rig, leaf_at(1), pte(PAGE + 0x9000, V | R | A | D));
    mmu_flush(h);
    rig_write64(&rig, PAGE + 0xff8, 0);
    expect_fault(mmu_store(h, VA + 0xffe, 4, ~0u), CAUSE_STORE_PAGE, VA + 0x1000);
    assert_int_equal(rig_read64(&rig, PAGE + 0xff8), 0);
    /* The first does. */
    rig_write64(&rig, leaf_at(0), 0);
    mmu_flush(h);
    expect_fault(mmu_load(h, VA + 0xffe, 4), CAUSE_LOAD_PAGE, VA + 0xffe);
}

static void checks_permissions(void **state)
{
    static const struct {
        unsigned bits;
        uint64_t priv, mstatus;
        bool read, write, fetch;
    } rows[] = {
        {V | R | A | D, PRIV_S, 0, true, false, false},
        {V | R | W | A | D, PRIV_S, 0, true, true, false},
        {V | X | A | D, PRIV_S, 0, false, false, true},
        {V | X | A | D, PRIV_S, MSTATUS_MXR, true, false, true},
        {V | R | W | X | U | A | D, PRIV_S, 0, false, false, false},
        {V | R | W | X | U | A | D, PRIV_S, MSTATUS_SUM, true, true, false},
        {V | R | W | X | U | A | D, PRIV_U, 0, true, true, true},
        {V | R | W | X | A | D, PRIV_U, MSTATUS_SUM, false, false, false},
        {R | W | X | A | D, PRIV_S, 0, false, false, false},
        {V | W | A | D, PRIV_S, 0, false, false, false},     /* reserved */
        {V | W | X | A | D, PRIV_S, 0, false, false, false}, /* reserved */
        {V | A | D, PRIV_S, 0, false, false, false},         /* a table with A and D */
    };
    struct fetched f;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        map();
        rig_write64(&rig, leaf_at(0), pte(PAGE, rows[i].bits));
        h->r.priv = rows[i].priv;
        h->r.mstatus |= rows[i].mstatus;
        mmu_update_mode(h);
        assert_int_equal(mmu_load(h, VA, 8) == 0, rows[i].read);
        assert_int_equal(mmu_store(h, VA, 8, 0) == 0, rows[i].write);
        assert_int_equal(mmu_fetch(h, VA, &f) == 0, rows[i].fetch);
    }
    /* Bits 63..54 are reserved. */
    for (unsigned bit = 54; bit < 64; bit++) {
        map();
        rig_write64(&rig, leaf_at(0), pte(PAGE, V | R | A | D) | UINT64_C(1) << bit);
        expect_fault(mmu_load(h, VA, 8), CAUSE_LOAD_PAGE, VA);
    }
}

static void sets_accessed_and_dirty(void **state)
{
    struct fetched f;

    map();
    rig_write64(&rig, leaf_at(0), pte(PAGE, V | R | W | X));
    expect_load(VA, 1, rig_read64(&rig, PAGE) & 0xff);
    assert_int_equal(rig_read64(&rig, leaf_at(0)), pte(PAGE, V | R | W | X | A));
    assert_int_equal(mmu_store(h, VA, 1, 0), 0);
    assert_int_equal(rig_read64(&rig, leaf_at(0)), pte(PAGE, V | R | W | X | A | D));
    rig_write64(&rig, leaf_at(1), pte(PAGE, V | X));
    assert_int_equal(mmu_fetch(h, VA + 0x1000, &f), 0);
    assert_int_equal(rig_read64(&rig, leaf_at(1)), pte(PAGE, V | X | A));
    /* An access that is not allowed leaves the entry. */
    rig_write64(&rig, leaf_at(2), pte(PAGE, V | R));
    expect_fault(mmu_store(h, VA + 0x2000, 1, 0), CAUSE_STORE_PAGE, VA + 0x2000);
    assert_int_equal(rig_read64(&rig, leaf_at(2)), pte(PAGE, V | R));
}

static void maps_superpages(void **state)
{
    map();
    rig_write64(&rig, TABLES + 0x1000 + 511 * 8, pte(PAGE, V | R | W));
    rig_write64(&rig, PAGE + 0x1ff008, 77);
    expect_load(VA + 0x1ff008, 8, 77);
    assert_int_equal(rig_read64(&rig, TABLES + 0x1000 + 511 * 8), pte(PAGE, V | R | W | A));
    /* Not aligned to its size. */
    rig_write64(&rig, TABLES + 0x1000 + 511 * 8, pte(PAGE + 0x1000, V | R | W | A));
    mmu_flush(h);
    expect_fault(mmu_load(h, VA, 8), CAUSE_LOAD_PAGE, VA);
}

static void walks_four_levels(void **state)
{
    const uint64_t va = UINT64_C(0xffff800000000000); /* the first of the upper half of Sv48 */

    map();
    h->r.satp = SATP_SV48 << 60 | TABLES >> 12;
    rig_write64(&rig, TABLES + 256 * 8, pte(TABLES + 0x3000, V));
    rig_write64(&rig, TABLES + 0x3000, pte(TABLES + 0x4000, V));
    rig_write64(&rig, TABLES + 0x4000, pte(TABLES + 0x2000, V));
    rig_write64(&rig, PAGE + 0x10, 5);
    mmu_flush(h);
    expect_load(va + 0x10, 8, 5);
    expect_fault(mmu_load(h, va - 8, 8), CAUSE_LOAD_PAGE, va - 8);
    /* A table that is not in memory. */
    rig_write64(&rig, TABLES + 256 * 8, pte(0x1000, V));
    mmu_flush(h);
    expect_fault(mmu_load(h, va, 8), CAUSE_LOAD_ACCESS, va);
}

static void keeps_a_mapping_until_it_is_flushed(void **state)
{
    map();
    rig_write64(&rig, PAGE, 1);
    rig_write64(&rig, PAGE + 0x9000, 2);
    rig_write64(&rig, PAGE + 0x1000, 3);
    expect_load(VA, 8, 1);
    expect_load(VA + 0x1000, 8, 3);
    rig_write64(&rig, leaf_at(0), pte(PAGE + 0x9000, V | R | W | A | D));
    rig_write64(&rig, leaf_at(1), 0);
    mmu_flush_page(h, VA + 0x123);
    expect_load(VA, 8, 2);
    /* Flushing one page is enough for a superpage, from any address in it. */
    rig_write64(&rig, TABLES + 0x1000 + 511 * 8, pte(PAGE, V | R | W | A | D));
    mmu_flush(h);
    expect_load(VA, 8, 1);
    rig_write64(&rig, TABLES + 0x1000 + 511 * 8, 0);
    mmu_flush_page(h, VA + 0x5000);
    expect_fault(mmu_load(h, VA, 8), CAUSE_LOAD_PAGE, VA);
}

/* Loads as instructions, so that the fast path is taken: M-mode borrows S-mode's view. */
static void mprv_lends_a_view(void **state)
{
    map();
    rig_write64(&rig, PAGE, 41);
    h->r.priv = PRIV_M;
    h->r.mstatus |= MSTATUS_MPRV | UINT64_C(1) << MSTATUS_MPP_S;
    mmu_update_mode(h);
    h->r.x[A0] = VA;
    RIG_RUN(&rig, rig_i("ld", A1, A0, 0), rig_i("ld", A2, A0, 0), rig_word("ebreak"));
    assert_int_equal(h->r.x[A1], 41);
    assert_int_equal(h->r.x[A2], 41);
    assert_int_equal(h->r.mcause, CAUSE_BREAKPOINT);
}

/* --- PMP ------------------------------------------------------------------------------------- */

#define NA4   0x10
#define NAPOT 0x18
#define TOR   0x08

/* Entries from 0 on; the rest is off. */
static void pmp_set(unsigned index, uint64_t addr, uint8_t cfg)
{
    h->r.pmp[index] = (struct hart_pmp_entry){addr >> 2, cfg};
    pmp_update(h);
    mmu_flush_all(h);
}

static void pmp_denies_by_default(void **state)
{
    map();
    pmp_set(0, 0, 0);
    expect_fault(mmu_load(h, VA, 8), CAUSE_LOAD_ACCESS, VA);
    h->r.satp = 0;
    expect_fault(mmu_load(h, PAGE, 8), CAUSE_LOAD_ACCESS, PAGE);
    h->r.priv = PRIV_M;
    mmu_update_mode(h);
    assert_int_equal(mmu_load(h, PAGE, 8), 0);
}

static void pmp_splits_pages(void **state)
{
    struct fetched f;

    map();
    h->r.satp = 0;
    /* Eight bytes in the middle of a page are read-only, the first four of the next are not there,
     * the rest of RAM is open. */
    pmp_set(0, (PAGE + 0x800) | 3 << 0, 0);
    h->r.pmp[0] = (struct hart_pmp_entry){(PAGE + 0x800) >> 2, NAPOT | PMP_R};
    h->r.pmp[1] = (struct hart_pmp_entry){(PAGE + 0x1000) >> 2, NA4};
    h->r.pmp[2] = (struct hart_pmp_entry){(MACHINE_RAM_BASE + MACHINE_RAM_BYTES) >> 2,
                                          TOR | PMP_R | PMP_W | PMP_X};
    h->r.pmp[1].addr_reg = (PAGE + 0x1000) >> 2;
    pmp_update(h);
    mmu_flush_all(h);
    /* TOR of entry 2 begins where entry 1's address says. */
    expect_fault(mmu_load(h, PAGE + 0x1000, 4), CAUSE_LOAD_ACCESS, PAGE + 0x1000);
    assert_int_equal(mmu_load(h, PAGE + 0x1004, 4), 0);
    assert_int_equal(mmu_store(h, PAGE + 0x1004, 4, 1), 0);
    /* An access must lie in the rule as a whole. */
    expect_fault(mmu_load(h, PAGE + 0x1002, 4), CAUSE_LOAD_ACCESS, PAGE + 0x1002);
    assert_int_equal(mmu_load(h, PAGE + 0x800, 8), 0);
    assert_int_equal(mmu_load(h, PAGE + 0x800, 8), 0);
    expect_fault(mmu_store(h, PAGE + 0x804, 4, 1), CAUSE_STORE_ACCESS, PAGE + 0x804);
    expect_fault(mmu_load(h, PAGE + 0x808, 4), CAUSE_LOAD_ACCESS, PAGE + 0x808);
    expect_fault(mmu_fetch(h, PAGE + 0x800, &f), CAUSE_FETCH_ACCESS, PAGE + 0x800);
    assert_int_equal(mmu_fetch(h, PAGE + 0x1004, &f), 0);
    assert_false(f.cacheable);
    assert_int_equal(mmu_fetch(h, PAGE + 0x2004, &f), 0);
    assert_true(f.cacheable);
}

/* Running through a page that PMP splits: up to the byte that is not allowed. */
static void pmp_splits_code(void **state)
{
    rig_reset(&rig);
    for (unsigned i = 0; i < 16; i++)
        rig_write64(&rig, RIG_CODE + i * 8, UINT64_C(0x0015051300150513)); /* addi a0, a0, 1 */
    h->r.pmp[0] = (struct hart_pmp_entry){(RIG_CODE + 64) >> 2, NA4};
    h->r.pmp[1] = (struct hart_pmp_entry){~UINT64_C(0) >> 10, NAPOT | PMP_R | PMP_W | PMP_X};
    pmp_update(h);
    mmu_flush_all(h);
    h->r.priv = PRIV_S;
    mmu_update_mode(h);
    h->r.pc = RIG_CODE;
    rig_continue(&rig);
    assert_int_equal(h->r.mcause, CAUSE_FETCH_ACCESS);
    assert_int_equal(h->r.mepc, RIG_CODE + 64);
    assert_int_equal(h->r.x[A0], 16);
}

static void pmp_locks(void **state)
{
    rig_reset(&rig);
    pmp_write_addr(h, 4, PAGE >> 2);
    pmp_write_addr(h, 5, (PAGE + 0x1000) >> 2);
    pmp_write_cfg(h, 0, pmp_read_cfg(h, 0) | (uint64_t)(TOR | PMP_L | PMP_R) << 40);
    mmu_flush_all(h);
    /* Entry 0 is first and open, but binds M-mode not: so the order decides, not the lock. */
    assert_int_equal(mmu_store(h, PAGE, 8, 0), 0);
    pmp_write_cfg(h, 0, 0);
    mmu_flush_all(h);
    expect_fault(mmu_store(h, PAGE, 8, 0), CAUSE_STORE_ACCESS, PAGE);
    assert_int_equal(mmu_load(h, PAGE, 8), 0);
    assert_int_equal(mmu_store(h, PAGE + 0x1000, 8, 0), 0);
    /* Neither it nor its lower bound can be changed. */
    pmp_write_addr(h, 5, 0);
    pmp_write_addr(h, 4, 0);
    assert_int_equal(pmp_read_cfg(h, 0), (uint64_t)(TOR | PMP_L | PMP_R) << 40);
    assert_int_equal(h->r.pmp[5].addr_reg, (PAGE + 0x1000) >> 2);
    assert_int_equal(h->r.pmp[4].addr_reg, PAGE >> 2);
}

static void page_tables_obey_pmp(void **state)
{
    map();
    h->r.pmp[0] = (struct hart_pmp_entry){(TABLES + 0x2000) >> 2 | 0x1ff, NAPOT | PMP_W};
    h->r.pmp[1] = (struct hart_pmp_entry){~UINT64_C(0) >> 10, NAPOT | PMP_R | PMP_W | PMP_X};
    pmp_update(h);
    mmu_flush_all(h);
    expect_fault(mmu_load(h, VA, 8), CAUSE_LOAD_ACCESS, VA);
    /* Readable, but A cannot be set. */
    h->r.pmp[0].cfg_reg = NAPOT | PMP_R;
    pmp_update(h);
    mmu_flush_all(h);
    assert_int_equal(mmu_load(h, VA, 8), 0);
    rig_write64(&rig, leaf_at(1), pte(PAGE, V | R));
    expect_fault(mmu_load(h, VA + 0x1000, 8), CAUSE_LOAD_ACCESS, VA + 0x1000);
}

/* --- The dirty log --------------------------------------------------------------------------- */

static uint64_t harvested(uint64_t gpa)
{
    static uint64_t bitmap[MACHINE_RAM_BYTES / 4096 / 64];
    uint64_t page = (gpa - MACHINE_RAM_BASE) / 4096, all;

    memset(bitmap, 0, sizeof(bitmap));
    ferry_ram_harvest_begin(rig.m.ram);
    all = ferry_ram_harvest(rig.m.region, bitmap);
    return bitmap[page / 64] >> page % 64 & 1 ? all : 0;
}

static void stores_are_logged(void **state)
{
    struct ferry_err err;
    uint32_t store[] = {rig_s("sd", A1, A0, 0), rig_word("ebreak")};

    rig_reset(&rig);
    h->r.x[A0] = PAGE;
    rig_run(&rig, store, 2); /* before the log is on: the page is in the TLB */
    assert_int_equal(ferry_ram_log_start(rig.m.ram, &err), 0);
    for (unsigned i = 0; i < 3; i++) {
        h->r.pc = RIG_CODE;
        rig_continue(&rig);
        assert_int_equal(harvested(PAGE), 1);
    }
    assert_int_equal(harvested(PAGE), 0);
    /* Across two pages; an atomic. */
    run_answer(h);
    assert_int_equal(mmu_store(h, PAGE + 0x1ffc, 8, 0), 0);
    assert_int_equal(harvested(PAGE + 0x1000), 2);
    h->r.x[A0] = PAGE + 0x3000;
    RIG_RUN(&rig, rig_r("amoadd_d", A1, A0, A1), rig_word("ebreak"));
    assert_int_equal(harvested(PAGE + 0x3000), 1);
    ferry_ram_log_stop(rig.m.ram);
}

static void page_table_updates_are_logged(void **state)
{
    struct ferry_err err;

    map();
    rig_write64(&rig, leaf_at(0), pte(PAGE, V | R));
    assert_int_equal(ferry_ram_log_start(rig.m.ram, &err), 0);
    expect_load(VA, 8, rig_read64(&rig, PAGE));
    assert_int_equal(harvested(leaf_at(0)), 1);
    ferry_ram_log_stop(rig.m.ram);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(translates),
        cmocka_unit_test(crosses_pages),
        cmocka_unit_test(checks_permissions),
        cmocka_unit_test(sets_accessed_and_dirty),
        cmocka_unit_test(maps_superpages),
        cmocka_unit_test(walks_four_levels),
        cmocka_unit_test(keeps_a_mapping_until_it_is_flushed),
        cmocka_unit_test(mprv_lends_a_view),
        cmocka_unit_test(pmp_denies_by_default),
        cmocka_unit_test(pmp_splits_pages),
        cmocka_unit_test(pmp_splits_code),
        cmocka_unit_test(pmp_locks),
        cmocka_unit_test(page_tables_obey_pmp),
        cmocka_unit_test(stores_are_logged),
        cmocka_unit_test(page_table_updates_are_logged),
    };

    return cmocka_run_group_tests_name("vmm/accel/riscv64/mmu", tests, setup, teardown);
}
