/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/accel/riscv64/block.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/err.h"
#include "vmm/accel/riscv64/decode.h"
#include "vmm/accel/riscv64/exec.h"
#include "vmm/accel/riscv64/mmu.h"

/* A Debian kernel and its user space decode to some 20 MiB over their life; the working set is a
 * tenth of that. */
#define ARENA_BYTES      (16u << 20)
#define ENTER_BYTES      (512u << 10)
#define HASH_BUCKETS     (1u << 15)
#define SOURCE_BYTES_MAX (BLOCK_INSNS_MAX * 4)
#define HASH_BYTES       (HASH_BUCKETS * sizeof(struct block *))

const struct block block_nowhere = {.epoch = 0};

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

/* Zeroed. */
static void *map_memory(size_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return p == MAP_FAILED ? NULL : p;
}

int block_cache_init(struct hart *h, struct ferry_err *err)
{
    struct block_cache *c = &h->blocks;

    c->insns_max = BLOCK_INSNS_MAX;
    c->arena = map_memory(ARENA_BYTES);
    c->hash = map_memory(HASH_BYTES);
    c->draft = calloc(1, BLOCK_BYTES_MAX);
    if (!c->arena || !c->hash || !c->draft) {
        block_cache_free(h);
        return err_set(err, ENOMEM, "no memory for the decoded code of hart %" PRIu64 " (%zu MiB)",
                       h->r.mhartid, (ARENA_BYTES + HASH_BYTES) >> 20);
    }
    return 0;
}

bool block_cache_enter(struct hart *h)
{
    struct block_cache *c = &h->blocks;

    if (c->entered_bytes == 0)
        (void)madvise(c->hash, HASH_BYTES, MADV_POPULATE_WRITE);
    /* A kernel before 5.14 does not know it; then they come one by one, when they are needed. */
    if (c->entered_bytes == ARENA_BYTES ||
        madvise(c->arena + c->entered_bytes, ENTER_BYTES, MADV_POPULATE_WRITE) < 0)
        return false;
    c->entered_bytes += ENTER_BYTES;
    return true;
}

void block_cache_free(struct hart *h)
{
    struct block_cache *c = &h->blocks;

    if (c->arena)
        munmap(c->arena, ARENA_BYTES);
    if (c->hash)
        munmap(c->hash, HASH_BYTES);
    free(c->draft);
    *c = (struct block_cache){0};
}

static struct block *nowhere(void)
{
    return (struct block *)(uintptr_t)&block_nowhere;
}

void block_forget_jumps(struct hart *h, uint64_t priv)
{
    struct jump *jumps = h->jumps[hart_mode_index(priv)];

    for (size_t i = 0; i < JUMP_ENTRIES; i++)
        jumps[i] = (struct jump){.pc = 1, .block = nowhere()};
}

void block_forget_page(struct hart *h, uint64_t page_va)
{
    for (unsigned mode = 0; mode < 2; mode++) {
        struct jump *jumps = &h->jumps[mode][page_va >> 6 & 0x3c0];
        /* An instruction across the end of the page before depends on this page too. */
        struct jump *before = &h->jumps[mode][jump_index(page_va - sizeof(uint16_t))];

        for (size_t i = 0; i < 64; i++) {
            if ((jumps[i].pc & ~(PAGE_BYTES - 1)) == page_va)
                jumps[i].pc = 1;
        }
        if (before->pc == page_va - sizeof(uint16_t))
            before->pc = 1;
    }
}

/* Nothing may point to one afterwards. */
void block_forget_all(struct hart *h)
{
    h->blocks.used_bytes = 0;
    h->blocks.generation++;
    memset(h->blocks.hash, 0, HASH_BYTES);
    block_forget_jumps(h, PRIV_U);
    block_forget_jumps(h, PRIV_S);
    block_forget_jumps(h, PRIV_M);
}

void block_new_epoch(struct hart *h)
{
    if (++h->epoch == 0) {
        h->epoch = 1;
        block_forget_all(h);
    }
}

static struct block **bucket(struct hart *h, const uint8_t *host)
{
    uint64_t key = (uint64_t)(uintptr_t)host >> 1;

    return &h->blocks.hash[(key ^ key >> 15) & (HASH_BUCKETS - 1)];
}

/* Where a block begins, and how much of it can be read at once. */
struct source {
    const uint8_t *host, *host2;
    size_t n; /* at host */
    uint64_t pc;
    bool cacheable;
};

/* The bytes of a block as they are in memory now, against those it was made from. */
static bool is_current(const struct block *b)
{
    size_t first = b->host2 ? 2 : b->source_bytes;

    if (memcmp(block_source(b), b->host, first) != 0)
        return false;
    return !b->host2 || memcmp(block_source(b) + first, b->host2, 2) == 0;
}

static struct block *hash_find(struct hart *h, const uint8_t *host, const uint8_t *host2)
{
    struct block **at = bucket(h, host);

    for (struct block *b; (b = *at); at = &b->hash_next) {
        if (b->host != host || b->host2 != host2)
            continue;
        if (b->epoch != h->epoch) {
            if (!is_current(b)) {
                /* Chains that still lead to it find that its epoch is old. */
                *at = b->hash_next;
                b->host = NULL;
                return NULL;
            }
            b->epoch = h->epoch;
        }
        return b;
    }
    return NULL;
}

/* Two bytes decide whether an instruction has a second half elsewhere. */
static bool is_first_half(const struct source *s)
{
    return s->n == 2 && !insn_is_compressed(s->host[0]);
}

static int find_source(struct hart *h, uint64_t pc, struct source *s)
{
    struct fetched f;
    size_t room = PAGE_BYTES - PAGE_OFFSET(pc);

    if (mmu_fetch(h, pc, &f))
        return -1;
    *s = (struct source){.pc = pc, .host = f.host, .cacheable = f.cacheable};
    s->n = room < SOURCE_BYTES_MAX ? room : SOURCE_BYTES_MAX;
    if (!f.cacheable)
        s->n = 2;
    if (!is_first_half(s))
        return 0;
    if (mmu_fetch(h, pc + 2, &f))
        return -1;
    s->host2 = f.host;
    s->cacheable = s->cacheable && f.cacheable;
    return 0;
}

static struct block *allocate(struct hart *h, size_t bytes)
{
    struct block_cache *c = &h->blocks;
    struct block *b;

    if (ARENA_BYTES - c->used_bytes < bytes)
        block_forget_all(h);
    b = (struct block *)(void *)(c->arena + c->used_bytes);
    c->used_bytes += (bytes + 15) & ~(size_t)15;
    return b;
}

/*
 * How many instructions from pc on stand before the first breakpoint, counted by their place in a
 * page, as that is all that is the same for every address that leads to it. count if none does.
 */
static uint32_t insns_before_breakpoint(const struct hart *h, const struct block *b, uint64_t pc)
{
    uint32_t first = b->count;

    for (uint32_t n = 0; n < h->debug.breakpoint_count; n++)
        for (uint32_t i = 0; i < first; i++)
            if (PAGE_OFFSET(pc) + 2u * b->insns[i].off == PAGE_OFFSET(h->debug.breakpoints[n]))
                first = i;
    return first;
}

/* In the draft; insns_max: at most so many instructions. */
static struct block *decode(struct hart *h, const struct source *s, uint32_t insns_max,
                            bool breakpoints)
{
    struct block *draft = h->blocks.draft;
    uint8_t source[SOURCE_BYTES_MAX];
    uint32_t offset = (uint32_t)PAGE_OFFSET(s->pc);
    size_t n = s->n;

    /* Once, so that what is decoded is what is kept, whatever others store there. */
    memcpy(source, s->host, n);
    if (s->host2) {
        memcpy(source + n, s->host2, 2);
        n += 2;
    }
    decode_block(draft, source, n, offset, insns_max, nowhere());
    if (breakpoints && h->debug.breakpoint_count) {
        uint32_t before = insns_before_breakpoint(h, draft, s->pc);

        /* A breakpoint is a block of its own, which asks whether it is meant. */
        decode_block(draft, source, n, offset, before ? before : 1, nowhere());
        if (!before)
            draft->insns[0].fn = op_breakpoint;
    }
    draft->epoch = h->epoch;
    draft->host = s->host;
    draft->host2 = s->host2;
    memcpy(&draft->insns[draft->entries], source, draft->source_bytes);
    return draft;
}

static struct block *make(struct hart *h, const struct source *s)
{
    struct block *draft = decode(h, s, s->cacheable && !s->host2 ? h->blocks.insns_max : 1, true);
    struct block *b;
    size_t bytes;

    if (!s->cacheable)
        return draft;
    bytes = sizeof(*b) + draft->entries * sizeof(struct insn) + draft->source_bytes;
    b = allocate(h, bytes);
    memcpy(b, draft, bytes);
    b->hash_next = *bucket(h, b->host);
    *bucket(h, b->host) = b;
    return b;
}

struct block *block_find(struct hart *h, uint64_t pc)
{
    struct source s;
    struct block *b;

    if (find_source(h, pc, &s))
        return NULL;
    if (!s.cacheable)
        return make(h, &s);
    b = hash_find(h, s.host, s.host2);
    if (!b)
        b = make(h, &s);
    h->jump[jump_index(pc)] = (struct jump){.pc = pc, .block = b};
    return b;
}

struct block *block_find_one(struct hart *h, uint64_t pc)
{
    struct source s;

    return find_source(h, pc, &s) ? NULL : decode(h, &s, 1, false);
}

void block_chain(struct hart *h, struct insn *last, bool taken, struct block *next,
                 uint64_t generation)
{
    /* Not from a draft, and not if the arena was emptied under it. */
    if ((uintptr_t)last - (uintptr_t)h->blocks.arena >= ARENA_BYTES ||
        generation != h->blocks.generation)
        return;
    /* What lies across a page end depends on a mapping; a draft is soon another. */
    if (next->host2 || next == h->blocks.draft)
        return;
    if (taken)
        insn_chain(last)->taken = next;
    else
        insn_chain(last)->not_taken = next;
}
