/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/vm/settle.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/err.h"
#include "vmm/backend/bell.h"
#include "vmm/board/board.h"

struct waiter {
    loop_fn *fn;
    void *arg;
    struct waiter *next;
};

struct settle {
    struct board *board;
    struct bell *idle; /* of each disk, when it is */
    struct loop_timer *patience;
    struct waiter *waiters;
};

static void tell_waiters(struct settle *s)
{
    struct waiter *w = s->waiters;

    loop_timer_set(s->patience, INT64_MAX);
    s->waiters = NULL;
    while (w) {
        struct waiter *next = w->next;

        w->fn(w->arg);
        free(w);
        w = next;
    }
}

static void disk_is_idle(void *arg)
{
    struct settle *s = arg;

    if (s->waiters && board_disks_are_idle(s->board, s->idle))
        tell_waiters(s);
}

static void patience_is_over(void *arg)
{
    tell_waiters(arg);
}

int settle_new(struct settle **ret, struct loop *loop, struct board *board, struct ferry_err *err)
{
    struct settle *s = calloc(1, sizeof(*s));
    int rc;

    if (!s)
        return err_set(err, ENOMEM, "out of memory");
    s->board = board;
    rc = bell_new(&s->idle, loop, disk_is_idle, s, err);
    if (!rc)
        rc = loop_timer_new(&s->patience, loop, patience_is_over, s, err);
    if (rc < 0) {
        settle_free(s);
        return rc;
    }
    *ret = s;
    return 0;
}

void settle_free(struct settle *s)
{
    if (!s)
        return;
    while (s->waiters) {
        struct waiter *next = s->waiters->next;

        free(s->waiters);
        s->waiters = next;
    }
    if (s->patience)
        loop_timer_free(s->patience);
    bell_free(s->idle);
    free(s);
}

bool settle_await(struct settle *s, loop_fn *fn, void *arg)
{
    struct waiter *w = board_disks_are_idle(s->board, s->idle) ? NULL : malloc(sizeof(*w));

    if (!w)
        return false;
    *w = (struct waiter){.fn = fn, .arg = arg, .next = s->waiters};
    if (!s->waiters)
        loop_timer_set(s->patience, clock_monotonic_ns() + SETTLE_PATIENCE_NS);
    s->waiters = w;
    return true;
}
