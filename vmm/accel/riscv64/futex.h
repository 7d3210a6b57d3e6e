/* SPDX-License-Identifier: Apache-2.0 */
/* Sleeping on a word until somebody changes it: the shortest way into the kernel and out. */
#pragma once

#include <linux/futex.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

/*
 * Sleep while *word is expected; returns early for any reason, so the caller looks again. deadline
 * is CLOCK_MONOTONIC; INT64_MAX = none.
 */
static inline void futex_wait(_Atomic uint32_t *word, uint32_t expected, int64_t deadline_ns)
{
    struct timespec ts, *timeout = NULL;

    if (deadline_ns != INT64_MAX) {
        int64_t ns = deadline_ns > 0 ? deadline_ns : 0;

        ts = clock_timespec(ns);
        timeout = &ts;
    }
    syscall(SYS_futex, word, FUTEX_WAIT_BITSET_PRIVATE, expected, timeout, NULL,
            FUTEX_BITSET_MATCH_ANY);
}

static inline void futex_wake_all(_Atomic uint32_t *word)
{
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT32_MAX, NULL, NULL, 0);
}
