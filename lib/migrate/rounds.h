/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When is little enough left to stop the guest for it? Policy only: numbers in, a decision out.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <ferry/migrate.h>

/* Before anything was measured: saving, loading and the answers in between. */
#define ROUNDS_FIXED_NS INT64_C(2000000)

struct rounds {
    int64_t downtime_limit_ns;
    uint64_t given_bps; /* bandwidth of the switchover as the operator says; 0: measured */
    int64_t fixed_ns;   /* of the pause, whatever is left to send */
    int64_t answer_ns;  /* until the target answers: in the pause there are two questions, and the
                           way of the last page */

    uint64_t bandwidth_bps;
    uint64_t dirty_pages_rate;
    int64_t expected_ns;
    uint64_t count;
    /* auto-converge */
    unsigned throttle_percent;
    unsigned worse; /* periods in which too much was written */
    int64_t period_ns;
    uint64_t period_sent_bytes, period_dirty_pages;
};

void rounds_init(struct rounds *r, const struct ferry_migrate_parameters *p);
void rounds_set(struct rounds *r, const struct ferry_migrate_parameters *p);
/* A round of sent_bytes took duration_ns; dirty_pages were written meanwhile. */
void rounds_account(struct rounds *r, uint64_t sent_bytes, int64_t duration_ns,
                    uint64_t dirty_pages);
/*
 * A round of sent_pages has ended and so much is left: stop the guest now? Leaves the expectation
 * in expected_ns.
 */
bool rounds_enough(struct rounds *r, uint64_t sent_pages, uint64_t left_pages);
/* After rounds_account: the throttle that is due, throttle_percent if it stays. */
unsigned rounds_throttle(struct rounds *r, const struct ferry_migrate_parameters *p);
