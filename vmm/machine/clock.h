/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's clock: virtual nanoseconds that stand still while the VM is stopped, and timers on
 * it. mtime = ns / 100. Reading is for any thread and takes no lock; everything else is for the
 * main thread unless it says otherwise. Timer callbacks run on the main thread with the machine
 * lock held and not while the clock is stopped; their deadlines are device state and belong to the
 * devices.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <ferry/err.h>
#include <ferry/part.h>

#include "vmm/machine/lock.h"
#include "vmm/machine/loop.h"

#define CLOCK_MTIME_TICK_NS 100 /* 10 MHz timebase */
/* The latest time a guest can set: 73 years, so that there is room to run on and to add to. */
#define CLOCK_SET_NS_MAX    (INT64_MAX / 4)

struct guest_clock;
struct guest_timer;

int guest_clock_new(struct guest_clock **ret, struct loop *loop, struct machine_lock *lock,
                    struct ferry_err *err) FERRY_MUST_CHECK;
void guest_clock_free(struct guest_clock *c);
/* Stopped at 0 when new. These two take the machine lock. */
void guest_clock_start(struct guest_clock *c);
void guest_clock_stop(struct guest_clock *c);
/*
 * Continue from here: with the machine lock held, or while no hart runs and the clock is stopped.
 * Timers keep their deadlines. A hart that sleeps until a deadline of the old time is not woken.
 */
void guest_clock_set(struct guest_clock *c, int64_t ns);
int64_t guest_clock_ns(const struct guest_clock *c);
/* QEMU's "timer" section: where the clock stands. Loads before anything that has a deadline. */
struct ferry_part guest_clock_part(struct guest_clock *c);
/*
 * The CLOCK_MONOTONIC instant at which the guest clock will read ns if it keeps running; INT64_MAX
 * while it is stopped or if never. For a hart that sleeps until its timer.
 */
int64_t guest_clock_host_deadline_ns(const struct guest_clock *c, int64_t ns);

/* Created in any order with the clock's state; disarmed at first. */
int guest_timer_new(struct guest_timer **ret, struct guest_clock *c, void (*fn)(void *arg),
                    void *arg, struct ferry_err *err) FERRY_MUST_CHECK;
/* Fires once when the clock reaches ns (at once if it has); INT64_MAX disarms. Machine lock held;
 * any thread. */
void guest_timer_set(struct guest_timer *t, int64_t ns);
void guest_timer_free(struct guest_timer *t);
