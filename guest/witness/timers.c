// SPDX-License-Identifier: Apache-2.0
/*
 * Timers: on every hart a periodic timer and single sleeps, which may come late but never early,
 * and whose expirations must add up. One that never comes is the watchdog's to find.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "witness.h"

#define PERIOD_NS       (10 * NS_PER_MS)
#define QUIET_PERIOD_NS (50 * NS_PER_MS) /* on the hart that measures gaps */
#define SLEEP_NS        (2 * NS_PER_MS)
#define SLEEP_EVERY     8
#define FIFO_PRIORITY   20

static void late(struct worker *me, const char *what, uint64_t due_ns, uint64_t now)
{
    struct timer_check *timers = &me->w->timers;
    uint_fast64_t latest = atomic_load(&timers->latest_ns);

    if (now < due_ns) {
        verdict_fail(me->w, "timers: a %s on hart %d came %llu ns early", what, me->hart,
                     (unsigned long long)(due_ns - now));
        return;
    }
    while (now - due_ns > latest &&
           !atomic_compare_exchange_weak(&timers->latest_ns, &latest, now - due_ns))
        ;
}

static void sleep_once(struct worker *me)
{
    uint64_t due_ns = clock_observe(me) + SLEEP_NS;

    op_begin(me);
    sleep_until_ns(due_ns);
    op_end(me);
    late(me, "sleep", due_ns, clock_observe(me));
}

static void run_timers(struct worker *me)
{
    struct witness *w = me->w;
    uint64_t period_ns = me->hart == gap_hart(w) ? QUIET_PERIOD_NS : PERIOD_NS;
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);

    for (;;) {
        uint64_t start_ns = clock_observe(me);
        uint64_t fired = 0;
        uint64_t first_ns = start_ns + period_ns;
        struct itimerspec periodic = {
            .it_interval.tv_nsec = (long)period_ns,
            .it_value = {.tv_sec = (time_t)(first_ns / NS_PER_S),
                         .tv_nsec = (long)(first_ns % NS_PER_S)},
        };

        if (timerfd_settime(fd, TFD_TIMER_ABSTIME, &periodic, NULL) < 0) {
            verdict_fail(w, "timers: timerfd_settime: %s", strerror(errno));
            return;
        }
        while (!worker_stand_if_parked(me)) {
            uint64_t times = 0;
            ssize_t got;

            op_begin(me);
            got = read(fd, &times, sizeof(times));
            op_end(me);
            if (got != sizeof(times)) {
                verdict_fail(w, "timers: read of a timerfd gave %zd", got);
                return;
            }
            fired += times;
            atomic_fetch_add(&w->timers.fired, times);
            late(me, "timer", start_ns + fired * period_ns, clock_observe(me));
            if (fired % SLEEP_EVERY == 0)
                sleep_once(me);
        }
    }
}

void timers_add(struct witness *w)
{
    char name[16];

    for (int hart = 0; hart < (int)w->harts; hart++) {
        snprintf(name, sizeof(name), "timer%d", hart);
        worker_add(w, name, hart, FIFO_PRIORITY, run_timers, NULL);
        w->parkable++;
    }
}
