/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RV64 F and D but for loads and stores. The arithmetic is in fp.h; here is when it may be used.
 *
 * The fast path needs mstatus.FS = Dirty, so that it has nothing to note, and a rounding mode that
 * the host is in. The slow path sorts out the rest: no f registers at all, a reserved mode, a
 * mode the host cannot do, the first write since FS was Clean.
 */
#include "vmm/accel/riscv64/exec.h"

#define FS_DIRTY LIKELY((h->r.mstatus & MSTATUS_FS) == MSTATUS_FS)
#define FS_OFF   UNLIKELY(!(h->r.mstatus & MSTATUS_FS))

#define FD  h->r.f[i->rd]
#define XD  h->r.x[i->rd]
#define F1  h->r.f[i->rs1]
#define F2  h->r.f[i->rs2]
#define F3  h->r.f[i->imm >> 8]
#define X1  h->r.x[i->rs1]
#define RM  (i->imm & 7)
#define ENV (&h->fp)

/* Any rounding mode: what rounds, done without the host. */
#define SLOW_ROUNDED(name, D, code, a, b, c)                   \
    SLOW(name##_slow)                                          \
    {                                                          \
        int mode = fp_rm_resolve(ENV, (unsigned)RM);           \
                                                               \
        if (FS_OFF || mode < 0)                                \
            TAIL(exec_illegal);                                \
        h->r.mstatus |= MSTATUS_FS;                            \
        D = fp_op_rm(ENV, FP_##code, (unsigned)mode, a, b, c); \
        NEXT();                                                \
    }

#define OP_ROUNDED(name, code, a, b, c, value)                        \
    SLOW_ROUNDED(name, FD, code, a, b, c)                             \
    OP(name)                                                          \
    {                                                                 \
        if (UNLIKELY(!FS_DIRTY || !fp_rm_on_host(ENV, (unsigned)RM))) \
            TAIL(name##_slow);                                        \
        FD = value;                                                   \
        NEXT();                                                       \
    }

/* Conversions to integers truncate in C, so that mode has its own way. */
#define OP_TO_INT(name, code)                            \
    SLOW_ROUNDED(f##name, XD, code, F1, 0, 0)            \
    OP(f##name)                                          \
    {                                                    \
        if (UNLIKELY(!FS_DIRTY))                         \
            TAIL(f##name##_slow);                        \
        if (LIKELY(RM == FP_RTZ)) {                      \
            XD = fp_##name##_rtz(ENV, F1);               \
            NEXT();                                      \
        }                                                \
        if (UNLIKELY(!fp_rm_on_host(ENV, (unsigned)RM))) \
            TAIL(f##name##_slow);                        \
        XD = fp_##name(ENV, F1);                         \
        NEXT();                                          \
    }

/* What writes an f register or a flag and does not round. */
#define OP_EXACT(name, D, value)    \
    SLOW(name##_slow)               \
    {                               \
        if (FS_OFF)                 \
            TAIL(exec_illegal);     \
        h->r.mstatus |= MSTATUS_FS; \
        D = value;                  \
        NEXT();                     \
    }                               \
    OP(name)                        \
    {                               \
        if (UNLIKELY(!FS_DIRTY))    \
            TAIL(name##_slow);      \
        D = value;                  \
        NEXT();                     \
    }

/* What only reads f registers. */
#define OP_READ(name, value)    \
    OP(name)                    \
    {                           \
        if (FS_OFF)             \
            TAIL(exec_illegal); \
        XD = value;             \
        NEXT();                 \
    }

#define OPS_OF_FORMAT(x, X)                                                      \
    OP_ROUNDED(fadd_##x, ADD_##X, F1, F2, 0, fp_add_##x(ENV, F1, F2))            \
    OP_ROUNDED(fsub_##x, SUB_##X, F1, F2, 0, fp_sub_##x(ENV, F1, F2))            \
    OP_ROUNDED(fmul_##x, MUL_##X, F1, F2, 0, fp_mul_##x(ENV, F1, F2))            \
    OP_ROUNDED(fdiv_##x, DIV_##X, F1, F2, 0, fp_div_##x(ENV, F1, F2))            \
    OP_ROUNDED(fsqrt_##x, SQRT_##X, F1, 0, 0, fp_sqrt_##x(ENV, F1))              \
    OP_ROUNDED(fmadd_##x, MADD_##X, F1, F2, F3, fp_madd_##x(ENV, F1, F2, F3))    \
    OP_ROUNDED(fmsub_##x, MSUB_##X, F1, F2, F3, fp_msub_##x(ENV, F1, F2, F3))    \
    OP_ROUNDED(fnmsub_##x, NMSUB_##X, F1, F2, F3, fp_nmsub_##x(ENV, F1, F2, F3)) \
    OP_ROUNDED(fnmadd_##x, NMADD_##X, F1, F2, F3, fp_nmadd_##x(ENV, F1, F2, F3)) \
    OP_ROUNDED(fcvt_##x##_w, FROM_W_##X, X1, 0, 0, fp_from_w_##x(ENV, X1))       \
    OP_ROUNDED(fcvt_##x##_wu, FROM_WU_##X, X1, 0, 0, fp_from_wu_##x(ENV, X1))    \
    OP_ROUNDED(fcvt_##x##_l, FROM_L_##X, X1, 0, 0, fp_from_l_##x(ENV, X1))       \
    OP_ROUNDED(fcvt_##x##_lu, FROM_LU_##X, X1, 0, 0, fp_from_lu_##x(ENV, X1))    \
    OP_TO_INT(cvt_w_##x, CVT_W_##X)                                              \
    OP_TO_INT(cvt_wu_##x, CVT_WU_##X)                                            \
    OP_TO_INT(cvt_l_##x, CVT_L_##X)                                              \
    OP_TO_INT(cvt_lu_##x, CVT_LU_##X)                                            \
    OP_EXACT(fsgnj_##x, FD, fp_sgnj_##x(F1, F2))                                 \
    OP_EXACT(fsgnjn_##x, FD, fp_sgnjn_##x(F1, F2))                               \
    OP_EXACT(fsgnjx_##x, FD, fp_sgnjx_##x(F1, F2))                               \
    OP_EXACT(fmin_##x, FD, fp_min_##x(ENV, F1, F2))                              \
    OP_EXACT(fmax_##x, FD, fp_max_##x(ENV, F1, F2))                              \
    OP_EXACT(feq_##x, XD, fp_eq_##x(ENV, F1, F2))                                \
    OP_EXACT(flt_##x, XD, fp_lt_##x(ENV, F1, F2))                                \
    OP_EXACT(fle_##x, XD, fp_le_##x(ENV, F1, F2))                                \
    OP_READ(fclass_##x, fp_class_##x(F1))

OPS_OF_FORMAT(s, S)
OPS_OF_FORMAT(d, D)
OP_ROUNDED(fcvt_s_d, FROM_OTHER_S, F1, 0, 0, fp_cvt_s_d(ENV, F1))
OP_ROUNDED(fcvt_d_s, FROM_OTHER_D, F1, 0, 0, fp_cvt_d_s(ENV, F1))
OP_READ(fmv_x_d, F1)
OP_READ(fmv_x_w, (uint64_t)(int64_t)(int32_t)F1)
OP_EXACT(fmv_d_x, FD, X1)
OP_EXACT(fmv_w_x, FD, fp_box((uint32_t)X1))
