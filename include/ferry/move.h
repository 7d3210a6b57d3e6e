/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A VM's move, from one of its ends: the source's, which runs the guest and gives it away, or the
 * target's, which takes it. Both ways of moving make one, <ferry/live.h> to another process of this
 * host and <ferry/migrate.h> to another host or into a file; what a VMM's loop does with it is the
 * same for all.
 *
 * A move owns no loop: it has an fd, wanted poll(2) events and a deadline. Read them again after
 * every ferry_move_step() and after every ferry_vm_drained(), and step when one of them is due. The
 * fd stays the same one, and open, until the move is freed. While the move of a source is BUSY,
 * nobody else pauses or resumes the VM's parts; its harts may be stopped and continued with
 * ferry_move_set_running(). One thread, the VM's.
 *
 * A function of one way and one end says so by its name, and is called with a move of that way and
 * that end only: another is a mistake of the caller's, and abort() ends the process.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <ferry/err.h>

struct ferry_move;

enum ferry_move_status {
    FERRY_MOVE_BUSY = 0, /* step again when fd, events or deadline say so */
    FERRY_MOVE_DONE,     /* source: the target has the guest, which stays paused here. target: the
                            guest is here */
    FERRY_MOVE_CHECKED,  /* a migration's dry run: the target would take this VM */
    FERRY_MOVE_FAILED,   /* the error says why (ECANCELED: cancelled). source: the guest is here as
                            it was before (but see activate() in <ferry/migrate.h>) */
    FERRY_MOVE_LOST,     /* source only: the target had the guest, or may have it, and cannot be
                            asked. Never resume it here; look at the target before anything else */
};

/* The move keeps it. */
FERRY_API int ferry_move_fd(const struct ferry_move *move);
FERRY_API short ferry_move_events(const struct ferry_move *move);
/* CLOCK_MONOTONIC, ns; INT64_MAX = none, 0 = at once. */
FERRY_API int64_t ferry_move_deadline_ns(const struct ferry_move *move);
/*
 * Does what can be done now: it never blocks, and takes at most a few milliseconds. *err is set
 * with FAILED and LOST.
 */
FERRY_API enum ferry_move_status ferry_move_step(struct ferry_move *move, struct ferry_err *err);
/* What a target finds after DONE: whether the guest's harts were started. */
FERRY_API bool ferry_move_running(const struct ferry_move *move);
/*
 * Until the point of no return: the guest is as it was in the source, and a step soon says FAILED;
 * after it -EBUSY. A migration's target tells its source, and is over at once or when the source
 * has heard; once more, and the source is not waited for. -EOPNOTSUPP: a handover's target, which
 * is called off by its source, or freed.
 */
FERRY_API int ferry_move_cancel(struct ferry_move *move, struct ferry_err *err) FERRY_MUST_CHECK;
/*
 * The operator stopped or continued a source's guest before the pause; -EBUSY during it.
 * -EOPNOTSUPP: a target has no guest yet.
 */
FERRY_API int ferry_move_set_running(struct ferry_move *move, bool running,
                                     struct ferry_err *err) FERRY_MUST_CHECK;
/* While BUSY: cancels, if that is still possible. NULL is no move. */
FERRY_API void ferry_move_free(struct ferry_move *move);
