/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The side of a migration that this process is: source or target, of either way. All four are an
 * object of libferry that has an fd, wanted events, a deadline and step(); the driver calls step
 * from the loop whenever one of them is due, and after every step asks for them again. Here is also
 * what else is done to a side without asking which way the guest goes.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <ferry/err.h>

#include "vmm/machine/loop.h"

struct migration_driver_ops {
    int (*fd)(void *obj);
    short (*events)(void *obj); /* NULL: POLLIN */
    int64_t (*deadline_ns)(void *obj);
    /* Return 0 to go on; 1 when obj is finished: it may have been freed, and the driver stopped. */
    int (*step)(void *obj);
    void (*release)(void *obj); /* free it */
    /* A target has neither. */
    int (*cancel)(void *obj, struct ferry_err *err);
    int (*set_running)(void *obj, bool running, struct ferry_err *err);
};

struct migration_driver {
    const struct migration_driver_ops *ops;
    void *obj;
    struct loop *loop;
    struct loop_watch *watch;
    struct loop_timer *timer;
};

/* On failure obj is released. */
int migration_driver_start(struct migration_driver *d, struct loop *loop,
                           const struct migration_driver_ops *ops, void *obj,
                           struct ferry_err *err) FERRY_MUST_CHECK;
/* Something else may have made a step due (cancel, a part drained). */
void migration_driver_kick(struct migration_driver *d);
/* Also in a step, and when not started. Releases obj. */
void migration_driver_stop(struct migration_driver *d);

static inline bool migration_driver_is_source(const struct migration_driver *d)
{
    return d->ops && d->ops->cancel;
}
