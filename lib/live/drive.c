/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/live/drive.h"

#include <errno.h>
#include <sched.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/err.h"
#include "lib/live/message.h"

void drive_init(struct live_drive *d, const struct machine_table *table, void *self, int first_end,
                int64_t spin_ns)
{
    d->spin_ns = spin_ns ? spin_ns : LIVE_SPIN_NS;
    d->table = table;
    d->self = self;
    d->first_end = first_end;
    d->deadline_ns = INT64_MAX;
    d->peer.fd = -1;
}

void drive_spin(struct live_drive *d)
{
    d->spin_until_ns = clock_monotonic_ns() + d->spin_ns;
}

void drive_fire(struct live_drive *d, enum live_event event)
{
    machine_run(d->table, d->self, &d->state, (int)event, &d->err);
}

/* What comes from the peer is of no use any more. It may still be told why. */
static void drive_break(struct live_drive *d)
{
    d->peer.gone = d->gone_told = true;
    drive_fire(d, LIVE_EVENT_FAULT);
}

/* One thing that is due on the connection; false if nothing is. */
static bool drive_io(struct live_drive *d)
{
    int r = peer_send(&d->peer, &d->err);

    if (r < 0) {
        d->peer.out_ended = true;
        frame_out_drop(&d->peer.out);
        drive_break(d);
        return true;
    }
    if (d->await_sent && frame_out_idle(&d->peer.out) && !d->peer.out_ended) {
        d->await_sent = false;
        drive_fire(d, LIVE_EVENT_SENT);
        return true;
    }
    r = peer_receive(&d->peer, &d->frame_storage, &d->err);
    if (r < 0) {
        if (!d->gone_told)
            drive_break(d);
        return false;
    }
    if (r > 0) {
        d->frame = &d->frame_storage;
        drive_fire(d, (enum live_event)d->frame->type);
        d->frame = NULL;
        return true;
    }
    if (d->peer.gone && !d->gone_told) {
        d->gone_told = true;
        drive_fire(d, LIVE_EVENT_GONE);
        return true;
    }
    return false;
}

void drive_step(struct live_drive *d)
{
    bool due_told = false;

    while (d->state < d->first_end) {
        int64_t now_ns;

        if (drive_io(d))
            continue;
        now_ns = clock_monotonic_ns();
        if (now_ns >= d->deadline_ns && !due_told) {
            due_told = true;
            d->deadline_ns = INT64_MAX;
            drive_fire(d, LIVE_EVENT_DUE);
            continue;
        }
        if (now_ns >= d->spin_until_ns)
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
        message_put_reason(&d->peer.out, (enum live_type)type, &d->err);
        if (peer_send(&d->peer, &ignored) < 0)
            frame_out_drop(&d->peer.out);
    }
    /* Not closed: the caller's loop may still watch the fd. */
    shutdown(d->peer.fd, SHUT_RDWR);
}

const char *drive_state_name(const struct live_drive *d)
{
    return d->table->state_names[d->state];
}

void drive_touch(void *memory, size_t n)
{
    volatile char *p = memory;

    for (size_t i = 0; i < n; i += 4096)
        p[i] = p[i];
}
