/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What both ends of a channel with pages (multifd_out.h, multifd_in.h) have: the channel, its
 * thread, what packs or unpacks and its memory, counters. First member of a lane of either kind.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/chan/chan.h"
#include "lib/migrate/lane.h"

struct multifd_lane {
    struct ferry_chan *chan; /* owned */
    struct lane *lane;       /* NULL: without threads */
    void *coder;             /* owned; NULL: pages travel as they are */
    void (*coder_free)(void *coder);
    uint8_t *packed; /* owned; NULL without coder */
    atomic_uint_fast64_t bytes, zero_pages, normal_pages;
};

struct multifd_totals {
    uint64_t bytes, zero_pages, normal_pages;
};

/* With its coder, if it needs one. Takes *chan on success; a failure leaves nothing behind. The
 * thread steps l, which is the lane of either kind. */
int multifd_lane_start(struct multifd_lane *l, struct ferry_chan **chan, bool thread,
                       lane_step_fn *step, struct ferry_err *err) FERRY_MUST_CHECK;
/* Ends the thread before anything else. */
void multifd_lane_end(struct multifd_lane *l);
void multifd_lane_kick(const struct multifd_lane *l);
void multifd_lane_add(const struct multifd_lane *l, struct multifd_totals *t);
