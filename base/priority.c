/* SPDX-License-Identifier: Apache-2.0 */
#include "base/priority.h"

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* struct sched_attr of <linux/sched/types.h>, which <sched.h> of newer libraries has, too. */
struct place {
    uint32_t size;
    uint32_t policy;
    uint64_t flags;
    int32_t nice;
    uint32_t realtime;
    uint64_t slice_ns;
    uint64_t deadline_ns;
    uint64_t period_ns;
};

/* The shortest that the kernel gives. */
#define SHORT_SLICE_NS 100000u

static bool take(const struct place *place)
{
    return syscall(SYS_sched_setattr, 0, place, 0) == 0;
}

bool priority_is_operators(pid_t tid)
{
    struct place now = {.size = sizeof(now)};

    if (syscall(SYS_sched_getattr, tid, &now, sizeof(now), 0) < 0)
        return false;
    return now.policy == SCHED_RR || now.policy == SCHED_DEADLINE ||
           (now.policy == SCHED_FIFO && now.realtime > 1);
}

int priority_nice(void)
{
    struct place now = {.size = sizeof(now)};

    /* Of a real-time thread the kernel says 0. */
    return syscall(SYS_sched_getattr, 0, &now, sizeof(now), 0) == 0 ? now.nice : 0;
}

static bool take_slice(int nice, uint64_t slice_ns)
{
    const struct place place = {
        .size = sizeof(place), .policy = SCHED_OTHER, .nice = nice, .slice_ns = slice_ns};
    struct place now = {.size = sizeof(now)};

    /* A kernel without such slices takes the number and forgets it. */
    return take(&place) && syscall(SYS_sched_getattr, 0, &now, sizeof(now), 0) == 0 &&
           now.slice_ns == slice_ns;
}

enum priority_grant priority_urgent(void)
{
    const struct place realtime = {.size = sizeof(realtime), .policy = SCHED_FIFO, .realtime = 1};
    const struct place first = {.size = sizeof(first), .policy = SCHED_OTHER, .nice = -20};
    int nice = priority_nice();

    if (priority_is_operators(0) || take(&realtime))
        return PRIORITY_REALTIME;
    if (take(&first))
        return PRIORITY_NICE;
    return take_slice(nice, SHORT_SLICE_NS) ? PRIORITY_SLICE : PRIORITY_REFUSED;
}

void priority_normal(int nice)
{
    const struct place normal = {.size = sizeof(normal), .policy = SCHED_OTHER, .nice = nice};

    if (!priority_is_operators(0))
        (void)take(&normal);
}

void priority_last(void)
{
    const struct place last = {.size = sizeof(last), .policy = SCHED_IDLE, .nice = priority_nice()};

    if (!priority_is_operators(0))
        (void)take(&last);
}

/* To a place before its own, which takes the same right as to come back to its own. */
static bool may_rise(int nice)
{
    const struct place before = {.size = sizeof(before), .policy = SCHED_OTHER, .nice = nice - 1};
    const struct place own = {.size = sizeof(own), .policy = SCHED_OTHER, .nice = nice};

    return nice > -20 && take(&before) && take(&own);
}

void priority_below(void)
{
    int nice = priority_nice();

    if (priority_is_operators(0))
        return;
    if (may_rise(nice))
        priority_last();
    else
        (void)take_slice(nice, SHORT_SLICE_NS);
}
