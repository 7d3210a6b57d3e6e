/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The side of a migration that this process is: source or target, of either way. Each is a move of
 * libferry (<ferry/move.h>); the driver steps it from the loop whenever its fd or deadline is due,
 * and after every step asks for them again. What a step has come to is the side's business.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <ferry/err.h>
#include <ferry/move.h>

#include "vmm/machine/loop.h"

struct migration_side {
    bool source, stream; /* else a target, a handover */
    /*
     * After each step; the error is in what the driver was given for it. 0 to go on; 1 when the
     * move is over: it may have been freed, and the driver stopped.
     */
    int (*stepped)(void *arg, enum ferry_move_status status);
};

struct migration_driver {
    const struct migration_side *side; /* NULL: not started */
    struct ferry_move *move;           /* owned */
    void *arg;
    struct ferry_err *error; /* loan */
    struct loop_watch *watch;
    struct loop_timer *timer;
};

/* Takes move, also on failure. Why it failed will be in *error. */
int migration_driver_start(struct migration_driver *d, struct loop *loop,
                           const struct migration_side *side, struct ferry_move *move, void *arg,
                           struct ferry_err *error, struct ferry_err *err) FERRY_MUST_CHECK;
/* Something else may have made a step due (cancel, a part drained). */
void migration_driver_kick(struct migration_driver *d);
/* Also in a step, and when not started. Frees the move. */
void migration_driver_stop(struct migration_driver *d);

/* The source's move, of either way; NULL: there is none. */
static inline struct ferry_move *migration_driver_source(const struct migration_driver *d)
{
    return d->side && d->side->source ? d->move : NULL;
}
/* The move, if it is a stream's source or target. */
static inline struct ferry_move *migration_driver_stream(const struct migration_driver *d,
                                                         bool source)
{
    return d->side && d->side->stream && d->side->source == source ? d->move : NULL;
}
