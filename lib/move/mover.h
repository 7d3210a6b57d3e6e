/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the four sides of a move have in common: a handover's source and target (lib/live) and a
 * migration's (lib/migrate). Each is a state machine (base/machine.h) with a clock and an error;
 * both sources run the table of lib/move/source.h, both targets that of lib/move/target.h.
 *
 * No I/O here: what arrives is made into events by the two ways of moving. The first member of
 * struct source and struct target. One thread, the VM's.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <ferry/err.h>
#include <ferry/move.h>
#include <ferry/part.h>

#include "base/machine.h"
#include "lib/state/vm.h"

enum move_event {
    MOVE_EV_NONE = 0,
    /* from below */
    MOVE_EV_BEGIN,
    MOVE_EV_CONNECTED,
    MOVE_EV_SENT,    /* everything queued has left */
    MOVE_EV_GONE,    /* the peer closed the connection */
    MOVE_EV_DUE,     /* the deadline that the state set has passed */
    MOVE_EV_DRAINED, /* nothing is in flight in the parts */
    /* from above */
    MOVE_EV_PROCEED,
    MOVE_EV_SETTLED, /* what SETTLE and the release asked for is done */
    MOVE_EV_CANCEL,
    /* from the peer; a way names each of its messages by one of these */
    MOVE_EV_HELLO,
    MOVE_EV_ANSWER, /* to the question whether it is ferry: there is no more to hear from it */
    MOVE_EV_ACCEPT,
    MOVE_EV_REFUSE,
    MOVE_EV_SOON,
    MOVE_EV_FDS,
    MOVE_EV_RAM,
    MOVE_EV_STATE, /* all of it */
    MOVE_EV_LOADED,
    MOVE_EV_COMMIT,
    MOVE_EV_STARTED,
    MOVE_EV_NOT_STARTED,
    MOVE_EV_ABORT,
    MOVE_EV_OTHER, /* for another kind of move, or another side */
    /* what a handler found */
    MOVE_EV_ASKED,      /* the greeting asked everything */
    MOVE_EV_SETTLE,     /* the same, but the caller has something to do while the guest runs */
    MOVE_EV_FITS,       /* what is left fits into the pause */
    MOVE_EV_CHECKED,    /* nothing else was wanted */
    MOVE_EV_UNASKED,    /* the target starts by itself */
    MOVE_EV_FAULTED_IN, /* all RAM is in the page tables */
    MOVE_EV_RAM_READ,
    MOVE_EV_CLOSE, /* the peer has been told, or nobody is there to be told */
    MOVE_EV_FAULT, /* this side failed, or the peer broke the protocol */
    /* who has the guest, where that was in doubt */
    MOVE_EV_OWN_UNMOVED, /* this side may have it, nobody ran it */
    MOVE_EV_OWN_MOVED,   /* it ran elsewhere, where nobody runs it any more */
    MOVE_EV_OWN_THEIRS,  /* the other side */
    MOVE_EV_OWN_UNKNOWN,
    MOVE_EV_RETURNED, /* and all that the guest needs to run with it */
    MOVE_EV_BEREFT,
    MOVE_EV_COUNT
};
extern const char *const move_event_names[MOVE_EV_COUNT];

/* A way's and an end's, for <ferry/move.h>. */
struct move_ops {
    int (*fd)(const struct ferry_move *move);
    short (*events)(const struct ferry_move *move); /* NULL: POLLIN */
    int64_t (*deadline_ns)(const struct ferry_move *move);
    enum ferry_move_status (*step)(struct ferry_move *move); /* FAILED, LOST: err says why */
    /* NULL: refused. */
    int (*cancel)(struct ferry_move *move, struct ferry_err *err);
    int (*set_running)(struct ferry_move *move, bool running, struct ferry_err *err);
    void (*free)(struct ferry_move *move);
};

struct ferry_move {
    const struct move_ops *ops;
};

struct mover {
    struct ferry_move
        move; /* the first member: a move is its mover, and that its source or target */
    const struct machine_table *table; /* its name is the side's */
    const char *what;                  /* "handover" or "migration": for sentences */
    const char *peer;                  /* the other side's name */
    int first_end;                     /* states from here on are ends */
    int64_t (*clock)(void *opaque);
    void *clock_opaque;

    int state;
    struct ferry_err err;
    int64_t deadline_ns; /* for MOVE_EV_DUE; INT64_MAX = none */
    int64_t limit_ns;    /* the time that it left, for the sentence */
    bool again;          /* something happened: call step() again */

    struct ferry_vm *vm; /* loan */
    bool running;        /* the guest ran there, and shall run on */
    /* Told of each part that is paused or resumed; may be NULL. */
    vm_part_fn *observe;
    void *observe_arg;
};

static inline int64_t mover_now(const struct mover *m)
{
    return m->clock(m->clock_opaque);
}
static inline bool mover_ended(const struct mover *m)
{
    return m->state >= m->first_end;
}
/* By the state that it is in. */
enum ferry_move_status mover_status(const struct mover *m);
/* Aborts, unless it is one of these. */
void move_check(const struct ferry_move *move, const struct move_ops *ops);
const char *mover_doing(const struct mover *m); /* "waiting for LOADED" */
void mover_fire(struct mover *m, enum move_event event);
/* From from_ns on, this long; then MOVE_EV_DUE. */
void mover_allow(struct mover *m, int64_t from_ns, int64_t limit_ns);
/* Fires MOVE_EV_DUE, once, if its time has come. */
bool mover_look_at_clock(struct mover *m, int64_t now_ns);

/* Handlers of both tables: the sentence, and MOVE_EV_FAULT. self: what begins with the mover. */
int mover_gone(void *self);
int mover_late(void *self);
int mover_cancelled(void *self);
