/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/backend/loss.h"

#include "base/clock.h"

bool loss_begin(struct loss *l, int errnum)
{
    int64_t now_ns;

    if (l->goes_on)
        return false;
    l->goes_on = true;
    now_ns = clock_monotonic_ns();
    if (l->told_ns && now_ns - l->told_ns < LOSS_CALM_NS)
        return false;
    l->told_ns = now_ns;
    l->untold = errnum;
    return true;
}

void loss_end(struct loss *l)
{
    l->goes_on = false;
}

int loss_take(struct loss *l)
{
    int errnum = l->untold;

    l->untold = 0;
    return errnum;
}
