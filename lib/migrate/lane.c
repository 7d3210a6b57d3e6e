/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/migrate/lane.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/own.h"
#include "base/thread.h"

struct lane {
    pthread_t thread;
    atomic_int id; /* the kernel's; 0 until it runs */
    int wake;      /* owned eventfd */
    atomic_bool stop;
    lane_step_fn *step;
    void *self;
};

static void lane_wait(struct lane *lane, const struct lane_want *want)
{
    struct pollfd p[2] = {{.fd = lane->wake, .events = POLLIN},
                          {.fd = want->fd, .events = want->events}};
    struct timespec ts, *timeout = NULL;
    uint64_t count;

    if (want->until_ns != INT64_MAX) {
        int64_t left_ns = want->until_ns - clock_monotonic_ns();

        if (left_ns < 0)
            left_ns = 0;
        ts = clock_timespec(left_ns);
        timeout = &ts;
    }
    (void)!ppoll(p, 2, timeout, NULL);
    if (p[0].revents)
        (void)!read(lane->wake, &count, sizeof(count));
}

static void *lane_run(void *arg)
{
    struct lane *lane = arg;

    atomic_store(&lane->id, gettid());
    while (!atomic_load(&lane->stop)) {
        struct lane_want want = {.fd = -1, .until_ns = INT64_MAX};

        lane->step(lane->self, &want);
        if (!want.more)
            lane_wait(lane, &want);
    }
    return NULL;
}

int lane_start(struct lane **ret, const char *name, lane_step_fn *step, void *self,
               struct ferry_err *err)
{
    struct lane *lane = calloc(1, sizeof(*lane));
    int r;

    if (!lane)
        return err_set(err, ENOMEM, "no memory for a lane");
    lane->step = step;
    lane->self = self;
    lane->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (lane->wake < 0) {
        free(lane);
        return err_sys(err, errno, "cannot make an eventfd");
    }
    r = thread_start(&lane->thread, name, lane_run, lane);
    if (r < 0) {
        own_close_fd(&lane->wake);
        free(lane);
        return err_sys(err, -r, "cannot start a thread for a lane");
    }
    *ret = lane;
    return 0;
}

int lane_thread_id(const struct lane *lane)
{
    return lane ? atomic_load(&lane->id) : 0;
}

void lane_kick(struct lane *lane)
{
    uint64_t one = 1;

    (void)!write(lane->wake, &one, sizeof(one));
}

void lane_leave(struct lane *lane)
{
    if (!lane)
        return;
    atomic_store(&lane->stop, true);
    lane_kick(lane);
}

void lane_stop(struct lane *lane)
{
    if (!lane)
        return;
    lane_leave(lane);
    pthread_join(lane->thread, NULL);
    own_close_fd(&lane->wake);
    free(lane);
}

void lane_group_init(struct lane_group *g)
{
    pthread_mutex_init(&g->lock, NULL);
}

void lane_group_free(struct lane_group *g)
{
    pthread_mutex_destroy(&g->lock);
}

void lane_group_wake(struct lane_group *g, void (*wake)(void *arg), void *arg)
{
    pthread_mutex_lock(&g->lock);
    g->wake = wake;
    g->wake_arg = arg;
    pthread_mutex_unlock(&g->lock);
}

void lane_group_tell(struct lane_group *g, const struct ferry_err *failure)
{
    if (failure && !g->failed) {
        g->failed = true;
        g->err = *failure;
    }
    if (g->wake)
        g->wake(g->wake_arg);
}

int lane_group_check(const struct lane_group *g, struct ferry_err *err)
{
    if (!g->failed)
        return 0;
    *err = g->err;
    return -g->err.errnum;
}
