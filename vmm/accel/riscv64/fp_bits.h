/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Floating-point operations that only look at bits: boxing, sign injection, min, max, class.
 * Included by vmm/accel/riscv64/fp.h, which says what the values are.
 */
#pragma once

#define FP_NAN_S    0x7fc00000u
#define FP_NAN_D    0x7ff8000000000000u
#define FP_SIGN_S   0x80000000u
#define FP_SIGN_D   0x8000000000000000u
#define FP_INF_S    0x7f800000u
#define FP_INF_D    0x7ff0000000000000u
#define FP_BOX      0xffffffff00000000u
#define FP_NORMAL_S 0x00800000u /* the smallest normal number */
#define FP_NORMAL_D 0x0010000000000000u
#define FP_QUIET_S  0x00400000u
#define FP_QUIET_D  0x0008000000000000u

static inline uint64_t fp_box(uint32_t s)
{
    return FP_BOX | s;
}

static inline uint32_t fp_unbox(uint64_t a)
{
    return a >= FP_BOX ? (uint32_t)a : FP_NAN_S;
}

/* The names that the two formats share below: raw bits in, raw bits out. */
static inline uint64_t fp_unbox_d(uint64_t a)
{
    return a;
}

static inline uint64_t fp_box_d(uint64_t a)
{
    return a;
}

static inline uint32_t fp_unbox_s(uint64_t a)
{
    return fp_unbox(a);
}

static inline uint64_t fp_box_s(uint32_t a)
{
    return fp_box(a);
}

/*
 * fclass: the result has one bit set of
 * 0 -inf, 1 -normal, 2 -subnormal, 3 -0, 4 +0, 5 +subnormal, 6 +normal, 7 +inf, 8 sNaN, 9 qNaN.
 * fmin, fmax: IEEE 754-2019 minimumNumber, maximumNumber: -0 < +0; one NaN loses; sNaN is NV.
 */
#define FP_BITS_OPS_(x, T, SIGN, INF, NORMAL, QUIET, NAN)                                        \
    static inline uint64_t fp_sgnj_##x(uint64_t a, uint64_t b)                                   \
    {                                                                                            \
        return fp_box_##x((fp_unbox_##x(a) & ~(T)SIGN) | (fp_unbox_##x(b) & SIGN));              \
    }                                                                                            \
    static inline uint64_t fp_sgnjn_##x(uint64_t a, uint64_t b)                                  \
    {                                                                                            \
        return fp_box_##x((fp_unbox_##x(a) & ~(T)SIGN) | (~fp_unbox_##x(b) & SIGN));             \
    }                                                                                            \
    static inline uint64_t fp_sgnjx_##x(uint64_t a, uint64_t b)                                  \
    {                                                                                            \
        return fp_box_##x(fp_unbox_##x(a) ^ (fp_unbox_##x(b) & SIGN));                           \
    }                                                                                            \
    static inline bool fp_is_nan_##x(T v)                                                        \
    {                                                                                            \
        return (v & ~(T)SIGN) > INF;                                                             \
    }                                                                                            \
    static inline bool fp_is_snan_##x(T v)                                                       \
    {                                                                                            \
        return fp_is_nan_##x(v) && !(v & QUIET);                                                 \
    }                                                                                            \
    static inline uint64_t fp_class_##x(uint64_t a)                                              \
    {                                                                                            \
        T v = fp_unbox_##x(a);                                                                   \
        T mag = v & ~(T)SIGN;                                                                    \
        unsigned kind;                                                                           \
                                                                                                 \
        if (mag > INF)                                                                           \
            return v & QUIET ? 1u << 9 : 1u << 8;                                                \
        kind = mag == 0 ? 0 : mag < NORMAL ? 1 : mag < INF ? 2 : 3;                              \
        return v & SIGN ? 1u << (3 - kind) : 1u << (4 + kind);                                   \
    }                                                                                            \
    /* Whether a comes before b, -0 before +0; neither is a NaN. */                              \
    static inline bool fp_before_##x(T a, T b)                                                   \
    {                                                                                            \
        return (a ^ b) & SIGN ? (a & SIGN) != 0 : (a < b) ^ ((a & SIGN) != 0 && a != b);         \
    }                                                                                            \
    static inline uint64_t fp_minmax_##x(struct fp_env *env, uint64_t ra, uint64_t rb, bool max) \
    {                                                                                            \
        T a = fp_unbox_##x(ra), b = fp_unbox_##x(rb);                                            \
                                                                                                 \
        if (fp_is_snan_##x(a) || fp_is_snan_##x(b))                                              \
            env->fflags |= FP_NV;                                                                \
        if (fp_is_nan_##x(a))                                                                    \
            return fp_box_##x(fp_is_nan_##x(b) ? NAN : b);                                       \
        if (fp_is_nan_##x(b))                                                                    \
            return fp_box_##x(a);                                                                \
        return fp_box_##x(fp_before_##x(a, b) != max ? a : b);                                   \
    }                                                                                            \
    static inline uint64_t fp_min_##x(struct fp_env *env, uint64_t a, uint64_t b)                \
    {                                                                                            \
        return fp_minmax_##x(env, a, b, false);                                                  \
    }                                                                                            \
    static inline uint64_t fp_max_##x(struct fp_env *env, uint64_t a, uint64_t b)                \
    {                                                                                            \
        return fp_minmax_##x(env, a, b, true);                                                   \
    }

FP_BITS_OPS_(s, uint32_t, FP_SIGN_S, FP_INF_S, FP_NORMAL_S, FP_QUIET_S, FP_NAN_S)
FP_BITS_OPS_(d, uint64_t, FP_SIGN_D, FP_INF_D, FP_NORMAL_D, FP_QUIET_D, FP_NAN_D)
#undef FP_BITS_OPS_
