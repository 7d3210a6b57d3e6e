/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/main/reaper.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/own.h"

struct reaper {
    pid_t child;
    int pidfd;
    struct loop_watch *watch;
    struct loop_timer *timer;
    bool killed;
    reaper_fn *fn;
    void *arg;
};

static void child_ended(void *arg, short revents)
{
    struct reaper *r = arg;
    char end[96] = "";
    int status;

    if (waitpid(r->child, &status, WNOHANG) != r->child)
        return;
    loop_watch_set(r->watch, 0);
    loop_timer_set(r->timer, INT64_MAX);
    if (!r->killed && WIFEXITED(status))
        snprintf(end, sizeof(end), " (exit status %d)", WEXITSTATUS(status));
    else if (!r->killed && WIFSIGNALED(status))
        snprintf(end, sizeof(end), " (killed by signal %d, %s)", WTERMSIG(status),
                 strsignal(WTERMSIG(status)));
    r->fn(r->arg, end);
}

static void grace_is_over(void *arg)
{
    struct reaper *r = arg;

    r->killed = true;
    kill(r->child, SIGKILL);
}

int reaper_new(struct reaper **ret, struct loop *loop, pid_t child, int64_t grace_ns, reaper_fn *fn,
               void *arg, struct ferry_err *err)
{
    struct reaper *r = calloc(1, sizeof(*r));
    int rc = 0;

    if (!r)
        return err_set(err, ENOMEM, "out of memory");
    *r = (struct reaper){.child = child, .fn = fn, .arg = arg};
    r->pidfd = (int)syscall(SYS_pidfd_open, child, 0);
    if (r->pidfd < 0)
        rc = err_sys(err, errno, "cannot wait for process %d", (int)child);
    if (!rc)
        rc = loop_timer_new(&r->timer, loop, grace_is_over, r, err);
    if (!rc)
        rc = loop_watch_new(&r->watch, loop, r->pidfd, POLLIN, child_ended, r, err);
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
    own_close_fd(&r->pidfd);
    free(r);
}
