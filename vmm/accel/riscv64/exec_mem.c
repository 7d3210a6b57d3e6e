/* SPDX-License-Identifier: Apache-2.0 */
/* Loads and stores, of x and f registers. */
#include "vmm/accel/riscv64/exec.h"
#include "vmm/accel/riscv64/mmu.h"

#define ADDRESS (h->r.x[i->rs1] + (uint64_t)(int64_t)i->imm)

/* After the slow path: a device's register may have rung the doorbell; then look up soon. */
SLOW(next_after_device)
{
    if (atomic_load_explicit(&h->doorbell, memory_order_relaxed) != 0) {
        /* Both, so that it is not counted as instructions. */
        h->slice -= budget;
        budget = 0;
    }
    NEXT();
}

/*
 * T: the type in memory. SET: what becomes of `value`, a T. READY: an expression; the slow path is
 * taken while it is false. BEFORE, AFTER: what the slow path does about that.
 */
#define OP_LOAD(name, T, SET, READY, BEFORE, AFTER)                                        \
    SLOW(name##_slow)                                                                      \
    {                                                                                      \
        T value;                                                                           \
                                                                                           \
        BEFORE                                                                             \
        if (mmu_load(h, ADDRESS, sizeof(T)))                                               \
            TAIL(exec_trap);                                                               \
        value = (T)h->value;                                                               \
        SET;                                                                               \
        AFTER                                                                              \
        TAIL(next_after_device);                                                           \
    }                                                                                      \
    OP(name)                                                                               \
    {                                                                                      \
        uint64_t va = ADDRESS;                                                             \
        const struct tlb_entry *e = &tlb->read[tlb_index(va)];                             \
        T value;                                                                           \
                                                                                           \
        if (UNLIKELY(e->tag != tlb_tag(va, sizeof(T)) || !(READY)))                        \
            TAIL(name##_slow);                                                             \
        value = __atomic_load_n((const T *)(uintptr_t)(va + e->addend), __ATOMIC_RELAXED); \
        SET;                                                                               \
        NEXT();                                                                            \
    }

#define OP_STORE(name, T, VALUE, READY, BEFORE)                                           \
    SLOW(name##_slow)                                                                     \
    {                                                                                     \
        BEFORE                                                                            \
        if (mmu_store(h, ADDRESS, sizeof(T), (T)(VALUE)))                                 \
            TAIL(exec_trap);                                                              \
        TAIL(next_after_device);                                                          \
    }                                                                                     \
    OP(name)                                                                              \
    {                                                                                     \
        uint64_t va = ADDRESS;                                                            \
        const struct tlb_entry *e = &tlb->write[tlb_index(va)];                           \
                                                                                          \
        if (UNLIKELY(e->tag != tlb_tag(va, sizeof(T)) || !(READY)))                       \
            TAIL(name##_slow);                                                            \
        __atomic_store_n((T *)(uintptr_t)(va + e->addend), (T)(VALUE), __ATOMIC_RELAXED); \
        NEXT();                                                                           \
    }

#define LOAD_X(name, T)  OP_LOAD(name, T, h->r.x[i->rd] = (uint64_t)(int64_t)value, true, , )
#define STORE_X(name, T) OP_STORE(name, T, h->r.x[i->rs2], true, )

LOAD_X(lb, int8_t)
LOAD_X(lh, int16_t)
LOAD_X(lw, int32_t)
LOAD_X(ld, int64_t)
LOAD_X(lbu, uint8_t)
LOAD_X(lhu, uint16_t)
LOAD_X(lwu, uint32_t)
STORE_X(sb, uint8_t)
STORE_X(sh, uint16_t)
STORE_X(sw, uint32_t)
STORE_X(sd, uint64_t)

/* The f registers are there only while FS is not Off; writing one makes it Dirty. */
#define FS_ON                                   \
    if (UNLIKELY(!(h->r.mstatus & MSTATUS_FS))) \
        TAIL(exec_illegal);
#define FS_DIRTY h->r.mstatus |= MSTATUS_FS;

#define LOAD_F(name, T, SET) \
    OP_LOAD(name, T, SET, (h->r.mstatus & MSTATUS_FS) == MSTATUS_FS, FS_ON, FS_DIRTY)
#define STORE_F(name, T) OP_STORE(name, T, h->r.f[i->rs2], h->r.mstatus &MSTATUS_FS, FS_ON)

LOAD_F(flw, uint32_t, h->r.f[i->rd] = fp_box(value))
LOAD_F(fld, uint64_t, h->r.f[i->rd] = value)
STORE_F(fsw, uint32_t)
STORE_F(fsd, uint64_t)
