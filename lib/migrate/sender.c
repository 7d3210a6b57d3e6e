/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/iov.h"
#include "lib/chan/place.h"
#include "lib/migrate/sender_struct.h"

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
    /* A command that ended badly says itself that it has not passed everything on; a file has not
     * got its name. */
    if (s->jobs[0].kind == JOB_FINISH)
        s->last_left = false;
    pthread_mutex_unlock(&s->lock);
    sender_notify(s);
}

void sender_put(struct sender *s, const void *data, size_t n)
{
    s->iov[s->iov_count++] = (struct iovec){.iov_base = (void *)(uintptr_t)data, .iov_len = n};
}

/*
 * A command is judged by how it ends. A file gets its name, which is not taken back: from then on
 * it is too late to halt.
 */
static int sender_fill_end(struct sender *s, struct ferry_err *err)
{
    bool halted;
    int r = chan_sync(s->params.chan, err);

    if (r < 0)
        return r;
    pthread_mutex_lock(&s->lock);
    halted = s->halted;
    if (chan_traits(s->params.chan)->seekable)
        s->last_left = !halted;
    pthread_mutex_unlock(&s->lock);
    return halted ? 0 : chan_finish(s->params.chan, err);
}

/*
 * 1: there is a batch to send, 0: the job is done. -EAGAIN: not yet; RAM as sender_fill_ram()
 * says, the end waits for chan_finish_fd().
 */
static int sender_fill(struct sender *s, const struct job *job, struct ferry_err *err)
{
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
        return sender_fill_ram(s, job->type, err);
    case JOB_FINISH:
        return sender_fill_end(s, err);
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

bool sender_may_deal(struct sender *s)
{
    s->hold_ns = sender_hold_until(s);
    return s->hold_ns == 0;
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
