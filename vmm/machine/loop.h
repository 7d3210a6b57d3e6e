/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The event loop of a thread. The only home of libuv.
 *
 * One loop belongs to one thread (the main thread has the VM's); only loop_post(), loop_unpost()
 * and loop_timer_set() may be called from others. Callbacks run on the loop's thread, without the
 * machine lock. A watch or timer may be freed in its own callback.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <ferry/err.h>

struct loop;
struct loop_watch;
struct loop_timer;

typedef void loop_fn(void *arg);
typedef void loop_watch_fn(void *arg, short revents);

int loop_new(struct loop **ret, struct ferry_err *err) FERRY_MUST_CHECK;
/* All watches and timers must be gone. Messages that have not run are dropped. */
void loop_free(struct loop *l);
/* Until loop_stop(). */
void loop_run(struct loop *l);
void loop_stop(struct loop *l);

/* Any thread: run fn(arg) on the loop's thread, in order. -ENOMEM. */
int loop_post(struct loop *l, loop_fn *fn, void *arg) FERRY_MUST_CHECK;
/* Take the first such message back: true, or false if it has run, or will in this turn. */
bool loop_unpost(struct loop *l, loop_fn *fn, void *arg);

/*
 * fd is a loan and must stay open; events are poll(2)'s POLLIN and POLLOUT, and for who wants
 * neither but shall hear that a socket's peer has gone POLLRDHUP; 0 = none for now.
 */
int loop_watch_new(struct loop_watch **ret, struct loop *l, int fd, short events, loop_watch_fn *fn,
                   void *arg, struct ferry_err *err) FERRY_MUST_CHECK;
void loop_watch_set(struct loop_watch *w, short events);
void loop_watch_free(struct loop_watch *w);

/* One shot, microsecond resolution, CLOCK_MONOTONIC. Setting is for any thread. */
int loop_timer_new(struct loop_timer **ret, struct loop *l, loop_fn *fn, void *arg,
                   struct ferry_err *err) FERRY_MUST_CHECK;
/* INT64_MAX disarms. The callback of an earlier deadline does not run after this, unless it is
 * running already. */
void loop_timer_set(struct loop_timer *t, int64_t deadline_ns);
void loop_timer_free(struct loop_timer *t);
