/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A thread that drives one step-able thing: it steps until there is nothing to do, then waits with
 * poll(2) for what the step wanted, for a kick, or for the end. Tests step the same thing without.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <ferry/err.h>

struct lane_want {
    bool more; /* step again at once */
    int fd;    /* -1: none */
    short events;
    int64_t until_ns; /* INT64_MAX: none */
};

/* Does a few milliseconds of work, never waits. */
typedef void lane_step_fn(void *self, struct lane_want *want);

struct lane;

int lane_start(struct lane **ret, const char *name, lane_step_fn *step, void *self,
               struct ferry_err *err) FERRY_MUST_CHECK;
/* As the kernel counts threads; 0: NULL, or it does not run yet. */
int lane_thread_id(const struct lane *lane);
/* There is something new to do. Any thread. */
void lane_kick(struct lane *lane);
/* After this step number is the last one, and the thread is gone. NULL is fine. */
void lane_stop(struct lane *lane);
