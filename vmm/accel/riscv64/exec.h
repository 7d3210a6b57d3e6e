/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How operations are written.
 *
 * Each is a small function that does its instruction and jumps to the next one's (a call in tail
 * position, which clang is told and gcc does at -O2 to make a jump). So an operation must not keep
 * anything on its stack: what can fault or needs room is a function of its own (SLOW) to which the
 * operation jumps, or which returns its result in the hart. Under a sanitizer (CPU_LOOP) they
 * return to a loop instead.
 */
#pragma once

#include "vmm/accel/riscv64/block.h"

#define LIKELY(x)   __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)

#define EXEC_ARGS struct hart *h, struct insn *i, uint64_t pc, int64_t budget, const struct tlb *tlb
#define EXEC_PASS h, i, pc, budget, tlb

#define OP(name)   void op_##name(EXEC_ARGS)
/* A continuation of an operation that may call what it likes. */
#define SLOW(name) static __attribute__((noinline)) void name(EXEC_ARGS)

#if defined(__clang__)
#define MUSTTAIL __attribute__((musttail))
#else
#define MUSTTAIL
#endif

#ifdef CPU_LOOP
#define TAIL(fn)       \
    do {               \
        fn(EXEC_PASS); \
        return;        \
    } while (0)
#define DISPATCH(fn_)       \
    do {                    \
        h->next = i;        \
        h->next_pc = pc;    \
        h->budget = budget; \
        return;             \
    } while (0)
#else
#define TAIL(fn)     MUSTTAIL return fn(EXEC_PASS)
#define DISPATCH(fn) MUSTTAIL return (fn)(EXEC_PASS)
#endif

/* The next instruction of the block. */
#define NEXT()           \
    do {                 \
        i++;             \
        DISPATCH(i->fn); \
    } while (0)

/* Go on with block b_, which begins at pc; `miss` if it is of an old epoch. */
#define ENTER(b_, miss)                          \
    do {                                         \
        struct block *enter_ = (b_);             \
                                                 \
        if (UNLIKELY(enter_->epoch != h->epoch)) \
            TAIL(miss);                          \
        budget -= enter_->count;                 \
        if (UNLIKELY(budget < 0)) {              \
            budget += enter_->count;             \
            TAIL(exec_leave);                    \
        }                                        \
        i = enter_->insns;                       \
        DISPATCH(i->fn);                         \
    } while (0)

/* Go on at pc, wherever it lies. */
#define JUMP()                                         \
    do {                                               \
        struct jump *jump_ = &h->jump[jump_index(pc)]; \
                                                       \
        if (UNLIKELY(jump_->pc != pc))                 \
            TAIL(exec_find);                           \
        ENTER(jump_->block, exec_find);                \
    } while (0)

/* --- Continuations of any operation ---------------------------------------------------------- */

/* At pc: end the slice; or find the block there and enter it. i means nothing. */
op_fn exec_leave, exec_find;
/* i raises h->trap; or illegal instruction. */
op_fn exec_trap, exec_illegal;
/* i ended its block and pc is what follows in the same page: find the block and chain it. */
op_fn exec_chain_taken, exec_chain_not_taken;
/* i is done, and it may have changed anything but pc, which is where to go on. */
op_fn exec_resume;

/* --- The operations -------------------------------------------------------------------------- */

#define OPCODE(opcode)
#define INSN(name, format, match, mask) op_fn op_##name;
#include "vmm/accel/riscv64/isa.def"
#undef OPCODE
#undef INSN
op_fn op_illegal;
/* The end of a block that ran into its limit or the page's: go on after it. */
op_fn op_next, op_next_far;
/* In the place of an instruction that may have a breakpoint. */
op_fn op_breakpoint;
op_fn op_beq_far, op_bne_far, op_blt_far, op_bge_far, op_bltu_far, op_bgeu_far, op_jal_far;

/*
 * Run up to n instructions from h->r.pc: fewer if something needs looking at. Leaves h->r.pc and
 * h->retired right.
 */
void exec_slice(struct hart *h, int64_t n);
/* One, in which no breakpoint counts; or its trap. */
void exec_one(struct hart *h);
