/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/move/migration_driver.h"

#include <poll.h>
#include <stddef.h>

static short driver_events(const struct migration_driver *d)
{
    return d->ops->events ? d->ops->events(d->obj) : POLLIN;
}

static void driver_step(void *arg)
{
    struct migration_driver *d = arg;

    if (!d->ops || d->ops->step(d->obj))
        return;
    loop_watch_set(d->watch, driver_events(d));
    loop_timer_set(d->timer, d->ops->deadline_ns(d->obj));
}

static void driver_event(void *arg, short revents)
{
    driver_step(arg);
}

int migration_driver_start(struct migration_driver *d, struct loop *loop,
                           const struct migration_driver_ops *ops, void *obj, struct ferry_err *err)
{
    int rc;

    *d = (struct migration_driver){.ops = ops, .obj = obj, .loop = loop};
    rc = loop_timer_new(&d->timer, loop, driver_step, d, err);
    if (!rc)
        rc = loop_watch_new(&d->watch, loop, ops->fd(obj), driver_events(d), driver_event, d, err);
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
    if (was.ops)
        was.ops->release(was.obj);
}
