/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How much of what somebody else sends is taken before it is somebody else's turn.
 *
 * A loop that goes on for as long as there is something to read belongs to whoever writes: a peer
 * that writes faster than it is read keeps the thread, its deadlines and its other sources from
 * ever being looked at. So every loop over foreign input has a budget: so many bytes (or whatever
 * it counts), and so long. When it is spent the loop returns to the event loop, which comes back
 * for the rest, as the fd is still readable; deadlines are looked at in between.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"

/* What one source of bytes may take of the main thread, where it has no reason of its own. */
#define BUDGET_TURN_BYTES (UINT64_C(64) << 10)
#define BUDGET_TURN_NS    INT64_C(1000000)

struct budget {
    uint64_t left;
    int64_t until_ns;
    /*
     * When it was last found not to be spent. Deadlines are compared with this, not with now: what
     * came while the process slept is heard before it is called late.
     */
    int64_t looked_ns;
};

static inline struct budget budget_make(uint64_t amount, int64_t limit_ns)
{
    int64_t now_ns = clock_monotonic_ns();

    return (struct budget){.left = amount, .until_ns = now_ns + limit_ns, .looked_ns = now_ns};
}

/* For one turn of the event loop. */
static inline struct budget budget_turn(void)
{
    return budget_make(BUDGET_TURN_BYTES, BUDGET_TURN_NS);
}

/* Either is spent: return to the event loop. */
static inline bool budget_spent(struct budget *b)
{
    int64_t now_ns = clock_monotonic_ns();

    if (b->left == 0 || now_ns >= b->until_ns)
        return true;
    b->looked_ns = now_ns;
    return false;
}

/* It was taken, if it was more than what was left, too. */
static inline void budget_take(struct budget *b, uint64_t amount)
{
    b->left -= amount < b->left ? amount : b->left;
}
