/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's clock: virtual nanoseconds that stand still while the VM is stopped, and timers on
 * it. Reading is for any thread and takes no lock; everything else is for the
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

/* The latest time a guest can set: 73 years, so that there is room to run on and to add to. */
#define CLOCK_SET_NS_MAX (INT64_MAX / 4)

struct guest_clock;
struct guest_timer;

int guest_clock_new(struct guest_clock **ret, struct loop *loop, struct machine_lock *lock,
                    struct ferry_err *err) FERRY_MUST_CHECK;
void guest_clock_free(struct guest_clock *c);
/*
 * Stopped at 0 when new. These three take the machine lock; what is so already stays so. The first
 * start of one that arrived and knows since when it stands puts it forward by that time, unless
 * guest_clock_stand() was said: never backwards, nor beyond CLOCK_SET_NS_MAX.
 */
void guest_clock_start(struct guest_clock *c);
void guest_clock_stop(struct guest_clock *c);
/*
 * Instead of start: as if what stopped it at that instant, CLOCK_MONOTONIC, had not. For a stop
 * that the guest shall not see, here or in the process that it came from.
 */
void guest_clock_go_on(struct guest_clock *c, int64_t stopped_ns);
/* The instant at which it stopped, CLOCK_MONOTONIC; 0: it was not here. Only while it is stopped,
 * on the main thread.
 */
int64_t guest_clock_stopped_ns(const struct guest_clock *c);
/*
 * Continue from here: with the machine lock held, or while no hart runs and the clock is stopped.
 * Timers keep their deadlines. A hart that sleeps until a deadline of the old time is not woken.
 */
void guest_clock_set(struct guest_clock *c, int64_t ns);
/* The machine was reset: from 0, and nothing is left to catch up with. As guest_clock_set(). */
void guest_clock_reset(struct guest_clock *c);
int64_t guest_clock_ns(const struct guest_clock *c);
/*
 * Who reads what is saved next: said before the pause, as a clock that runs then is one that stood
 * since the pause, and any other since it was saved.
 */
enum guest_clock_reader {
    GUEST_CLOCK_FOR_UPDATE, /* on the same host: what is to be caught up with stays so */
    GUEST_CLOCK_FOR_FERRY,  /* is told since when it stands */
    GUEST_CLOCK_FOR_QEMU,   /* is not */
};
void guest_clock_saves_for(struct guest_clock *c, enum guest_clock_reader reader);
/* It arrived, and is told since when it stands; not so by QEMU, or a ferry that is older. */
bool guest_clock_knows_since(const struct guest_clock *c);
/* Forget it: it goes on from where it stood. */
void guest_clock_stand(struct guest_clock *c);
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
