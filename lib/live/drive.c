/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/live/drive.h"

#include <errno.h>
#include <sched.h>
#include <sys/socket.h>

#include "base/budget.h"
#include "base/clock.h"
#include "base/err.h"
#include "lib/live/message.h"

/* The STATE of a large machine, and what may come with it. */
#define DRIVE_TURN_BYTES (UINT64_C(4) << 20)

int64_t drive_clock(void *opaque)
{
    return clock_monotonic_ns();
}

void drive_init(struct live_drive *d, struct mover *mover, const enum move_event *events,
                int64_t spin_ns)
{
    d->mover = mover;
    d->events = events;
    d->spin_ns = spin_ns ? spin_ns : LIVE_SPIN_NS;
    d->peer.fd = -1;
}

void drive_spin(struct live_drive *d)
{
    d->spin_until_ns = clock_monotonic_ns() + d->spin_ns;
}

/* What comes from the peer is of no use any more. It may still be told why. */
static void drive_break(struct live_drive *d)
{
    d->peer.gone = d->gone_told = true;
    mover_fire(d->mover, MOVE_EV_FAULT);
}

static void drive_hear(struct live_drive *d)
{
    enum move_event event = d->events[d->frame->type];

    if (!event) {
        err_set(&d->mover->err, EPROTO, "a frame of type %d came to the %s while it was %s",
                (int)d->frame->type, d->mover->table->name, mover_doing(d->mover));
        event = MOVE_EV_FAULT;
    }
    mover_fire(d->mover, event);
}

/* One thing that is due on the connection; false if nothing is, or it is somebody else's turn. */
static bool drive_io(struct live_drive *d, struct budget *turn)
{
    int r = peer_send(&d->peer, &d->mover->err);

    if (r < 0) {
        d->peer.out_ended = true;
        frame_out_drop(&d->peer.out);
        drive_break(d);
        return true;
    }
    if (d->await_sent && frame_out_idle(&d->peer.out) && !d->peer.out_ended) {
        d->await_sent = false;
        mover_fire(d->mover, MOVE_EV_SENT);
        return true;
    }
    r = peer_receive(&d->peer, &d->frame_storage, turn, &d->mover->err);
    if (r < 0) {
        if (!d->gone_told)
            drive_break(d);
        return false;
    }
    if (r > 0) {
        d->frame = &d->frame_storage;
        drive_hear(d);
        d->frame = NULL;
        return true;
    }
    if (d->peer.gone && !d->gone_told) {
        d->gone_told = true;
        mover_fire(d->mover, MOVE_EV_GONE);
        return true;
    }
    return false;
}

void drive_step(struct live_drive *d)
{
    struct budget turn = budget_make(DRIVE_TURN_BYTES, d->spin_ns + BUDGET_TURN_NS);
    bool due_told = false;
    int64_t now_ns;

    d->more = false;
    while (!mover_ended(d->mover)) {
        d->more = budget_spent(&turn);
        if (!d->more && drive_io(d, &turn))
            continue;
        /* As of when the connection was looked at: a process that slept hears first what came. */
        now_ns = turn.looked_ns;
        if (!due_told && mover_look_at_clock(d->mover, now_ns)) {
            due_told = true;
            continue;
        }
        if (d->more || now_ns >= d->spin_until_ns)
            return;
        sched_yield();
    }
}

void drive_end(struct live_drive *d, int type)
{
    struct ferry_err ignored;

    if (d->peer.fd < 0)
        return;
    if (type && frame_out_idle(&d->peer.out) && !d->peer.out_ended) {
        message_put_reason(&d->peer.out, (enum live_type)type, &d->mover->err);
        if (peer_send(&d->peer, &ignored) < 0)
            frame_out_drop(&d->peer.out);
    }
    /* Not closed: the caller's loop may still watch the fd. */
    shutdown(d->peer.fd, SHUT_RDWR);
}

void drive_touch(void *memory, size_t n)
{
    volatile char *p = memory;

    for (size_t i = 0; i < n; i += 4096)
        p[i] = p[i];
}
