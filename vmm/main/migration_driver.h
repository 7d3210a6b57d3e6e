/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Drives an object of libferry that has an fd, wanted events, a deadline and step() from the loop:
 * calls step whenever one of them is due, and after every step asks for them again.
 */
#pragma once

#include <stdint.h>

#include <ferry/err.h>

#include "vmm/machine/loop.h"

struct migration_driver_ops {
    int (*fd)(void *obj);
    short (*events)(void *obj);
    int64_t (*deadline_ns)(void *obj);
    /* Return 0 to go on; 1 when obj is finished: it may have been freed, and the driver stopped. */
    int (*step)(void *obj);
};

struct migration_driver {
    const struct migration_driver_ops *ops;
    void *obj;
    struct loop *loop;
    struct loop_watch *watch;
    struct loop_timer *timer;
};

int migration_driver_start(struct migration_driver *d, struct loop *loop,
                           const struct migration_driver_ops *ops, void *obj,
                           struct ferry_err *err) FERRY_MUST_CHECK;
/* Something else may have made a step due (cancel, a part drained). */
void migration_driver_kick(struct migration_driver *d);
/* Also in a step, and when not started. */
void migration_driver_stop(struct migration_driver *d);
