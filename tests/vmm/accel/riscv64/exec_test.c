/* SPDX-License-Identifier: Apache-2.0 */
/* Instructions one at a time: values at the corners, and what illegal ones do. */
#include "tests/unit.h"

#include <string.h>

#include "tests/vmm/accel/riscv64/rig.h"
#include "vmm/accel/riscv64/decode.h"

#define MIN64 UINT64_C(0x8000000000000000)
#define MAX64 UINT64_C(0x7fffffffffffffff)
#define ALL   UINT64_C(0xffffffffffffffff)
#define MIN32 UINT64_C(0xffffffff80000000)

static struct rig rig;

static int setup(void **state)
{
    rig_init(&rig);
    return 0;
}

static int teardown(void **state)
{
    rig_free(&rig);
    return 0;
}

static void two_registers(void **state)
{
    static const struct {
        const char *name;
        uint64_t a, b, expected;
    } rows[] = {
        {"add", ALL, 1, 0},
        {"sub", 0, 1, ALL},
        {"sll", 1, 63, MIN64},
        {"sll", 1, 64, 1},
        {"slt", MIN64, MAX64, 1},
        {"slt", MAX64, MIN64, 0},
        {"sltu", MIN64, MAX64, 0},
        {"sltu", 0, ALL, 1},
        {"xor", 0xff00, 0x0ff0, 0xf0f0},
        {"srl", MIN64, 63, 1},
        {"sra", MIN64, 63, ALL},
        {"sra", MIN64, 127, ALL},
        {"or", 0xf0, 0x0f, 0xff},
        {"and", 0xf0, 0x3c, 0x30},
        {"addw", 0x7fffffff, 1, MIN32},
        {"addw", UINT64_C(0x100000000), 5, 5},
        {"subw", 0, 1, ALL},
        {"sllw", 1, 31, MIN32},
        {"sllw", 1, 32, 1},
        {"srlw", 0xffffffff80000000, 31, 1},
        {"srlw", 0xffffffff80000000, 0, MIN32},
        {"sraw", 0x80000000, 31, ALL},
        {"mul", ALL, ALL, 1},
        {"mul", UINT64_C(0x123456789abcdef0), 16, UINT64_C(0x23456789abcdef00)},
        {"mulh", MIN64, MIN64, UINT64_C(1) << 62},
        {"mulh", ALL, ALL, 0},
        {"mulh", MIN64, 2, ALL},
        {"mulhu", ALL, ALL, ALL - 1},
        {"mulhsu", ALL, ALL, ALL},
        {"mulhsu", MIN64, MIN64, UINT64_C(0xc000000000000000)},
        {"mulhsu", 2, ALL, 1},
        {"div", 7, 0, ALL},
        {"div", MIN64, ALL, MIN64},
        {"div", (uint64_t)-7, 2, (uint64_t)-3},
        {"divu", 7, 0, ALL},
        {"divu", ALL, 2, MAX64},
        {"rem", (uint64_t)-7, 2, ALL},
        {"rem", 7, 0, 7},
        {"rem", MIN64, ALL, 0},
        {"remu", ALL, 10, 5},
        {"remu", 7, 0, 7},
        {"mulw", 0x10000, 0x10000, 0},
        {"mulw", 0xffff, 0x8001, 0x80007fff | MIN32},
        {"divw", 0x80000000, ALL, MIN32},
        {"divw", 0xfffffff9, 2, (uint64_t)-3},
        {"divw", 9, UINT64_C(0x700000000), ALL},
        {"divuw", 9, UINT64_C(0x700000000), ALL},
        {"divuw", 0xfffffff0, 1, (uint64_t)-16},
        {"remw", 0x80000000, ALL, 0},
        {"remw", 0x80000005, 0, MIN32 | 5},
        {"remuw", 0xffffffff, 0, ALL},
        {"remuw", 0xffffffff, 16, 15},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        rig_reset(&rig);
        rig.h->r.x[A0] = rows[i].a;
        rig.h->r.x[A1] = rows[i].b;
        RIG_RUN(&rig, rig_r(rows[i].name, A2, A0, A1), rig_word("ebreak"));
        if (rig.h->r.x[A2] != rows[i].expected)
            fail_msg("%s 0x%lx, 0x%lx gives 0x%lx, not 0x%lx", rows[i].name, rows[i].a, rows[i].b,
                     rig.h->r.x[A2], rows[i].expected);
    }
}

static void register_and_immediate(void **state)
{
    static const struct {
        const char *name;
        uint64_t a;
        int imm;
        uint64_t expected;
    } rows[] = {
        {"addi", 0, -1, ALL},
        {"addi", ALL, 1, 0},
        {"addi", 5, 2047, 2052},
        {"slti", ALL, 0, 1},
        {"slti", 0, -2048, 0},
        {"sltiu", 5, -1, 1},
        {"sltiu", ALL, -1, 0},
        {"xori", 0x0f, -1, ALL - 0x0f},
        {"ori", 1, -2048, ALL - 2046},
        {"andi", ALL, 0x7ff, 0x7ff},
        {"andi", 0xfff, -16, 0xff0},
        {"slli", 1, 63, MIN64},
        {"srli", ALL, 63, 1},
        {"srai", MIN64, 63, ALL},
        {"addiw", 0x7fffffff, 1, MIN32},
        {"addiw", ALL, 0, ALL},
        {"slliw", 1, 31, MIN32},
        {"srliw", ALL, 4, 0x0fffffff},
        {"srliw", ALL, 0, ALL},
        {"sraiw", 0x80000000, 31, ALL},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        rig_reset(&rig);
        rig.h->r.x[A0] = rows[i].a;
        RIG_RUN(&rig, rig_i(rows[i].name, A0, A0, rows[i].imm), rig_word("ebreak"));
        if (rig.h->r.x[A0] != rows[i].expected)
            fail_msg("%s 0x%lx, %d gives 0x%lx, not 0x%lx", rows[i].name, rows[i].a, rows[i].imm,
                     rig.h->r.x[A0], rows[i].expected);
    }
}

static void x0_stays_zero(void **state)
{
    rig_reset(&rig);
    rig.h->r.x[A0] = RIG_DATA;
    rig_write64(&rig, RIG_DATA, ALL);
    RIG_RUN(&rig, rig_i("addi", X0, X0, 5), rig_i("ld", X0, A0, 0), rig_r("add", A1, X0, X0),
            rig_csr("csrrs", X0, 0xf14, 0), rig_r("amoadd_d", X0, A0, A0), rig_word("ebreak"));
    assert_int_equal(rig.h->r.x[0], 0);
    assert_int_equal(rig.h->r.x[A1], 0);
    assert_int_equal(rig.h->r.mcause, CAUSE_BREAKPOINT);
}

static void upper_immediates(void **state)
{
    rig_reset(&rig);
    RIG_RUN(&rig, rig_u("lui", A0, 0x80000), rig_u("auipc", A1, 0xfffff),
            rig_u("auipc", A2, 0x7ffff), rig_word("ebreak"));
    assert_int_equal(rig.h->r.x[A0], MIN32);
    assert_int_equal(rig.h->r.x[A1], RIG_CODE + 4 - 0x1000);
    assert_int_equal(rig.h->r.x[A2], RIG_CODE + 8 + 0x7ffff000);
}

static void loads_extend(void **state)
{
    static const struct {
        const char *name;
        int at;
        uint64_t expected;
    } rows[] = {
        {"lb", 7, (uint64_t)-1},
        {"lbu", 7, 0xff},
        {"lh", 6, (uint64_t)(int16_t)0xffee},
        {"lhu", 6, 0xffee},
        {"lw", 4, (uint64_t)(int32_t)0xffeeddcc},
        {"lwu", 4, 0xffeeddcc},
        {"ld", 0, UINT64_C(0xffeeddcc33221100)},
        /* Misaligned: done all the same. */
        {"ld", -3, UINT64_C(0xffeeddcc33221100) << 24},
        {"lw", 1, 0xcc332211 | MIN32},
        {"lhu", 3, 0xcc33},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        rig_reset(&rig);
        rig_write64(&rig, RIG_DATA - 8, 0);
        rig_write64(&rig, RIG_DATA, UINT64_C(0xffeeddcc33221100));
        rig.h->r.x[A0] = RIG_DATA;
        RIG_RUN(&rig, rig_i(rows[i].name, A1, A0, rows[i].at), rig_word("ebreak"));
        if (rig.h->r.x[A1] != rows[i].expected)
            fail_msg("%s %d gives 0x%lx, not 0x%lx", rows[i].name, rows[i].at, rig.h->r.x[A1],
                     rows[i].expected);
    }
}

static void stores_write_their_width(void **state)
{
    static const struct {
        const char *name;
        int at;
        uint64_t expected;
    } rows[] = {
        {"sb", 0, UINT64_C(0xffffffffffffff88)}, {"sh", 0, UINT64_C(0xffffffffffff7788)},
        {"sw", 4, UINT64_C(0x55667788ffffffff)}, {"sd", 0, UINT64_C(0x1122334455667788)},
        {"sh", 3, UINT64_C(0xffffff7788ffffff)}, {"sw", 1, UINT64_C(0xffffff55667788ff)},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        rig_reset(&rig);
        rig_write64(&rig, RIG_DATA, ALL);
        rig.h->r.x[A0] = RIG_DATA;
        rig.h->r.x[A1] = UINT64_C(0x1122334455667788);
        RIG_RUN(&rig, rig_s(rows[i].name, A1, A0, rows[i].at), rig_word("ebreak"));
        assert_int_equal(rig_read64(&rig, RIG_DATA), rows[i].expected);
    }
}

static void atomics(void **state)
{
    static const struct {
        const char *name;
        uint64_t memory, operand, after;
    } rows[] = {
        {"amoswap_d", 1, 2, 2},
        {"amoadd_d", ALL, 2, 1},
        {"amoxor_d", 6, 3, 5},
        {"amoand_d", 6, 3, 2},
        {"amoor_d", 6, 3, 7},
        {"amomin_d", 1, ALL, ALL},
        {"amomax_d", 1, ALL, 1},
        {"amominu_d", 1, ALL, 1},
        {"amomaxu_d", 1, ALL, ALL},
        {"amoswap_w", UINT64_C(0x1180000000), 2, UINT64_C(0x1100000002)},
        {"amoadd_w", UINT64_C(0x11ffffffff), 2, UINT64_C(0x1100000001)},
        {"amomin_w", UINT64_C(0x1180000000), 1, UINT64_C(0x1180000000)},
        {"amomax_w", UINT64_C(0x1180000000), 1, UINT64_C(0x1100000001)},
        {"amominu_w", UINT64_C(0x1180000000), 1, UINT64_C(0x1100000001)},
        {"amomaxu_w", UINT64_C(0x1180000000), 1, UINT64_C(0x1180000000)},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        bool word = strstr(rows[i].name, "_w");
        uint64_t old = word ? (uint64_t)(int32_t)rows[i].memory : rows[i].memory;

        rig_reset(&rig);
        rig_write64(&rig, RIG_DATA, rows[i].memory);
        rig.h->r.x[A0] = RIG_DATA;
        rig.h->r.x[A1] = rows[i].operand;
        /* The result may go where an operand came from. */
        RIG_RUN(&rig, rig_r(rows[i].name, A1, A0, A1), rig_word("ebreak"));
        assert_int_equal(rig.h->r.x[A1], old);
        if (rig_read64(&rig, RIG_DATA) != rows[i].after)
            fail_msg("%s leaves 0x%lx, not 0x%lx", rows[i].name, rig_read64(&rig, RIG_DATA),
                     rows[i].after);
    }
}

static void store_conditional(void **state)
{
    rig_reset(&rig);
    rig_write64(&rig, RIG_DATA, 7);
    rig.h->r.x[A0] = RIG_DATA;
    rig.h->r.x[A1] = 9;
    RIG_RUN(&rig, rig_r("lr_d", A2, A0, 0), rig_r("sc_d", A3, A0, A1), rig_r("sc_d", A4, A0, A2),
            rig_word("ebreak"));
    assert_int_equal(rig.h->r.x[A2], 7);
    assert_int_equal(rig.h->r.x[A3], 0);
    assert_int_equal(rig.h->r.x[A4], 1); /* one SC per LR */
    assert_int_equal(rig_read64(&rig, RIG_DATA), 9);

    /* Memory changed meanwhile. */
    rig_reset(&rig);
    rig.h->r.x[A0] = RIG_DATA;
    rig.h->r.x[A1] = 5;
    RIG_RUN(&rig, rig_r("lr_w", A2, A0, 0), rig_s("sw", X0, A0, 0), rig_r("sc_w", A3, A0, A1),
            rig_word("ebreak"));
    assert_int_equal(rig.h->r.x[A3], 1);
    assert_int_equal(rig_read64(&rig, RIG_DATA), 0);

    /* A trap drops the reservation. */
    rig_reset(&rig);
    rig.h->r.x[A0] = RIG_DATA;
    RIG_RUN(&rig, rig_r("lr_d", A2, A0, 0), rig_word("ebreak"));
    RIG_RUN(&rig, rig_r("sc_d", A3, A0, A1), rig_word("ebreak"));
    assert_int_equal(rig.h->r.x[A3], 1);
}

/* What reaches mtvec after one word. */
static void expect_trap(uint32_t word, uint64_t cause, uint64_t tval)
{
    RIG_RUN(&rig, word, rig_word("ebreak"));
    if (rig.h->r.mcause != cause || rig.h->r.mtval != tval || rig.h->r.mepc != RIG_CODE)
        fail_msg("0x%08x: cause %lu tval 0x%lx epc 0x%lx, not %lu 0x%lx", word, rig.h->r.mcause,
                 rig.h->r.mtval, rig.h->r.mepc, cause, tval);
}

static void misaligned_atomics_trap(void **state)
{
    rig_reset(&rig);
    rig.h->r.x[A0] = RIG_DATA + 2;
    expect_trap(rig_r("lr_w", A1, A0, 0), CAUSE_LOAD_MISALIGNED, RIG_DATA + 2);
    expect_trap(rig_r("sc_w", A1, A0, A1), CAUSE_STORE_MISALIGNED, RIG_DATA + 2);
    expect_trap(rig_r("amoadd_d", A1, A0, A1), CAUSE_STORE_MISALIGNED, RIG_DATA + 2);
}

static void illegal_words_trap(void **state)
{
    static const uint32_t words[] = {
        0xffffffff,
        0x0000707f & ~0x40u, /* no such load */
        0x00007003 | 1 << 7,
        0x0000302f | 0x10000000 | 1 << 20, /* LR with rs2 */
        0x02000013 | 0x1013 | 1u << 26,
        0x0200101b,          /* shift amount too big */
        0x10200073 | 1 << 7, /* sret with rd */
        0x00004073,
        0x30000073,
        0x05000053 | 5 << 12, /* reserved rounding mode */
        0x0e000053 | 1 << 25,
        0x0000200f, /* cbo */
        0x0d000073, /* wrs.nto */
        0x20002033, /* sh1add */
        0x0e002057, /* vector */
    };

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        rig_reset(&rig);
        expect_trap(words[i], CAUSE_ILLEGAL, words[i]);
    }
    /* A compressed one: tval has its two bytes. */
    rig_reset(&rig);
    expect_trap(0x00010000, CAUSE_ILLEGAL, 0);
    expect_trap(0x00018002, CAUSE_ILLEGAL, 0x8002); /* c.jr x0 */
}

static void memory_that_is_not_there(void **state)
{
    rig_reset(&rig);
    rig.h->r.x[A0] = 0x40000000;
    expect_trap(rig_i("ld", A1, A0, 8), CAUSE_LOAD_ACCESS, 0x40000008);
    expect_trap(rig_s("sb", A1, A0, 1), CAUSE_STORE_ACCESS, 0x40000001);
    expect_trap(rig_r("amoadd_w", A1, A0, A1), CAUSE_STORE_ACCESS, 0x40000000);
    expect_trap(rig_r("lr_w", A1, A0, 0), CAUSE_LOAD_ACCESS, 0x40000000);
    RIG_RUN(&rig, rig_i("jalr", RA, A0, 4));
    assert_int_equal(rig.h->r.mcause, CAUSE_FETCH_ACCESS);
    assert_int_equal(rig.h->r.mtval, 0x40000004);
    assert_int_equal(rig.h->r.mepc, 0x40000004);
    assert_int_equal(rig.h->r.x[RA], RIG_CODE + 4);
}

static void floating_point_needs_fs(void **state)
{
    static const char *const names[] = {"fadd_d", "feq_d", "fmv_x_d", "fsgnj_s", "fclass_s"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        uint32_t word = rig_r(names[i], A0, A1, 0);

        rig_reset(&rig);
        rig.h->r.mstatus &= ~MSTATUS_FS;
        expect_trap(word, CAUSE_ILLEGAL, word);
    }
    rig_reset(&rig);
    rig.h->r.mstatus &= ~MSTATUS_FS;
    expect_trap(rig_i("fld", A0, X0, 0), CAUSE_ILLEGAL, rig_i("fld", A0, X0, 0));
    expect_trap(rig_s("fsw", A0, X0, 0), CAUSE_ILLEGAL, rig_s("fsw", A0, X0, 0));
    expect_trap(rig_csr("csrrs", A0, 0x003, 0), CAUSE_ILLEGAL, rig_csr("csrrs", A0, 0x003, 0));

    /* A write makes Initial and Clean dirty; a read does not. */
    rig.h->r.mstatus |= UINT64_C(1) << 13;
    RIG_RUN(&rig, rig_r("fmv_x_d", A0, A1, 0), rig_word("ebreak"));
    assert_int_equal(rig.h->r.mstatus & MSTATUS_FS, UINT64_C(1) << 13);
    RIG_RUN(&rig, rig_r("fmv_d_x", A0, A1, 0), rig_word("ebreak"));
    assert_int_equal(rig.h->r.mstatus & MSTATUS_FS, MSTATUS_FS);
}

static void floating_point_rounds_as_told(void **state)
{
    /* 1/3 to nearest, toward zero, down and up, by rm and by frm; RMM is done without the host. */
    static const struct {
        unsigned rm, frm;
        uint64_t expected;
    } rows[] = {
        {0, 3, UINT64_C(0x3fd5555555555555)}, {1, 3, UINT64_C(0x3fd5555555555555)},
        {2, 0, UINT64_C(0x3fd5555555555555)}, {3, 0, UINT64_C(0x3fd5555555555556)},
        {7, 3, UINT64_C(0x3fd5555555555556)}, {7, 0, UINT64_C(0x3fd5555555555555)},
        {7, 4, UINT64_C(0x3fd5555555555555)},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        rig_reset(&rig);
        rig.h->r.f[1] = UINT64_C(0x3ff0000000000000);
        rig.h->r.f[2] = UINT64_C(0x4008000000000000);
        RIG_RUN(&rig, rig_csr("csrrwi", X0, 0x002, rows[i].frm),
                rig_r("fdiv_d", 3, 1, 2) | rows[i].rm << 12, rig_csr("csrrs", A0, 0x001, 0),
                rig_word("ebreak"));
        assert_int_equal(rig.h->r.f[3], rows[i].expected);
        assert_int_equal(rig.h->r.x[A0], FP_NX);
    }
    /* A reserved mode in frm. */
    rig_reset(&rig);
    rig.h->fp.frm = 5;
    expect_trap(rig_r("fadd_d", 1, 1, 1) | 7 << 12, CAUSE_ILLEGAL,
                rig_r("fadd_d", 1, 1, 1) | 7 << 12);
}

/* Code that is changed runs as it was at least until FENCE.I, and as it is after it. */
static void fence_i_shows_new_code(void **state)
{
    rig_reset(&rig);
    rig.h->r.x[A0] = RIG_CODE + 12;
    rig.h->r.x[A1] = rig_i("addi", A2, X0, 2);
    RIG_RUN(&rig, rig_s("sw", A1, A0, 0), rig_word("fence_i"), rig_i("addi", X0, X0, 0),
            rig_i("addi", A2, X0, 1), rig_word("ebreak"));
    assert_int_equal(rig.h->r.x[A2], 2);
    /* The same block again, changed back. */
    rig.h->r.x[A1] = rig_i("addi", A2, X0, 3);
    rig.h->r.pc = RIG_CODE;
    rig_continue(&rig);
    assert_int_equal(rig.h->r.x[A2], 3);
}

static void counters_count(void **state)
{
    rig_reset(&rig);
    RIG_RUN(&rig, rig_csr("csrrs", A0, 0xb02, 0), rig_i("addi", X0, X0, 0),
            rig_csr("csrrs", A1, 0xb02, 0), rig_csr("csrrwi", X0, 0xb02, 7),
            rig_csr("csrrs", A2, 0xb02, 0), rig_csr("csrrwi", X0, 0x320, 5),
            rig_csr("csrrs", A3, 0xb02, 0), rig_i("addi", X0, X0, 0),
            rig_csr("csrrs", A4, 0xb02, 0), rig_word("ebreak"));
    assert_int_equal(rig.h->r.x[A1] - rig.h->r.x[A0], 2);
    assert_int_equal(rig.h->r.x[A2], 7);
    /* Inhibited. */
    assert_int_equal(rig.h->r.x[A3], rig.h->r.x[A4]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_registers),
        cmocka_unit_test(register_and_immediate),
        cmocka_unit_test(x0_stays_zero),
        cmocka_unit_test(upper_immediates),
        cmocka_unit_test(loads_extend),
        cmocka_unit_test(stores_write_their_width),
        cmocka_unit_test(atomics),
        cmocka_unit_test(store_conditional),
        cmocka_unit_test(misaligned_atomics_trap),
        cmocka_unit_test(illegal_words_trap),
        cmocka_unit_test(memory_that_is_not_there),
        cmocka_unit_test(floating_point_needs_fs),
        cmocka_unit_test(floating_point_rounds_as_told),
        cmocka_unit_test(fence_i_shows_new_code),
        cmocka_unit_test(counters_count),
    };

    return cmocka_run_group_tests_name("vmm/accel/riscv64/exec", tests, setup, teardown);
}
