/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/machine/loop.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <uv.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/own.h"
#include "base/thread.h"

struct loop_message {
    struct loop_message *next;
    loop_fn *fn;
    void *arg;
};

struct loop {
    uv_loop_t uv;
    uv_async_t async; /* wakes the loop for messages; also what keeps uv_run() running */
    pthread_mutex_t mutex;
    struct loop_message *head; /* under mutex */
    struct loop_message **tail;
    size_t handle_count; /* watches and timers not yet freed */
};

struct loop_watch {
    uv_poll_t poll;
    struct loop *loop;
    loop_watch_fn *fn;
    void *arg;
    short events;
};

struct loop_timer {
    struct loop_watch *watch; /* of fd */
    int fd;                   /* owned timerfd */
    loop_fn *fn;
    void *arg;
};

static void loop_run_messages(uv_async_t *async)
{
    struct loop *l = async->data;
    struct loop_message *m;

    pthread_mutex_lock(&l->mutex);
    m = l->head;
    l->head = NULL;
    l->tail = &l->head;
    pthread_mutex_unlock(&l->mutex);

    while (m) {
        struct loop_message *next = m->next;

        m->fn(m->arg);
        free(m);
        m = next;
    }
}

int loop_new(struct loop **ret, struct ferry_err *err)
{
    OWN_MEM struct loop *l = calloc(1, sizeof(*l));
    int rc;

    if (!l)
        return err_set(err, ENOMEM, "no memory for an event loop");
    l->tail = &l->head;
    rc = uv_loop_init(&l->uv);
    if (rc)
        return err_sys(err, -rc, "creating an event loop");
    rc = uv_async_init(&l->uv, &l->async, loop_run_messages);
    if (rc) {
        uv_loop_close(&l->uv);
        return err_sys(err, -rc, "creating an event loop");
    }
    l->async.data = l;
    thread_mutex_init(&l->mutex);
    *ret = TAKE_PTR(l);
    return 0;
}

void loop_free(struct loop *l)
{
    if (!l)
        return;
    assert(l->handle_count == 0);
    uv_close((uv_handle_t *)&l->async, NULL);
    uv_run(&l->uv, UV_RUN_DEFAULT); /* the close callbacks of what was freed last */
    uv_loop_close(&l->uv);
    for (struct loop_message *m = l->head, *next; m; m = next) {
        next = m->next;
        free(m);
    }
    pthread_mutex_destroy(&l->mutex);
    free(l);
}

void loop_run(struct loop *l)
{
    uv_run(&l->uv, UV_RUN_DEFAULT);
}

void loop_stop(struct loop *l)
{
    uv_stop(&l->uv);
}

int loop_post(struct loop *l, loop_fn *fn, void *arg)
{
    struct loop_message *m = malloc(sizeof(*m));

    if (!m)
        return -ENOMEM;
    *m = (struct loop_message){.fn = fn, .arg = arg};
    pthread_mutex_lock(&l->mutex);
    *l->tail = m;
    l->tail = &m->next;
    pthread_mutex_unlock(&l->mutex);
    uv_async_send(&l->async);
    return 0;
}

bool loop_unpost(struct loop *l, loop_fn *fn, void *arg)
{
    struct loop_message **at, *m;

    pthread_mutex_lock(&l->mutex);
    for (at = &l->head; *at && ((*at)->fn != fn || (*at)->arg != arg); at = &(*at)->next)
        continue;
    m = *at;
    if (m) {
        *at = m->next;
        if (!*at)
            l->tail = at;
    }
    pthread_mutex_unlock(&l->mutex);
    free(m);
    return m != NULL;
}

static int loop_uv_events(short events)
{
    return (events & POLLIN ? UV_READABLE : 0) | (events & POLLOUT ? UV_WRITABLE : 0) |
           (events & POLLRDHUP ? UV_DISCONNECT : 0);
}

static void loop_watch_event(uv_poll_t *poll, int status, int uv_events)
{
    struct loop_watch *w = poll->data;
    short revents = 0;

    if (status < 0) {
        /* libuv has stopped the poll: report it as an error on what was wanted, so that the
         * owner's next read or write finds the reason, and go on watching. */
        revents = (short)(w->events | POLLERR);
        uv_poll_start(poll, loop_uv_events(w->events), loop_watch_event);
    } else {
        revents = (short)((uv_events & UV_READABLE ? POLLIN : 0) |
                          (uv_events & UV_WRITABLE ? POLLOUT : 0) |
                          (uv_events & UV_DISCONNECT ? POLLRDHUP : 0));
    }
    w->fn(w->arg, revents);
}

int loop_watch_new(struct loop_watch **ret, struct loop *l, int fd, short events, loop_watch_fn *fn,
                   void *arg, struct ferry_err *err)
{
    OWN_MEM struct loop_watch *w = calloc(1, sizeof(*w));
    int rc;

    if (!w)
        return err_set(err, ENOMEM, "no memory to watch a file descriptor");
    rc = uv_poll_init(&l->uv, &w->poll, fd);
    if (rc)
        return err_sys(err, -rc, "watching file descriptor %d", fd);
    w->poll.data = w;
    w->loop = l;
    w->fn = fn;
    w->arg = arg;
    l->handle_count++;
    loop_watch_set(w, events);
    *ret = TAKE_PTR(w);
    return 0;
}

void loop_watch_set(struct loop_watch *w, short events)
{
    if (events == w->events)
        return;
    w->events = events;
    if (events)
        uv_poll_start(&w->poll, loop_uv_events(events), loop_watch_event);
    else
        uv_poll_stop(&w->poll);
}

/* Its memory goes when libuv has let go of it. */
static void loop_watch_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void loop_watch_free(struct loop_watch *w)
{
    if (!w)
        return;
    w->loop->handle_count--;
    uv_close((uv_handle_t *)&w->poll, loop_watch_closed);
}

static void loop_timer_event(void *arg, short revents)
{
    struct loop_timer *t = arg;
    uint64_t expirations;

    /* Nothing to read: it was set anew between expiry and here. */
    if (read(t->fd, &expirations, sizeof(expirations)) == sizeof(expirations))
        t->fn(t->arg);
}

int loop_timer_new(struct loop_timer **ret, struct loop *l, loop_fn *fn, void *arg,
                   struct ferry_err *err)
{
    OWN_MEM struct loop_timer *t = calloc(1, sizeof(*t));
    OWN_FD int fd = -1;
    int rc;

    if (!t)
        return err_set(err, ENOMEM, "no memory for a timer");
    fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (fd < 0)
        return err_sys(err, errno, "creating a timer");
    rc = loop_watch_new(&t->watch, l, fd, POLLIN, loop_timer_event, t, err);
    if (rc)
        return rc;
    t->fd = take_fd(&fd);
    t->fn = fn;
    t->arg = arg;
    *ret = TAKE_PTR(t);
    return 0;
}

void loop_timer_set(struct loop_timer *t, int64_t deadline_ns)
{
    struct itimerspec when = {0};

    if (deadline_ns != INT64_MAX) {
        /* Zero would disarm; what has passed fires at once. */
        if (deadline_ns < 1)
            deadline_ns = 1;
        when.it_value = clock_timespec(deadline_ns);
    }
    timerfd_settime(t->fd, TFD_TIMER_ABSTIME, &when, NULL);
}

void loop_timer_free(struct loop_timer *t)
{
    if (!t)
        return;
    loop_watch_free(t->watch);
    own_close_fd(&t->fd);
    free(t);
}
