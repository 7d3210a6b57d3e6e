/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/supervisor/urgency.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/priority.h"
#include "vmm/machine/loop.h"
#include "vmm/supervisor/supervisor_link.h"

/* The guest runs meanwhile; an answer takes some 50 us where a processor is free. */
#define URGENCY_PATIENCE_NS INT64_C(50000000)

struct urgency {
    struct supervisor_link *supervisor; /* loan */
    struct loop_timer *patience;
    void (*drained)(void *arg);
    void *arg;
    bool update, asked, urgent;
    int nice; /* of the main thread, before it was urgent */
};

/* Granted, refused, or not to be waited for. */
static void answered(void *arg)
{
    struct urgency *u = arg;

    if (!u->asked)
        return;
    u->asked = false;
    loop_timer_set(u->patience, INT64_MAX);
    u->drained(u->arg);
}

int urgency_new(struct urgency **ret, struct loop *loop, struct supervisor_link *supervisor,
                void (*drained)(void *arg), void *arg, struct ferry_err *err)
{
    struct urgency *u = calloc(1, sizeof(*u));
    int rc;

    if (!u)
        return err_set(err, ENOMEM, "out of memory");
    u->supervisor = supervisor;
    u->drained = drained;
    u->arg = arg;
    rc = loop_timer_new(&u->patience, loop, answered, u, err);
    if (rc < 0) {
        free(u);
        return rc;
    }
    *ret = u;
    return 0;
}

void urgency_free(struct urgency *u)
{
    if (!u)
        return;
    loop_timer_free(u->patience);
    free(u);
}

static int urgency_quiesce(void *obj)
{
    struct urgency *u = obj;

    if (!u->update || !supervisor_link_pauses(u->supervisor, answered, u))
        return 0;
    u->asked = true;
    loop_timer_set(u->patience, clock_monotonic_ns() + URGENCY_PATIENCE_NS);
    return 1;
}

static void urgency_unquiesce(void *obj)
{
    struct urgency *u = obj;

    u->asked = false;
    loop_timer_set(u->patience, INT64_MAX);
}

struct ferry_part urgency_part(struct urgency *u)
{
    static const struct ferry_part_ops ops = {.quiesce = urgency_quiesce,
                                              .unquiesce = urgency_unquiesce};

    return (struct ferry_part){.idstr = "vm/urgency", .ops = &ops, .obj = u};
}

void urgency_expect(struct urgency *u, bool update)
{
    u->update = update;
}

enum ferry_urgency urgency_take(struct urgency *u, bool begin)
{
    static const enum ferry_urgency granted[] = {
        [PRIORITY_REFUSED] = FERRY_URGENCY_NONE,
        [PRIORITY_SLICE] = FERRY_URGENCY_SLICE,
        [PRIORITY_NICE] = FERRY_URGENCY_NICE,
        [PRIORITY_REALTIME] = FERRY_URGENCY_REALTIME,
    };

    if (begin) {
        if (!u->urgent)
            u->nice = priority_nice();
        u->urgent = true;
        return granted[priority_urgent()];
    }
    u->urgent = false;
    priority_normal(u->nice);
    supervisor_link_pause_over(u->supervisor);
    return FERRY_URGENCY_NONE;
}
