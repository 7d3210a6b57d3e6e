/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every floating-point instruction with every combination of special operands and random ones, in
 * every rounding mode: prints one hash of all values and flags for each instruction and mode.
 */
#include "../fp_cases.h"
#include "guest.h"

static void fp_case_set_rm(unsigned rm)
{
    csr_write(frm, rm);
}

/* clang-format off */
#define F_F(n, insn, rest) case CASE_##n: __asm__ volatile( \
    "fmv.d.x fa0, %1\n fmv.d.x fa1, %2\n fmv.d.x fa2, %3\n csrw fflags, zero\n" \
    insn " fa3, fa0" rest "\n fmv.x.d %0, fa3" : "=r"(r) : "r"(a), "r"(b), "r"(c) : "fa0", "fa1", "fa2", "fa3", "memory"); break;
#define X_F(n, insn, rest) case CASE_##n: __asm__ volatile( \
    "fmv.d.x fa0, %1\n fmv.d.x fa1, %2\n csrw fflags, zero\n" \
    insn " %0, fa0" rest "\n" : "=r"(r) : "r"(a), "r"(b) : "fa0", "fa1", "memory"); break;
#define F_X(n, insn, rest) case CASE_##n: __asm__ volatile( \
    "csrw fflags, zero\n" insn " fa3, %1" rest "\n fmv.x.d %0, fa3" : "=r"(r) : "r"(a) : "fa3", "memory"); break;
#define FORMAT(x, p) \
    F_F(add_##x, "fadd." p, ", fa1") F_F(sub_##x, "fsub." p, ", fa1") \
    F_F(mul_##x, "fmul." p, ", fa1") F_F(div_##x, "fdiv." p, ", fa1") \
    F_F(sqrt_##x, "fsqrt." p, "") \
    F_F(madd_##x, "fmadd." p, ", fa1, fa2") F_F(msub_##x, "fmsub." p, ", fa1, fa2") \
    F_F(nmsub_##x, "fnmsub." p, ", fa1, fa2") F_F(nmadd_##x, "fnmadd." p, ", fa1, fa2") \
    X_F(cvt_w_##x, "fcvt.w." p, ", dyn") X_F(cvt_wu_##x, "fcvt.wu." p, ", dyn") \
    X_F(cvt_l_##x, "fcvt.l." p, ", dyn") X_F(cvt_lu_##x, "fcvt.lu." p, ", dyn") \
    F_F(min_##x, "fmin." p, ", fa1") F_F(max_##x, "fmax." p, ", fa1") \
    X_F(eq_##x, "feq." p, ", fa1") X_F(lt_##x, "flt." p, ", fa1") X_F(le_##x, "fle." p, ", fa1") \
    X_F(class_##x, "fclass." p, "") \
    F_F(sgnj_##x, "fsgnj." p, ", fa1") F_F(sgnjn_##x, "fsgnjn." p, ", fa1") F_F(sgnjx_##x, "fsgnjx." p, ", fa1")

static uint64_t fp_case_do(enum fp_case op, uint64_t a, uint64_t b, uint64_t c, unsigned *flags)
{
    uint64_t r = 0;

    switch (op) {
    FORMAT(s, "s")
    FORMAT(d, "d")
    F_F(cvt_s_d, "fcvt.s.d", ", dyn")
    F_F(cvt_d_s, "fcvt.d.s", "")
    F_X(from_w_s, "fcvt.s.w", ", dyn") F_X(from_wu_s, "fcvt.s.wu", ", dyn")
    F_X(from_l_s, "fcvt.s.l", ", dyn") F_X(from_lu_s, "fcvt.s.lu", ", dyn")
    F_X(from_w_d, "fcvt.d.w", "") F_X(from_wu_d, "fcvt.d.wu", "")
    F_X(from_l_d, "fcvt.d.l", ", dyn") F_X(from_lu_d, "fcvt.d.lu", ", dyn")
    default: guest_fail("no such operation");
    }
    *flags = (unsigned)csr_read(fflags);
    return r;
}
/* clang-format on */

void guest_main(uint64_t hart_id)
{
    (void)hart_id;
    for (unsigned op = 0; op < CASE_COUNT; op++) {
        for (unsigned rm = 0; rm < 5; rm++) {
            put_text(fp_case_info[op].name);
            put_char(' ');
            put_dec(rm);
            put_char(' ');
            put_hex(fp_case_hash((enum fp_case)op, rm), 16);
            put_char('\n');
        }
    }
}
