/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/move/target.h"

#include "base/err.h"

/* Steps that are a way's alone. */
#define TARGET_WAY(step)                 \
    static int target_##step(void *self) \
    {                                    \
        struct target *t = self;         \
                                         \
        return t->way->step(t);          \
    }

TARGET_WAY(begin)
TARGET_WAY(connected)
TARGET_WAY(hello)
TARGET_WAY(prefault)
TARGET_WAY(ready)
TARGET_WAY(ready_sent)
TARGET_WAY(soon)
TARGET_WAY(fds)
TARGET_WAY(ram_read)
TARGET_WAY(load)
TARGET_WAY(loaded_sent)
TARGET_WAY(orphaned)
TARGET_WAY(refuse)

/* All is loaded and nobody else runs the guest any more. */
static int target_start(void *self)
{
    struct target *t = self;
    int r = t->way->claim(t);

    if (r < 0)
        return r;
    vm_resume_parts(t->m.vm, t->m.observe, t->m.observe_arg);
    t->m.running = t->way->run(t);
    if (t->m.running)
        vm_resume_harts(t->m.vm);
    t->way->started(t);
    return 0;
}

static int target_commit(void *self)
{
    struct target *t = self;

    t->way->committed(t);
    return target_start(t);
}

static int target_late(void *self)
{
    struct target *t = self;

    if (!t->way->late)
        return mover_late(self);
    t->way->late(t);
    return MOVE_EV_FAULT;
}

static int target_ended(void *self)
{
    struct target *t = self;

    t->way->end(t);
    return 0;
}

static int target_aborted(void *self)
{
    struct target *t = self;

    t->way->reason(t);
    err_prefix(&t->m.err, "the source gave up");
    t->way->end(t);
    return 0;
}

static const char *const target_state_names[] = {
    [TARGET_NEW] = "not begun",
    [TARGET_LISTEN] = "waiting for the source",
    [TARGET_PREFAULT] = "entering RAM in its page tables",
    [TARGET_READY] = "sending READY",
    [TARGET_READ] = "waiting for the state",
    [TARGET_RAM] = "reading RAM",
    [TARGET_COMMIT] = "waiting for COMMIT",
    [TARGET_ORPHAN] = "looking for whose the guest is",
    [TARGET_DRAIN] = "telling the source why not",
    [TARGET_DONE] = "done",
    [TARGET_CHECKED] = "done with checking",
    [TARGET_FAILED] = "failed",
};

/* clang-format off */
#define TARGET_CAN_FAIL(state)                                 \
    {state, MOVE_EV_GONE,   state,         mover_gone},        \
    {state, MOVE_EV_ABORT,  TARGET_FAILED, target_aborted},    \
    {state, MOVE_EV_CANCEL, state,         mover_cancelled},   \
    {state, MOVE_EV_FAULT,  TARGET_DRAIN,  target_refuse}

static const struct machine_rule target_rules[] = {
    {TARGET_NEW,      MOVE_EV_BEGIN,       TARGET_LISTEN,   target_begin},
    {TARGET_LISTEN,   MOVE_EV_CONNECTED,   TARGET_READ,     target_connected},
    {TARGET_LISTEN,   MOVE_EV_HELLO,       TARGET_PREFAULT, target_hello},
    {TARGET_PREFAULT, MOVE_EV_DUE,         TARGET_PREFAULT, target_prefault},
    {TARGET_PREFAULT, MOVE_EV_FAULTED_IN,  TARGET_READY,    target_ready},
    {TARGET_READY,    MOVE_EV_SENT,        TARGET_READ,     target_ready_sent},
    {TARGET_READ,     MOVE_EV_RAM,         TARGET_RAM,      NULL},
    {TARGET_RAM,      MOVE_EV_RAM_READ,    TARGET_READ,     target_ram_read},
    {TARGET_READ,     MOVE_EV_SOON,        TARGET_READ,     target_soon},
    {TARGET_READ,     MOVE_EV_FDS,         TARGET_READ,     target_fds},
    {TARGET_READ,     MOVE_EV_STATE,       TARGET_COMMIT,   target_load},
    {TARGET_READ,     MOVE_EV_CHECKED,     TARGET_CHECKED,  target_ended},
    {TARGET_COMMIT,   MOVE_EV_SENT,        TARGET_COMMIT,   target_loaded_sent},
    {TARGET_COMMIT,   MOVE_EV_COMMIT,      TARGET_DONE,     target_commit},

    TARGET_CAN_FAIL(TARGET_NEW),
    TARGET_CAN_FAIL(TARGET_LISTEN),
    {TARGET_LISTEN,   MOVE_EV_DUE,         TARGET_LISTEN,   target_late},
    TARGET_CAN_FAIL(TARGET_PREFAULT),
    TARGET_CAN_FAIL(TARGET_READY),
    TARGET_CAN_FAIL(TARGET_READ),
    {TARGET_READ,     MOVE_EV_DUE,         TARGET_READ,     target_late},
    TARGET_CAN_FAIL(TARGET_RAM),
    {TARGET_RAM,      MOVE_EV_DUE,         TARGET_RAM,      target_late},

    /* Everything is here: where the source can die without the guest, it may live on here. */
    {TARGET_COMMIT,   MOVE_EV_GONE,        TARGET_ORPHAN,   target_orphaned},
    {TARGET_COMMIT,   MOVE_EV_ABORT,       TARGET_FAILED,   target_aborted},
    {TARGET_COMMIT,   MOVE_EV_CANCEL,      TARGET_COMMIT,   mover_cancelled},
    {TARGET_COMMIT,   MOVE_EV_DUE,         TARGET_COMMIT,   mover_late},
    {TARGET_COMMIT,   MOVE_EV_FAULT,       TARGET_DRAIN,    target_refuse},
    {TARGET_ORPHAN,   MOVE_EV_DUE,         TARGET_ORPHAN,   target_orphaned},
    {TARGET_ORPHAN,   MOVE_EV_OWN_UNMOVED, TARGET_DONE,     target_start},
    {TARGET_ORPHAN,   MOVE_EV_OWN_THEIRS,  TARGET_DRAIN,    target_refuse},
    {TARGET_ORPHAN,   MOVE_EV_CANCEL,      TARGET_ORPHAN,   mover_cancelled},
    {TARGET_ORPHAN,   MOVE_EV_FAULT,       TARGET_DRAIN,    target_refuse},

    {TARGET_DRAIN,    MOVE_EV_CLOSE,       TARGET_FAILED,   target_ended},
    {TARGET_DRAIN,    MOVE_EV_GONE,        TARGET_FAILED,   target_ended},
    {TARGET_DRAIN,    MOVE_EV_DUE,         TARGET_FAILED,   target_ended},
    {TARGET_DRAIN,    MOVE_EV_CANCEL,      TARGET_FAILED,   target_ended},
    {TARGET_DRAIN,    MOVE_EV_FAULT,       TARGET_FAILED,   target_ended},
};
/* clang-format on */

const struct machine_table target_table = {
    .name = "target",
    .state_names = target_state_names,
    .state_count = sizeof(target_state_names) / sizeof(target_state_names[0]),
    .event_names = move_event_names,
    .event_count = MOVE_EV_COUNT,
    .fault = MOVE_EV_FAULT,
    .rules = target_rules,
    .rule_count = sizeof(target_rules) / sizeof(target_rules[0]),
};

_Static_assert(TARGET_CHECKED - TARGET_DONE == FERRY_MOVE_CHECKED - FERRY_MOVE_DONE &&
                   TARGET_FAILED - TARGET_DONE == FERRY_MOVE_FAILED - FERRY_MOVE_DONE,
               "mover_status() counts on it");

void target_init(struct target *t, const struct move_ops *ops, const struct target_way *way,
                 const char *what, int64_t (*clock)(void *opaque), void *clock_opaque)
{
    t->m.move.ops = ops;
    t->way = way;
    t->m.table = &target_table;
    t->m.what = what;
    t->m.peer = "source";
    t->m.first_end = TARGET_DONE;
    t->m.clock = clock;
    t->m.clock_opaque = clock_opaque;
    t->m.deadline_ns = INT64_MAX;
}

void target_go_on(struct target *t)
{
    if (t->m.state == TARGET_NEW)
        mover_fire(&t->m, MOVE_EV_BEGIN);
}
