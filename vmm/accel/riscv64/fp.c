/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/accel/riscv64/fp.h"

#include <string.h>

#include "vmm/accel/riscv64/fp_soft.h"

/* ---- the host's control and status ---- */

#if defined(__x86_64__) && !defined(FP_SOFT_ONLY)

#define MXCSR_DEFAULT 0x1f80u /* everything masked, round to nearest, no flag set */

static void host_set(uint32_t mxcsr)
{
    __asm__ volatile("ldmxcsr %0" : : "m"(mxcsr));
}

static uint32_t host_get(void)
{
    uint32_t mxcsr;

    __asm__ volatile("stmxcsr %0" : "=m"(mxcsr));
    return mxcsr;
}

static uint32_t host_control(const struct fp_env *env)
{
    static const uint8_t rounding[] = {[FP_RNE] = 0, [FP_RTZ] = 3, [FP_RDN] = 1, [FP_RUP] = 2};

    return MXCSR_DEFAULT | (uint32_t)rounding[fp_host_rm(env)] << 13;
}

static unsigned host_flags(void)
{
    uint32_t m = host_get();

    /* MXCSR: 0 invalid, 1 denormal operand (no such flag here), 2 divide by zero, 3 overflow,
     * 4 underflow, 5 precision. */
    return (m & 1) << 4 | (m >> 2 & 1) << 3 | (m >> 3 & 1) << 2 | (m >> 4 & 1) << 1 | (m >> 5 & 1);
}

static bool host_has_fma(void)
{
    return __builtin_cpu_supports("fma") != 0;
}

#else

static void host_set(uint32_t control)
{
    (void)control;
}

static uint32_t host_control(const struct fp_env *env)
{
    (void)env;
    return 0;
}

static unsigned host_flags(void)
{
    return 0;
}

static bool host_has_fma(void)
{
    return false;
}

#define MXCSR_DEFAULT 0u

#endif

static void note_host_rms(struct fp_env *env)
{
    unsigned mode = fp_host_rm(env);

    env->host_rms = (uint8_t)(1u << mode | (mode == env->frm ? 1u << FP_DYN : 0));
}

void fp_init(struct fp_env *env)
{
    memset(env, 0, sizeof(*env));
    env->host_fma = host_has_fma();
    note_host_rms(env);
}

void fp_enter(struct fp_env *env)
{
    note_host_rms(env);
    host_set(host_control(env));
}

void fp_leave(struct fp_env *env)
{
    env->fflags = (uint8_t)fp_flags(env);
    host_set(MXCSR_DEFAULT);
}

void fp_set_frm(struct fp_env *env, unsigned frm)
{
    env->fflags = (uint8_t)fp_flags(env);
    env->frm = (uint8_t)(frm & 7);
    fp_enter(env);
}

unsigned fp_flags(const struct fp_env *env)
{
    return env->fflags | host_flags();
}

void fp_set_flags(struct fp_env *env, unsigned fflags)
{
    env->fflags = (uint8_t)(fflags & 31);
    host_set(host_control(env));
}

/* ---- any rounding mode ---- */

static uint64_t to_int(struct soft_ctx *s, enum fp_op op, uint64_t a)
{
    switch (op) {
    case FP_CVT_W_S:
        return soft_to_int(s, a, 1ull << 31, INT32_MAX);
    case FP_CVT_WU_S:
        return (uint64_t)(int64_t)(int32_t)soft_to_int(s, a, 0, UINT32_MAX);
    case FP_CVT_L_S:
        return soft_to_int(s, a, 1ull << 63, INT64_MAX);
    default:
        return soft_to_int(s, a, 0, UINT64_MAX);
    }
}

static uint64_t from_signed(struct soft_ctx *s, int64_t v)
{
    return soft_from_int(s, v < 0, v < 0 ? -(uint64_t)v : (uint64_t)v);
}

/* op is the one for S, whatever the format is; operands and result are raw bits. */
static uint64_t arith(struct soft_ctx *s, enum fp_op op, uint64_t a, uint64_t b, uint64_t c)
{
    switch (op) {
    case FP_ADD_S:
        return soft_add(s, a, b);
    case FP_SUB_S:
        return soft_sub(s, a, b);
    case FP_MUL_S:
        return soft_mul(s, a, b);
    case FP_DIV_S:
        return soft_div(s, a, b);
    case FP_SQRT_S:
        return soft_sqrt(s, a);
    case FP_MADD_S:
        return soft_fma(s, a, b, c, false, false);
    case FP_MSUB_S:
        return soft_fma(s, a, b, c, false, true);
    case FP_NMSUB_S:
        return soft_fma(s, a, b, c, true, false);
    case FP_NMADD_S:
        return soft_fma(s, a, b, c, true, true);
    case FP_FROM_W_S:
        return from_signed(s, (int32_t)a);
    case FP_FROM_WU_S:
        return soft_from_int(s, false, (uint32_t)a);
    case FP_FROM_L_S:
        return from_signed(s, (int64_t)a);
    case FP_FROM_LU_S:
        return soft_from_int(s, false, a);
    default: /* FP_FROM_OTHER_S */
        return soft_convert(s, s->f == &soft_s ? &soft_d : &soft_s, a);
    }
}

uint64_t fp_op_rm(struct fp_env *env, enum fp_op op, unsigned rm, uint64_t a, uint64_t b,
                  uint64_t c)
{
    bool is_d = op >= FP_ADD_D;
    enum fp_op op_s = is_d ? op - FP_ADD_D : op;
    struct soft_ctx s = {.f = is_d ? &soft_d : &soft_s, .rm = rm};
    uint64_t r;

    if (op_s >= FP_FROM_W_S && op_s <= FP_FROM_LU_S)
        ; /* a is an integer */
    else if (is_d ? op_s == FP_FROM_OTHER_S : op_s != FP_FROM_OTHER_S)
        a = fp_unbox(a), b = fp_unbox(b), c = fp_unbox(c);
    if (op_s >= FP_CVT_W_S && op_s <= FP_CVT_LU_S)
        r = to_int(&s, op_s, a);
    else
        r = is_d ? arith(&s, op_s, a, b, c) : fp_box((uint32_t)arith(&s, op_s, a, b, c));
    env->fflags |= (uint8_t)s.flags;
    return r;
}
