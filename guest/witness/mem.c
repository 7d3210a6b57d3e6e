// SPDX-License-Identifier: Apache-2.0
/*
 * Memory: pages full of numbers that only one write can have left there.
 *
 * A page holds a header {magic, page, sequence, checksum} and words that follow from page and
 * sequence. The sequence last written is also kept elsewhere, so that a page that fell back to an
 * older, complete content is noticed just as a torn or foreign one. Each worker goes round its own
 * pages: verify, then write with the next sequence.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "witness.h"

#define PAGE_BYTES    4096
#define PAGES_PER_MIB (1024 * 1024 / PAGE_BYTES)
#define MAGIC         UINT64_C(0x5749544e45535321)
#define BATCH_NS      (10 * NS_PER_MS)
#define PAGE_WORDS    (PAGE_BYTES / sizeof(uint64_t) - 4)
#define UNPACED_PAGES 256 /* of a full pass, between two signs of life */

struct page {
    uint64_t magic;
    uint64_t number;
    uint64_t sequence;
    uint64_t checksum;
    uint64_t words[PAGE_WORDS];
};

struct arena {
    struct worker *me;
    unsigned int index; /* of the worker, among those of this check */
    struct page *pages;
    uint32_t *sequences; /* last written; 0: never */
    uint64_t page_count;
    uint64_t next;
};

static uint64_t seed_of(const struct arena *a, uint64_t number, uint64_t sequence)
{
    return (number << 32 ^ sequence ^ (uint64_t)a->index << 56) * UINT64_C(0x9e3779b97f4a7c15);
}

static uint64_t next_word(uint64_t word)
{
    return word * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
}

static void write_page(struct arena *a, uint64_t number)
{
    struct page *page = &a->pages[number];
    uint64_t sequence = ++a->sequences[number];
    uint64_t word = seed_of(a, number, sequence);
    uint64_t sum = 0;

    page->magic = MAGIC;
    page->number = number;
    page->sequence = sequence;
    for (size_t i = 0; i < PAGE_WORDS; i++) {
        word = next_word(word);
        page->words[i] = word;
        sum += word;
    }
    page->checksum = sum;
}

/* Tells the kinds of damage apart, because each points to a different fault of the machine. */
static void report(struct arena *a, uint64_t number, size_t wrong_word)
{
    const struct page *page = &a->pages[number];
    uint64_t sum = 0;

    for (size_t i = 0; i < PAGE_WORDS; i++)
        sum += page->words[i];
    if (page->magic == MAGIC && page->number == number && page->checksum == sum)
        verdict_fail(a->me->w,
                     "memory: page %llu of %s is whole but holds write %llu, not the last, %u",
                     (unsigned long long)number, a->me->name, (unsigned long long)page->sequence,
                     a->sequences[number]);
    else
        verdict_fail(
            a->me->w,
            "memory: page %llu of %s is damaged: magic %llx number %llu sequence %llu (last "
            "written %u) checksum %s, first wrong word %zu",
            (unsigned long long)number, a->me->name, (unsigned long long)page->magic,
            (unsigned long long)page->number, (unsigned long long)page->sequence,
            a->sequences[number], page->checksum == sum ? "right" : "wrong", wrong_word);
}

static void verify_page(struct arena *a, uint64_t number)
{
    const struct page *page = &a->pages[number];
    uint64_t sequence = a->sequences[number];
    uint64_t word = seed_of(a, number, sequence);
    uint64_t sum = 0;
    size_t i;

    for (i = 0; i < PAGE_WORDS; i++) {
        word = next_word(word);
        if (page->words[i] != word)
            break;
        sum += word;
    }
    if (i < PAGE_WORDS || page->checksum != sum || page->magic != MAGIC || page->number != number ||
        page->sequence != sequence)
        report(a, number, i);
    atomic_fetch_add(&a->me->w->mem.verified, 1);
}

static void forget(struct arena *a)
{
    uint64_t written = 0;

    for (uint64_t i = 0; i < a->page_count; i++)
        written += a->sequences[i] != 0;
    atomic_fetch_sub(&a->me->w->mem.pages, written);
    if (a->page_count)
        munmap(a->pages, a->page_count * PAGE_BYTES);
    free(a->sequences);
    a->sequences = NULL;
    a->page_count = 0;
    a->next = 0;
}

static void resize(struct arena *a, uint64_t page_count)
{
    struct witness *w = a->me->w;

    forget(a);
    if (page_count == 0)
        return;
    a->pages = mmap(NULL, page_count * PAGE_BYTES, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    a->sequences = calloc(page_count, sizeof(a->sequences[0]));
    if (a->pages == MAP_FAILED || !a->sequences) {
        verdict_fail(w, "memory: no room for %llu pages", (unsigned long long)page_count);
        if (a->pages != MAP_FAILED)
            munmap(a->pages, page_count * PAGE_BYTES);
        free(a->sequences);
        a->sequences = NULL;
        return;
    }
    a->page_count = page_count;
}

static void step(struct arena *a)
{
    if (a->sequences[a->next])
        verify_page(a, a->next);
    else
        atomic_fetch_add(&a->me->w->mem.pages, 1);
    write_page(a, a->next);
    a->next = (a->next + 1) % a->page_count;
}

static void verify_all(struct arena *a)
{
    for (uint64_t i = 0; i < a->page_count; i++) {
        if (i % UNPACED_PAGES == 0)
            op_begin(a->me);
        if (a->sequences[i])
            verify_page(a, i);
    }
    op_end(a->me);
}

static void run_mem(struct worker *me)
{
    struct mem_check *mem = &me->w->mem;
    struct arena a = {.me = me, .index = (unsigned int)(uintptr_t)me->arg};
    uint64_t due_ns = now_ns();
    uint64_t size_mib = 0;
    unsigned int pass = 0;
    double owed_pages = 0; /* a rate of less than a page per batch adds up */

    for (;;) {
        uint64_t wanted_mib = atomic_load(&mem->size_mib);
        double rate = (double)atomic_load(&mem->rate_mib) / mem->workers;

        if (wanted_mib != size_mib) {
            size_mib = wanted_mib;
            resize(&a, size_mib * PAGES_PER_MIB / mem->workers);
        }
        if (worker_pass_due(me, &pass)) {
            verify_all(&a);
            worker_pass_done(me);
        }
        worker_stand_if_parked(me);
        owed_pages += rate * PAGES_PER_MIB * BATCH_NS / NS_PER_S;
        op_begin(me);
        for (; owed_pages >= 1 && a.page_count; owed_pages--)
            step(&a);
        op_end(me);
        /* A machine too slow for the rate gives what it can; nothing is made up for later. */
        if (owed_pages >= 1)
            owed_pages = 0;
        due_ns += BATCH_NS;
        if (now_ns() > due_ns)
            due_ns = now_ns();
        sleep_until_ns(due_ns);
    }
}

void mem_add(struct witness *w)
{
    int lonely = gap_hart(w);
    char name[16];

    atomic_store(&w->mem.size_mib, w->options.mem_mib);
    atomic_store(&w->mem.rate_mib, w->options.rate_mib);
    for (int hart = 0; hart < (int)w->harts; hart++) {
        if (hart == lonely)
            continue;
        snprintf(name, sizeof(name), "mem%d", hart);
        worker_add(w, name, hart, 0, run_mem, (void *)(uintptr_t)w->mem.workers++);
        w->parkable++;
    }
}
