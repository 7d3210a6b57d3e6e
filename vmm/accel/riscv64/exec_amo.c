/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Atomics, done by the host's. Each also orders the hart's other accesses as aq and rl together
 * would.
 *
 * LR remembers the value it read, SC stores if memory still holds it. Another hart that changed it
 * and changed it back meanwhile goes unnoticed, which programs written with LR and SC bear.
 */
#include <sched.h>

#include "vmm/accel/riscv64/exec.h"
#include "vmm/accel/riscv64/mmu.h"

#define ADDRESS h->r.x[i->rs1]

/* BODY works on the aligned host address p. */
#define OP_ATOMIC(name, T, KIND, ACCESS, BODY)                                                    \
    static inline                                                                                 \
        __attribute__((always_inline)) void name##_do(struct hart *h, const struct insn *i, T *p) \
    {                                                                                             \
        BODY;                                                                                     \
    }                                                                                             \
    SLOW(name##_slow)                                                                             \
    {                                                                                             \
        if (mmu_atomic(h, ADDRESS, sizeof(T), ACCESS))                                            \
            TAIL(exec_trap);                                                                      \
        name##_do(h, i, h->atomic);                                                               \
        NEXT();                                                                                   \
    }                                                                                             \
    OP(name)                                                                                      \
    {                                                                                             \
        uint64_t va = ADDRESS;                                                                    \
        const struct tlb_entry *e = &tlb->KIND[tlb_index(va)];                                    \
                                                                                                  \
        if (UNLIKELY(e->tag != tlb_tag(va, sizeof(T))))                                           \
            TAIL(name##_slow);                                                                    \
        name##_do(h, i, (T *)(uintptr_t)(va + e->addend));                                        \
        NEXT();                                                                                   \
    }

/* T is signed, so that a word is sign-extended into rd. */
#define SET(value) h->r.x[i->rd] = (uint64_t)(int64_t)(value)
#define RS2(T)     ((T)h->r.x[i->rs2])

#define OP_LR(name, T)                                  \
    OP_ATOMIC(name, T, read, ACCESS_READ, {             \
        T value = __atomic_load_n(p, __ATOMIC_SEQ_CST); \
                                                        \
        h->reserved_va = ADDRESS;                       \
        h->reserved_value = (uint64_t)(int64_t)value;   \
        SET(value);                                     \
    })
#define OP_SC(name, T)                                                               \
    OP_ATOMIC(name, T, write, ACCESS_WRITE, {                                        \
        bool stored = h->reserved_va == ADDRESS &&                                   \
                      __sync_bool_compare_and_swap(p, (T)h->reserved_value, RS2(T)); \
                                                                                     \
        h->reserved_va = ~UINT64_C(0);                                               \
        SET(!stored);                                                                \
    })
#define OP_FETCH(name, T, fetch) \
    OP_ATOMIC(name, T, write, ACCESS_WRITE, SET(fetch(p, RS2(T), __ATOMIC_SEQ_CST)))
/* Minimum and maximum, compared as U: try until no other hart came between. */
#define OP_CHOOSE(name, T, U, cmp)                                \
    OP_ATOMIC(name, T, write, ACCESS_WRITE, {                     \
        T operand = RS2(T);                                       \
        T old = __atomic_load_n(p, __ATOMIC_RELAXED);             \
                                                                  \
        for (;;) {                                                \
            T chosen = (U)old cmp(U) operand ? old : operand;     \
            T seen = __sync_val_compare_and_swap(p, old, chosen); \
                                                                  \
            if (seen == old)                                      \
                break;                                            \
            old = seen;                                           \
        }                                                         \
        SET(old);                                                 \
    })

#define OPS_OF_WIDTH(x, T, U)                     \
    OP_LR(lr_##x, T)                              \
    OP_SC(sc_##x, T)                              \
    OP_FETCH(amoswap_##x, T, __atomic_exchange_n) \
    OP_FETCH(amoadd_##x, T, __atomic_fetch_add)   \
    OP_FETCH(amoand_##x, T, __atomic_fetch_and)   \
    OP_FETCH(amoor_##x, T, __atomic_fetch_or)     \
    OP_FETCH(amoxor_##x, T, __atomic_fetch_xor)   \
    OP_CHOOSE(amomin_##x, T, T, <)                \
    OP_CHOOSE(amomax_##x, T, T, >)                \
    OP_CHOOSE(amominu_##x, T, U, <)               \
    OP_CHOOSE(amomaxu_##x, T, U, >)

OPS_OF_WIDTH(w, int32_t, uint32_t)
OPS_OF_WIDTH(d, int64_t, uint64_t)

/* --- Waiting and fences
 * ---------------------------------------------------------------------------------- */

#define PAUSES_PER_YIELD   32
#define FENCE_WRITE_BEFORE (1 << 24 | 1 << 26) /* pw, po */
#define FENCE_READ_AFTER   (1 << 21 | 1 << 23) /* sr, si */

OP(fence)
{
    /* Only a store before a load needs more than what acquire and release give. */
    if (i->imm & FENCE_WRITE_BEFORE && i->imm & FENCE_READ_AFTER)
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
    else
        __atomic_thread_fence(__ATOMIC_ACQ_REL);
    NEXT();
}

/*
 * The guest waits in a loop for another hart. If that one has no host CPU now, waiting for it here
 * only keeps it from one.
 */
SLOW(give_way)
{
    sched_yield();
    NEXT();
}

OP(pause)
{
    if (UNLIKELY(++h->pauses % PAUSES_PER_YIELD == 0))
        TAIL(give_way);
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
    NEXT();
}
