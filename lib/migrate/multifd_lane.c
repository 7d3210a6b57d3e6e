/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/migrate/multifd_lane.h"

#include <errno.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/own.h"
#include "lib/wire/format.h"

int multifd_lane_start(struct multifd_lane *l, struct ferry_chan **chan, bool thread,
                       lane_step_fn *step, struct ferry_err *err)
{
    int r = 0;

    l->chan = *chan;
    if (l->coder) {
        l->packed = malloc(WIRE_MULTIFD_DATA_MAX_BYTES);
        r = l->packed ? 0 : err_set(err, ENOMEM, "no memory for packed pages");
    }
    if (r == 0 && thread)
        r = lane_start(&l->lane, "ferry-multifd", step, l, err);
    if (r < 0) {
        l->chan = NULL;
        multifd_lane_end(l);
        return r;
    }
    *chan = NULL;
    return 0;
}

void multifd_lane_end(struct multifd_lane *l)
{
    lane_stop(TAKE_PTR(l->lane));
    if (l->coder)
        l->coder_free(TAKE_PTR(l->coder));
    ferry_chan_free(TAKE_PTR(l->chan));
    free(TAKE_PTR(l->packed));
}

void multifd_lane_kick(const struct multifd_lane *l)
{
    if (l->lane)
        lane_kick(l->lane);
}

void multifd_lane_add(const struct multifd_lane *l, struct multifd_totals *t)
{
    t->bytes += atomic_load(&l->bytes);
    t->zero_pages += atomic_load(&l->zero_pages);
    t->normal_pages += atomic_load(&l->normal_pages);
}
