/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/migrate/sender.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/iov.h"
#include "lib/chan/place.h"
#include "lib/codec/xbzrle_cache.h"
#include "lib/codec/zero.h"
#include "lib/migrate/mapped_out.h"
#include "lib/wire/ram_out.h"
#include "lib/wire/stream_out.h"

/* One system call's worth: the kernel takes 1024 vectors, a page has two. */
#define SENDER_VECTORS      1024u
#define SENDER_HEADS_BYTES  (64u << 10)
/* The queue is as long as the longest burst: command, RAM, devices, end. */
#define SENDER_JOBS         8u
/* Of one step. */
#define SENDER_STEP_BATCHES 4u
/* Zero pages cost no bandwidth but time. */
#define SENDER_LOOK_PAGES   4096u
/* Pages of a batch while deltas are made. */
#define SENDER_COPIES       128u
/* How finely a rate is kept, and how long to wait at most before looking at it again. */
#define SENDER_BURST_NS     10000000
#define SENDER_HOLD_NS      INT64_C(100000000)

/* Of a file, between two calls that have it written. */
#define SENDER_FLUSH_BYTES (UINT64_C(8) << 20)

enum job_kind { JOB_BYTES = 1, JOB_RAM, JOB_LAST, JOB_FINISH };

struct job {
    enum job_kind kind;
    struct buf bytes;
    enum wire_item type;
};

struct sender {
    struct sender_params params;
    struct mapped_out *mapped; /* NULL: not such a file */
    struct lane *lane;
    struct sender_counters counters;
    atomic_uint_fast64_t rate_bps;

    pthread_mutex_t lock; /* guards what follows, up to the empty line */
    struct job jobs[SENDER_JOBS];
    size_t job_count;
    bool failed;
    struct ferry_err err;
    bool halted;    /* nothing leaves any more */
    bool last_left; /* some of JOB_LAST's bytes, or they are leaving now */

    /* The lane's: the batch under way, and how far the first job is. */
    struct iovec iov[SENDER_VECTORS];
    size_t iov_first, iov_count;
    uint8_t heads[SENDER_HEADS_BYTES];
    size_t heads_bytes;
    struct ram_out out;
    struct xbzrle_cache *cache; /* NULL: no deltas */
    uint64_t round;
    uint8_t copies[SENDER_COPIES][WIRE_PAGE_BYTES]; /* pages and deltas that must not change */
    size_t copy_count;
    bool found_backed; /* takes 20 ms per GiB: not for the main thread */
    bool began, ended;
    uint64_t unflushed_bytes; /* of a file */
    size_t block;
    uint64_t page;
    uint64_t owed_bytes; /* sent, and not yet covered by the rate */
    int64_t paid_ns;     /* until when it is */
    bool paced;          /* what is sent now is RAM */
    int64_t hold_ns;     /* until when the rate allows no more to be dealt out; 0: it does */
};

static void sender_wake(void *arg)
{
    struct sender *s = arg;

    if (s->lane)
        lane_kick(s->lane);
}

static int sender_new_mapped(struct sender *s, struct ferry_err *err)
{
    const struct mapped_out_params params = {
        .chan = s->params.chan,
        .guest = s->params.guest,
        .channels = s->params.mapped_channels,
        .direct_io = s->params.direct_io,
        .look_for_zeros = s->params.look_for_zeros,
        .thread = s->params.thread,
        .bytes = &s->counters.bytes,
        .zero_pages = &s->counters.zero_pages,
        .normal_pages = &s->counters.normal_pages,
    };

    return mapped_out_new(&s->mapped, &params, err);
}

int sender_new(struct sender **ret, const struct sender_params *params, struct ferry_err *err)
{
    struct sender *s = calloc(1, sizeof(*s));
    int r;

    if (!s)
        return err_set(err, ENOMEM, "no memory to send from");
    s->params = *params;
    pthread_mutex_init(&s->lock, NULL);
    ram_out_init(&s->out, &params->guest->blocks);
    r = params->xbzrle_bytes ? xbzrle_cache_new(&s->cache, params->xbzrle_bytes, err) : 0;
    if (r == 0 && params->mapped_channels)
        r = sender_new_mapped(s, err);
    if (r == 0 && params->thread)
        r = lane_start(&s->lane, "ferry-send", sender_step, s, err);
    if (r < 0) {
        sender_free(s);
        return r;
    }
    if (params->multifd)
        multifd_out_wake(params->multifd, sender_wake, s);
    if (s->mapped)
        mapped_out_wake(s->mapped, sender_wake, s);
    *ret = s;
    return 0;
}

void sender_free(struct sender *s)
{
    if (!s)
        return;
    if (s->params.multifd)
        multifd_out_wake(s->params.multifd, NULL, NULL);
    if (s->mapped)
        mapped_out_wake(s->mapped, NULL, NULL);
    lane_leave(s->lane);
    if (s->mapped)
        mapped_out_leave(s->mapped);
    lane_stop(s->lane);
    mapped_out_free(s->mapped);
    for (size_t i = 0; i < s->job_count; i++)
        buf_free(&s->jobs[i].bytes);
    xbzrle_cache_free(s->cache);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

/* --- The main thread's side --- */

static void sender_queue(struct sender *s, struct job job)
{
    pthread_mutex_lock(&s->lock);
    if (s->job_count < SENDER_JOBS) {
        s->jobs[s->job_count++] = job;
    } else {
        s->failed = true;
        err_set(&s->err, ENOBUFS, "the sender's queue is full");
        buf_free(&job.bytes);
    }
    pthread_mutex_unlock(&s->lock);
    if (s->lane)
        lane_kick(s->lane);
}

void sender_bytes(struct sender *s, struct buf *bytes)
{
    struct job job = {.kind = JOB_BYTES, .bytes = *bytes};

    *bytes = (struct buf){.limit_bytes = bytes->limit_bytes};
    sender_queue(s, job);
}

void sender_last(struct sender *s, struct buf *bytes)
{
    struct job job = {.kind = JOB_LAST, .bytes = *bytes};

    *bytes = (struct buf){.limit_bytes = bytes->limit_bytes};
    sender_queue(s, job);
}

bool sender_halt(struct sender *s)
{
    bool halted;

    pthread_mutex_lock(&s->lock);
    halted = s->halted = !s->last_left;
    pthread_mutex_unlock(&s->lock);
    return halted;
}

void sender_ram(struct sender *s, enum wire_item type)
{
    sender_queue(s, (struct job){.kind = JOB_RAM, .type = type});
}

void sender_finish(struct sender *s)
{
    sender_queue(s, (struct job){.kind = JOB_FINISH});
}

int sender_state(struct sender *s, struct ferry_err *err)
{
    int r;

    pthread_mutex_lock(&s->lock);
    r = s->failed ? -s->err.errnum : s->job_count ? SENDER_BUSY : SENDER_IDLE;
    if (s->failed)
        *err = s->err;
    pthread_mutex_unlock(&s->lock);
    return r;
}

void sender_set_rate(struct sender *s, uint64_t rate_bps)
{
    atomic_store(&s->rate_bps, rate_bps);
    if (s->lane)
        lane_kick(s->lane);
}

const struct sender_counters *sender_counters(const struct sender *s)
{
    return &s->counters;
}

int sender_thread_id(const struct sender *s, size_t index)
{
    if (index == 0)
        return lane_thread_id(s->lane);
    return s->mapped ? mapped_out_thread_id(s->mapped, index - 1) : 0;
}

/* --- The lane's side --- */

static void sender_notify(struct sender *s)
{
    uint64_t one = 1;

    (void)!write(s->params.notify, &one, sizeof(one));
}

static void sender_fail(struct sender *s, const struct ferry_err *err)
{
    pthread_mutex_lock(&s->lock);
    s->failed = true;
    s->err = *err;
    /* A command that ended badly says itself that it has not passed everything on. */
    if (s->jobs[0].kind == JOB_FINISH)
        s->last_left = false;
    pthread_mutex_unlock(&s->lock);
    sender_notify(s);
}

static void sender_put(struct sender *s, const void *data, size_t n)
{
    s->iov[s->iov_count++] = (struct iovec){.iov_base = (void *)(uintptr_t)data, .iov_len = n};
}

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

static int sender_put_end(struct sender *s, struct ferry_err *err);
static int64_t sender_hold_until(struct sender *s);

/* Whether more may be dealt out to others now; else hold_ns says when. */
static bool sender_may_deal(struct sender *s)
{
    s->hold_ns = sender_hold_until(s);
    return s->hold_ns == 0;
}

/* The next batch of a RAM section. */
static int sender_fill_ram(struct sender *s, enum wire_item type, struct ferry_err *err)
{
    struct guest_ram *g = s->params.guest;
    struct buf frame = {0};
    unsigned looked = 0;

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
    return s->block == g->blocks.count ? sender_put_end(s, err) : 0;
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

/* As sender_fill(). -EAGAIN: a channel will wake this one. */
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

/* 1: there is a batch to send, 0: the job is done, -EAGAIN: wait for chan_finish_fd(). */
static int sender_fill(struct sender *s, const struct job *job, struct ferry_err *err)
{
    int r;

    s->iov_first = s->iov_count = s->heads_bytes = 0;
    s->copy_count = 0;
    s->hold_ns = 0;
    if (s->ended)
        return 0;
    s->paced = job->kind == JOB_RAM;
    switch (job->kind) {
    case JOB_BYTES:
    case JOB_LAST:
        s->ended = true;
        if (job->bytes.len_bytes)
            sender_put(s, job->bytes.data, job->bytes.len_bytes);
        return job->bytes.len_bytes ? 1 : 0;
    case JOB_RAM:
        if (!s->found_backed)
            guest_ram_find_backed(s->params.guest);
        s->found_backed = true;
        if (s->params.multifd)
            return sender_fill_multifd(s, job->type, err);
        if (s->mapped)
            return sender_fill_mapped(s, job->type, err);
        r = sender_fill_ram(s, job->type, err);
        return r < 0 ? r : 1;
    case JOB_FINISH:
        return chan_finish(s->params.chan, err);
    }
    return 0;
}

static void sender_advance(struct sender *s, size_t n)
{
    struct iovec *left = s->iov + s->iov_first;
    size_t count = s->iov_count - s->iov_first;

    iov_advance(&left, &count, n);
    s->iov_first = s->iov_count - count;
}

/*
 * How long to wait because more was sent than the rate allows; 0: send. A batch is much more than
 * what may be sent in a moment of a low rate, so what it was too much stays owed.
 */
static int64_t sender_hold_until(struct sender *s)
{
    const unsigned __int128 second_ns = 1000000000;
    uint64_t rate = atomic_load(&s->rate_bps), burst_bytes;
    int64_t now = s->params.clock(s->params.opaque), wait_ns;
    unsigned __int128 paid_bytes;

    if (!rate) {
        s->owed_bytes = 0;
        return 0;
    }
    paid_bytes = (unsigned __int128)rate * (uint64_t)(now - s->paid_ns) / second_ns;
    if (paid_bytes >= s->owed_bytes) {
        s->owed_bytes = 0;
        s->paid_ns = now;
    } else {
        s->owed_bytes -= (uint64_t)paid_bytes;
        s->paid_ns += (int64_t)(paid_bytes * second_ns / rate);
    }
    burst_bytes = rate / (uint64_t)(second_ns / SENDER_BURST_NS);
    if (s->owed_bytes <= burst_bytes)
        return 0;
    wait_ns = (int64_t)((s->owed_bytes - burst_bytes) * second_ns / rate) + 1;
    return now + (wait_ns < SENDER_HOLD_NS ? wait_ns : SENDER_HOLD_NS);
}

/* A file goes to the disk as it grows; else the pause would be as long as the disk needs for it. */
static void sender_flush(struct sender *s, size_t n)
{
    s->unflushed_bytes += n;
    if (!chan_traits(s->params.chan)->seekable || s->unflushed_bytes < SENDER_FLUSH_BYTES)
        return;
    s->unflushed_bytes = 0;
    chan_flush_at(s->params.chan, 0, 0);
}

/* 1: the batch is gone, 0: wait as want says. */
static int sender_send(struct sender *s, struct lane_want *want, struct ferry_err *err)
{
    while (s->iov_first < s->iov_count) {
        /* What is no RAM shall not wait for RAM that was too much. */
        int64_t hold_ns = s->paced ? sender_hold_until(s) : 0;
        ssize_t n;

        if (hold_ns) {
            want->until_ns = hold_ns;
            return 0;
        }
        n = chan_send(s->params.chan, s->iov + s->iov_first, s->iov_count - s->iov_first, err);
        atomic_store(&s->counters.blocked, n == -EAGAIN);
        if (n == -EAGAIN) {
            want->fd = chan_fd(s->params.chan);
            want->events = POLLOUT;
            return 0;
        }
        if (n < 0)
            return (int)n;
        atomic_fetch_add(&s->counters.bytes, (uint64_t)n);
        s->owed_bytes += (uint64_t)n;
        sender_flush(s, (size_t)n);
        sender_advance(s, (size_t)n);
    }
    return 1;
}

/* As sender_send(), but not once it was halted; what has left by then cannot be called back. */
static int sender_send_last(struct sender *s, struct lane_want *want, struct ferry_err *err)
{
    uint64_t before = atomic_load(&s->counters.bytes);
    bool halted, began;
    int r;

    pthread_mutex_lock(&s->lock);
    halted = s->halted;
    began = s->last_left;
    s->last_left = !halted;
    pthread_mutex_unlock(&s->lock);
    if (halted)
        return 0;
    r = sender_send(s, want, err);
    if (began || atomic_load(&s->counters.bytes) != before)
        return r;
    pthread_mutex_lock(&s->lock);
    s->last_left = false;
    pthread_mutex_unlock(&s->lock);
    return r;
}

static bool sender_pop(struct sender *s)
{
    bool empty;

    pthread_mutex_lock(&s->lock);
    buf_free(&s->jobs[0].bytes);
    s->job_count--;
    memmove(&s->jobs[0], &s->jobs[1], s->job_count * sizeof(s->jobs[0]));
    empty = s->job_count == 0;
    pthread_mutex_unlock(&s->lock);
    s->began = s->ended = false;
    return empty;
}

void sender_step(void *self, struct lane_want *want)
{
    struct sender *s = self;
    struct ferry_err err;
    int r = 1;

    if (s->params.multifd && !s->params.thread)
        multifd_out_step(s->params.multifd);
    for (unsigned i = 0; i < SENDER_STEP_BATCHES && r > 0; i++) {
        struct job job;
        bool idle;

        pthread_mutex_lock(&s->lock);
        idle = s->failed || s->halted || s->job_count == 0;
        if (!idle)
            job = s->jobs[0];
        pthread_mutex_unlock(&s->lock);
        if (idle)
            return;
        r = s->iov_first < s->iov_count ? 1 : sender_fill(s, &job, &err);
        if (r == -EAGAIN && job.kind == JOB_RAM) {
            /* Asked anew the rate might allow it by now, and nobody would wake this one. */
            want->until_ns = s->hold_ns ? s->hold_ns : INT64_MAX;
            want->more = !s->params.thread && !s->hold_ns;
            return;
        }
        if (r == -EAGAIN) {
            want->fd = chan_finish_fd(s->params.chan);
            want->events = POLLIN;
            return;
        }
        if (r > 0)
            r = job.kind == JOB_LAST ? sender_send_last(s, want, &err) : sender_send(s, want, &err);
        else if (r == 0) {
            if (sender_pop(s))
                sender_notify(s);
            r = 1;
        }
    }
    if (r < 0)
        sender_fail(s, &err);
    want->more = r > 0;
}
