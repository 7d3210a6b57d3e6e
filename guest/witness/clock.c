// SPDX-License-Identifier: Apache-2.0
/*
 * The guest's clock: it never steps back, on any hart or between harts, and the longest time
 * between two readings is what a pause of the machine looks like from inside.
 *
 * With several harts the last one is left to this check, which reads the clock in a tight loop at
 * the highest ordinary priority: the kernel's own threads can still run there when they must.
 * With a single hart a tight loop would starve the other checks: there a real-time thread wakes up
 * often enough to bound a pause from above. `spin` runs the tight loop as a real-time thread on any
 * machine, for a given time.
 *
 * What interrupts and the kernel do to the loop even without a pause is reported beside it: the
 * median, over the last seconds, of the longest gap in each tenth of a second.
 */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "witness.h"

#define SPIN_NS           (20 * NS_PER_MS)
#define LONE_HART_REST_NS (250 * NS_PER_US)
#define PRINT_NS          (5 * NS_PER_MS)
#define WINDOW_NS         (100 * NS_PER_MS)
#define WINDOWS           32
#define FIFO_PRIORITY     10
#define SPIN_PRIORITY     90
#define BEST_NICE         (-20)

uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

void sleep_until_ns(uint64_t when_ns)
{
    struct timespec when = {.tv_sec = (time_t)(when_ns / NS_PER_S),
                            .tv_nsec = (long)(when_ns % NS_PER_S)};

    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &when, NULL) == EINTR)
        ;
}

static void raise_to(atomic_uint_fast64_t *maximum, uint64_t value)
{
    uint_fast64_t old = atomic_load(maximum);

    while (value > old && !atomic_compare_exchange_weak(maximum, &old, value))
        ;
}

static void stepped_back(struct worker *me, uint64_t from_ns, uint64_t to_ns)
{
    atomic_fetch_add(&me->w->gap.steps_back, 1);
    verdict_fail(me->w, "the clock of hart %d stepped back from %llu ns to %llu ns", me->hart,
                 (unsigned long long)from_ns, (unsigned long long)to_ns);
}

uint64_t clock_observe(struct worker *me)
{
    /* Whatever another hart has already seen is the past for this reading. */
    uint64_t newest = atomic_load(&me->w->gap.newest_ns);
    uint64_t now = now_ns();

    if (now < newest)
        stepped_back(me, newest, now);
    raise_to(&me->w->gap.newest_ns, now);
    return now;
}

struct gap_run {
    struct worker *me;
    uint64_t last_ns;
    uint64_t window_end_ns;
    uint64_t window_longest_ns;
    uint64_t windows_ns[WINDOWS];
    unsigned int window_count;
};

static void note(struct gap_run *run, uint64_t gap_ns)
{
    raise_to(&run->me->w->gap.longest_since_ns, gap_ns);
    raise_to(&run->me->w->gap.longest_ns, gap_ns);
    run->window_longest_ns = gap_ns;
}

/* Reading by reading until the given time; returns the longest gap. */
static uint64_t spin(struct gap_run *run, uint64_t until_ns)
{
    uint64_t longest_ns = 0;
    uint64_t last = run->last_ns;

    while (last < until_ns) {
        uint64_t now = now_ns();

        if (now < last)
            stepped_back(run->me, last, now);
        else if (now - last > longest_ns) {
            longest_ns = now - last;
            if (longest_ns > run->window_longest_ns)
                note(run, longest_ns);
            else
                raise_to(&run->me->w->gap.longest_since_ns, longest_ns);
        }
        last = now;
    }
    run->last_ns = last;
    return longest_ns;
}

static int compare(const void *a, const void *b)
{
    const uint64_t *x = a;
    const uint64_t *y = b;

    return (*x > *y) - (*x < *y);
}

static void end_window(struct gap_run *run)
{
    uint64_t sorted[WINDOWS];
    unsigned int count;

    run->windows_ns[run->window_count++ % WINDOWS] = run->window_longest_ns;
    run->window_longest_ns = 0;
    run->window_end_ns = run->last_ns + WINDOW_NS;
    if (run->window_count % 8)
        return;
    count = run->window_count < WINDOWS ? run->window_count : WINDOWS;
    memcpy(sorted, run->windows_ns, count * sizeof(sorted[0]));
    qsort(sorted, count, sizeof(sorted[0]), compare);
    atomic_store(&run->me->w->gap.baseline_ns, sorted[count / 2]);
}

static void set_fifo(struct worker *me, int priority)
{
    const struct sched_param param = {.sched_priority = priority};

    if (pthread_setschedparam(pthread_self(), priority ? SCHED_FIFO : SCHED_OTHER, &param) != 0)
        verdict_fail(me->w, "gap: cannot change the priority");
    if (!priority)
        setpriority(PRIO_PROCESS, (id_t)gettid(), BEST_NICE);
}

/*
 * Nothing else runs on this hart meanwhile, so it must be short and wanted. Printing the line that
 * tells the host to go on takes the console driver some time, which is no gap; only what cannot be
 * the driver is counted, because the host may act on the line before we are back.
 */
static void spin_on_demand(struct gap_run *run, uint64_t length_ms)
{
    bool alone = gap_hart(run->me->w) < 0;
    uint64_t before_ns, print_ns, longest_ns;

    set_fifo(run->me, SPIN_PRIORITY);
    before_ns = clock_observe(run->me);
    say("witness: spin begins ms=%llu", (unsigned long long)length_ms);
    run->last_ns = clock_observe(run->me);
    print_ns = run->last_ns - before_ns;
    longest_ns = spin(run, run->last_ns + length_ms * NS_PER_MS);
    if (print_ns > PRINT_NS) {
        note(run, print_ns);
        if (print_ns > longest_ns)
            longest_ns = print_ns;
    }
    set_fifo(run->me, alone ? FIFO_PRIORITY : 0);
    say("witness: spin gap_us=%llu", (unsigned long long)(longest_ns / NS_PER_US));
    run->last_ns = clock_observe(run->me);
}

static void run_gap(struct worker *me)
{
    struct gap_check *gap = &me->w->gap;
    bool alone = gap_hart(me->w) < 0;
    struct gap_run run = {.me = me};

    set_fifo(me, alone ? FIFO_PRIORITY : 0);
    run.last_ns = clock_observe(me);
    run.window_end_ns = run.last_ns + WINDOW_NS;
    for (;;) {
        uint64_t length_ms = atomic_exchange(&gap->spin_ms, 0);

        if (length_ms)
            spin_on_demand(&run, length_ms);
        if (worker_stand_if_parked(me))
            run.last_ns = clock_observe(me);
        if (alone)
            sleep_until_ns(run.last_ns + LONE_HART_REST_NS);
        spin(&run, alone ? run.last_ns + 1 : run.last_ns + SPIN_NS);
        if (run.last_ns >= run.window_end_ns) {
            end_window(&run);
            run.last_ns = clock_observe(me);
        }
    }
}

int gap_hart(const struct witness *w)
{
    return w->harts > 1 && w->options.checks ? (int)w->harts - 1 : -1;
}

void gap_add(struct witness *w)
{
    int hart = gap_hart(w);

    worker_add(w, "gap", hart < 0 ? 0 : hart, 0, run_gap, NULL);
    w->parkable++;
}

uint64_t gap_take(struct witness *w)
{
    return atomic_exchange(&w->gap.longest_since_ns, 0);
}
