/* SPDX-License-Identifier: Apache-2.0 */
/*
 * IEEE 754 arithmetic in integers, in all five rounding modes, for binary32 and binary64.
 * Pure: operands and results are raw bits of the format, exceptions are added to *flags
 * (enum fp_flag), every NaN that comes out is the canonical one, tininess is after rounding.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct soft_format {
    unsigned precision; /* bits of significand, with the hidden one */
    unsigned exp_bits;
};

extern const struct soft_format soft_s;
extern const struct soft_format soft_d;

struct soft_ctx {
    const struct soft_format *f;
    unsigned rm;    /* enum fp_rm, 0..4 */
    unsigned flags; /* enum fp_flag, accrued */
};

uint64_t soft_add(struct soft_ctx *s, uint64_t a, uint64_t b);
uint64_t soft_sub(struct soft_ctx *s, uint64_t a, uint64_t b);
uint64_t soft_mul(struct soft_ctx *s, uint64_t a, uint64_t b);
uint64_t soft_div(struct soft_ctx *s, uint64_t a, uint64_t b);
uint64_t soft_sqrt(struct soft_ctx *s, uint64_t a);
/* (a * b with its sign changed if negate_product) + (c with its sign changed if negate_c) */
uint64_t soft_fma(struct soft_ctx *s, uint64_t a, uint64_t b, uint64_t c, bool negate_product,
                  bool negate_c);
/* s->f is the format of the result. */
uint64_t soft_convert(struct soft_ctx *s, const struct soft_format *from, uint64_t a);
uint64_t soft_from_int(struct soft_ctx *s, bool negative, uint64_t magnitude);
/*
 * s->f is the format of a. An integer between -max_negative and max_positive; what does not fit is
 * the nearest of them (a NaN the largest) and FP_NV alone.
 */
uint64_t soft_to_int(struct soft_ctx *s, uint64_t a, uint64_t max_negative, uint64_t max_positive);
