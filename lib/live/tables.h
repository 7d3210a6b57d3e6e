/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state machines of the two sides, for base/machine.h: their events and their tables.
 *
 * The diagrams in docs/live-update.md are made from these tables.
 */
#pragma once

#include "base/machine.h"

enum live_event {
    LIVE_EVENT_NONE = 0,
    /* frames: the number of their enum live_type */
    LIVE_EVENT_HELLO = 1,
    LIVE_EVENT_READY = 2,
    LIVE_EVENT_REFUSE = 3,
    LIVE_EVENT_FDS = 4,
    LIVE_EVENT_STATE = 5,
    LIVE_EVENT_LOADED = 6,
    LIVE_EVENT_COMMIT = 7,
    LIVE_EVENT_RUNNING = 8,
    LIVE_EVENT_ABORT = 9,
    LIVE_EVENT_SOON = 10,
    /* from here and below */
    LIVE_EVENT_BEGIN,
    LIVE_EVENT_SENT,       /* everything queued has left */
    LIVE_EVENT_DRAINED,    /* nothing is in flight in the parts */
    LIVE_EVENT_FAULTED_IN, /* all RAM is in the page tables */
    LIVE_EVENT_GONE,       /* the peer closed the connection */
    LIVE_EVENT_DUE,        /* the deadline that the state set has passed */
    LIVE_EVENT_CANCEL,
    LIVE_EVENT_FAULT, /* this side failed, or the peer broke the protocol */
    /* what a look at the ownership lock says */
    LIVE_EVENT_OWN_UNMOVED, /* obtained, nobody ran the guest */
    LIVE_EVENT_OWN_MOVED,   /* obtained, the guest ran elsewhere */
    LIVE_EVENT_OWN_THEIRS,  /* the other side holds it and is believed to run */
    LIVE_EVENT_COUNT
};

extern const char *const live_event_names[LIVE_EVENT_COUNT];
extern const struct machine_table live_source_table;
extern const struct machine_table live_target_table;
