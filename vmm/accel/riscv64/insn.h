/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A decoded instruction, and a run of them.
 *
 * A block is a run of instructions of one page up to the first that may go elsewhere. It is found
 * by the host address of its first byte, which stands for the physical address: what the page
 * tables say about it does not matter. Its entries are followed by a copy of the bytes they were
 * decoded from.
 *
 *   struct block | insn 0 .. insn n-1 (the last ends the block) | chain | source bytes
 *
 * Code that changed. RISC-V lets a hart run old instructions until its own FENCE.I, which makes a
 * new epoch here. A block is entered only if it is of the hart's epoch; one of an older epoch is
 * compared with memory first and taken over or dropped. So nobody has to watch stores to code.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct hart;
struct insn;
struct tlb;

/*
 * An operation. pc is the virtual address of the block's first byte, budget what is left of the
 * slice once the block is done, tlb the hart's current one. They are arguments because arguments
 * are registers.
 */
typedef void op_fn(struct hart *h, struct insn *i, uint64_t pc, int64_t budget,
                   const struct tlb *tlb);

struct insn {
    op_fn *fn;
    int32_t imm;
    uint8_t rd; /* x0 as a destination is 32, a place nobody reads */
    uint8_t rs1;
    uint8_t rs2;
    uint8_t off; /* where it lies in the block, in halfwords */
};
_Static_assert(sizeof(struct insn) == 16, "one entry of a block");

struct block {
    uint32_t epoch;
    uint32_t count;       /* instructions */
    const uint8_t *host;  /* the first byte */
    const uint8_t *host2; /* an instruction across a page end: its second half; else NULL */
    struct block *hash_next;
    uint16_t entries; /* insns[] including the chain */
    uint16_t source_bytes;
    struct insn insns[];
};

/* The entry after the last instruction: the blocks that follow it in the same page. */
struct chain {
    struct block *not_taken;
    struct block *taken;
};
_Static_assert(sizeof(struct chain) == sizeof(struct insn), "a chain takes one entry");

#define BLOCK_INSNS_MAX   64                    /* so that an offset in halfwords fits in 7 bits */
#define BLOCK_ENTRIES_MAX (BLOCK_INSNS_MAX + 2) /* the end of a full block and the chain */
#define BLOCK_BYTES_MAX \
    (sizeof(struct block) + BLOCK_ENTRIES_MAX * sizeof(struct insn) + BLOCK_INSNS_MAX * 4u)

static inline struct chain *insn_chain(struct insn *last)
{
    return (struct chain *)(void *)(last + 1);
}

static inline const uint8_t *block_source(const struct block *b)
{
    return (const uint8_t *)&b->insns[b->entries];
}

/* How many instructions of its block stand before i. */
static inline uint32_t insn_index(const struct insn *i)
{
    uint32_t n = 0;

    while (i[-(int64_t)n].off != 0)
        n++;
    return n;
}

static inline const struct block *insn_block(const struct insn *i)
{
    const struct insn *first = i - insn_index(i);

    return (const struct block *)(const void *)((const char *)first -
                                                __builtin_offsetof(struct block, insns));
}
