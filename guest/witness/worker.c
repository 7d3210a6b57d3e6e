// SPDX-License-Identifier: Apache-2.0
/*
 * Threads of the checks: pinned, with a priority, able to stand still, and watched.
 *
 * An operation that waits for the machine (a disk request, a timer) is put between op_begin() and
 * op_end(). The watchdog counts its own ticks, not time, so that a machine that stood still as a
 * whole, however long, is not taken for a lost interrupt.
 */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "witness.h"

#define WATCHDOG_TICK_NS (100 * NS_PER_MS)

struct worker *worker_add(struct witness *w, const char *name, int hart, int fifo_priority,
                          void (*run)(struct worker *), void *arg)
{
    struct worker *worker;

    if (w->worker_count == WITNESS_WORKERS_MAX)
        return NULL;
    worker = &w->workers[w->worker_count++];
    worker->w = w;
    snprintf(worker->name, sizeof(worker->name), "%s", name);
    worker->hart = hart;
    worker->fifo_priority = fifo_priority;
    worker->run = run;
    worker->arg = arg;
    return worker;
}

static void *begin(void *arg)
{
    struct worker *me = arg;

    pthread_setname_np(pthread_self(), me->name);
    me->run(me);
    return NULL;
}

static void start(struct worker *worker)
{
    struct sched_param priority = {.sched_priority = worker->fifo_priority};
    pthread_attr_t attr;
    cpu_set_t harts;
    int failed;

    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, 128 * 1024);
    CPU_ZERO(&harts);
    for (int hart = 0; hart < (int)worker->w->harts; hart++)
        if (hart == worker->hart || (worker->hart < 0 && hart != gap_hart(worker->w)))
            CPU_SET(hart, &harts);
    pthread_attr_setaffinity_np(&attr, sizeof(harts), &harts);
    if (worker->fifo_priority) {
        pthread_attr_setinheritsched(&attr, PTHREAD_EXPLICIT_SCHED);
        pthread_attr_setschedpolicy(&attr, SCHED_FIFO);
        pthread_attr_setschedparam(&attr, &priority);
    }
    failed = pthread_create(&worker->thread, &attr, begin, worker);
    if (failed)
        verdict_fail(worker->w, "cannot start %s: %s", worker->name, strerror(failed));
    pthread_attr_destroy(&attr);
}

static void watch(struct worker *me)
{
    struct witness *w = me->w;
    unsigned int limit_ticks = (unsigned int)(w->options.stall_s * NS_PER_S / WATCHDOG_TICK_NS);

    for (;;) {
        sleep_until_ns(now_ns() + WATCHDOG_TICK_NS);
        for (unsigned int i = 0; i < w->worker_count; i++) {
            unsigned int age = atomic_load(&w->workers[i].op_age_ticks);

            if (!age || !atomic_compare_exchange_strong(&w->workers[i].op_age_ticks, &age, age + 1))
                continue;
            if (age == limit_ticks)
                verdict_fail(w, "%s has waited %llu s for its operation to end", w->workers[i].name,
                             (unsigned long long)w->options.stall_s);
        }
    }
}

void workers_start(struct witness *w)
{
    FILE *limit = fopen("/proc/sys/kernel/sched_rt_runtime_us", "we");

    /* Throttling real-time threads would show as gaps of 50 ms in every second. */
    if (limit) {
        fputs("-1", limit);
        fclose(limit);
    }
    if (w->worker_count)
        worker_add(w, "watchdog", -1, 0, watch, NULL);
    for (unsigned int i = 0; i < w->worker_count; i++)
        start(&w->workers[i]);
}

bool worker_stand_if_parked(struct worker *me)
{
    struct witness *w = me->w;
    bool stood = false;

    /* Read without the lock: a worker comes by again in a moment. */
    if (!atomic_load(&w->park_wanted))
        return false;
    pthread_mutex_lock(&w->lock);
    w->standing++;
    pthread_cond_broadcast(&w->changed);
    while (atomic_load(&w->park_wanted)) {
        stood = true;
        pthread_cond_wait(&w->changed, &w->lock);
    }
    w->standing--;
    pthread_mutex_unlock(&w->lock);
    return stood;
}

/* Returns when no worker that comes by worker_stand_if_parked() computes any more. */
void workers_park(struct witness *w)
{
    pthread_mutex_lock(&w->lock);
    atomic_store(&w->park_wanted, true);
    while (w->standing < w->parkable && !atomic_load(&w->failed))
        pthread_cond_wait(&w->changed, &w->lock);
    pthread_mutex_unlock(&w->lock);
}

void workers_unpark(struct witness *w)
{
    pthread_mutex_lock(&w->lock);
    atomic_store(&w->park_wanted, false);
    pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->lock);
}

bool worker_pass_due(struct worker *me, unsigned int *seen)
{
    unsigned int wanted = atomic_load(&me->w->verify_pass);

    if (wanted == *seen)
        return false;
    *seen = wanted;
    return true;
}

void worker_pass_done(struct worker *me)
{
    pthread_mutex_lock(&me->w->lock);
    me->w->verified_workers++;
    pthread_cond_broadcast(&me->w->changed);
    pthread_mutex_unlock(&me->w->lock);
}

void op_begin(struct worker *me)
{
    atomic_store(&me->op_age_ticks, 1);
}

void op_end(struct worker *me)
{
    atomic_store(&me->op_age_ticks, 0);
}
