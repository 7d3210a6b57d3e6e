/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/move/announce.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/num.h"
#include "vmm/machine/loop.h"
#include "vmm/vm/vm_internal.h"

#define NS_PER_MS 1000000

struct announcer {
    struct vm *vm;
    struct loop_timer *timer;
    struct announcer_params params;
    uint64_t done;
};

static void announce(void *arg)
{
    struct announcer *a = arg;
    const struct announcer_params *p = &a->params;
    uint64_t delay_ms = num_min(p->initial_ms + a->done * p->step_ms, p->max_ms);

    if (a->done >= p->rounds)
        return;
    a->done++;
    vm_announce(a->vm);
    loop_timer_set(a->timer, clock_monotonic_ns() + (int64_t)delay_ms * NS_PER_MS);
}

int announcer_new(struct announcer **ret, struct vm *vm, struct ferry_err *err)
{
    struct announcer *a = calloc(1, sizeof(*a));
    int rc;

    if (!a)
        return err_set(err, ENOMEM, "out of memory");
    a->vm = vm;
    rc = loop_timer_new(&a->timer, vm_loop(vm), announce, a, err);
    if (rc < 0) {
        free(a);
        return rc;
    }
    *ret = a;
    return 0;
}

void announcer_free(struct announcer *a)
{
    if (!a)
        return;
    loop_timer_free(a->timer);
    free(a);
}

void announcer_start(struct announcer *a, const struct announcer_params *params)
{
    a->params = *params;
    a->done = 0;
    announce(a);
}

void announcer_stop(struct announcer *a)
{
    a->done = a->params.rounds;
    loop_timer_set(a->timer, INT64_MAX);
}
