/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A thread that drives one step-able thing: it steps until there is nothing to do, then waits with
 * poll(2) for what the step wanted, for a kick, or for the end. Tests step the same thing without.
 */
#pragma once

#include <pthread.h>
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
/* It ends after the step that it is in, and nobody waits: for several, so that none begins another
 * while one is waited for. NULL is fine. */
void lane_leave(struct lane *lane);
/* After this step number is the last one, and the thread is gone. NULL is fine. */
void lane_stop(struct lane *lane);

/*
 * What lanes share that work on one thing: the lock, which also guards queues between them, the
 * first failure, which ends it for all, and who waits for them.
 */
struct lane_group {
    pthread_mutex_t lock;
    void (*wake)(void *arg);
    void *wake_arg;
    bool failed;
    struct ferry_err err;
};

void lane_group_init(struct lane_group *g);
void lane_group_free(struct lane_group *g);
/* wake is called on a lane, with the lock held: it may do no more than kick. NULL: no more, also
 * none that is under way. */
void lane_group_wake(struct lane_group *g, void (*wake)(void *arg), void *arg);
/* With the lock held: something changed; failure: what, if it is that, else NULL. */
void lane_group_tell(struct lane_group *g, const struct ferry_err *failure);
/* With the lock held: 0 or the failure. */
int lane_group_check(const struct lane_group *g, struct ferry_err *err) FERRY_MUST_CHECK;
