/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/process/reaper.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mail.h"
#include "base/own.h"

struct reaper {
    int mail; /* owned */
    struct loop_watch *watch;
    struct loop_timer *timer;
    bool killed;
    reaper_fn *fn;
    void *arg;
};

static void child_ended(void *arg, short revents)
{
    struct reaper *r = arg;
    struct ferry_err err;
    char end[96] = "";
    struct mail m;
    int rc = mail_recv(r->mail, &m, &err);

    if (rc == -EAGAIN)
        return;
    if (!rc)
        mail_free(&m);
    loop_watch_set(r->watch, 0);
    loop_timer_set(r->timer, INT64_MAX);
    if (!rc && m.kind == MAIL_ENDED && !r->killed && WIFEXITED(m.value))
        snprintf(end, sizeof(end), " (exit status %d)", WEXITSTATUS(m.value));
    else if (!rc && m.kind == MAIL_ENDED && !r->killed && WIFSIGNALED(m.value))
        snprintf(end, sizeof(end), " (killed by signal %d, %s)", WTERMSIG(m.value),
                 strsignal(WTERMSIG(m.value)));
    r->fn(r->arg, end);
}

void reaper_kill(int mail)
{
    char kill = 1;

    /* Any word at all is that it shall not stay (supervisor.c). */
    (void)!send(mail, &kill, 1, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void grace_is_over(void *arg)
{
    struct reaper *r = arg;

    r->killed = true;
    reaper_kill(r->mail);
}

int reaper_new(struct reaper **ret, struct loop *loop, int *mail, int64_t grace_ns, reaper_fn *fn,
               void *arg, struct ferry_err *err)
{
    struct reaper *r = calloc(1, sizeof(*r));
    int rc;

    if (!r)
        return err_set(err, ENOMEM, "out of memory");
    *r = (struct reaper){.mail = take_fd(mail), .fn = fn, .arg = arg};
    rc = loop_timer_new(&r->timer, loop, grace_is_over, r, err);
    if (!rc)
        rc = loop_watch_new(&r->watch, loop, r->mail, POLLIN, child_ended, r, err);
    if (rc < 0) {
        reaper_free(r);
        return rc;
    }
    loop_timer_set(r->timer, clock_monotonic_ns() + grace_ns);
    *ret = r;
    return 0;
}

void reaper_free(struct reaper *r)
{
    if (!r)
        return;
    if (r->watch)
        loop_watch_free(r->watch);
    if (r->timer)
        loop_timer_free(r->timer);
    /* If its end has been heard of, nobody is there to be told. */
    if (r->mail >= 0)
        reaper_kill(r->mail);
    own_close_fd(&r->mail);
    free(r);
}
