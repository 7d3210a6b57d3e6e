/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Floating point: every operation against hashes of the results of a riscv64 machine
 * (fp_golden.txt, recorded from guest/fp.c), by the host's FPU where rm allows it and by integer
 * arithmetic always; then what the hashes do not show.
 *
 *     fp_test GOLDEN                     the tests
 *     fp_test --trace OPERATION RM       one line for each result, to compare with a machine's
 */
#include "tests/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/accel/riscv64/fp.h"

static struct fp_env env;
static unsigned rm_now;
static bool use_soft;
static bool trace;

#define FP_CASE_TRACE(op, rm, a, b, c, r, flags)                                                \
    do {                                                                                        \
        if (trace)                                                                              \
            printf("%s %u %016llx %016llx %016llx = %016llx %02x\n", fp_case_info[op].name, rm, \
                   (unsigned long long)(a), (unsigned long long)(b), (unsigned long long)(c),   \
                   (unsigned long long)(r), flags);                                             \
    } while (0)

#include "fp_cases.h"

static void fp_case_set_rm(unsigned rm)
{
    rm_now = rm;
    fp_set_frm(&env, rm);
}

static uint64_t do_soft(enum fp_op op, uint64_t a, uint64_t b, uint64_t c)
{
    return fp_op_rm(&env, op, rm_now, a, b, c);
}

/* clang-format off */
#define ROUNDED_1(n, OP) case CASE_##n: r = host ? fp_##n(&env, a) : do_soft(OP, a, 0, 0); break;
#define ROUNDED_2(n, OP) case CASE_##n: r = host ? fp_##n(&env, a, b) : do_soft(OP, a, b, 0); break;
#define ROUNDED_3(n, OP) case CASE_##n: r = host ? fp_##n(&env, a, b, c) : do_soft(OP, a, b, c); break;
/* The truncating form must be the same as the rounding one in mode RTZ. */
#define TO_INT(n, OP) case CASE_##n: r = rm_now == FP_RTZ && !use_soft ? fp_##n##_rtz(&env, a) \
    : host ? fp_##n(&env, a) : do_soft(OP, a, 0, 0); break;
#define FLAGGED(n) case CASE_##n: r = fp_##n(&env, a, b); break;
#define PURE_2(n) case CASE_##n: r = fp_##n(a, b); break;
#define PURE_1(n) case CASE_##n: r = fp_##n(a); break;
#define FORMAT(x, X) \
    ROUNDED_2(add_##x, FP_ADD_##X) ROUNDED_2(sub_##x, FP_SUB_##X) \
    ROUNDED_2(mul_##x, FP_MUL_##X) ROUNDED_2(div_##x, FP_DIV_##X) \
    ROUNDED_1(sqrt_##x, FP_SQRT_##X) \
    ROUNDED_3(madd_##x, FP_MADD_##X) ROUNDED_3(msub_##x, FP_MSUB_##X) \
    ROUNDED_3(nmsub_##x, FP_NMSUB_##X) ROUNDED_3(nmadd_##x, FP_NMADD_##X) \
    TO_INT(cvt_w_##x, FP_CVT_W_##X) TO_INT(cvt_wu_##x, FP_CVT_WU_##X) \
    TO_INT(cvt_l_##x, FP_CVT_L_##X) TO_INT(cvt_lu_##x, FP_CVT_LU_##X) \
    ROUNDED_1(from_w_##x, FP_FROM_W_##X) ROUNDED_1(from_wu_##x, FP_FROM_WU_##X) \
    ROUNDED_1(from_l_##x, FP_FROM_L_##X) ROUNDED_1(from_lu_##x, FP_FROM_LU_##X) \
    FLAGGED(min_##x) FLAGGED(max_##x) FLAGGED(eq_##x) FLAGGED(lt_##x) FLAGGED(le_##x) \
    PURE_1(class_##x) PURE_2(sgnj_##x) PURE_2(sgnjn_##x) PURE_2(sgnjx_##x)

static uint64_t fp_case_do(enum fp_case op, uint64_t a, uint64_t b, uint64_t c, unsigned *flags)
{
    bool host = !use_soft && fp_rm_on_host(&env, FP_DYN);
    uint64_t r = 0;

    fp_set_flags(&env, 0);
    switch (op) {
    FORMAT(s, S)
    FORMAT(d, D)
    ROUNDED_1(cvt_s_d, FP_FROM_OTHER_S)
    ROUNDED_1(cvt_d_s, FP_FROM_OTHER_D)
    default: abort();
    }
    *flags = fp_flags(&env);
    return r;
}
/* clang-format on */

struct golden {
    char name[16];
    unsigned rm;
    uint64_t hash;
};

static struct golden goldens[CASE_COUNT * 5];
static size_t golden_count;

static void read_goldens(const char *path)
{
    FILE *f = fopen(path, "r");
    unsigned long long hash;

    if (!f) {
        fprintf(stderr, "cannot open \"%s\", the hashes recorded from a machine\n", path);
        exit(1);
    }
    while (golden_count < sizeof(goldens) / sizeof(goldens[0])) {
        struct golden *g = &goldens[golden_count];

        if (fscanf(f, "%15s %u %llx", g->name, &g->rm, &hash) != 3)
            break;
        g->hash = hash;
        golden_count++;
    }
    fclose(f);
}

static void compare_with_goldens(void)
{
    unsigned differ = 0;

    assert_int_equal(golden_count, CASE_COUNT * 5);
    fp_init(&env);
    fp_enter(&env);
    for (size_t i = 0; i < golden_count; i++) {
        const struct golden *g = &goldens[i];
        enum fp_case op = (enum fp_case)(i / 5);

        assert_string_equal(g->name, fp_case_info[op].name);
        if (fp_case_hash(op, g->rm) != g->hash) {
            print_error("%s in rounding mode %u differs from the machine's results\n", g->name,
                        g->rm);
            differ++;
        }
    }
    fp_leave(&env);
    assert_int_equal(differ, 0);
}

static void every_result_equals_a_machines(void **state)
{
    use_soft = false;
    compare_with_goldens();
}

static void integer_arithmetic_equals_a_machines(void **state)
{
    use_soft = true;
    compare_with_goldens();
    use_soft = false;
}

static void without_a_host_fma_too(void **state)
{
    fp_init(&env);
    env.host_fma = false;
    fp_enter(&env);
    for (size_t i = 0; i < golden_count; i++) {
        enum fp_case op = (enum fp_case)(i / 5);

        if (fp_case_info[op].operands == 3 && goldens[i].rm == FP_RNE)
            assert_int_equal(fp_case_hash(op, goldens[i].rm), goldens[i].hash);
    }
    fp_leave(&env);
}

#define ONE   0x3ff0000000000000u
#define THREE 0x4008000000000000u

static void flags_accrue_across_leave_and_enter(void **state)
{
    struct fp_env e;

    fp_init(&e);
    assert_int_equal(e.fflags, 0);
    fp_enter(&e);
    assert_int_equal(fp_flags(&e), 0);
    (void)fp_div_d(&e, ONE, THREE);
    assert_int_equal(fp_flags(&e), FP_NX);
    fp_leave(&e);
    assert_int_equal(e.fflags, FP_NX);
    fp_enter(&e);
    (void)fp_div_d(&e, ONE, 0);
    assert_int_equal(fp_flags(&e), FP_NX | FP_DZ);
    /* Another mode forgets nothing. */
    fp_set_frm(&e, FP_RUP);
    assert_int_equal(fp_flags(&e), FP_NX | FP_DZ);
    fp_set_flags(&e, FP_UF);
    assert_int_equal(fp_flags(&e), FP_UF);
    /* ... and clearing flags keeps the mode: 1/3 is rounded up. */
    assert_int_equal(fp_div_d(&e, ONE, THREE), 0x3fd5555555555556u);
    fp_leave(&e);
}

static void harts_on_one_thread_do_not_mix(void **state)
{
    struct fp_env up, down;

    fp_init(&up);
    fp_init(&down);
    up.frm = FP_RUP;
    down.frm = FP_RDN;
    fp_enter(&up);
    assert_int_equal(fp_div_d(&up, ONE, THREE), 0x3fd5555555555556u);
    fp_leave(&up);
    fp_enter(&down);
    assert_int_equal(fp_flags(&down), 0);
    assert_int_equal(fp_div_d(&down, ONE, THREE), 0x3fd5555555555555u);
    fp_leave(&down);
    /* The rest of the program rounds to nearest. */
    assert_true((volatile double)1.0 / (volatile double)10.0 == 0.1);
}

static void rm_that_the_host_cannot_do_is_known(void **state)
{
    struct fp_env e;

    fp_init(&e);
    fp_enter(&e);
    for (unsigned frm = 0; frm < 8; frm++) {
        fp_set_frm(&e, frm);
        assert_int_equal(fp_rm_on_host(&e, FP_DYN), frm < FP_RMM);
        assert_int_equal(fp_rm_on_host(&e, FP_RMM), false);
        assert_int_equal(fp_rm_on_host(&e, 5), false);
        assert_int_equal(fp_rm_on_host(&e, 6), false);
        assert_int_equal(fp_rm_on_host(&e, FP_RTZ), frm == FP_RTZ);
        assert_int_equal(fp_rm_on_host(&e, FP_RNE), frm == FP_RNE || frm >= FP_RMM);
        assert_int_equal(fp_rm_resolve(&e, FP_DYN), frm <= FP_RMM ? (int)frm : -1);
        assert_int_equal(fp_rm_resolve(&e, FP_RUP), FP_RUP);
        assert_int_equal(fp_rm_resolve(&e, 5), -1);
    }
    fp_leave(&e);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_result_equals_a_machines),
        cmocka_unit_test(integer_arithmetic_equals_a_machines),
        cmocka_unit_test(without_a_host_fma_too),
        cmocka_unit_test(flags_accrue_across_leave_and_enter),
        cmocka_unit_test(harts_on_one_thread_do_not_mix),
        cmocka_unit_test(rm_that_the_host_cannot_do_is_known),
    };

    if (argc == 4 && !strcmp(argv[1], "--trace")) {
        trace = true;
        fp_init(&env);
        fp_enter(&env);
        for (unsigned op = 0; op < CASE_COUNT; op++)
            if (!strcmp(argv[2], fp_case_info[op].name))
                (void)fp_case_hash((enum fp_case)op, (unsigned)atoi(argv[3]) % 5);
        return 0;
    }
    if (argc != 2) {
        fprintf(stderr, "usage: fp_test GOLDEN | fp_test --trace OPERATION RM\n");
        return 1;
    }
    read_goldens(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
