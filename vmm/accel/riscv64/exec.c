/* SPDX-License-Identifier: Apache-2.0 */
/* From block to block, and into traps. */
#include "vmm/accel/riscv64/exec.h"

#include "vmm/accel/riscv64/block.h"
#include "vmm/accel/riscv64/mmu.h"
#include "vmm/accel/riscv64/trap.h"

/* What a trap costs of the budget, so that a hart that can only trap still ends its slices. */
#define TRAP_BUDGET 8

void exec_leave(EXEC_ARGS)
{
    h->r.pc = pc;
    h->budget = budget;
#ifdef CPU_LOOP
    h->next = NULL;
#endif
}

/* Take h->trap at this address and go on in its handler; or end the slice before it. */
static void take_trap(struct hart *h, uint64_t epc, int64_t *budget)
{
    h->r.pc = epc;
    if (h->stalled) {
        h->slice -= *budget;
        *budget = 0;
        return;
    }
    trap_take(h, h->trap.cause, h->trap.tval);
    /* Both, so that it is not counted as instructions. */
    *budget -= TRAP_BUDGET;
    h->slice -= TRAP_BUDGET;
}

void exec_resume(EXEC_ARGS)
{
    tlb = h->tlb;
    if (UNLIKELY(atomic_load_explicit(&h->doorbell, memory_order_relaxed) != 0))
        TAIL(exec_leave);
    JUMP();
}

/* A function of its own: the address of budget must not be taken in one that ends in a jump. */
static __attribute__((noinline)) int64_t trap_budget(struct hart *h, uint64_t epc, int64_t budget)
{
    take_trap(h, epc, &budget);
    return budget;
}

void exec_trap(EXEC_ARGS)
{
    /* i and what follows it in the block was paid for and is not done. */
    budget += insn_block(i)->count - insn_index(i);
    budget = trap_budget(h, pc + 2u * i->off, budget);
    pc = h->r.pc;
    TAIL(exec_resume);
}

static void set_illegal(struct hart *h, const struct insn *i)
{
    const uint8_t *source = block_source(insn_block(i)) + 2u * i->off;
    uint32_t word = (uint32_t)source[0] | (uint32_t)source[1] << 8;

    if ((word & 3) == 3)
        word |= (uint32_t)source[2] << 16 | (uint32_t)source[3] << 24;
    h->trap = (struct trap){.cause = CAUSE_ILLEGAL, .tval = word};
}

void exec_illegal(EXEC_ARGS)
{
    set_illegal(h, i);
    TAIL(exec_trap);
}

OP(illegal)
{
    TAIL(exec_illegal);
}

void exec_find(EXEC_ARGS)
{
    struct block *b = block_find(h, pc);

    if (UNLIKELY(!b)) {
        budget = trap_budget(h, pc, budget);
        pc = h->r.pc;
        tlb = h->tlb;
        if (budget < 0)
            TAIL(exec_leave);
        TAIL(exec_resume);
    }
    ENTER(b, exec_find);
}

static struct block *find_and_chain(struct hart *h, struct insn *i, uint64_t pc, bool taken)
{
    uint64_t generation = h->blocks.generation;
    struct block *b = block_find(h, pc);

    if (b)
        block_chain(h, i, taken, b, generation);
    return b;
}

void exec_chain_taken(EXEC_ARGS)
{
    struct block *b = find_and_chain(h, i, pc, true);

    if (UNLIKELY(!b))
        TAIL(exec_find);
    ENTER(b, exec_find);
}

void exec_chain_not_taken(EXEC_ARGS)
{
    struct block *b = find_and_chain(h, i, pc, false);

    if (UNLIKELY(!b))
        TAIL(exec_find);
    ENTER(b, exec_find);
}

OP(next)
{
    pc += 2u * i->rd;
    ENTER(insn_chain(i)->not_taken, exec_chain_not_taken);
}

OP(next_far)
{
    pc += 2u * i->rd;
    JUMP();
}

/* --- Under a debugger ------------------------------------------------------------------------ */

/* The instruction at pc, whatever stands in its place. */
SLOW(exec_alone)
{
    struct block *b = block_find_one(h, pc);

    if (UNLIKELY(!b)) {
        budget = trap_budget(h, pc, budget);
        pc = h->r.pc;
        TAIL(exec_leave);
    }
    ENTER(b, exec_leave);
}

static bool is_breakpoint(const struct hart *h, uint64_t pc)
{
    for (uint32_t i = 0; i < h->debug.breakpoint_count; i++)
        if (h->debug.breakpoints[i] == pc)
            return true;
    return false;
}

OP(breakpoint)
{
    /* Paid for, and not done. */
    budget += 1;
    if (!is_breakpoint(h, pc))
        TAIL(exec_alone);
    h->debug.hit = true;
    TAIL(exec_leave);
}

/* Begin at pc. */
SLOW(exec_begin)
{
    JUMP();
}

static void slice(struct hart *h, int64_t n, op_fn *begin)
{
    h->slice = n;
    h->budget = n;
    h->stalled = false;
#ifdef CPU_LOOP
    for (begin(h, NULL, h->r.pc, n, h->tlb); h->next;) {
        struct insn *i = h->next;

        h->next = NULL;
        i->fn(h, i, h->next_pc, h->budget, h->tlb);
    }
#else
    begin(h, NULL, h->r.pc, n, h->tlb);
#endif
    h->retired += (uint64_t)(h->slice - h->budget);
}

void exec_slice(struct hart *h, int64_t n)
{
    slice(h, n, exec_begin);
}

void exec_one(struct hart *h)
{
    slice(h, 1, exec_alone);
}
