/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/migrate/mapped_in.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/num.h"
#include "base/own.h"
#include "lib/chan/place.h"
#include "lib/codec/zero.h"

#define IN_STAGING_PAGES 32u

struct mapped_in {
    struct mapped_in_params params;
    struct crew *crew;
    struct ferry_chan *direct; /* owned; NULL: pages come from where everything comes */

    /* The block under way. */
    size_t block;
    uint64_t pages_offset_bytes;
    uint8_t *bitmap; /* owned */
    size_t bitmap_bytes;
    uint64_t page; /* up to here pages were dealt out */
};

/*
 * Not straight into the mapping: there each page costs a fault (lib/mem/fill.c), and so much stays
 * in the cache.
 */
static int in_run(void *self, const struct crew_run *run, struct ferry_err *err)
{
    struct mapped_in *m = self;
    const struct mapped_in_params *p = &m->params;
    const struct ferry_chan *chan = m->direct ? m->direct : p->chan;
    _Alignas(WIRE_PAGE_BYTES) uint8_t staging[IN_STAGING_PAGES * WIRE_PAGE_BYTES];

    for (uint64_t at = 0; at < run->pages; at += IN_STAGING_PAGES) {
        uint64_t page = run->page + at, pages = num_min(run->pages - at, IN_STAGING_PAGES);
        struct iovec iov = {.iov_base = staging, .iov_len = pages * WIRE_PAGE_BYTES};
        int r = chan_read_at(chan, staging, iov.iov_len,
                             m->pages_offset_bytes + page * WIRE_PAGE_BYTES, err);

        if (r == 0)
            r = ferry_ram_fill(p->guest->regions[run->block], page, &iov, 1, err);
        if (r < 0)
            return r;
        for (uint64_t i = 0; i < pages; i++)
            guest_bit_set_shared(p->guest->backed[run->block], page + i);
    }
    atomic_fetch_add(p->bytes, run->pages * WIRE_PAGE_BYTES);
    atomic_fetch_add(p->normal_pages, run->pages);
    return 0;
}

int mapped_in_new(struct mapped_in **ret, const struct mapped_in_params *params,
                  struct ferry_err *err)
{
    struct mapped_in *m = calloc(1, sizeof(*m));
    const struct crew_params crew = {
        .threads = params->thread ? params->channels : 0,
        .name = "ferry-mapped",
        .work = in_run,
        .self = m,
    };
    int r = 0;

    if (!m)
        return err_set(err, ENOMEM, "no memory to read a mapped-ram file");
    m->params = *params;
    if (params->direct_io)
        r = chan_open_direct(&m->direct, params->chan, err);
    if (r == 0)
        r = crew_new(&m->crew, &crew, err);
    if (r < 0) {
        mapped_in_free(m);
        return r;
    }
    *ret = m;
    return 0;
}

void mapped_in_free(struct mapped_in *m)
{
    if (!m)
        return;
    crew_free(m->crew);
    ferry_chan_free(m->direct);
    free(m->bitmap);
    free(m);
}

void mapped_in_wake(struct mapped_in *m, void (*wake)(void *arg), void *arg)
{
    crew_wake(m->crew, wake, arg);
}

/* The file has nothing for these; what this side's machine had there before is not the guest's. */
static void in_clear(struct mapped_in *m)
{
    const struct guest_ram *g = m->params.guest;
    uint64_t pages = guest_ram_pages(g, m->block), zeros = pages;

    for (uint64_t at = 0, first, n;
         (n = mapped_next_run(m->bitmap, m->bitmap_bytes, at, pages, &first)) != 0; at = first + n)
        zeros -= n;
    atomic_fetch_add(m->params.zero_pages, zeros);
    for (uint64_t page = guest_bit_next(g->backed[m->block], 0, pages); page < pages;
         page = guest_bit_next(g->backed[m->block], page + 1, pages)) {
        uint8_t *to = guest_ram_page(g, m->block, page * WIRE_PAGE_BYTES);

        if (!(m->bitmap[page / 8] >> page % 8 & 1) && !zero_check(to, WIRE_PAGE_BYTES))
            memset(to, 0, WIRE_PAGE_BYTES);
    }
}

int mapped_in_begin(struct mapped_in *m, size_t block, const struct mapped_header *header,
                    uint64_t position_bytes, struct ferry_err *err)
{
    const struct ram_block *b = &m->params.guest->at[block];
    size_t n = (size_t)mapped_bitmap_bytes(b->used_bytes);
    uint64_t file_bytes;
    int r = chan_file_bytes(m->params.chan, &file_bytes, err);

    if (r == 0)
        r = mapped_check_place(header, b->name, b->used_bytes, position_bytes, file_bytes, err);
    if (r < 0)
        return r;
    free(m->bitmap);
    m->bitmap = malloc(n);
    if (!m->bitmap)
        return err_set(err, ENOMEM, "no memory for the bitmap of RAM '%s'", b->name);
    r = chan_read_at(m->params.chan, m->bitmap, n, header->bitmap_offset_bytes, err);
    if (r == 0)
        r = mapped_check_bitmap(m->bitmap, n, b->name, b->used_bytes, err);
    if (r < 0)
        return r;
    m->block = block;
    m->bitmap_bytes = n;
    m->pages_offset_bytes = header->pages_offset_bytes;
    m->page = 0;
    in_clear(m);
    return 0;
}

int mapped_in_next(struct mapped_in *m, uint64_t *end_bytes, struct ferry_err *err)
{
    bool all = false;
    int r;

    while (!all && crew_room(m->crew)) {
        struct crew_run run = {.block = m->block};

        run.pages = mapped_next_run(m->bitmap, m->bitmap_bytes, m->page, CREW_RUN_PAGES, &run.page);
        all = run.pages == 0;
        if (all)
            break;
        m->page = run.page + run.pages;
        crew_put(m->crew, &run);
    }
    if (!m->params.thread)
        crew_step(m->crew);
    r = crew_idle(m->crew, err);
    if (r < 0)
        return r;
    *end_bytes = m->pages_offset_bytes + m->params.guest->at[m->block].used_bytes;
    return all && r;
}
