/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/migrate/mapped_out.h"

#include <errno.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/own.h"
#include "lib/chan/place.h"
#include "lib/codec/zero.h"
#include "lib/wire/mapped.h"
#include "lib/wire/ram_out.h"
#include "lib/wire/stream_out.h"

struct mapped_out {
    struct mapped_out_params params;
    struct crew *crew;
    struct ferry_chan *direct; /* owned; NULL: pages go where everything goes */
    struct mapped_header headers[WIRE_RAM_BLOCKS_MAX];
    uint8_t *bitmaps[WIRE_RAM_BLOCKS_MAX]; /* owned */
};

static int out_write(const struct mapped_out *m, const uint8_t *data, uint64_t pages,
                     uint64_t place_bytes, struct ferry_err *err)
{
    const struct ferry_chan *chan = m->direct ? m->direct : m->params.chan;
    size_t n = (size_t)(pages * WIRE_PAGE_BYTES);
    int r = chan_write_at(chan, data, n, place_bytes, err);

    /* Else the pause would be as long as the disk needs for all of it. */
    if (r == 0 && !m->direct)
        chan_flush_at(chan, n, place_bytes);
    return r;
}

/* Pages of a run that are not zero, by one call for as many as follow each other. */
static int out_run(void *self, const struct crew_run *run, struct ferry_err *err)
{
    struct mapped_out *m = self;
    const struct mapped_out_params *p = &m->params;
    const uint8_t *data = guest_ram_page(p->guest, run->block, run->page * WIRE_PAGE_BYTES);
    uint64_t place = m->headers[run->block].pages_offset_bytes + run->page * WIRE_PAGE_BYTES;
    uint8_t *bitmap = m->bitmaps[run->block];
    uint64_t at = 0, zeros = 0;

    while (at < run->pages) {
        uint64_t end = at;
        int r;

        while (end < run->pages &&
               !(p->look_for_zeros && zero_check(data + end * WIRE_PAGE_BYTES, WIRE_PAGE_BYTES)))
            mapped_set(bitmap, run->page + end++);
        r = end > at ? out_write(m, data + at * WIRE_PAGE_BYTES, end - at,
                                 place + at * WIRE_PAGE_BYTES, err)
                     : 0;
        if (r < 0)
            return r;
        atomic_fetch_add(p->bytes, (end - at) * WIRE_PAGE_BYTES);
        at = end;
        if (at == run->pages)
            break;
        /* What an earlier round wrote there stays; without its bit it is nothing. */
        mapped_clear(bitmap, run->page + at++);
        zeros++;
    }
    atomic_fetch_add(p->zero_pages, zeros);
    atomic_fetch_add(p->normal_pages, run->pages - zeros);
    return 0;
}

int mapped_out_new(struct mapped_out **ret, const struct mapped_out_params *params,
                   struct ferry_err *err)
{
    struct mapped_out *m = calloc(1, sizeof(*m));
    const struct crew_params crew = {
        .threads = params->thread ? params->channels : 0,
        .name = "ferry-mapped",
        .work = out_run,
        .self = m,
    };
    int r = 0;

    if (!m)
        return err_set(err, ENOMEM, "no memory to write a mapped-ram file");
    m->params = *params;
    if (params->direct_io)
        r = chan_open_direct(&m->direct, params->chan, err);
    for (size_t i = 0; r == 0 && i < params->guest->blocks.count; i++) {
        m->bitmaps[i] = calloc(1, mapped_bitmap_bytes(params->guest->at[i].used_bytes));
        if (!m->bitmaps[i])
            r = err_set(err, ENOMEM, "no memory for the bitmap of RAM '%s'",
                        params->guest->at[i].name);
    }
    if (r == 0)
        r = crew_new(&m->crew, &crew, err);
    if (r < 0) {
        mapped_out_free(m);
        return r;
    }
    *ret = m;
    return 0;
}

void mapped_out_free(struct mapped_out *m)
{
    if (!m)
        return;
    crew_free(m->crew);
    ferry_chan_free(m->direct);
    for (size_t i = 0; i < WIRE_RAM_BLOCKS_MAX; i++)
        free(m->bitmaps[i]);
    free(m);
}

void mapped_out_wake(struct mapped_out *m, void (*wake)(void *arg), void *arg)
{
    crew_wake(m->crew, wake, arg);
}

/* Writes what is in out at *at, and empties it. */
static int out_flush(struct mapped_out *m, struct buf *out, uint64_t *at, struct ferry_err *err)
{
    int r = out->failed ? err_set(err, out->failed, "no memory to list RAM")
                        : chan_write_at(m->params.chan, out->data, out->len_bytes, *at, err);

    *at += out->len_bytes;
    buf_reset(out);
    return r;
}

/* An entry, and the jump behind the block's pages. */
static int out_entry(struct mapped_out *m, size_t i, struct buf *out, uint64_t *at,
                     struct ferry_err *err)
{
    static const struct ram_rules rules = {.mapped_ram = true};
    const struct ram_block *block = &m->params.guest->at[i];
    int r;

    ram_put_entry(out, &rules, block);
    r = mapped_layout(&m->headers[i], *at + out->len_bytes, block->used_bytes, err);
    if (r < 0)
        return r;
    mapped_put_header(out, &m->headers[i]);
    r = out_flush(m, out, at, err);
    *at = m->headers[i].pages_offset_bytes + block->used_bytes;
    return r;
}

int mapped_out_begin(struct mapped_out *m, uint32_t section_id, struct ferry_err *err)
{
    const struct ram_blocks *blocks = &m->params.guest->blocks;
    uint8_t head[RAM_HEAD_MAX_BYTES];
    struct buf out = {0};
    uint64_t at;
    int r = chan_position(m->params.chan, &at, err);

    stream_put_section(&out, WIRE_SECTION_START, section_id, WIRE_RAM_IDSTR, 0, WIRE_RAM_VERSION);
    ram_put_total(&out, blocks);
    for (size_t i = 0; r == 0 && i < blocks->count; i++)
        r = out_entry(m, i, &out, &at, err);
    buf_put(&out, head, ram_out_eos(head));
    stream_put_footer(&out, section_id);
    if (r == 0)
        r = out_flush(m, &out, &at, err);
    if (r == 0)
        r = chan_go_to(m->params.chan, at, err);
    buf_free(&out);
    return r;
}

bool mapped_out_room(struct mapped_out *m)
{
    return crew_room(m->crew);
}

void mapped_out_pages(struct mapped_out *m, size_t block, uint64_t page, uint64_t pages)
{
    crew_put(m->crew, &(struct crew_run){.block = block, .page = page, .pages = pages});
}

int mapped_out_idle(struct mapped_out *m, struct ferry_err *err)
{
    return crew_idle(m->crew, err);
}

void mapped_out_leave(struct mapped_out *m)
{
    crew_leave(m->crew);
}

int mapped_out_thread_id(const struct mapped_out *m, size_t index)
{
    return crew_thread_id(m->crew, index);
}

void mapped_out_step(struct mapped_out *m)
{
    crew_step(m->crew);
}

int mapped_out_end(struct mapped_out *m, struct ferry_err *err)
{
    const struct ram_blocks *blocks = &m->params.guest->blocks;
    int r = 0;

    for (size_t i = 0; r == 0 && i < blocks->count; i++)
        r = chan_write_at(m->params.chan, m->bitmaps[i],
                          mapped_bitmap_bytes(blocks->at[i].used_bytes),
                          m->headers[i].bitmap_offset_bytes, err);
    return r;
}
