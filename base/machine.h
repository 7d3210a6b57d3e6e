/* SPDX-License-Identifier: Apache-2.0 */
/*
 * State machines as tables of (state, event) -> (handler, next).
 *
 * An event that a state does not list is the other side's mistake and an error with a sentence. A
 * handler that fails leaves the state and fires the table's fault event in it; one that succeeds
 * may name an event to fire next (chains end: tables have no cycle of such events).
 */
#pragma once

#include <stddef.h>

#include <ferry/err.h>

struct machine_rule {
    int state;
    int event;
    int next;
    int (*handler)(void *self); /* <0: failed; else the event to fire next, 0: none */
};

struct machine_table {
    const char *name;
    const char *const *state_names; /* what is waited for, after "while": "waiting for READY" */
    size_t state_count;
    const char *const *event_names;
    size_t event_count;
    int fault; /* the event */
    const struct machine_rule *rules;
    size_t rule_count;
};

/* Fire event and what follows from it in *state. err: where handlers put their sentences. */
void machine_run(const struct machine_table *table, void *self, int *state, int event,
                 struct ferry_err *err);
