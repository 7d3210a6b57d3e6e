/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The side that runs the guest and wants to be rid of it: one state machine, two ways.
 *
 * The table knows the order of things and what leads back from where: quiesce, pause, hand over,
 * commit, and the guest's return on every failure before that. How the target is reached, asked
 * and told, and what goes over, is a way's: the handover to another process (lib/live/source.c)
 * and the stream to another host (lib/migrate/source.c). States that a way does not need it never
 * gets to.
 *
 *   not begun - connecting - greeting - waiting for consent
 *             - sending RAM - writing disks - sending RAM (stream only)
 *             - quiescing - paused - giving disks up (stream only) - sending the state
 *             - waiting for LOADED
 *                  any failure: what was given away comes back, the guest runs on
 *   ------------------------------------------------ the point of no return -------
 *             - waiting for the guest's start - done
 *                  any failure: looking for who runs the guest, which alone may lead back
 *
 * One thread, the VM's.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "lib/move/mover.h"

enum source_state {
    SOURCE_NEW = 0,
    SOURCE_CONNECT,
    SOURCE_GREET,
    SOURCE_AGREE,
    SOURCE_ACTIVE,
    SOURCE_SETTLE,
    SOURCE_QUIESCE,
    SOURCE_HOLD,
    SOURCE_RELEASE,
    SOURCE_SEND,
    SOURCE_LOAD,
    /* from here on the target may run the guest */
    SOURCE_COMMIT,
    SOURCE_AWAIT,
    SOURCE_ASCERTAIN,
    /* and here it does not */
    SOURCE_BACK,
    /* ends */
    SOURCE_DONE,
    SOURCE_CHECKED,
    SOURCE_FAILED,
    SOURCE_LOST,
};

/* What a way may want to note when it has happened. */
enum source_point {
    SOURCE_AT_QUIESCED = 0,
    SOURCE_AT_HARTS_STOPPED,
    SOURCE_AT_PARTS_PAUSED,
    SOURCE_AT_ALL_SENT,
    SOURCE_AT_LOADED,
    SOURCE_POINTS,
};

struct source;

/* Each int: -errno with the sentence in m.err, an event to fire next, or 0. */
struct source_way {
    int (*begin)(struct source *s); /* get the connection: MOVE_EV_CONNECTED, now or later */
    int (*greet)(struct source *s);
    int (*greeted)(struct source *s);  /* optional: the target answered who it is. Ask it */
    int (*asked)(struct source *s);    /* optional: the question has left */
    int (*accepted)(struct source *s); /* MOVE_EV_FITS: RAM needs no sending */
    int (*round)(struct source *s);    /* optional: all that was to be sent of RAM is sent */
    int (*settled)(struct source *s);  /* only with MOVE_EV_SETTLE: go on with RAM */
    int (*pausing)(struct source *s);  /* the harts stop next */
    /* Optional: give up what only one side can have: MOVE_EV_SETTLED, or 0 and source_settled(). */
    int (*release)(struct source *s);
    int (*send)(struct source *s); /* the guest is paused: save it and send it */
    int (*all_sent)(struct source *s);
    int (*commit)(struct source *s);    /* the point of no return */
    int (*committed)(struct source *s); /* optional: COMMIT has left */
    int (*ascertain)(struct source *s); /* who runs the guest? MOVE_EV_OWN_..., or 0: look later */
    void (*started)(struct source *s);  /* the guest runs there */
    void (*reason)(struct source *s);   /* of a REFUSE: into m.err */
    /* Hang up, and take back what only one side can have: MOVE_EV_RETURNED, or MOVE_EV_BEREFT: the
     * guest cannot run on; 0: try again at the deadline. MOVE_EV_OWN_UNKNOWN: too late, the target
     * may start the guest. */
    int (*reclaim)(struct source *s);
    void (*end)(struct source *s); /* hang up; m.err says why, if it failed */
    void (*reached)(struct source *s, enum source_point point);
};

struct source {
    struct mover m;
    const struct source_way *way;
    int64_t prepare_timeout_ns, pause_timeout_ns;
    bool hold;    /* once paused, wait for source_proceed() */
    bool commits; /* the target starts at COMMIT only */

    bool settled; /* the caller said so, or how it failed; the same */
    struct ferry_err settle_err;
    bool drained;          /* a part said so; step() has not acted on it yet */
    bool quiesced, paused; /* to be undone on the way back */
    bool refused;          /* the target knows that it ended */
    int64_t quiesce_ns, pause_ns;
    int64_t stopped_ns; /* CLOCK_MONOTONIC: the guest's clock did; 0: it stood still before */
};

extern const struct machine_table source_table;

void source_init(struct source *s, const struct move_ops *ops, const struct source_way *way,
                 const char *what, int64_t (*clock)(void *opaque), void *clock_opaque);
/* step() has something to do whatever the connection says. */
bool source_due(const struct source *s);
/* The first thing in step(). */
void source_go_on(struct source *s);

/* What settle or release began is done, or has failed. Nobody waits for it any more: no matter. */
void source_settled(struct source *s, const struct ferry_err *failure);
/* As in the public headers; the first and the last are for move_ops. */
int source_set_running(struct ferry_move *move, bool running,
                       struct ferry_err *err) FERRY_MUST_CHECK;
int source_proceed(struct source *s, struct ferry_err *err) FERRY_MUST_CHECK;
int source_cancel(struct ferry_move *move, struct ferry_err *err) FERRY_MUST_CHECK;
