/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside a sender: sender.c has the queue, the rate and what leaves the channel; sender_ram.c says
 * what RAM becomes, on the main channel, on channels of multifd and in a mapped-ram file.
 */
#pragma once

#include <pthread.h>
#include <sys/uio.h>

#include "lib/codec/xbzrle_cache.h"
#include "lib/migrate/mapped_out.h"
#include "lib/migrate/sender.h"
#include "lib/wire/ram_out.h"

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
    bool last_left; /* some of JOB_LAST's bytes, or the file's name; or it is leaving now */

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

/* Of the batch under way. */
void sender_put(struct sender *s, const void *data, size_t n);
/* Whether more may be dealt out to others now; else hold_ns says when. */
bool sender_may_deal(struct sender *s);
/*
 * The next batch of a RAM section: 1: it is to be sent; -EAGAIN: a channel, or the file, has to
 * take something first, and wakes the lane then. s->ended says that it was the last.
 */
int sender_fill_ram(struct sender *s, enum wire_item type, struct ferry_err *err);
