/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/migrate/receiver.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/budget.h"
#include "base/err.h"
#include "lib/chan/place.h"
#include "lib/codec/xbzrle.h"
#include "lib/codec/zero.h"
#include "lib/migrate/mapped_in.h"

/* Small enough to be copied out of the cache, large enough for few system calls. */
#define RECEIVER_STAGING_BYTES (256u << 10)
#define RECEIVER_STEP_BYTES    (4u << 20)
#define RECEIVER_STEP_NS       INT64_C(10000000)
#define RECEIVER_RUN_PAGES     (RECEIVER_STAGING_BYTES / WIRE_PAGE_BYTES)
/* Who waits for others: for all channels, for the pages of a block of a file. */
#define RECEIVER_AT_MARK       2
#define RECEIVER_AT_BLOCK      3

/* Pages in a row that nobody has touched so far; their contents lie in what is being taken. */
struct receiver_run {
    size_t block, count;
    uint64_t first_page;
    struct iovec pages[RECEIVER_RUN_PAGES];
};

struct receiver {
    struct receiver_params params;
    struct mapped_in *mapped; /* NULL: not such a file */
    struct lane *lane;
    struct receiver_counters counters;

    pthread_mutex_t lock; /* guards what follows, up to the empty line */
    bool busy;
    bool failed;
    struct ferry_err err;

    /* The lane's while busy, else the main thread's. */
    struct ram_in in;
    struct ram_event event; /* the page whose body is being read */
    uint32_t body_left_bytes;
    struct receiver_run run; /* empty outside of receiver_take() */
    bool waiting_done;       /* what the stream reader had waiting is used up */
    bool at_mark;            /* of the channels */
    bool at_block;           /* of a mapped-ram file; its pages are being read */
    size_t staged_bytes, staged_used_bytes;
    uint8_t delta[WIRE_PAGE_BYTES];
    uint8_t staging[RECEIVER_STAGING_BYTES];
};

static void receiver_wake(void *arg)
{
    struct receiver *r = arg;

    if (r->lane)
        lane_kick(r->lane);
}

static int receiver_new_mapped(struct receiver *r, struct ferry_err *err)
{
    const struct mapped_in_params params = {
        .chan = r->params.chan,
        .guest = r->params.guest,
        .channels = r->params.mapped_channels,
        .direct_io = r->params.direct_io,
        .thread = r->params.thread,
        .bytes = &r->counters.bytes,
        .zero_pages = &r->counters.zero_pages,
        .normal_pages = &r->counters.normal_pages,
    };

    return mapped_in_new(&r->mapped, &params, err);
}

int receiver_new(struct receiver **ret, const struct receiver_params *params, struct ferry_err *err)
{
    struct receiver *r = calloc(1, sizeof(*r));
    int failure;

    if (!r)
        return err_set(err, ENOMEM, "no memory to receive RAM");
    r->params = *params;
    pthread_mutex_init(&r->lock, NULL);
    failure = ram_check_rules(&params->rules, &params->guest->blocks, err);
    if (failure == 0) {
        ram_in_init(&r->in, &params->guest->blocks, &params->rules);
        if (params->rules.mapped_ram)
            failure = receiver_new_mapped(r, err);
        if (failure == 0 && params->thread)
            failure = lane_start(&r->lane, "ferry-receive", receiver_step, r, err);
    }
    if (failure < 0) {
        receiver_free(r);
        return failure;
    }
    if (params->multifd)
        multifd_in_wake(params->multifd, receiver_wake, r);
    if (r->mapped)
        mapped_in_wake(r->mapped, receiver_wake, r);
    *ret = r;
    return 0;
}

void receiver_free(struct receiver *r)
{
    if (!r)
        return;
    if (r->params.multifd)
        multifd_in_wake(r->params.multifd, NULL, NULL);
    if (r->mapped)
        mapped_in_wake(r->mapped, NULL, NULL);
    lane_stop(r->lane);
    mapped_in_free(r->mapped);
    pthread_mutex_destroy(&r->lock);
    free(r);
}

int receiver_begin(struct receiver *r, const struct stream_section *section, struct ferry_err *err)
{
    int failure = ram_in_section(&r->in, section->type, section->version, err);

    if (failure < 0)
        return failure;
    r->waiting_done = false;
    pthread_mutex_lock(&r->lock);
    r->busy = true;
    pthread_mutex_unlock(&r->lock);
    if (r->lane)
        lane_kick(r->lane);
    return 0;
}

int receiver_state(struct receiver *r, struct ferry_err *err)
{
    int state;

    pthread_mutex_lock(&r->lock);
    state = r->failed ? -r->err.errnum : r->busy ? RECEIVER_BUSY : RECEIVER_IDLE;
    if (r->failed)
        *err = r->err;
    pthread_mutex_unlock(&r->lock);
    return state;
}

bool receiver_has_list(const struct receiver *r)
{
    return r->in.has_list && !r->in.in_list;
}

const struct receiver_counters *receiver_counters(const struct receiver *r)
{
    return &r->counters;
}

/* --- The lane's side --- */

static void receiver_end(struct receiver *r, const struct ferry_err *err)
{
    uint64_t one = 1;

    pthread_mutex_lock(&r->lock);
    r->busy = false;
    if (err) {
        r->failed = true;
        r->err = *err;
    }
    pthread_mutex_unlock(&r->lock);
    (void)!write(r->params.notify, &one, sizeof(one));
}

static int receiver_zero(struct receiver *r, const struct ram_event *event, struct ferry_err *err)
{
    struct guest_ram *g = r->params.guest;
    uint64_t page = event->offset_bytes / WIRE_PAGE_BYTES;
    uint8_t *to = guest_ram_page(g, event->block, event->offset_bytes);

    if (!to)
        return err_set(err, EINVAL, "a page at %" PRIu64 " is not in the block",
                       event->offset_bytes);
    atomic_fetch_add(&r->counters.zero_pages, 1);
    /* What nobody touched is zero, and looking would allocate it. */
    if (guest_bit_shared(g->backed[event->block], page) && !zero_check(to, WIRE_PAGE_BYTES))
        memset(to, 0, WIRE_PAGE_BYTES);
    return 0;
}

/* As much of the page's body as there is. */
static int receiver_body(struct receiver *r, struct rd *bytes, struct ferry_err *err)
{
    size_t n = rd_left(bytes) < r->body_left_bytes ? rd_left(bytes) : r->body_left_bytes;
    uint8_t *to = guest_ram_page(r->params.guest, r->event.block, r->event.offset_bytes);
    const uint8_t *from = rd_take(bytes, n);

    if (!to || !from)
        return err_set(err, EINVAL, "a page at %" PRIu64 " is not in the block",
                       r->event.offset_bytes);
    if (r->event.kind == RAM_XBZRLE)
        memcpy(r->delta + (r->event.body_bytes - r->body_left_bytes), from, n);
    else
        memcpy(to + (r->event.body_bytes - r->body_left_bytes), from, n);
    r->body_left_bytes -= (uint32_t)n;
    if (r->body_left_bytes == 0 && r->event.kind == RAM_XBZRLE)
        return xbzrle_decode(r->delta, r->event.body_bytes, to, err);
    return 0;
}

/* Before anything else is written: what comes later on the channel must win. */
static int receiver_flush(struct receiver *r, struct ferry_err *err)
{
    struct guest_ram *g = r->params.guest;
    struct receiver_run *run = &r->run;
    size_t count = run->count;

    run->count = 0;
    if (!count)
        return 0;
    for (size_t i = 0; i < count; i++)
        guest_bit_set_shared(g->backed[run->block], run->first_page + i);
    return ferry_ram_fill(g->regions[run->block], run->first_page, run->pages, count, err);
}

/* A page whose body comes next. */
static int receiver_page(struct receiver *r, struct rd *bytes, struct ferry_err *err)
{
    const struct ram_event *event = &r->event;
    uint64_t page = event->offset_bytes / WIRE_PAGE_BYTES;
    uint64_t *backed = r->params.guest->backed[event->block];
    struct receiver_run *run = &r->run;
    bool fresh = !guest_bit_shared(backed, page) && rd_left(bytes) >= WIRE_PAGE_BYTES;
    int n = 0;

    atomic_fetch_add(&r->counters.normal_pages, 1);
    if (!fresh || run->count == RECEIVER_RUN_PAGES || run->block != event->block ||
        run->first_page + run->count != page)
        n = receiver_flush(r, err);
    if (!fresh) {
        guest_bit_set_shared(backed, page);
        r->body_left_bytes = event->body_bytes;
        return n;
    }
    if (!run->count) {
        run->block = event->block;
        run->first_page = page;
    }
    run->pages[run->count++] = (struct iovec){
        .iov_base = (void *)(uintptr_t)rd_take(bytes, WIRE_PAGE_BYTES), .iov_len = WIRE_PAGE_BYTES};
    return n;
}

static int receiver_records(struct receiver *r, struct rd *bytes, struct ferry_err *err)
{
    for (;;) {
        int n;

        if (r->at_mark) {
            n = multifd_in_mark(r->params.multifd, err);
            if (n <= 0)
                return n < 0 ? n : RECEIVER_AT_MARK;
            r->at_mark = false;
        }
        if (r->body_left_bytes) {
            if (!rd_left(bytes))
                return 0;
            n = receiver_body(r, bytes, err);
            if (n < 0)
                return n;
            continue;
        }
        n = ram_in_next(&r->in, bytes, &r->event, err);
        if (n <= 0)
            return n;
        n = r->event.kind == RAM_PAGE ? receiver_page(r, bytes, err) : receiver_flush(r, err);
        if (n < 0)
            return n;
        switch (r->event.kind) {
        case RAM_BLOCK:
            if (r->mapped)
                return RECEIVER_AT_BLOCK;
            break;
        case RAM_ZERO:
            n = receiver_zero(r, &r->event, err);
            if (n < 0)
                return n;
            break;
        case RAM_XBZRLE:
            atomic_fetch_add(&r->counters.normal_pages, 1);
            guest_bit_set_shared(r->params.guest->backed[r->event.block],
                                 r->event.offset_bytes / WIRE_PAGE_BYTES);
            r->body_left_bytes = r->event.body_bytes;
            break;
        case RAM_PAGE:
            break;
        case RAM_EOS:
            return 1;
        case RAM_FLUSH:
            r->at_mark = true;
            break;
        }
    }
}

/*
 * 1: the section's data ends here, 0: all bytes are used up, RECEIVER_AT_MARK: wait,
 * RECEIVER_AT_BLOCK: what follows in the file are the pages of event.block.
 */
static int receiver_take(struct receiver *r, struct rd *bytes, struct ferry_err *err)
{
    int done = receiver_records(r, bytes, err);
    int n = done < 0 ? 0 : receiver_flush(r, err);

    return n < 0 ? n : done;
}

/* left: bytes that were read from the file and lie behind the header. They belong to no stream. */
static int receiver_block(struct receiver *r, size_t left_bytes, struct ferry_err *err)
{
    uint64_t at;
    int n = chan_position(r->params.chan, &at, err);

    if (n == 0)
        n = mapped_in_begin(r->mapped, r->event.block, &r->event.mapped, at - left_bytes, err);
    r->at_block = n == 0;
    return n < 0 ? n : RECEIVER_AT_BLOCK;
}

/* 1: the block is there, the stream goes on behind it. */
static int receiver_block_read(struct receiver *r, struct ferry_err *err)
{
    uint64_t end;
    int n = mapped_in_next(r->mapped, &end, err);

    if (n <= 0)
        return n;
    r->at_block = false;
    n = chan_go_to(r->params.chan, end, err);
    return n < 0 ? n : 1;
}

/* What the stream reader has; it stays its. */
static int receiver_waiting(struct receiver *r, struct ferry_err *err)
{
    struct rd in = stream_in_data(r->params.stream);
    int n = receiver_take(r, &in, err);

    if (n == RECEIVER_AT_BLOCK) {
        n = receiver_block(r, rd_left(&in), err);
        rd_take(&in, rd_left(&in));
        r->waiting_done = true;
    }
    stream_in_data_used(r->params.stream, in.pos_bytes);
    if (n == 0 && stream_in_data_final(r->params.stream))
        return err_set(err, EPROTO, "the stream ends in the middle of RAM");
    r->waiting_done |= n == 0;
    return n;
}

/* What was read and not used. */
static int receiver_staged(struct receiver *r, struct ferry_err *err)
{
    struct rd in =
        rd_make(r->staging + r->staged_used_bytes, r->staged_bytes - r->staged_used_bytes);
    int done = receiver_take(r, &in, err);

    stream_in_data_elsewhere(r->params.stream, in.pos_bytes);
    r->staged_used_bytes += in.pos_bytes;
    if (done == RECEIVER_AT_BLOCK) {
        r->staged_bytes = r->staged_used_bytes = 0;
        return receiver_block(r, rd_left(&in), err);
    }
    if (done != 1)
        return done;
    done = stream_in_feed(r->params.stream, r->staging + r->staged_used_bytes, rd_left(&in), err);
    r->staged_bytes = r->staged_used_bytes = 0;
    return done < 0 ? done : 1;
}

/* What is on the channel. 1: done; 0: see want. */
static int receiver_read(struct receiver *r, struct lane_want *want, struct ferry_err *err)
{
    struct budget turn = budget_make(RECEIVER_STEP_BYTES, RECEIVER_STEP_NS);

    if (r->staged_used_bytes < r->staged_bytes)
        return receiver_staged(r, err);
    while (!budget_spent(&turn)) {
        ssize_t n = chan_recv(r->params.chan, r->staging, sizeof(r->staging), err);
        int done;

        if (n == -EAGAIN) {
            want->fd = chan_fd(r->params.chan);
            want->events = POLLIN;
            return 0;
        }
        if (n < 0)
            return (int)n;
        if (n == 0)
            return chan_cut_short(r->params.chan, err);
        atomic_fetch_add(&r->counters.bytes, (uint64_t)n);
        r->staged_bytes = (size_t)n;
        r->staged_used_bytes = 0;
        done = receiver_staged(r, err);
        if (done != 0)
            return done;
        budget_take(&turn, (uint64_t)n);
    }
    want->more = true;
    return 0;
}

void receiver_step(void *self, struct lane_want *want)
{
    struct receiver *r = self;
    struct ferry_err err;
    bool busy;
    int done = 0;

    pthread_mutex_lock(&r->lock);
    busy = r->busy;
    pthread_mutex_unlock(&r->lock);
    if (!busy)
        return;
    if (r->params.multifd && !r->lane)
        multifd_in_step(r->params.multifd);
    /* The source may say nothing more before that channel has taken what it has for it. */
    if (r->params.multifd)
        done = multifd_in_check(r->params.multifd, &err);
    if (done == 0 && r->at_block) {
        done = receiver_block_read(r, &err);
        if (done == 0) {
            want->more = !r->lane;
            return;
        }
        done = done > 0 ? 0 : done;
    }
    if (done == 0 && !r->waiting_done)
        done = receiver_waiting(r, &err);
    if (done == 0)
        done = receiver_read(r, want, &err);
    if (done == RECEIVER_AT_BLOCK) {
        want->more = true;
        return;
    }
    if (done == RECEIVER_AT_MARK) {
        want->fd = -1;
        want->more = !r->lane;
        return;
    }
    if (done == 0)
        return;
    if (done > 0)
        stream_in_data_end(r->params.stream);
    receiver_end(r, done < 0 ? &err : NULL);
}
