/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/migrate/rounds.h"

#include "lib/wire/format.h"

#define ROUNDS_SECOND_NS     INT64_C(1000000000)
#define ROUNDS_DOWNTIME_NS   INT64_C(300000000)
/* How long the guest is watched before it is slowed down further. */
#define ROUNDS_PERIOD_NS     ROUNDS_SECOND_NS
/* Less than this says little about a bandwidth. */
#define ROUNDS_MEASURE_BYTES (256u << 10)

void rounds_set(struct rounds *r, const struct ferry_migrate_parameters *p)
{
    r->downtime_limit_ns = p->downtime_limit_ns ? p->downtime_limit_ns : ROUNDS_DOWNTIME_NS;
    r->given_bps = p->avail_switchover_bandwidth_bps;
}

void rounds_init(struct rounds *r, const struct ferry_migrate_parameters *p)
{
    *r = (struct rounds){.fixed_ns = ROUNDS_FIXED_NS};
    rounds_set(r, p);
}

static uint64_t per_second(uint64_t n, int64_t duration_ns)
{
    return (uint64_t)((__uint128_t)n * (uint64_t)ROUNDS_SECOND_NS /
                      (uint64_t)(duration_ns > 0 ? duration_ns : 1));
}

void rounds_account(struct rounds *r, uint64_t sent_bytes, int64_t duration_ns,
                    uint64_t dirty_pages)
{
    uint64_t bps = per_second(sent_bytes, duration_ns);

    r->count++;
    /*
     * A short round is mostly its latency, so a slow one proves nothing. One that was faster than
     * what is known does: else a link that was slow once is never trusted again by a guest that
     * writes little. By twice at most, as it may have filled a buffer only.
     */
    if (sent_bytes >= ROUNDS_MEASURE_BYTES || !r->bandwidth_bps)
        r->bandwidth_bps = bps;
    else if (bps > r->bandwidth_bps)
        r->bandwidth_bps = bps / 2 < r->bandwidth_bps ? bps : r->bandwidth_bps * 2;
    /* A round ends with an answer. One that once took long, as the first may, need not again. */
    if (duration_ns >= 0 && duration_ns < r->answer_ns)
        r->answer_ns = duration_ns;
    r->dirty_pages_rate = per_second(dirty_pages, duration_ns);
    /* More than a period counts as one. */
    r->period_ns += duration_ns < ROUNDS_PERIOD_NS ? duration_ns : ROUNDS_PERIOD_NS;
    r->period_sent_bytes += sent_bytes;
    r->period_dirty_pages += dirty_pages;
}

bool rounds_enough(struct rounds *r, uint64_t sent_pages, uint64_t left_pages)
{
    uint64_t bps = r->given_bps ? r->given_bps : r->bandwidth_bps;
    int64_t fixed_ns = r->fixed_ns + 3 * r->answer_ns;
    __uint128_t send_ns =
        (__uint128_t)left_pages * WIRE_PAGE_BYTES * (uint64_t)ROUNDS_SECOND_NS / (bps ? bps : 1);

    r->expected_ns = send_ns > INT64_MAX / 2 ? INT64_MAX / 2 : (int64_t)send_ns;
    r->expected_ns += fixed_ns;
    /* With nothing left, waiting longer does not help. */
    if (left_pages == 0)
        return true;
    if (r->expected_ns > r->downtime_limit_ns)
        return false;
    /*
     * What may last so long may still be shorter. As long as each round is at most half of the one
     * before, all that follow take no longer than the last one did.
     */
    return send_ns <= (uint64_t)fixed_ns || left_pages > sent_pages / 2;
}

/* What the guest may keep of the time, so that it writes no more than the goal. */
static unsigned throttle_needed(const struct rounds *r, uint64_t goal_bytes, uint64_t dirty_bytes)
{
    unsigned runs_percent = 100 - r->throttle_percent;

    return 100 - (unsigned)((__uint128_t)runs_percent * goal_bytes / dirty_bytes);
}

unsigned rounds_throttle(struct rounds *r, const struct ferry_migrate_parameters *p)
{
    unsigned trigger = p->throttle_trigger_percent ? p->throttle_trigger_percent : 50;
    unsigned initial = p->throttle_initial_percent ? p->throttle_initial_percent : 20;
    unsigned increment = p->throttle_increment_percent ? p->throttle_increment_percent : 10;
    unsigned max = p->throttle_max_percent ? p->throttle_max_percent : 99;
    uint64_t dirty_bytes = r->period_dirty_pages * WIRE_PAGE_BYTES;
    uint64_t goal_bytes = r->period_sent_bytes / 100 * trigger;
    unsigned next = r->throttle_percent ? r->throttle_percent + increment : initial;

    if (r->period_ns < ROUNDS_PERIOD_NS)
        return r->throttle_percent;
    r->period_ns = 0;
    r->period_sent_bytes = r->period_dirty_pages = 0;
    /* Once may be chance. */
    if (dirty_bytes <= goal_bytes || ++r->worse < 2)
        return r->throttle_percent;
    r->worse = 0;
    if (p->throttle_tailslow && r->throttle_percent) {
        unsigned needed = throttle_needed(r, goal_bytes, dirty_bytes);

        next = needed < next ? needed : next;
    }
    r->throttle_percent = next < max ? next : max;
    return r->throttle_percent;
}
