/* SPDX-License-Identifier: Apache-2.0 */
/* The host's clocks. Not for lib/wire, lib/state and lib/codec, which know no time. */
#pragma once

#include <stdint.h>
#include <time.h>

static inline int64_t clock_read_ns(clockid_t id)
{
    struct timespec ts;

    clock_gettime(id, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

/* What the system calls want; not negative. */
static inline struct timespec clock_timespec(int64_t ns)
{
    return (struct timespec){.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
}

/* CLOCK_MONOTONIC: the same value in every process of this host until it reboots. */
static inline int64_t clock_monotonic_ns(void)
{
    return clock_read_ns(CLOCK_MONOTONIC);
}

static inline int64_t clock_realtime_ns(void)
{
    return clock_read_ns(CLOCK_REALTIME);
}

/*
 * CLOCK_REALTIME less CLOCK_MONOTONIC: the closest of a few readings, as a thread can lose its core
 * between two.
 */
static inline int64_t clock_realtime_offset_ns(void)
{
    int64_t closest_ns = INT64_MAX, offset_ns = 0;

    for (int i = 0; i < 5; i++) {
        int64_t before_ns = clock_monotonic_ns(), real_ns = clock_realtime_ns();
        int64_t took_ns = clock_monotonic_ns() - before_ns;

        if (took_ns < closest_ns) {
            closest_ns = took_ns;
            offset_ns = real_ns - before_ns - took_ns / 2;
        }
    }
    return offset_ns;
}
