/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The dirty log.
 *
 *   writer:   store; mark(page) sets the bit in `live`        or, if it keeps the permission:
 *             mark(page); keep "may store without marking"; stores...
 *   harvest:  begin:  taken |= exchange(live, 0)   every region
 *                     flush sources                every kept permission is gone, its stores done
 *             fetch:  bitmap |= taken; taken = 0   now the pages may be read
 *
 * Why no store is lost. A store under a permission given before the exchange is covered by the bit
 * the exchange took, and has happened when the flush returns, that is before its page is read. One
 * under a permission given after the exchange set its bit in `live` again: the next harvest has
 * it. A writer that keeps no permission marks after it stored: if the exchange came between, the
 * bit is in the next harvest. Flushing before the exchange would lose the first kind.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <ferry/ram.h>

#include "base/err.h"
#include "lib/mem/ram.h"

int ferry_ram_add_flush_source(struct ferry_ram *ram, ferry_ram_flush_fn *fn, void *opaque,
                               struct ferry_err *err)
{
    struct ram_flush_source *sources =
        reallocarray(ram->flush_sources, ram->flush_source_count + 1, sizeof(*sources));

    if (!sources)
        return err_set(err, ENOMEM, "no memory for a writer of the dirty log");
    ram->flush_sources = sources;
    sources[ram->flush_source_count++] = (struct ram_flush_source){.fn = fn, .opaque = opaque};
    return 0;
}

static void dirty_flush(struct ferry_ram *ram)
{
    for (size_t i = 0; i < ram->flush_source_count; i++)
        ram->flush_sources[i].fn(ram->flush_sources[i].opaque);
}

static int dirty_alloc(struct ferry_ram_region *region, struct ferry_err *err)
{
    if (!region->live)
        region->live = calloc(ram_words(region), sizeof(*region->live));
    if (!region->taken)
        region->taken = calloc(ram_words(region), sizeof(*region->taken));
    if (!region->live || !region->taken)
        return err_set(err, ENOMEM, "RAM \"%s\": no memory for the dirty log", region->name);
    return 0;
}

int ferry_ram_log_start(struct ferry_ram *ram, struct ferry_err *err)
{
    int r;

    if (ram->logging)
        return err_set(err, EALREADY, "the dirty log is on already");
    for (size_t i = 0; i < ram->region_count; i++) {
        r = dirty_alloc(ram->regions[i], err);
        if (r < 0)
            return r;
    }
    for (size_t i = 0; i < ram->region_count; i++) {
        struct ferry_ram_region *region = ram->regions[i];

        for (size_t w = 0; w < ram_words(region); w++)
            atomic_store_explicit(&region->live[w], 0, memory_order_relaxed);
        memset(region->taken, 0, ram_words(region) * sizeof(*region->taken));
        atomic_store_explicit(&region->logging, true, memory_order_release);
    }
    ram->logging = true;
    /* Permissions from before the log knew no marking. */
    dirty_flush(ram);
    return 0;
}

void ferry_ram_log_stop(struct ferry_ram *ram)
{
    for (size_t i = 0; i < ram->region_count; i++)
        atomic_store_explicit(&ram->regions[i]->logging, false, memory_order_release);
    ram->logging = false;
}

void ferry_ram_mark_dirty(struct ferry_ram_region *region, uint64_t page)
{
    _Atomic uint64_t *word;
    uint64_t bit = UINT64_C(1) << (page % 64);

    if (!atomic_load_explicit(&region->logging, memory_order_acquire))
        return;
    word = &region->live[page / 64];
    /* No test for "set already": a load could be older than the exchange that took the bit. */
    atomic_fetch_or_explicit(word, bit, memory_order_seq_cst);
}

void ferry_ram_harvest_begin(struct ferry_ram *ram)
{
    for (size_t i = 0; ram->logging && i < ram->region_count; i++) {
        struct ferry_ram_region *region = ram->regions[i];

        for (size_t w = 0; w < ram_words(region); w++)
            /* Clean words stay shared in the caches of the writers. */
            if (atomic_load_explicit(&region->live[w], memory_order_relaxed))
                region->taken[w] |=
                    atomic_exchange_explicit(&region->live[w], 0, memory_order_seq_cst);
    }
    dirty_flush(ram);
}

uint64_t ferry_ram_harvest(struct ferry_ram_region *region, uint64_t *bitmap)
{
    uint64_t newly = 0;

    if (!region->taken)
        return 0;
    for (size_t w = 0; w < ram_words(region); w++) {
        newly += (uint64_t)__builtin_popcountll(region->taken[w] & ~bitmap[w]);
        bitmap[w] |= region->taken[w];
        region->taken[w] = 0;
    }
    return newly;
}
