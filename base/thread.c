/* SPDX-License-Identifier: Apache-2.0 */
#include "base/thread.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/priority.h"

/* Of who starts it, to the thread, which frees it. */
struct beginning {
    char name[THREAD_NAME_BYTES];
    void *(*fn)(void *arg);
    void *arg;
};

static void *thread_begin(void *arg)
{
    struct beginning *b = arg;
    void *(*fn)(void *arg) = b->fn;
    void *fn_arg = b->arg;

    pthread_setname_np(pthread_self(), b->name);
    priority_normal(priority_nice());
    free(b);
    return fn(fn_arg);
}

int thread_start(pthread_t *ret, const char *name, void *(*fn)(void *arg), void *arg)
{
    static const int own[] = {SIGBUS, SIGSEGV, SIGILL, SIGFPE, SIGSYS, SIGTRAP};
    struct beginning *b = malloc(sizeof(*b));
    sigset_t set, before;
    int failure;

    if (!b)
        return -ENOMEM;
    *b = (struct beginning){.fn = fn, .arg = arg};
    snprintf(b->name, sizeof(b->name), "%s", name);
    sigfillset(&set);
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
        sigdelset(&set, own[i]);
    pthread_sigmask(SIG_SETMASK, &set, &before);
    failure = pthread_create(ret, NULL, thread_begin, b);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failure)
        free(b);
    return -failure;
}

void thread_mutex_init(pthread_mutex_t *mutex)
{
    pthread_mutexattr_t lends;

    pthread_mutexattr_init(&lends);
    pthread_mutexattr_setprotocol(&lends, PTHREAD_PRIO_INHERIT);
    pthread_mutex_init(mutex, &lends);
    pthread_mutexattr_destroy(&lends);
}

void thread_cond_init(pthread_cond_t *cond)
{
    pthread_condattr_t attr;

    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(cond, &attr);
    pthread_condattr_destroy(&attr);
}

bool thread_cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *mutex, int64_t until_ns)
{
    const struct timespec until = clock_timespec(until_ns);

    return pthread_cond_timedwait(cond, mutex, &until) == 0;
}
