/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The RAM sections of a target's main channel: from receiver_begin() until it is idle again, the
 * channel's input and the stream reader are the receiver's. A lane thread drives it, or without
 * threads who calls receiver_step(). `notify` is written when it is done or has failed.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/chan/chan.h"
#include "lib/migrate/guest.h"
#include "lib/migrate/lane.h"
#include "lib/migrate/multifd_in.h"
#include "lib/wire/ram_in.h"
#include "lib/wire/stream_in.h"

struct receiver;

struct receiver_params {
    struct ferry_chan *chan; /* loans */
    struct stream_in *stream;
    struct guest_ram *guest;
    int notify;
    struct multifd_in *multifd; /* loan; NULL: none */
    struct ram_rules rules;
    unsigned mapped_channels; /* with rules.mapped_ram: so many read pages, at least 1 */
    bool direct_io;           /* they do so past the host's page cache */
    bool thread;
};

struct receiver_counters {
    atomic_uint_fast64_t bytes, zero_pages, normal_pages;
};

enum receiver_state { RECEIVER_BUSY = 0, RECEIVER_IDLE };

int receiver_new(struct receiver **ret, const struct receiver_params *params,
                 struct ferry_err *err) FERRY_MUST_CHECK;
void receiver_free(struct receiver *r);
/* After STREAM_SECTION "ram"; when idle again, the section's data has been read. */
int receiver_begin(struct receiver *r, const struct stream_section *section,
                   struct ferry_err *err) FERRY_MUST_CHECK;
int receiver_state(struct receiver *r, struct ferry_err *err) FERRY_MUST_CHECK;
/* The source's list was complete. */
bool receiver_has_list(const struct receiver *r);
const struct receiver_counters *receiver_counters(const struct receiver *r);
void receiver_step(void *self, struct lane_want *want);
