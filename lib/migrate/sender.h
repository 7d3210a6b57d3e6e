/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything that goes out on a source's main channel, in order: bytes that the main thread wrote,
 * and RAM sections made of the pending pages, sent from where they are. A lane thread drives it, or
 * without threads who calls sender_step().
 *
 *     sender_bytes, _ram, _last, _finish          queue jobs       main thread
 *     sender_state                                are they done?   main thread
 *     the eventfd `notify` is written when the queue is empty or a job failed
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "lib/chan/chan.h"
#include "lib/migrate/guest.h"
#include "lib/migrate/lane.h"
#include "lib/migrate/multifd_out.h"
#include "lib/wire/format.h"

struct sender;

struct sender_params {
    struct ferry_chan *chan;     /* loan */
    struct multifd_out *multifd; /* loan; NULL: pages go on the main channel */
    unsigned mapped_channels;    /* 0, or so many write a mapped-ram file, which chan is */
    bool direct_io;              /* they do so past the host's page cache */
    struct guest_ram *guest;     /* loan */
    int notify;                  /* loan */
    uint32_t section_id;         /* of RAM */
    bool look_for_zeros;
    uint64_t xbzrle_bytes; /* of the cache of what was sent; 0: no deltas */
    bool thread;
    int64_t (*clock)(void *opaque);
    void *opaque;
};

/* Any thread; numbers only grow. */
struct sender_counters {
    atomic_uint_fast64_t bytes;
    atomic_uint_fast64_t zero_pages;
    atomic_uint_fast64_t normal_pages;
    atomic_uint_fast64_t pages_done; /* taken from pending */
    atomic_bool blocked;             /* the peer takes nothing now */
    atomic_uint_fast64_t xbzrle_pages, xbzrle_bytes, xbzrle_misses, xbzrle_overflows;
};

enum sender_state { SENDER_BUSY = 0, SENDER_IDLE };

int sender_new(struct sender **ret, const struct sender_params *params,
               struct ferry_err *err) FERRY_MUST_CHECK;
/* Ends the thread at once, whatever it does. */
void sender_free(struct sender *s);

/* Takes what is in bytes, which is empty then. */
void sender_bytes(struct sender *s, struct buf *bytes);
/* The same for bytes after which the target needs nobody to start the guest. */
void sender_last(struct sender *s, struct buf *bytes);
/*
 * Nothing leaves any more, also not from the thread: true, and the target lacks something. false:
 * too late, some of what sender_last() was given may be there, or the file has its name; nothing
 * was changed.
 */
bool sender_halt(struct sender *s) FERRY_MUST_CHECK;
/*
 * PART or END with all pending pages; the bitmaps are the sender's until it is idle. START: the
 * list of blocks of a mapped-ram file, for which the sender knows places; else it is bytes.
 */
void sender_ram(struct sender *s, enum wire_item type);
/* Nothing will follow: wait for what chan_finish() waits for. */
void sender_finish(struct sender *s);
/* Or the failure. */
int sender_state(struct sender *s, struct ferry_err *err) FERRY_MUST_CHECK;
/* Bytes per second; 0 = no limit. Any time. */
void sender_set_rate(struct sender *s, uint64_t rate_bps);
const struct sender_counters *sender_counters(const struct sender *s);
/* As the kernel counts threads: its own, then those of mapped-ram; 0: there are no more. */
int sender_thread_id(const struct sender *s, size_t index);
/* Without a thread only. */
void sender_step(void *self, struct lane_want *want);
