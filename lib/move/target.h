/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The side that takes the guest over: one state machine, two ways.
 *
 * The table knows the order of things: everything that can fail comes before the source is told
 * LOADED, the guest starts once it says COMMIT, and a failure before that is told to the source. A
 * way knows what arrives and how: the handover (lib/live/target.c) or the stream
 * (lib/migrate/target.c). States that a way does not need it never gets to.
 *
 *   not begun - waiting for the source - entering RAM - saying READY   (handover only)
 *             - waiting for the state - reading RAM                    (stream only)
 *             - waiting for COMMIT - done
 *             - its source gone: is the guest this side's?
 *
 * One thread, the VM's.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "lib/move/mover.h"

enum target_state {
    TARGET_NEW = 0,
    TARGET_LISTEN,
    TARGET_PREFAULT,
    TARGET_READY,
    TARGET_READ,
    TARGET_RAM,    /* what comes belongs to another thread */
    TARGET_COMMIT, /* all is loaded, the source must say go */
    TARGET_ORPHAN,
    TARGET_DRAIN, /* failed; the reason must reach the source before the connection goes */
    /* ends */
    TARGET_DONE,
    TARGET_CHECKED,
    TARGET_FAILED,
};

struct target;

/* Each int: -errno with the sentence in m.err, an event to fire next, or 0. */
struct target_way {
    int (*begin)(struct target *t);       /* MOVE_EV_CONNECTED if there is a stream to read */
    int (*connected)(struct target *t);   /* optional */
    int (*hello)(struct target *t);       /* optional: build what it describes */
    int (*prefault)(struct target *t);    /* optional: a piece; MOVE_EV_FAULTED_IN at the end */
    int (*ready)(struct target *t);       /* optional: consent to the state */
    int (*ready_sent)(struct target *t);  /* optional */
    int (*soon)(struct target *t);        /* optional: the state comes next */
    int (*fds)(struct target *t);         /* optional */
    int (*ram_read)(struct target *t);    /* optional */
    int (*load)(struct target *t);        /* it is all here: LOADED, or MOVE_EV_COMMIT if nobody
                                             will say that */
    int (*loaded_sent)(struct target *t); /* optional */
    void (*committed)(struct target *t);
    int (*claim)(struct target *t);    /* the guest is this side's, or -errno */
    bool (*run)(struct target *t);     /* parts are resumed: shall the harts start? */
    void (*started)(struct target *t); /* tell the source */
    int (*orphaned)(struct target *t); /* whose is the guest? MOVE_EV_OWN_..., or 0: look later */
    void (*reason)(struct target *t);  /* of an ABORT: into m.err */
    void (*late)(struct target *t);    /* optional: what did not come in time, into m.err */
    int (*refuse)(struct target *t);   /* tell why: MOVE_EV_CLOSE, now or when it is told */
    void (*end)(struct target *t);
};

struct target {
    struct mover m;
    const struct target_way *way;
};

extern const struct machine_table target_table;

void target_init(struct target *t, const struct move_ops *ops, const struct target_way *way,
                 const char *what, int64_t (*clock)(void *opaque), void *clock_opaque);
/* The first thing in step(), which is due as long as nothing has begun. */
void target_go_on(struct target *t);
