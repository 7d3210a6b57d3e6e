/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Floating point of a hart: every operation of RV64 F and D that is more than a move of bits,
 * exact in value and accrued exceptions.
 *
 * Values are images of f registers: an S operand is unboxed here (not boxed = canonical NaN), an S
 * result is boxed. Integer results are images of x registers (W and WU sign-extended).
 *
 * Two ways to do an operation, equal in every bit:
 *   - fp_add_d() and so on: inline, on the host's FPU, whose rounding mode is kept at frm and whose
 *     sticky exception flags are left where they are. Only right while fp_rm_on_host() is true for
 *     the instruction's rm; operations that take no rm are always right.
 *   - fp_op_rm(): any rounding mode 0..4, in integer arithmetic. RMM, and static modes other than
 *     the host's, are rare.
 *
 * An fp_env belongs to one hart and is used on the hart's thread between fp_enter() and
 * fp_leave(); nothing else on that thread may do floating point in between. Outside of them env
 * may be read and changed by whoever owns the stopped hart: frm and fflags are all its state.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum fp_rm {
    FP_RNE = 0,
    FP_RTZ = 1,
    FP_RDN = 2,
    FP_RUP = 3,
    FP_RMM = 4,
    FP_DYN = 7, /* in an instruction: frm */
};

enum fp_flag {
    FP_NX = 1,
    FP_UF = 2,
    FP_OF = 4,
    FP_DZ = 8,
    FP_NV = 16,
};

struct fp_env {
    uint8_t frm;      /* the CSR: 5..7 can be stored and make FP_DYN illegal */
    uint8_t fflags;   /* accrued; between enter and leave the host holds more: fp_flags() */
    uint8_t host_rms; /* bit rm: the host rounds as an instruction with this rm wants */
    uint8_t host_fma; /* the host has a fused multiply-add */
};

/* Operations that round: for fp_op_rm(). */
#define FP_OPS(F, X) \
    F(ADD, X)        \
    F(SUB, X)        \
    F(MUL, X)        \
    F(DIV, X)        \
    F(SQRT, X)       \
    F(MADD, X)       \
    F(MSUB, X)       \
    F(NMSUB, X)      \
    F(NMADD, X)      \
    F(CVT_W, X)      \
    F(CVT_WU, X)     \
    F(CVT_L, X)      \
    F(CVT_LU, X)     \
    F(FROM_W, X)     \
    F(FROM_WU, X)    \
    F(FROM_L, X)     \
    F(FROM_LU, X)    \
    F(FROM_OTHER, X) /* S from D, D from S */

/* FP_ADD_S, FP_ADD_D, ..., FP_CVT_W_D = fcvt.w.d, FP_FROM_W_D = fcvt.d.w. */
#define FP_OP_NAME_(name, X) FP_##name##_##X,
enum fp_op {
    FP_OPS(FP_OP_NAME_, S) FP_OPS(FP_OP_NAME_, D) FP_OP_COUNT,
};
#undef FP_OP_NAME_

/* All zero but for what the host can do. */
void fp_init(struct fp_env *env);
void fp_enter(struct fp_env *env);
void fp_leave(struct fp_env *env);
/* The CSRs, between enter and leave. */
void fp_set_frm(struct fp_env *env, unsigned frm);
unsigned fp_flags(const struct fp_env *env);
void fp_set_flags(struct fp_env *env, unsigned fflags);

static inline bool fp_rm_on_host(const struct fp_env *env, unsigned rm)
{
    return env->host_rms >> rm & 1;
}

/* The mode 0..4 that an instruction's rm means, or -1: illegal instruction. */
static inline int fp_rm_resolve(const struct fp_env *env, unsigned rm)
{
    unsigned mode = rm == FP_DYN ? env->frm : rm;

    return mode <= FP_RMM ? (int)mode : -1;
}

/* rm 0..4. Operands that the operation does not have are ignored. */
uint64_t fp_op_rm(struct fp_env *env, enum fp_op op, unsigned rm, uint64_t a, uint64_t b,
                  uint64_t c);

#include "vmm/accel/riscv64/fp_bits.h" /* sign injection, min, max, class, boxing: no rounding */
#include "vmm/accel/riscv64/fp_host.h" /* the operations on the host's FPU */
