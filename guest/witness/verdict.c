// SPDX-License-Identifier: Apache-2.0
/* What the checks found: the first failure for good, and a full pass over everything on demand. */
#include <stdarg.h>
#include <stdio.h>

#include "witness.h"

void verdict_init(struct witness *w)
{
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->changed, NULL);
}

void verdict_fail(struct witness *w, const char *format, ...)
{
    char reason[sizeof(w->reason)];
    va_list args;

    if (atomic_load(&w->leaving))
        return;
    va_start(args, format);
    vsnprintf(reason, sizeof(reason), format, args);
    va_end(args);
    pthread_mutex_lock(&w->lock);
    if (!atomic_load(&w->failed)) {
        snprintf(w->reason, sizeof(w->reason), "%s", reason);
        atomic_store(&w->failed, true);
    }
    pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->lock);
    say("WITNESS FAIL: %s", reason);
}

/* Every page and every block, not only those that the workers' rounds came by since the last time.
 */
static void verify_everything(struct witness *w)
{
    unsigned int all = w->mem.workers + w->disk.workers;

    pthread_mutex_lock(&w->lock);
    w->verified_workers = 0;
    atomic_fetch_add(&w->verify_pass, 1);
    while (w->verified_workers < all && !atomic_load(&w->failed))
        pthread_cond_wait(&w->changed, &w->lock);
    pthread_mutex_unlock(&w->lock);
}

void verdict_say(struct witness *w, bool full)
{
    if (full && w->options.checks && !atomic_load(&w->failed))
        verify_everything(w);
    if (atomic_load(&w->failed)) {
        /* The reason is written before the flag is set, and never again. */
        say("witness: verdict FAIL %s", w->reason);
        return;
    }
    say("witness: verdict OK t=%llu mem_pages=%llu mem_verified=%llu disk_writes=%llu "
        "disk_reads=%llu "
        "gap_us=%llu steps_back=%llu timers=%llu timer_late_us=%llu rng=%llu udp_rx=%llu "
        "udp_lost=%llu "
        "udp_dup=%llu",
        (unsigned long long)((now_ns() - w->start_ns) / NS_PER_S),
        (unsigned long long)atomic_load(&w->mem.pages),
        (unsigned long long)atomic_load(&w->mem.verified),
        (unsigned long long)atomic_load(&w->disk.writes),
        (unsigned long long)atomic_load(&w->disk.reads),
        (unsigned long long)(atomic_load(&w->gap.longest_ns) / NS_PER_US),
        (unsigned long long)atomic_load(&w->gap.steps_back),
        (unsigned long long)atomic_load(&w->timers.fired),
        (unsigned long long)(atomic_load(&w->timers.latest_ns) / NS_PER_US),
        (unsigned long long)atomic_load(&w->rng.reads),
        (unsigned long long)atomic_load(&w->net.received),
        (unsigned long long)atomic_load(&w->net.lost),
        (unsigned long long)atomic_load(&w->net.duplicated));
}
