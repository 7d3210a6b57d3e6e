/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/move/migration_driver.h"

static void driver_step(void *arg)
{
    struct migration_driver *d = arg;

    if (!d->side || d->side->stepped(d->arg, ferry_move_step(d->move, d->error)))
        return;
    loop_watch_set(d->watch, ferry_move_events(d->move));
    loop_timer_set(d->timer, ferry_move_deadline_ns(d->move));
}

static void driver_event(void *arg, short revents)
{
    driver_step(arg);
}

int migration_driver_start(struct migration_driver *d, struct loop *loop,
                           const struct migration_side *side, struct ferry_move *move, void *arg,
                           struct ferry_err *error, struct ferry_err *err)
{
    int rc;

    *d = (struct migration_driver){.side = side, .move = move, .arg = arg, .error = error};
    rc = loop_timer_new(&d->timer, loop, driver_step, d, err);
    if (!rc)
        rc = loop_watch_new(&d->watch, loop, ferry_move_fd(move), ferry_move_events(move),
                            driver_event, d, err);
    if (rc < 0) {
        migration_driver_stop(d);
        return rc;
    }
    /* The first step, from the loop. */
    loop_timer_set(d->timer, 0);
    return 0;
}

void migration_driver_kick(struct migration_driver *d)
{
    if (d->timer)
        loop_timer_set(d->timer, 0);
}

void migration_driver_stop(struct migration_driver *d)
{
    const struct migration_driver was = *d;

    *d = (struct migration_driver){0};
    if (was.watch)
        loop_watch_free(was.watch);
    if (was.timer)
        loop_timer_free(was.timer);
    /* The watch was on its fd; and what its end calls must not find it here any more. */
    ferry_move_free(was.move);
}
