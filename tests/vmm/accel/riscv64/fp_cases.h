/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operands for the floating-point operations, enumerated the same way by the bare-metal guest that
 * runs the instructions and by the unit test of the functions, so that one hash for each
 * (operation, rounding mode) is enough to compare every value and every flag.
 *
 * The includer provides fp_case_set_rm() and fp_case_do().
 */
#pragma once

#include <stdint.h>

/* name, operands, what the first operand is: s, d or x (integer). */
/* clang-format off */
#define FP_CASES(F) \
    F(add_s, 2, s) F(sub_s, 2, s) F(mul_s, 2, s) F(div_s, 2, s) F(sqrt_s, 1, s) \
    F(madd_s, 3, s) F(msub_s, 3, s) F(nmsub_s, 3, s) F(nmadd_s, 3, s) F(add_d, 2, d) \
    F(sub_d, 2, d) F(mul_d, 2, d) F(div_d, 2, d) F(sqrt_d, 1, d) F(madd_d, 3, d) \
    F(msub_d, 3, d) F(nmsub_d, 3, d) F(nmadd_d, 3, d) F(cvt_w_s, 1, s) F(cvt_wu_s, 1, s) \
    F(cvt_l_s, 1, s) F(cvt_lu_s, 1, s) F(cvt_w_d, 1, d) F(cvt_wu_d, 1, d) F(cvt_l_d, 1, d) \
    F(cvt_lu_d, 1, d) F(cvt_s_d, 1, d) F(cvt_d_s, 1, s) F(from_w_s, 1, x) F(from_wu_s, 1, x) \
    F(from_l_s, 1, x) F(from_lu_s, 1, x) F(from_w_d, 1, x) F(from_wu_d, 1, x) \
    F(from_l_d, 1, x) F(from_lu_d, 1, x) F(min_s, 2, s) F(max_s, 2, s) F(eq_s, 2, s) \
    F(lt_s, 2, s) F(le_s, 2, s) F(min_d, 2, d) F(max_d, 2, d) F(eq_d, 2, d) F(lt_d, 2, d) \
    F(le_d, 2, d) F(class_s, 1, s) F(class_d, 1, d) F(sgnj_s, 2, s) F(sgnjn_s, 2, s) \
    F(sgnjx_s, 2, s) F(sgnj_d, 2, d) F(sgnjn_d, 2, d) F(sgnjx_d, 2, d)
/* clang-format on */

#define FP_CASE_ENUM_(name, operands, kind) CASE_##name,
enum fp_case { FP_CASES(FP_CASE_ENUM_) CASE_COUNT };
#undef FP_CASE_ENUM_

struct fp_case_info {
    const char *name;
    unsigned operands;
    char kind;
};
#define FP_CASE_INFO_(name, operands, kind) {#name, operands, #kind[0]},
static const struct fp_case_info fp_case_info[] = {FP_CASES(FP_CASE_INFO_)};
#undef FP_CASE_INFO_

/* Magnitudes; each is used with both signs. */
static const uint64_t fp_case_d[] = {
    0,
    1,                  /* smallest subnormal */
    0x0008000000000000, /* middle subnormals */
    0x000ffffffffffffe,
    0x000fffffffffffff, /* largest */
    0x0010000000000000,
    0x0010000000000001,
    0x001fffffffffffff, /* smallest normals */
    0x0020000000000000,
    0x3690000000000000, /* half the smallest S subnormal */
    0x36a0000000000000,
    0x36a8000000000000,
    0x380fffffffffffff, /* around the smallest S normal */
    0x3810000000000000,
    0x380fffffe0000000,
    0x380ffffff0000000,
    0x3c90000000000000, /* 2^-54 */
    0x3ca0000000000000,
    0x3fd0000000000000,
    0x3fdfffffffffffff, /* just below 1/2 */
    0x3fe0000000000000,
    0x3fe0000000000001,
    0x3fefffffffffffff,
    0x3ff0000000000000, /* 1 */
    0x3ff0000000000001,
    0x3ff0000010000000,
    0x3ff0000030000000, /* ties between S numbers */
    0x3ff8000000000000,
    0x4000000000000000,
    0x4004000000000000, /* 1.5, 2, 2.5 */
    0x4008000000000000,
    0x41dfffffffc00000,
    0x41dfffffffe00000, /* around 2^31 */
    0x41e0000000000000,
    0x41e0000000100000,
    0x41efffffffe00000, /* around 2^32 */
    0x41effffffff00000,
    0x41f0000000000000,
    0x4330000000000001,
    0x43dfffffffffffff, /* 2^63 */
    0x43e0000000000000,
    0x43efffffffffffff,
    0x43f0000000000000,
    0x47efffffe0000000, /* S max */
    0x47efffffefffffff,
    0x47effffff0000000,
    0x47f0000000000000,
    0x7fdfffffffffffff,
    0x7fe0000000000000,
    0x7fefffffffffffff,
    0x7ff0000000000000,
    0x7ff0000000000001, /* sNaN */
    0x7ff7ffffffffffff,
    0x7ff8000000000000,
    0x7ff8000000000001,
    0x7fffffffffffffff,
};
static const uint32_t fp_case_s[] = {
    0,          1,          0x00400000, 0x007ffffe, 0x007fffff, 0x00800000, 0x00800001,
    0x00ffffff, 0x01000000, 0x0c800000, 0x1f800000, 0x33000000, 0x33800000, 0x3e800000,
    0x3effffff, 0x3f000000, 0x3f000001, 0x3f7fffff, 0x3f800000, 0x3f800001, 0x3fc00000,
    0x40000000, 0x40200000, 0x40400000, 0x4b000001, 0x4effffff, 0x4f000000, 0x4f7fffff,
    0x4f800000, 0x5effffff, 0x5f000000, 0x5f7fffff, 0x5f800000, 0x7e800000, 0x7f000000,
    0x7f7fffff, 0x7f800000, 0x7f800001, 0x7fbfffff, 0x7fc00000, 0x7fc00001, 0x7fffffff,
};
static const uint64_t fp_case_x[] = {
    0,
    1,
    2,
    3,
    0x7fffffff,
    0x80000000,
    0x80000001,
    0xffffffff,
    0x01000000,
    0x01000001,
    0x01000003,
    0x1ffffff,
    0x100000000,
    0x0020000000000000,
    0x0020000000000001,
    0x0020000000000003,
    0x003fffffffffffff,
    0x7fffffffffffffff,
    0x8000000000000000,
    0x7ffffffffffffc00,
    0x7ffffffffffffe00,
    0x7fffffbfffffffff,
    0x7fffff8000000000,
    0x7fffffc000000000,
    0xfffffffffffffc00,
    0xfffffffffffffbff,
    0xffffff7fffffffff,
    0xffffff8000000000,
    0x00ffffffffffffff,
    0x5555555555555555,
};

#define FP_CASE_LEN_(a) (unsigned)(sizeof(a) / sizeof((a)[0]))

static inline unsigned fp_case_specials(char kind)
{
    return 2 * (kind == 's'   ? FP_CASE_LEN_(fp_case_s) + 1 /* not boxed */
                : kind == 'd' ? FP_CASE_LEN_(fp_case_d)
                              : FP_CASE_LEN_(fp_case_x));
}

static inline uint64_t fp_case_special(char kind, unsigned i)
{
    unsigned half = i / 2;

    if (kind == 'x')
        return i & 1 ? -fp_case_x[half] : fp_case_x[half];
    if (kind == 'd')
        return fp_case_d[half] | (uint64_t)(i & 1) << 63;
    if (half == FP_CASE_LEN_(fp_case_s)) /* 1.0, not boxed */
        return i & 1 ? 0xfffffffe3f800000 : 0x000000003f800000;
    return 0xffffffff00000000 | fp_case_s[half] | (uint64_t)(i & 1) << 31;
}

static inline uint64_t fp_case_next(uint64_t *state)
{
    uint64_t x = *state;

    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    *state = x;
    return x * 0x2545f4914f6cdd1d;
}

/* Random, with exponents near each other and short fractions often enough to meet ties. */
static inline uint64_t fp_case_random(char kind, uint64_t *state)
{
    uint64_t how = fp_case_next(state), v = fp_case_next(state);

    if (kind == 'x')
        return (how & 1 ? (uint64_t)((int64_t)v >> (how >> 1 & 63)) : v >> (how >> 1 & 63));
    if (how & 1)
        v &= ~0ull << (how >> 8 & 63);
    if (kind == 'd') {
        if (how & 2)
            v = (v & ~(0x7ffull << 52)) | (0x3ff - 30 + (how >> 16 & 63)) << 52;
        return v;
    }
    v >>= 32;
    if (how & 2)
        v = (v & ~(0xffull << 23)) | (0x7f - 14 + (how >> 16 & 31)) << 23;
    return 0xffffffff00000000 | v;
}

static void fp_case_set_rm(unsigned rm);
/* The result, and *flags: what the operation raised. */
static uint64_t fp_case_do(enum fp_case op, uint64_t a, uint64_t b, uint64_t c, unsigned *flags);

/* A place to look at single results when two hashes differ. */
#ifndef FP_CASE_TRACE
#define FP_CASE_TRACE(op, rm, a, b, c, r, flags) ((void)0)
#endif

static inline uint64_t fp_case_step(uint64_t hash, enum fp_case op, unsigned rm, uint64_t a,
                                    uint64_t b, uint64_t c)
{
    unsigned flags;
    uint64_t r = fp_case_do(op, a, b, c, &flags);

    (void)rm;
    FP_CASE_TRACE(op, rm, a, b, c, r, flags);
    hash = (hash ^ r) * 0x9e3779b97f4a7c15;
    hash = (hash ^ hash >> 29 ^ flags) * 0xbf58476d1ce4e5b9;
    return hash ^ hash >> 32;
}

#define FP_CASE_RANDOM 5000

/* All combinations of special operands, then random ones. */
static uint64_t fp_case_hash(enum fp_case op, unsigned rm)
{
    const struct fp_case_info *info = &fp_case_info[op];
    unsigned n = fp_case_specials(info->kind);
    unsigned nb = info->operands > 1 ? n : 1, nc = info->operands > 2 ? n : 1;
    uint64_t hash = op * 8 + rm, seed = 88172645463325252 + op;

    fp_case_set_rm(rm);
    for (unsigned i = 0; i < n; i++)
        for (unsigned j = 0; j < nb; j++)
            /* Not all triples: they are 1.4 million; every eleventh, in a pattern that meets all
             * pairs. */
            for (unsigned k = nc > 1 ? (i + j) % 11 : 0; k < nc; k += 11)
                hash = fp_case_step(hash, op, rm, fp_case_special(info->kind, i),
                                    fp_case_special(info->kind, j), fp_case_special(info->kind, k));
    for (unsigned i = 0; i < FP_CASE_RANDOM; i++) {
        uint64_t a = fp_case_random(info->kind, &seed), b = fp_case_random(info->kind, &seed);
        uint64_t c = fp_case_random(info->kind, &seed);

        hash = fp_case_step(hash, op, rm, a, b, c);
    }
    return hash;
}
