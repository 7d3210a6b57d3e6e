/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/accel/riscv64/fp_soft.h"

#include "vmm/accel/riscv64/fp.h"

typedef unsigned __int128 u128;

const struct soft_format soft_s = {.precision = 24, .exp_bits = 8};
const struct soft_format soft_d = {.precision = 53, .exp_bits = 11};

enum kind {
    ZERO,
    FINITE,
    INFINITE,
    QNAN,
    SNAN,
};

/* FINITE: sig / 2^63 * 2^exp, with bit 63 of sig set. */
struct num {
    enum kind kind;
    bool negative;
    int exp;
    uint64_t sig;
};

static unsigned frac_bits(const struct soft_format *f)
{
    return f->precision - 1;
}

static int bias(const struct soft_format *f)
{
    return (1 << (f->exp_bits - 1)) - 1;
}

static uint64_t infinity(const struct soft_format *f)
{
    return ((1ull << f->exp_bits) - 1) << frac_bits(f);
}

static uint64_t with_sign(const struct soft_format *f, bool negative, uint64_t magnitude)
{
    return (uint64_t)negative << (frac_bits(f) + f->exp_bits) | magnitude;
}

static uint64_t canonical_nan(const struct soft_format *f)
{
    return infinity(f) | 1ull << (frac_bits(f) - 1);
}

static uint64_t invalid(struct soft_ctx *s)
{
    s->flags |= FP_NV;
    return canonical_nan(s->f);
}

static struct num unpack(const struct soft_format *f, uint64_t bits)
{
    uint64_t frac = bits & ((1ull << frac_bits(f)) - 1);
    unsigned field = (unsigned)(bits >> frac_bits(f)) & ((1u << f->exp_bits) - 1);
    struct num n = {.negative = bits >> (frac_bits(f) + f->exp_bits) & 1};

    if (field == (1u << f->exp_bits) - 1) {
        n.kind = !frac ? INFINITE : frac >> (frac_bits(f) - 1) ? QNAN : SNAN;
    } else if (!field && !frac) {
        n.kind = ZERO;
    } else {
        int lead;

        if (field)
            frac |= 1ull << frac_bits(f);
        lead = __builtin_clzll(frac);
        n.kind = FINITE;
        n.sig = frac << lead;
        n.exp = (field ? (int)field : 1) - bias(f) + 63 - (int)frac_bits(f) - lead;
    }
    return n;
}

/* If one operand is a NaN, the result is known: true. */
static bool nan_result(struct soft_ctx *s, struct num a, struct num b)
{
    if (a.kind == SNAN || b.kind == SNAN)
        s->flags |= FP_NV;
    return a.kind >= QNAN || b.kind >= QNAN;
}

/* What is shifted out stays visible as an odd last bit: enough to round by. */
static u128 shift_right_sticky(u128 v, unsigned n)
{
    if (n == 0)
        return v;
    if (n > 127)
        return v != 0;
    return v >> n | ((v << (128 - n)) != 0);
}

/* Whether to add one to a magnitude whose dropped part is low, with half the last kept bit. */
static bool rounds_up(unsigned rm, bool negative, bool odd, uint64_t low, uint64_t half)
{
    switch (rm) {
    case FP_RNE:
        return low > half || (low == half && odd);
    case FP_RDN:
        return negative && low;
    case FP_RUP:
        return !negative && low;
    case FP_RMM:
        return low >= half;
    default:
        return false;
    }
}

static uint64_t overflow(struct soft_ctx *s, bool negative)
{
    bool to_infinity = s->rm == FP_RNE || s->rm == FP_RMM || s->rm == (negative ? FP_RDN : FP_RUP);

    s->flags |= FP_OF | FP_NX;
    return with_sign(s->f, negative, infinity(s->f) - !to_infinity);
}

/* Round sig / 2^63 * 2^exp, where bit 63 of sig is set and bit 0 is sticky. */
static uint64_t pack(struct soft_ctx *s, bool negative, int exp, uint64_t sig)
{
    unsigned drop = 64 - s->f->precision;
    uint64_t mask = (1ull << drop) - 1, half = 1ull << (drop - 1);
    int field = exp + bias(s->f);
    uint64_t low, kept;
    bool tiny = false;

    if (field <= 0) {
        /* Tiny unless rounding with the exponent unbounded reaches the smallest normal number. */
        tiny = field < 0 || sig >> drop != (1ull << s->f->precision) - 1 ||
               !rounds_up(s->rm, negative, true, sig & mask, half);
        sig = (uint64_t)shift_right_sticky(sig, (unsigned)(1 - field));
        field = 0;
    } else {
        field--; /* the hidden bit adds one */
    }
    low = sig & mask;
    kept = sig >> drop;
    if (low) {
        s->flags |= FP_NX | (tiny ? FP_UF : 0);
        kept += rounds_up(s->rm, negative, kept & 1, low, half);
    }
    /* A carry out of the fraction runs into the exponent, as it should. */
    if (field >= 1 << s->f->exp_bits)
        return overflow(s, negative);
    kept += (uint64_t)field << frac_bits(s->f);
    return kept >= infinity(s->f) ? overflow(s, negative) : with_sign(s->f, negative, kept);
}

/* Round v / 2^127 * 2^exp; v != 0. */
static uint64_t pack_wide(struct soft_ctx *s, bool negative, int exp, u128 v)
{
    uint64_t high = (uint64_t)(v >> 64);
    int lead = high ? __builtin_clzll(high) : 64 + __builtin_clzll((uint64_t)v);

    v <<= lead;
    return pack(s, negative, exp - lead, (uint64_t)(v >> 64) | ((uint64_t)v != 0));
}

/*
 * a / 2^127 * 2^exp_a + b likewise. Bits 127 of both are clear (room for a carry) and, when they
 * are not 0, bit 126 or 125 is set; the lowest 20 bits are clear, so that an alignment shift that
 * loses bits leaves operands too far apart to cancel.
 */
static uint64_t add_wide(struct soft_ctx *s, bool neg_a, int exp_a, u128 a, bool neg_b, int exp_b,
                         u128 b)
{
    int exp = exp_a;

    if (!a || (b && exp_b > exp_a)) {
        exp = exp_b;
        a = shift_right_sticky(a, (unsigned)(exp_b - exp_a));
    } else if (b) {
        b = shift_right_sticky(b, (unsigned)(exp_a - exp_b));
    }
    if (neg_a == neg_b)
        a += b;
    else if (a > b)
        a -= b;
    else if (a < b)
        a = b - a, neg_a = neg_b;
    else
        return with_sign(s->f, s->rm == FP_RDN, 0); /* x - x */
    return pack_wide(s, neg_a, exp, a);
}

static uint64_t add_signed(struct soft_ctx *s, uint64_t ra, uint64_t rb, bool negate_b)
{
    struct num a = unpack(s->f, ra), b = unpack(s->f, rb);

    if (nan_result(s, a, b))
        return canonical_nan(s->f);
    b.negative ^= negate_b;
    if (a.kind == INFINITE || b.kind == INFINITE) {
        if (a.kind == b.kind && a.negative != b.negative)
            return invalid(s);
        return with_sign(s->f, a.kind == INFINITE ? a.negative : b.negative, infinity(s->f));
    }
    if (a.kind == ZERO && b.kind == ZERO)
        return with_sign(s->f, a.negative == b.negative ? a.negative : s->rm == FP_RDN, 0);
    return add_wide(s, a.negative, a.exp + 1, (u128)a.sig << 63, b.negative, b.exp + 1,
                    (u128)b.sig << 63);
}

uint64_t soft_add(struct soft_ctx *s, uint64_t a, uint64_t b)
{
    return add_signed(s, a, b, false);
}

uint64_t soft_sub(struct soft_ctx *s, uint64_t a, uint64_t b)
{
    return add_signed(s, a, b, true);
}

uint64_t soft_mul(struct soft_ctx *s, uint64_t ra, uint64_t rb)
{
    struct num a = unpack(s->f, ra), b = unpack(s->f, rb);
    bool negative = a.negative != b.negative;

    if (nan_result(s, a, b))
        return canonical_nan(s->f);
    if (a.kind == INFINITE || b.kind == INFINITE) {
        if (a.kind == ZERO || b.kind == ZERO)
            return invalid(s);
        return with_sign(s->f, negative, infinity(s->f));
    }
    if (a.kind == ZERO || b.kind == ZERO)
        return with_sign(s->f, negative, 0);
    return pack_wide(s, negative, a.exp + b.exp + 1, (u128)a.sig * b.sig);
}

uint64_t soft_div(struct soft_ctx *s, uint64_t ra, uint64_t rb)
{
    struct num a = unpack(s->f, ra), b = unpack(s->f, rb);
    bool negative = a.negative != b.negative;
    u128 dividend, quotient;

    if (nan_result(s, a, b))
        return canonical_nan(s->f);
    if (a.kind == b.kind && a.kind != FINITE) /* 0 / 0, inf / inf */
        return invalid(s);
    if (a.kind == INFINITE)
        return with_sign(s->f, negative, infinity(s->f));
    if (b.kind == INFINITE || a.kind == ZERO)
        return with_sign(s->f, negative, 0);
    if (b.kind == ZERO) {
        s->flags |= FP_DZ;
        return with_sign(s->f, negative, infinity(s->f));
    }
    dividend = (u128)a.sig << 63;
    quotient = dividend / b.sig;
    quotient = quotient << 1 | (quotient * b.sig != dividend);
    return pack_wide(s, negative, a.exp - b.exp + 63, quotient);
}

uint64_t soft_sqrt(struct soft_ctx *s, uint64_t ra)
{
    struct num a = unpack(s->f, ra);
    u128 rest, root = 0, bit = (u128)1 << 126;

    if (nan_result(s, a, a))
        return canonical_nan(s->f);
    if (a.kind == ZERO || (a.kind == INFINITE && !a.negative))
        return ra;
    if (a.negative)
        return invalid(s);
    /* The exponent must be even to be halved. */
    rest = (u128)a.sig << (a.exp & 1 ? 64 : 63);
    for (; bit; bit >>= 2) {
        if (rest >= root + bit) {
            rest -= root + bit;
            root = (root >> 1) + bit;
        } else {
            root >>= 1;
        }
    }
    /* root = sqrt(value) * 2^63 */
    return pack_wide(s, false, (a.exp - (a.exp & 1)) / 2 + 63, root << 1 | (rest != 0));
}

uint64_t soft_fma(struct soft_ctx *s, uint64_t ra, uint64_t rb, uint64_t rc, bool negate_product,
                  bool negate_c)
{
    struct num a = unpack(s->f, ra), b = unpack(s->f, rb), c = unpack(s->f, rc);
    bool negative = (a.negative != b.negative) != negate_product;
    u128 product, addend;

    if ((a.kind == INFINITE && b.kind == ZERO) || (a.kind == ZERO && b.kind == INFINITE))
        return invalid(s); /* also when c is a quiet NaN */
    if (c.kind == SNAN)
        s->flags |= FP_NV;
    if (nan_result(s, a, b) || c.kind >= QNAN)
        return canonical_nan(s->f);
    c.negative ^= negate_c;
    if (a.kind == INFINITE || b.kind == INFINITE) {
        if (c.kind == INFINITE && c.negative != negative)
            return invalid(s);
        return with_sign(s->f, negative, infinity(s->f));
    }
    if (c.kind == INFINITE)
        return with_sign(s->f, c.negative, infinity(s->f));
    product = a.kind == ZERO || b.kind == ZERO ? 0 : (u128)a.sig * b.sig;
    addend = c.kind == ZERO ? 0 : (u128)c.sig << 63;
    if (!product && !addend)
        return with_sign(s->f, negative == c.negative ? negative : s->rm == FP_RDN, 0);
    return add_wide(s, negative, a.exp + b.exp + 2, product >> 1, c.negative, c.exp + 1, addend);
}

uint64_t soft_convert(struct soft_ctx *s, const struct soft_format *from, uint64_t ra)
{
    struct num a = unpack(from, ra);

    if (nan_result(s, a, a))
        return canonical_nan(s->f);
    if (a.kind == FINITE)
        return pack(s, a.negative, a.exp, a.sig);
    return with_sign(s->f, a.negative, a.kind == INFINITE ? infinity(s->f) : 0);
}

uint64_t soft_from_int(struct soft_ctx *s, bool negative, uint64_t magnitude)
{
    int lead;

    if (!magnitude)
        return 0;
    lead = __builtin_clzll(magnitude);
    return pack(s, negative, 63 - lead, magnitude << lead);
}

uint64_t soft_to_int(struct soft_ctx *s, uint64_t ra, uint64_t max_negative, uint64_t max_positive)
{
    struct num a = unpack(s->f, ra);
    uint64_t limit = a.negative ? max_negative : max_positive;
    uint64_t whole = 0, low = 0;
    bool too_big = a.kind >= INFINITE || (a.kind == FINITE && a.exp > 63);

    if (a.kind >= QNAN)
        a.negative = false, limit = max_positive;
    if (a.kind == FINITE && !too_big) {
        /* Whole part and, sticky, the fraction with 2^63 as one half. */
        u128 v = shift_right_sticky((u128)a.sig << 64, (unsigned)(63 - a.exp));

        whole = (uint64_t)(v >> 64);
        low = (uint64_t)v;
        if (rounds_up(s->rm, a.negative, whole & 1, low, 1ull << 63))
            too_big = ++whole == 0;
    }
    if (too_big || whole > limit) {
        s->flags |= FP_NV;
        whole = limit;
    } else if (low) {
        s->flags |= FP_NX;
    }
    return a.negative ? -whole : whole;
}
