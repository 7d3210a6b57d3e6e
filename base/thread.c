/* SPDX-License-Identifier: Apache-2.0 */
#include "base/thread.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

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
