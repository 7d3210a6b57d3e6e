/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "lib/codec/zero.h"
#include "lib/migrate/sender_struct.h"
#include "lib/wire/stream_out.h"

/* n more bytes of heads were written: heads that follow each other are one vector. */
static void sender_put_head(struct sender *s, size_t n)
{
    uint8_t *head = s->heads + s->heads_bytes;
    struct iovec *last = s->iov_count ? &s->iov[s->iov_count - 1] : NULL;

    s->heads_bytes += n;
    if (last && (uint8_t *)last->iov_base + last->iov_len == head)
        last->iov_len += n;
    else
        sender_put(s, head, n);
}

static void sender_put_frame(struct sender *s, const struct buf *frame)
{
    memcpy(s->heads + s->heads_bytes, frame->data, frame->len_bytes);
    sender_put_head(s, frame->len_bytes);
}

/* One number for each page of all blocks. */
static uint64_t sender_key(size_t block, uint64_t page)
{
    return (uint64_t)block << 52 | page;
}

/*
 * What the peer has and what is sent now must be known exactly, while the guest writes to the page:
 * hence a copy, which stays until the batch is gone.
 */
static void sender_put_delta(struct sender *s, size_t block, uint64_t page, const uint8_t *data)
{
    uint64_t offset = page * WIRE_PAGE_BYTES;
    uint8_t *head = s->heads + s->heads_bytes;
    uint8_t *copy = s->copies[s->copy_count++];
    uint8_t *delta = s->copies[s->copy_count];
    uint8_t *old = xbzrle_cache_find(s->cache, sender_key(block, page), s->round);
    int n;

    memcpy(copy, data, WIRE_PAGE_BYTES);
    n = old ? xbzrle_encode(old, copy, delta, WIRE_PAGE_BYTES) : -ENOENT;
    if (n == 0) {
        atomic_fetch_add(&s->counters.xbzrle_pages, 1);
        return; /* the peer has this page */
    }
    if (n > 0) {
        s->copy_count++;
        memcpy(old, copy, WIRE_PAGE_BYTES);
        sender_put_head(s, ram_out_xbzrle(&s->out, head, block, offset, (uint16_t)n));
        sender_put(s, delta, (size_t)n);
        atomic_fetch_add(&s->counters.xbzrle_pages, 1);
        atomic_fetch_add(&s->counters.xbzrle_bytes, (uint64_t)n);
        return;
    }
    atomic_fetch_add(old ? &s->counters.xbzrle_overflows : &s->counters.xbzrle_misses, 1);
    if (old)
        memcpy(old, copy, WIRE_PAGE_BYTES);
    else
        (void)!xbzrle_cache_put(s->cache, sender_key(block, page), s->round, copy);
    sender_put_head(s, ram_out_page(&s->out, head, block, offset));
    sender_put(s, copy, WIRE_PAGE_BYTES);
    atomic_fetch_add(&s->counters.normal_pages, 1);
}

static void sender_put_page(struct sender *s, size_t block, uint64_t page)
{
    const struct sender_params *p = &s->params;
    uint64_t offset = page * WIRE_PAGE_BYTES;
    uint8_t *head = s->heads + s->heads_bytes;
    const uint8_t *data = guest_ram_page(p->guest, block, offset);
    /* A page that was never touched stays so: looking at it would allocate it. */
    bool zero = !guest_bit(p->guest->backed[block], page);

    if (!zero && p->look_for_zeros)
        zero = zero_check(data, WIRE_PAGE_BYTES);
    if (zero && p->look_for_zeros) {
        uint8_t *old = s->cache && s->round > 1
                           ? xbzrle_cache_find(s->cache, sender_key(block, page), s->round)
                           : NULL;

        if (old)
            memset(old, 0, WIRE_PAGE_BYTES);
        sender_put_head(s, ram_out_zero(&s->out, head, block, offset));
        atomic_fetch_add(&s->counters.zero_pages, 1);
        return;
    }
    /* The first pass would only turn the cache over. */
    if (s->cache && s->round > 1) {
        sender_put_delta(s, block, page, data);
        return;
    }
    sender_put_head(s, ram_out_page(&s->out, head, block, offset));
    sender_put(s, data, WIRE_PAGE_BYTES);
    atomic_fetch_add(&s->counters.normal_pages, 1);
}

/* The end of a RAM section, with a mark if there are channels. */
static int sender_put_end(struct sender *s, struct ferry_err *err)
{
    struct buf frame = {0};

    if (s->params.multifd)
        sender_put_head(s, ram_out_flush(s->heads + s->heads_bytes));
    sender_put_head(s, ram_out_eos(s->heads + s->heads_bytes));
    stream_put_footer(&frame, s->params.section_id);
    if (frame.failed)
        return err_set(err, frame.failed, "no memory to send RAM");
    sender_put_frame(s, &frame);
    buf_free(&frame);
    s->ended = true;
    return 0;
}

/* The next batch of a RAM section. */
static int sender_fill_plain(struct sender *s, enum wire_item type, struct ferry_err *err)
{
    struct guest_ram *g = s->params.guest;
    struct buf frame = {0};
    unsigned looked = 0;
    int r;

    if (!s->began) {
        stream_put_section_next(&frame, type, s->params.section_id);
        s->began = true;
        s->round++;
        s->block = 0;
        s->page = 0;
        if (!frame.failed)
            sender_put_frame(s, &frame);
    }
    while (s->block < g->blocks.count && looked < SENDER_LOOK_PAGES &&
           s->iov_count + 4 < SENDER_VECTORS && s->copy_count + 2 <= SENDER_COPIES &&
           s->heads_bytes + 2 * RAM_HEAD_MAX_BYTES < SENDER_HEADS_BYTES) {
        uint64_t pages = guest_ram_pages(g, s->block);

        s->page = guest_bit_next(g->pending[s->block], s->page, pages);
        if (s->page == pages) {
            s->block++;
            s->page = 0;
            continue;
        }
        guest_bit_clear(g->pending[s->block], s->page);
        sender_put_page(s, s->block, s->page);
        s->page++;
        looked++;
    }
    atomic_fetch_add(&s->counters.pages_done, looked);
    if (frame.failed)
        return err_set(err, frame.failed, "no memory to send RAM");
    buf_free(&frame);
    if (s->block < g->blocks.count)
        return 1;
    r = sender_put_end(s, err);
    return r < 0 ? r : 1;
}

/* Besides channels for others: a zero page as a record of the main one; whether it is one. */
static bool sender_put_zero(struct sender *s, size_t block, uint64_t page)
{
    const struct sender_params *p = &s->params;
    uint64_t offset = page * WIRE_PAGE_BYTES;

    if (guest_bit(p->guest->backed[block], page) &&
        !zero_check(guest_ram_page(p->guest, block, offset), WIRE_PAGE_BYTES))
        return false;
    sender_put_head(s, ram_out_zero(&s->out, s->heads + s->heads_bytes, block, offset));
    atomic_fetch_add(&s->counters.zero_pages, 1);
    return true;
}

static bool sender_heads_room(const struct sender *s)
{
    return s->heads_bytes + 2 * RAM_HEAD_MAX_BYTES < SENDER_HEADS_BYTES;
}

/* Packets of pages of one block to the channels, as long as they have room. */
static void sender_deal(struct sender *s)
{
    struct guest_ram *g = s->params.guest;

    while (s->block < g->blocks.count && sender_may_deal(s) && sender_heads_room(s) &&
           multifd_out_room(s->params.multifd)) {
        uint64_t offsets[WIRE_MULTIFD_PAGES], pages = guest_ram_pages(g, s->block);
        size_t n = 0, zeros = 0;

        while (n < WIRE_MULTIFD_PAGES && sender_heads_room(s)) {
            s->page = guest_bit_next(g->pending[s->block], s->page, pages);
            if (s->page == pages)
                break;
            guest_bit_clear(g->pending[s->block], s->page);
            if (s->params.look_for_zeros && sender_put_zero(s, s->block, s->page))
                zeros++;
            else
                offsets[n++] = s->page * WIRE_PAGE_BYTES;
            s->page++;
        }
        if (n)
            multifd_out_pages(s->params.multifd, s->block, offsets, n);
        atomic_fetch_add(&s->counters.pages_done, n + zeros);
        s->owed_bytes += n * WIRE_PAGE_BYTES;
        if (s->page == pages) {
            s->block++;
            s->page = 0;
        }
    }
}

/* -EAGAIN: a channel will wake this one. */
static int sender_fill_multifd(struct sender *s, enum wire_item type, struct ferry_err *err)
{
    struct buf frame = {0};
    int idle;

    if (!s->began) {
        stream_put_section_next(&frame, type, s->params.section_id);
        if (frame.failed)
            return err_set(err, frame.failed, "no memory to send RAM");
        sender_put_frame(s, &frame);
        buf_free(&frame);
        s->began = true;
        s->block = 0;
        s->page = 0;
        return 1;
    }
    sender_deal(s);
    if (s->iov_count)
        return 1;
    idle = multifd_out_idle(s->params.multifd, err);
    if (idle < 0)
        return idle;
    if (s->block < s->params.guest->blocks.count || !idle)
        return -EAGAIN;
    multifd_out_sync(s->params.multifd);
    idle = sender_put_end(s, err);
    return idle < 0 ? idle : 1;
}

/*
 * The next pending pages that may be something else than zeros: how many; 0: there are no more.
 * What nobody ever touched is left out: the file has a hole there, too.
 */
static uint64_t sender_next_run(struct sender *s, uint64_t max_pages)
{
    struct guest_ram *g = s->params.guest;
    uint64_t n = 0, untouched = 0;

    for (; s->block < g->blocks.count; s->block++, s->page = 0) {
        uint64_t *pending = g->pending[s->block], *backed = g->backed[s->block];
        uint64_t pages = guest_ram_pages(g, s->block);

        while ((s->page = guest_bit_next(pending, s->page, pages)) < pages &&
               !guest_bit(backed, s->page)) {
            guest_bit_clear(pending, s->page++);
            untouched++;
        }
        while (n < max_pages && s->page + n < pages && guest_bit(pending, s->page + n) &&
               guest_bit(backed, s->page + n))
            guest_bit_clear(pending, s->page + n++);
        if (n)
            break;
    }
    atomic_fetch_add(&s->counters.zero_pages, untouched);
    atomic_fetch_add(&s->counters.pages_done, untouched + n);
    return n;
}

/* As sender_fill_multifd(): the pages go to their places, the section gets only its end. */
static int sender_fill_mapped(struct sender *s, enum wire_item type, struct ferry_err *err)
{
    struct buf frame = {0};
    int r;

    if (type == WIRE_SECTION_START) {
        s->ended = true;
        return mapped_out_begin(s->mapped, s->params.section_id, err);
    }
    if (!s->began) {
        s->began = true;
        s->block = 0;
        s->page = 0;
    }
    while (s->block < s->params.guest->blocks.count && sender_may_deal(s) &&
           mapped_out_room(s->mapped)) {
        uint64_t n = sender_next_run(s, CREW_RUN_PAGES);

        if (n)
            mapped_out_pages(s->mapped, s->block, s->page, n);
        s->page += n;
        s->owed_bytes += n * WIRE_PAGE_BYTES;
    }
    if (!s->params.thread)
        mapped_out_step(s->mapped);
    r = mapped_out_idle(s->mapped, err);
    if (r < 0)
        return r;
    if (s->block < s->params.guest->blocks.count || !r)
        return -EAGAIN;
    if (type == WIRE_SECTION_END)
        r = mapped_out_end(s->mapped, err);
    stream_put_section_next(&frame, type, s->params.section_id);
    if (r >= 0 && frame.failed)
        r = err_set(err, frame.failed, "no memory to send RAM");
    if (r < 0)
        return r;
    sender_put_frame(s, &frame);
    buf_free(&frame);
    r = sender_put_end(s, err);
    return r < 0 ? r : 1;
}

int sender_fill_ram(struct sender *s, enum wire_item type, struct ferry_err *err)
{
    if (!s->found_backed)
        guest_ram_find_backed(s->params.guest);
    s->found_backed = true;
    if (s->params.multifd)
        return sender_fill_multifd(s, type, err);
    return s->mapped ? sender_fill_mapped(s, type, err) : sender_fill_plain(s, type, err);
}
