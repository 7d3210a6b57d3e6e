/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What both sides of a handover have in common: a state machine (lib/move) fed from a connection
 * (peer.h) and a clock. One thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <ferry/err.h>

#include "lib/live/peer.h"
#include "lib/move/mover.h"

/*
 * In the pause an answer takes tens of microseconds, which a sleep and a wake-up would double: the
 * one who waits for it looks again and again, this long at most, and yields the processor to
 * whoever wants it in between.
 */
#define LIVE_SPIN_NS INT64_C(2000000)

struct live_drive {
    struct mover *mover;           /* loan: the side that this is the connection of */
    const enum move_event *events; /* loan: per enum live_type; 0: that is not for this side */
    struct live_peer peer;
    struct frame frame_storage;
    struct frame *frame; /* the one an event is about; NULL outside of such an event */
    bool await_sent;     /* MOVE_EV_SENT is wanted once */
    bool gone_told;
    bool more; /* the turn was over before all was done: step again, whatever the fd says */
    int64_t spin_ns, spin_until_ns;
};

/* spin_ns: as in the params, 0 = LIVE_SPIN_NS. */
void drive_init(struct live_drive *d, struct mover *mover, const enum move_event *events,
                int64_t spin_ns);
int64_t drive_clock(void *opaque);     /* CLOCK_MONOTONIC, for a mover */
void drive_spin(struct live_drive *d); /* from now on, for spin_ns */
/* What can be done now, for one turn of the caller's loop. */
void drive_step(struct live_drive *d);
/* Tell the peer why (REFUSE or ABORT; 0 = it knows) if that can be done at once, and hang up. */
void drive_end(struct live_drive *d, int type);

/* Have the pages of fresh memory present before the pause. */
void drive_touch(void *memory, size_t n);
