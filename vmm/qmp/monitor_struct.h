/* SPDX-License-Identifier: Apache-2.0 */
/* struct monitor from the inside: what it does (monitor.c), how its clients move (monitor_move.c).
 * Others include monitor.h. */
#pragma once

#include "vmm/machine/extras.h"
#include "vmm/qmp/json_budget.h"
#include "vmm/qmp/monitor.h"
#include "vmm/qmp/session.h"

struct chardev_frontend;
struct qmp_call;
struct session;

/* A chardev that clients come from: one at a time, or, if it listens, many. */
struct listener {
    struct listener *next;
    struct monitor *monitor;
    struct chardev *chardev; /* loan */
    bool pretty, human;
};

/* Why sessions are listed apart from who uses them: one may die while somebody is inside it. */
struct client {
    struct client *next;
    struct session *session; /* owned */
    struct listener *from;
    bool is_link; /* its link is the listener's chardev itself */
};

_Static_assert(1u + MONITOR_SESSIONS_MAX + SESSION_ALL_FDS_MAX <= EXTRAS_FDS_MAX,
               "the record of all clients, then theirs, go with an update");

struct monitor_move {
    bool quiesced, frozen;
    size_t left_behind; /* clients that hold too much to go along */
    struct extras extras;
};

struct monitor {
    struct loop *loop;
    const struct qmp_table *table;
    void *state;
    struct monitor_env env;
    struct listener *listeners; /* owned */
    struct client *clients;     /* owned */
    size_t client_count;
    struct json_budget budget; /* what sessions share */
    struct qmp_call *deferred; /* owned until they finish */
    struct loop_timer *reaper; /* frees dead sessions, from the loop */
    struct monitor_move move;
};

/* NULL: no memory. */
struct session *monitor_new_session(struct listener *l, struct chardev *link, bool owns_link);
/* For a client of a listening socket, whose session is the frontend's argument. */
extern const struct chardev_frontend monitor_client_frontend;

/* monitor_move.c */
void monitor_say_left_behind(const struct monitor *m);
extern const struct extras_kind monitor_move_kind;
