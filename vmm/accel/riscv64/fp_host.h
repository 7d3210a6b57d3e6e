/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Floating point on the host's FPU. Included by vmm/accel/riscv64/fp.h, which says when it may be
 * used.
 *
 * x86-64: SSE2, written as asm so that no compiler moves or folds an operation across a change of
 * MXCSR. SSE agrees with RISC-V in everything (tininess after rounding too) except: the NaN it
 * returns, the result of a conversion out of range, unsigned conversions, and the flags of
 * infinity * 0 + NaN. Those leave the fast path.
 *
 * Other hosts: the integer arithmetic of fp_op_rm(). Arm64, for one, detects tininess before
 * rounding, so its FPU cannot give the right UF.
 */
#pragma once

/* What the host rounds like between fp_enter() and fp_leave(). */
static inline unsigned fp_host_rm(const struct fp_env *env)
{
    return env->frm < FP_RMM ? env->frm : FP_RNE;
}

#if defined(__x86_64__) && !defined(FP_SOFT_ONLY) /* the latter for tests */

union fp_f32 {
    uint32_t bits;
    float f;
};
union fp_f64 {
    uint64_t bits;
    double f;
};

#define FP_ARITH_2_(name, x, F, insn, NAN)                                             \
    static inline uint64_t fp_##name##_##x(struct fp_env *env, uint64_t a, uint64_t b) \
    {                                                                                  \
        union F r = {.bits = fp_unbox_##x(a)}, v = {.bits = fp_unbox_##x(b)};          \
                                                                                       \
        __asm__ volatile(insn " %1, %0" : "+x"(r.f) : "x"(v.f));                       \
        return fp_box_##x(__builtin_expect(r.f != r.f, 0) ? NAN : r.bits);             \
    }
/* One operand of format x, result of format y. */
#define FP_ARITH_1_(fn, x, FX, y, FY, insn, NAN)                           \
    static inline uint64_t fn(struct fp_env *env, uint64_t a)              \
    {                                                                      \
        union FX v = {.bits = fp_unbox_##x(a)};                            \
        union FY r = {.bits = 0};                                          \
                                                                           \
        __asm__ volatile(insn " %1, %0" : "+x"(r.f) : "x"(v.f));           \
        return fp_box_##y(__builtin_expect(r.f != r.f, 0) ? NAN : r.bits); \
    }
/* A NaN result is done again: the host does not raise invalid for infinity * 0 + qNaN. */
#define FP_FMA_(name, OP, x, F, insn)                                                              \
    static inline uint64_t fp_##name##_##x(struct fp_env *env, uint64_t a, uint64_t b, uint64_t c) \
    {                                                                                              \
        if (__builtin_expect(env->host_fma, 1)) {                                                  \
            union F r = {.bits = fp_unbox_##x(a)}, v = {.bits = fp_unbox_##x(b)};                  \
            union F w = {.bits = fp_unbox_##x(c)};                                                 \
                                                                                                   \
            __asm__ volatile(insn " %2, %1, %0" : "+x"(r.f) : "x"(v.f), "x"(w.f));                 \
            if (__builtin_expect(r.f == r.f, 1))                                                   \
                return fp_box_##x(r.bits);                                                         \
        }                                                                                          \
        return fp_op_rm(env, OP, fp_host_rm(env), a, b, c);                                        \
    }
/* Quiet comparisons signal for an sNaN only, the others for every NaN. */
#define FP_COMPARE_(name, x, F, insn, cond, cond2)                                     \
    static inline uint64_t fp_##name##_##x(struct fp_env *env, uint64_t a, uint64_t b) \
    {                                                                                  \
        union F v = {.bits = fp_unbox_##x(a)}, w = {.bits = fp_unbox_##x(b)};          \
        bool yes, ordered;                                                             \
                                                                                       \
        __asm__ volatile(insn " %[a], %[b]"                                            \
                         : "=@cc" cond(yes), "=@cc" cond2(ordered)                     \
                         : [a] "x"(v.f), [b] "x"(w.f));                                \
        return yes & ordered;                                                          \
    }
/* The host answers INT_MIN for everything out of range. rm: which mode the instruction has. */
#define FP_TO_INT_(fn, OP, x, F, insn, T, T_MIN, RM)           \
    static inline uint64_t fn(struct fp_env *env, uint64_t a)  \
    {                                                          \
        union F v = {.bits = fp_unbox_##x(a)};                 \
        T r;                                                   \
                                                               \
        __asm__ volatile(insn " %1, %0" : "=r"(r) : "x"(v.f)); \
        if (__builtin_expect(r == T_MIN, 0))                   \
            return fp_op_rm(env, OP, RM, a, 0, 0);             \
        return (uint64_t)(int64_t)r;                           \
    }
/* Not negative and below LIMIT = 2^31 or 2^63: what the signed 64-bit conversion does right. */
#define FP_TO_UINT_(fn, OP, x, F, insn, T, LIMIT, RM)          \
    static inline uint64_t fn(struct fp_env *env, uint64_t a)  \
    {                                                          \
        union F v = {.bits = fp_unbox_##x(a)};                 \
        int64_t r;                                             \
                                                               \
        if (__builtin_expect(v.bits >= LIMIT, 0))              \
            return fp_op_rm(env, OP, RM, a, 0, 0);             \
        __asm__ volatile(insn " %1, %0" : "=r"(r) : "x"(v.f)); \
        return (uint64_t)(int64_t)(T)r;                        \
    }
#define FP_FROM_INT_(name, x, F, insn, T)                                  \
    static inline uint64_t fp_##name##_##x(struct fp_env *env, uint64_t a) \
    {                                                                      \
        union F r = {.bits = 0};                                           \
                                                                           \
        __asm__ volatile(insn " %1, %0" : "+x"(r.f) : "r"((int64_t)(T)a)); \
        return fp_box_##x(r.bits);                                         \
    }
#define FP_FROM_LU_(x, OP)                                                \
    static inline uint64_t fp_from_lu_##x(struct fp_env *env, uint64_t a) \
    {                                                                     \
        if (__builtin_expect(a >> 63 != 0, 0))                            \
            return fp_op_rm(env, OP, fp_host_rm(env), a, 0, 0);           \
        return fp_from_l_##x(env, a);                                     \
    }

#define FP_FORMAT_(x, X, F, s, NAN, EXP31, EXP63)                                            \
    FP_ARITH_2_(add, x, F, "adds" s, NAN)                                                    \
    FP_ARITH_2_(sub, x, F, "subs" s, NAN)                                                    \
    FP_ARITH_2_(mul, x, F, "muls" s, NAN)                                                    \
    FP_ARITH_2_(div, x, F, "divs" s, NAN)                                                    \
    FP_ARITH_1_(fp_sqrt_##x, x, F, x, F, "sqrts" s, NAN)                                     \
    FP_FMA_(madd, FP_MADD_##X, x, F, "vfmadd213s" s)                                         \
    FP_FMA_(msub, FP_MSUB_##X, x, F, "vfmsub213s" s)                                         \
    FP_FMA_(nmsub, FP_NMSUB_##X, x, F, "vfnmadd213s" s)                                      \
    FP_FMA_(nmadd, FP_NMADD_##X, x, F, "vfnmsub213s" s)                                      \
    FP_COMPARE_(eq, x, F, "ucomis" s, "e", "np")                                             \
    FP_COMPARE_(lt, x, F, "comis" s, "a", "a")                                               \
    FP_COMPARE_(le, x, F, "comis" s, "ae", "ae")                                             \
    FP_TO_INT_(fp_cvt_w_##x, FP_CVT_W_##X, x, F, "cvts" s "2sil", int32_t, INT32_MIN,        \
               fp_host_rm(env))                                                              \
    FP_TO_INT_(fp_cvt_l_##x, FP_CVT_L_##X, x, F, "cvts" s "2siq", int64_t, INT64_MIN,        \
               fp_host_rm(env))                                                              \
    FP_TO_UINT_(fp_cvt_wu_##x, FP_CVT_WU_##X, x, F, "cvts" s "2siq", int32_t, EXP31,         \
                fp_host_rm(env))                                                             \
    FP_TO_UINT_(fp_cvt_lu_##x, FP_CVT_LU_##X, x, F, "cvts" s "2siq", int64_t, EXP63,         \
                fp_host_rm(env))                                                             \
    FP_TO_INT_(fp_cvt_w_##x##_rtz, FP_CVT_W_##X, x, F, "cvtts" s "2sil", int32_t, INT32_MIN, \
               FP_RTZ)                                                                       \
    FP_TO_INT_(fp_cvt_l_##x##_rtz, FP_CVT_L_##X, x, F, "cvtts" s "2siq", int64_t, INT64_MIN, \
               FP_RTZ)                                                                       \
    FP_TO_UINT_(fp_cvt_wu_##x##_rtz, FP_CVT_WU_##X, x, F, "cvtts" s "2siq", int32_t, EXP31,  \
                FP_RTZ)                                                                      \
    FP_TO_UINT_(fp_cvt_lu_##x##_rtz, FP_CVT_LU_##X, x, F, "cvtts" s "2siq", int64_t, EXP63,  \
                FP_RTZ)                                                                      \
    FP_FROM_INT_(from_w, x, F, "cvtsi2s" s "q", int32_t)                                     \
    FP_FROM_INT_(from_wu, x, F, "cvtsi2s" s "q", uint32_t)                                   \
    FP_FROM_INT_(from_l, x, F, "cvtsi2s" s "q", int64_t)                                     \
    FP_FROM_LU_(x, FP_FROM_LU_##X)

/* fp_cvt_w_s and so on round as the host does now; the ones with _rtz truncate always. */
FP_FORMAT_(s, S, fp_f32, "s", FP_NAN_S, 0x4f000000u, 0x5f000000u)
FP_FORMAT_(d, D, fp_f64, "d", FP_NAN_D, 0x41e0000000000000u, 0x43e0000000000000u)
FP_ARITH_1_(fp_cvt_s_d, d, fp_f64, s, fp_f32, "cvtsd2ss", FP_NAN_S)
FP_ARITH_1_(fp_cvt_d_s, s, fp_f32, d, fp_f64, "cvtss2sd", FP_NAN_D)

#undef FP_ARITH_2_
#undef FP_ARITH_1_
#undef FP_FMA_
#undef FP_COMPARE_
#undef FP_TO_INT_
#undef FP_TO_UINT_
#undef FP_FROM_INT_
#undef FP_FROM_LU_
#undef FP_FORMAT_

#else

/* clang-format off */
#define FP_SOFT_(fn, OP, RM)                                                            \
    static inline uint64_t fn(struct fp_env *env, uint64_t a) { return fp_op_rm(env, OP, RM, a, 0, 0); }
#define FP_SOFT_2_(fn, OP)                                                              \
    static inline uint64_t fn(struct fp_env *env, uint64_t a, uint64_t b)               \
    { return fp_op_rm(env, OP, fp_host_rm(env), a, b, 0); }
#define FP_SOFT_3_(fn, OP)                                                              \
    static inline uint64_t fn(struct fp_env *env, uint64_t a, uint64_t b, uint64_t c)   \
    { return fp_op_rm(env, OP, fp_host_rm(env), a, b, c); }
#define FP_SOFT_CVT_(name, OP)                \
    FP_SOFT_(name, OP, fp_host_rm(env))       \
    FP_SOFT_(name##_rtz, OP, FP_RTZ)
/* Of a and b, neither a NaN: less is whether the one comes before the other. */
#define FP_LESS_(name, x, less)                                                         \
    static inline uint64_t name(struct fp_env *env, uint64_t ra, uint64_t rb)           \
    {                                                                                   \
        __auto_type a = fp_unbox_##x(ra);                                               \
        __auto_type b = fp_unbox_##x(rb);                                               \
                                                                                        \
        if (fp_is_nan_##x(a) || fp_is_nan_##x(b)) {                                     \
            env->fflags |= FP_NV;                                                       \
            return 0;                                                                   \
        }                                                                               \
        return less;                                                                    \
    }
#define FP_FORMAT_(x, X, NAN)                                                           \
    FP_SOFT_2_(fp_add_##x, FP_ADD_##X)                                                  \
    FP_SOFT_2_(fp_sub_##x, FP_SUB_##X)                                                  \
    FP_SOFT_2_(fp_mul_##x, FP_MUL_##X)                                                  \
    FP_SOFT_2_(fp_div_##x, FP_DIV_##X)                                                  \
    FP_SOFT_(fp_sqrt_##x, FP_SQRT_##X, fp_host_rm(env))                                 \
    FP_SOFT_3_(fp_madd_##x, FP_MADD_##X)                                                \
    FP_SOFT_3_(fp_msub_##x, FP_MSUB_##X)                                                \
    FP_SOFT_3_(fp_nmsub_##x, FP_NMSUB_##X)                                              \
    FP_SOFT_3_(fp_nmadd_##x, FP_NMADD_##X)                                              \
    FP_SOFT_CVT_(fp_cvt_w_##x, FP_CVT_W_##X)                                            \
    FP_SOFT_CVT_(fp_cvt_wu_##x, FP_CVT_WU_##X)                                          \
    FP_SOFT_CVT_(fp_cvt_l_##x, FP_CVT_L_##X)                                            \
    FP_SOFT_CVT_(fp_cvt_lu_##x, FP_CVT_LU_##X)                                          \
    FP_SOFT_(fp_from_w_##x, FP_FROM_W_##X, fp_host_rm(env))                             \
    FP_SOFT_(fp_from_wu_##x, FP_FROM_WU_##X, fp_host_rm(env))                           \
    FP_SOFT_(fp_from_l_##x, FP_FROM_L_##X, fp_host_rm(env))                             \
    FP_SOFT_(fp_from_lu_##x, FP_FROM_LU_##X, fp_host_rm(env))                           \
    static inline uint64_t fp_eq_##x(struct fp_env *env, uint64_t ra, uint64_t rb)      \
    {                                                                                   \
        __auto_type a = fp_unbox_##x(ra);                                                \
        __auto_type b = fp_unbox_##x(rb);                                               \
                                                                                        \
        if (fp_is_snan_##x(a) || fp_is_snan_##x(b))                                     \
            env->fflags |= FP_NV;                                                       \
        if (fp_is_nan_##x(a) || fp_is_nan_##x(b))                                       \
            return 0;                                                                   \
        return a == b || !((a | b) & ~FP_SIGN_##X);                                     \
    }                                                                                   \
    FP_LESS_(fp_lt_##x, x, fp_before_##x(a, b) && ((a | b) & ~FP_SIGN_##X))             \
    FP_LESS_(fp_le_##x, x, !fp_before_##x(b, a) || !((a | b) & ~FP_SIGN_##X))
FP_FORMAT_(s, S, FP_NAN_S)
FP_FORMAT_(d, D, FP_NAN_D)
FP_SOFT_(fp_cvt_s_d, FP_FROM_OTHER_S, fp_host_rm(env))
FP_SOFT_(fp_cvt_d_s, FP_FROM_OTHER_D, fp_host_rm(env))
/* clang-format on */

#undef FP_SOFT_
#undef FP_SOFT_2_
#undef FP_SOFT_3_
#undef FP_SOFT_CVT_
#undef FP_LESS_
#undef FP_FORMAT_

#endif
