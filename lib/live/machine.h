/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state machines of the two sides: tables of (state, event) -> (handler, next).
 *
 * An event that a state does not list is the other side's mistake and an error with a sentence. A
 * handler that fails leaves the state and fires LIVE_EVENT_FAULT in it; one that succeeds may name
 * an event to fire next (chains end, the tables have no cycle of such events).
 *
 * The diagrams in docs/live-update.md are made from these tables.
 */
#pragma once

#include <stddef.h>

#include <ferry/err.h>

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
    LIVE_EVENT_SENT,    /* everything queued has left */
    LIVE_EVENT_DRAINED, /* nothing is in flight in the parts */
    LIVE_EVENT_BUILT,
    LIVE_EVENT_FAULTED_IN, /* all RAM is in the page tables */
    LIVE_EVENT_GONE,       /* the peer closed the connection */
    LIVE_EVENT_DUE,        /* the deadline that the state set has passed */
    LIVE_EVENT_CANCEL,
    LIVE_EVENT_FAULT, /* this side failed, or the peer broke the protocol */
    /* what a look at the ownership lock says */
    LIVE_EVENT_OWN_UNMOVED, /* obtained, nobody ran the guest */
    LIVE_EVENT_OWN_MOVED,   /* obtained, the guest ran elsewhere */
    LIVE_EVENT_OWN_THEIRS,  /* the other side holds it and is believed to run */
};

struct live_rule {
    int state;
    enum live_event event;
    int next;
    int (*handler)(void *self); /* <0: failed; else the event to fire next */
};

struct live_table {
    const char *name;
    const char *const *state_names; /* what is waited for, after "while": "waiting for READY" */
    size_t state_count;
    const struct live_rule *rules;
    size_t rule_count;
};

extern const struct live_table live_source_table;
extern const struct live_table live_target_table;
const char *live_event_name(enum live_event event);

/* Fire event and what follows from it in *state. err: where handlers put their sentences. */
void machine_fire(const struct live_table *table, void *self, int *state, enum live_event event,
                  struct ferry_err *err);
