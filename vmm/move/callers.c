/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/move/callers.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/own.h"
#include "vmm/backend/acceptor.h"

struct caller {
    struct callers *all;
    int fd; /* owned; -1: nobody */
    struct loop_watch *watch;
    int64_t until_ns; /* the smaller, the longer it has been here */
};

struct callers {
    struct loop *loop;
    const struct callers_ops *ops;
    void *arg;
    struct acceptor *acceptor; /* NULL: nobody can connect */
    struct loop_timer *timer;  /* of the one that came first */
    struct caller callers[CALLERS_MAX];
};

static void caller_hang_up(struct caller *c)
{
    loop_watch_free(c->watch);
    c->watch = NULL;
    own_close_fd(&c->fd);
}

static struct caller *callers_oldest(struct callers *all)
{
    struct caller *oldest = NULL;

    for (size_t i = 0; i < CALLERS_MAX; i++)
        if (all->callers[i].fd >= 0 && (!oldest || all->callers[i].until_ns < oldest->until_ns))
            oldest = &all->callers[i];
    return oldest;
}

/* Who was given, and is the only one who can come, may be silent for as long as it wants. */
static void callers_set_timer(struct callers *all)
{
    const struct caller *oldest = callers_oldest(all);

    loop_timer_set(all->timer, oldest && all->acceptor ? oldest->until_ns : INT64_MAX);
}

/* After one went. The last thing: gone() may free all. */
static void callers_check(struct callers *all)
{
    const struct caller *oldest = callers_oldest(all);

    callers_set_timer(all);
    if (!oldest && !all->acceptor)
        all->ops->gone(all->arg);
}

static void callers_late(void *arg)
{
    struct callers *all = arg;
    struct caller *oldest = callers_oldest(all);

    if (oldest && oldest->until_ns <= clock_monotonic_ns())
        caller_hang_up(oldest);
    callers_check(all);
}

static void caller_event(void *arg, short revents)
{
    struct caller *c = arg;
    struct callers *all = c->all;
    OWN_FD int fd = -1;
    char byte;
    ssize_t n = recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        caller_hang_up(c);
        callers_check(all);
        return;
    }
    loop_watch_free(TAKE_PTR(c->watch));
    fd = take_fd(&c->fd);
    all->ops->spoke(all->arg, &fd);
}

static void callers_came(void *arg, int *fd)
{
    struct ferry_err err;

    if (callers_add(arg, fd, &err) < 0)
        log_error("receiving a VM: %s", err.text);
}

int callers_add(struct callers *all, int *fd, struct ferry_err *err)
{
    struct caller *c = NULL;
    int rc;

    for (size_t i = 0; i < CALLERS_MAX && !c; i++)
        c = all->callers[i].fd < 0 ? &all->callers[i] : NULL;
    if (!c) {
        c = callers_oldest(all);
        caller_hang_up(c);
    }
    rc = loop_watch_new(&c->watch, all->loop, *fd, POLLIN, caller_event, c, err);
    if (rc < 0)
        return rc;
    c->fd = take_fd(fd);
    c->until_ns = clock_monotonic_ns() + CALLERS_SILENCE_NS;
    callers_set_timer(all);
    return 0;
}

static const struct acceptor_ops callers_acceptor_ops = {.accepted = callers_came};

int callers_new(struct callers **ret, struct loop *loop, int listen_fd,
                const struct callers_ops *ops, void *arg, struct ferry_err *err)
{
    struct callers *all = calloc(1, sizeof(*all));
    int rc;

    if (!all)
        return err_set(err, ENOMEM, "no memory to listen");
    all->loop = loop;
    all->ops = ops;
    all->arg = arg;
    for (size_t i = 0; i < CALLERS_MAX; i++)
        all->callers[i] = (struct caller){.all = all, .fd = -1};
    rc = loop_timer_new(&all->timer, loop, callers_late, all, err);
    if (!rc && listen_fd >= 0)
        rc = acceptor_new(&all->acceptor, loop, listen_fd, &callers_acceptor_ops, all, err);
    if (rc < 0) {
        callers_free(all);
        return rc;
    }
    if (all->acceptor)
        acceptor_set(all->acceptor, true);
    *ret = all;
    return 0;
}

void callers_free(struct callers *all)
{
    if (!all)
        return;
    acceptor_free(all->acceptor);
    for (size_t i = 0; i < CALLERS_MAX; i++)
        caller_hang_up(&all->callers[i]);
    loop_timer_free(all->timer);
    free(all);
}
