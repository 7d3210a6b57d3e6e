/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/backend/acceptor.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/own.h"

/* Nobody tells when a file is closed. */
#define ACCEPTOR_RETRY_NS INT64_C(100000000)

struct acceptor {
    int listen_fd; /* loan */
    const struct acceptor_ops *ops;
    void *arg;
    struct loop_watch *watch;
    struct loop_timer *retry;
    bool on;
    bool resting; /* until retry; the watch is off */
    bool told;    /* that it had to rest, since somebody was accepted last */
};

static void acceptor_update(struct acceptor *a)
{
    loop_watch_set(a->watch, a->on && !a->resting ? POLLIN : 0);
}

static void acceptor_rested(void *arg)
{
    struct acceptor *a = arg;

    a->resting = false;
    acceptor_update(a);
}

static void acceptor_rest(struct acceptor *a, int why)
{
    if (!a->told)
        log_warn("a connection has to wait: %s; close some, or raise the limit (ulimit -n)",
                 strerror(why));
    a->told = a->resting = true;
    acceptor_update(a);
    loop_timer_set(a->retry, clock_monotonic_ns() + ACCEPTOR_RETRY_NS);
}

static void acceptor_event(void *arg, short revents)
{
    struct acceptor *a = arg;
    OWN_FD int fd = -1;

    if (a->ops->wanted && !a->ops->wanted(a->arg)) {
        acceptor_set(a, false);
        return;
    }
    fd = accept4(a->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0) {
        a->told = false;
        a->ops->accepted(a->arg, &fd); /* the last thing: it may have freed a */
    } else if (errno != EAGAIN && errno != ECONNABORTED && errno != EINTR) {
        acceptor_rest(a, errno);
    }
}

int acceptor_new(struct acceptor **ret, struct loop *loop, int listen_fd,
                 const struct acceptor_ops *ops, void *arg, struct ferry_err *err)
{
    struct acceptor *a = calloc(1, sizeof(*a));
    int rc;

    if (!a)
        return err_set(err, ENOMEM, "no memory to accept connections");
    a->listen_fd = listen_fd;
    a->ops = ops;
    a->arg = arg;
    /* Now: when it is needed no file can be opened. */
    rc = loop_timer_new(&a->retry, loop, acceptor_rested, a, err);
    if (!rc)
        rc = loop_watch_new(&a->watch, loop, listen_fd, 0, acceptor_event, a, err);
    if (rc < 0) {
        acceptor_free(a);
        return rc;
    }
    *ret = a;
    return 0;
}

void acceptor_set(struct acceptor *a, bool on)
{
    a->on = on;
    acceptor_update(a);
}

void acceptor_free(struct acceptor *a)
{
    if (!a)
        return;
    loop_watch_free(a->watch);
    loop_timer_free(a->retry);
    free(a);
}
