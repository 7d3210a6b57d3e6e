/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who carries the pause of an update comes before everything else on the host, if the supervisor
 * may say so (CAP_SYS_NICE, or RLIMIT_RTPRIO of its user). VMMs may not: a guest that owns one
 * could hold processors with it. So they get it for one pause of an update that an operator asked
 * for, and no longer than LEASE_PAUSE_NS whatever they do. The supervisor itself, which has to hear
 * them in time, has it as long as it has little to do: a guest could draw the update out, and keep
 * it busy meanwhile.
 */
#include <dirent.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/priority.h"
#include "vmm/supervisor/errand.h"
#include "vmm/supervisor/supervisor_internal.h"

/* A target gets ready on processors that nobody else wants, but not longer than this. */
#define LEASE_PREPARE_NS INT64_C(1000000000)
#define LEASE_PAUSE_NS   INT64_C(5000000000)
/* Of a processor, by the supervisor; what it does for an update takes a hundredth of it. */
#define LEASE_WORK_NS    INT64_C(250000000)

static int64_t work_ns(void)
{
    return clock_read_ns(CLOCK_PROCESS_CPUTIME_ID);
}

static bool set_policy(pid_t tid, int policy)
{
    const struct sched_param param = {.sched_priority = policy == SCHED_OTHER ? 0 : 1};

    return sched_setscheduler(tid, policy, &param) == 0;
}

static void raise_thread(pid_t tid)
{
    /* Without SCHED_RESET_ON_FORK: a thread with that may not come back by itself. */
    if (!priority_is_operators(tid))
        (void)set_policy(tid, SCHED_FIFO);
}

/* It may have come back by itself. */
static void calm_thread(pid_t tid)
{
    if (sched_getscheduler(tid) == SCHED_FIFO && !priority_is_operators(tid))
        (void)set_policy(tid, SCHED_OTHER);
}

static void lift_thread(pid_t tid)
{
    if (sched_getscheduler(tid) == SCHED_IDLE)
        (void)set_policy(tid, SCHED_OTHER);
}

static void each_thread(pid_t pid, void (*fn)(pid_t tid))
{
    char path[32];
    struct dirent *entry;
    DIR *threads;

    snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
    threads = opendir(path);
    if (!threads)
        return;
    while ((entry = readdir(threads)))
        if (entry->d_name[0] != '.')
            fn((pid_t)atoi(entry->d_name));
    closedir(threads);
}

/* Of an update, which the source waits for. */
static const struct child *lease_target(const struct supervisor *s)
{
    for (size_t i = 0; i < SUPERVISOR_CHILDREN; i++) {
        const struct child *c = &s->children[i];

        if (c->pid && c->is_vmm && !c->has_guest && c->mail >= 0)
            return c;
    }
    return NULL;
}

/* Without CAP_SYS_NICE it is the limit of who shall be real-time that decides. One outside of a
 * sandbox has it anyway. */
static void allow_realtime(const struct supervisor *s, pid_t pid, bool allowed)
{
    struct rlimit r;

    if (!s->policy.sandbox || prlimit(pid, RLIMIT_RTPRIO, NULL, &r) < 0)
        return;
    r.rlim_cur = allowed ? r.rlim_max : 0;
    (void)prlimit(pid, RLIMIT_RTPRIO, &r, NULL);
}

/* Not allowed any more first: no thread rises behind our back. */
static void calm_all(const struct supervisor *s)
{
    for (size_t i = 0; i < SUPERVISOR_CHILDREN; i++) {
        const struct child *c = &s->children[i];

        if (!c->pid || !c->is_vmm)
            continue;
        allow_realtime(s, c->pid, false);
        each_thread(c->pid, calm_thread);
        /* A source whose guest has left ends behind everybody. */
        if (c->has_guest || c->mail >= 0)
            each_thread(c->pid, lift_thread);
    }
}

static void lease_begin(struct supervisor *s)
{
    if (s->lease == LEASE_NONE)
        s->lease_nice = priority_nice();
    s->lease = LEASE_PREPARES;
    s->lease_work_ns = work_ns();
    s->lease_until_ns = clock_monotonic_ns() + LEASE_PREPARE_NS;
    (void)priority_urgent();
}

/* The harts of the source lend themselves what its main thread has (hart_stop_wait()), those of the
 * target give it back before they run the guest's code. */
static void lease_pause(struct supervisor *s, const struct child *source)
{
    const struct child *target = lease_target(s);
    const char answer = ERRAND_PAUSES;

    if (target && s->lease == LEASE_PREPARES) {
        s->lease = LEASE_PAUSES;
        s->lease_until_ns = clock_monotonic_ns() + LEASE_PAUSE_NS;
        allow_realtime(s, source->pid, true);
        allow_realtime(s, target->pid, true);
        raise_thread(source->pid);
        each_thread(target->pid, raise_thread);
    }
    (void)!send(source->channel, &answer, 1, MSG_NOSIGNAL | MSG_DONTWAIT);
}

void lease_end(struct supervisor *s)
{
    if (s->lease == LEASE_NONE)
        return;
    s->lease = LEASE_NONE;
    /* There is no pause any more in which nobody shall be woken. */
    for (size_t i = 0; i < SUPERVISOR_CHILDREN; i++)
        s->children[i].no_hurry = false;
    calm_all(s);
    priority_normal(s->lease_nice);
}

void lease_hear(struct supervisor *s, const struct child *c, char what)
{
    if (what == ERRAND_IS_VMM && !c->is_vmm && c->mail >= 0)
        lease_begin(s);
    else if (what == ERRAND_PAUSES)
        lease_pause(s, c);
    else if (what == ERRAND_OVER && s->lease == LEASE_PAUSES)
        lease_end(s);
}

void lease_look(struct supervisor *s)
{
    if (!lease_target(s))
        lease_end(s);
}

int64_t lease_due_ns(const struct supervisor *s)
{
    return s->lease == LEASE_NONE ? INT64_MAX : s->lease_until_ns;
}

void lease_look_at_clock(struct supervisor *s)
{
    if (s->lease != LEASE_NONE && work_ns() - s->lease_work_ns > LEASE_WORK_NS)
        lease_end(s);
    if (clock_monotonic_ns() < lease_due_ns(s))
        return;
    s->lease_until_ns = INT64_MAX;
    if (s->lease == LEASE_PAUSES)
        lease_end(s);
    else
        calm_all(s); /* a busy host: the target would never be ready */
}
