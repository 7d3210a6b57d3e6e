/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/move/source.h"

#include <errno.h>
#include <inttypes.h>

#include "base/err.h"

/* Steps that are a way's alone. */
#define SOURCE_WAY(step)                 \
    static int source_##step(void *self) \
    {                                    \
        struct source *s = self;         \
                                         \
        return s->way->step(s);          \
    }

SOURCE_WAY(begin)
SOURCE_WAY(greet)
SOURCE_WAY(greeted)
SOURCE_WAY(asked)
SOURCE_WAY(accepted)
SOURCE_WAY(round)
SOURCE_WAY(send)
SOURCE_WAY(committed)
SOURCE_WAY(ascertain)
SOURCE_WAY(reclaim)

/* --- To the pause and through it --- */

/* From inside a part: the loop comes back to step(), which is due now. */
static void source_note_drained(void *arg)
{
    ((struct source *)arg)->drained = true;
}

static int source_quiesce(void *self)
{
    struct source *s = self;

    s->quiesce_ns = mover_now(&s->m);
    mover_allow(&s->m, s->quiesce_ns, s->prepare_timeout_ns);
    s->quiesced = true;
    return vm_quiesce_begin(s->m.vm, source_note_drained, s) ? 0 : MOVE_EV_DRAINED;
}

static int source_settle(void *self)
{
    struct source *s = self;

    mover_allow(&s->m, mover_now(&s->m), s->prepare_timeout_ns);
    return 0;
}

static int source_settled_on(void *self)
{
    struct source *s = self;

    return s->way->settled(s);
}

static int source_release(void *self)
{
    struct source *s = self;

    s->settled = false;
    /* migrate-continue may have come late. */
    mover_allow(&s->m, mover_now(&s->m), s->pause_timeout_ns);
    return s->way->release ? s->way->release(s) : MOVE_EV_SETTLED;
}

static int source_pause(void *self)
{
    struct source *s = self;
    int r;

    s->way->reached(s, SOURCE_AT_QUIESCED);
    r = s->way->pausing(s);
    if (r < 0)
        return r;
    s->paused = true;
    s->pause_ns = mover_now(&s->m);
    mover_allow(&s->m, s->pause_ns, s->pause_timeout_ns);
    if (s->m.running)
        s->stopped_ns = vm_pause_harts(s->m.vm);
    s->way->reached(s, SOURCE_AT_HARTS_STOPPED);
    vm_pause_parts(s->m.vm, s->m.observe, s->m.observe_arg);
    s->way->reached(s, SOURCE_AT_PARTS_PAUSED);
    if (!s->hold)
        return MOVE_EV_PROCEED;
    s->m.deadline_ns = INT64_MAX;
    return 0;
}

static int source_all_sent(void *self)
{
    struct source *s = self;

    s->way->reached(s, SOURCE_AT_ALL_SENT);
    return s->way->all_sent(s);
}

static int source_commit(void *self)
{
    struct source *s = self;

    s->way->reached(s, SOURCE_AT_LOADED);
    return s->way->commit(s);
}

/* --- The ends --- */

static int source_done(void *self)
{
    struct source *s = self;

    s->way->started(s);
    return 0;
}

static int source_done_unasked(void *self)
{
    struct source *s = self;

    if (s->commits)
        return err_set(&s->m.err, EPROTO,
                       "the target says that the guest has started, while the source was %s",
                       mover_doing(&s->m));
    return source_done(self);
}

static int source_checked(void *self)
{
    struct source *s = self;

    s->way->end(s);
    return 0;
}

static int source_refused(void *self)
{
    struct source *s = self;

    s->way->reason(s);
    err_prefix(&s->m.err, "the target refused");
    s->refused = true;
    return MOVE_EV_FAULT;
}

static int source_not_started(void *self)
{
    struct source *s = self;

    err_set(&s->m.err, EREMOTEIO,
            "the target could not load the guest and says so while the source was %s; its log has "
            "the reason",
            mover_doing(&s->m));
    s->refused = true;
    return MOVE_EV_FAULT;
}

static int source_not_started_there(void *self)
{
    source_not_started(self);
    return MOVE_EV_OWN_UNMOVED;
}

static int source_stuck(void *self)
{
    struct source *s = self;

    err_set(&s->m.err, ETIMEDOUT,
            "%zu devices still had requests in flight after the deadline of %" PRId64 " ms",
            vm_draining(s->m.vm), s->m.limit_ns / 1000000);
    return MOVE_EV_FAULT;
}

static int source_unsettled(void *self)
{
    struct source *s = self;

    err_set(&s->m.err, ETIMEDOUT,
            "the host did not write this VM's disk images to stable storage within %" PRId64
            " ms while the source was %s",
            s->m.limit_ns / 1000000, mover_doing(&s->m));
    return MOVE_EV_FAULT;
}

static int source_stalled(void *self)
{
    struct source *s = self;

    err_set(&s->m.err, ETIMEDOUT,
            "the target took nothing for %" PRId64 " ms while the source was %s",
            s->m.limit_ns / 1000000, mover_doing(&s->m));
    return MOVE_EV_FAULT;
}

/* To where the guest was. */
static int source_returned(void *self)
{
    struct source *s = self;

    if (s->paused)
        vm_resume_parts(s->m.vm, NULL, NULL);
    if (s->quiesced)
        vm_unquiesce(s->m.vm);
    if (s->paused && s->m.running)
        vm_resume_harts(s->m.vm);
    s->paused = s->quiesced = false;
    return 0;
}

static int source_lost(void *self)
{
    struct source *s = self;

    err_prefix(&s->m.err, "the guest ran in the target and is lost with it");
    s->way->end(s);
    return 0;
}

static int source_in_doubt(void *self)
{
    struct source *s = self;

    err_prefix(&s->m.err, "the target may run the guest, which therefore stays paused here");
    s->way->end(s);
    return 0;
}

static const char *const source_state_names[] = {
    [SOURCE_NEW] = "not begun",
    [SOURCE_CONNECT] = "connecting",
    [SOURCE_GREET] = "waiting for the target's first answer",
    [SOURCE_AGREE] = "waiting for the target's consent",
    [SOURCE_ACTIVE] = "sending RAM",
    [SOURCE_SETTLE] = "writing disks before the pause",
    [SOURCE_QUIESCE] = "waiting for requests in flight",
    [SOURCE_HOLD] = "waiting for migrate-continue",
    [SOURCE_RELEASE] = "giving disks up",
    [SOURCE_SEND] = "sending the state",
    [SOURCE_LOAD] = "waiting for LOADED",
    [SOURCE_COMMIT] = "waiting for the guest's start",
    [SOURCE_AWAIT] = "waiting for QEMU's SHUT",
    [SOURCE_ASCERTAIN] = "looking for who runs the guest",
    [SOURCE_BACK] = "taking back what the target was given",
    [SOURCE_DONE] = "done",
    [SOURCE_CHECKED] = "done with checking",
    [SOURCE_FAILED] = "failed",
    [SOURCE_LOST] = "lost",
};

/* clang-format off */
#define SOURCE_CAN_FAIL(state)                                            \
    {state, MOVE_EV_REFUSE,      state,         source_refused},          \
    {state, MOVE_EV_NOT_STARTED, state,         source_not_started},      \
    {state, MOVE_EV_GONE,        state,         mover_gone},              \
    {state, MOVE_EV_CANCEL,      state,         mover_cancelled},         \
    {state, MOVE_EV_FAULT,       SOURCE_BACK,   source_reclaim}

static const struct machine_rule source_rules[] = {
    {SOURCE_NEW,       MOVE_EV_BEGIN,       SOURCE_CONNECT,   source_begin},
    {SOURCE_CONNECT,   MOVE_EV_CONNECTED,   SOURCE_GREET,     source_greet},
    {SOURCE_GREET,     MOVE_EV_HELLO,       SOURCE_AGREE,     source_greeted},
    {SOURCE_GREET,     MOVE_EV_ASKED,       SOURCE_AGREE,     NULL},
    {SOURCE_GREET,     MOVE_EV_ANSWER,      SOURCE_ACTIVE,    source_accepted},
    {SOURCE_AGREE,     MOVE_EV_SENT,        SOURCE_AGREE,     source_asked},
    {SOURCE_AGREE,     MOVE_EV_ANSWER,      SOURCE_AGREE,     NULL},
    {SOURCE_AGREE,     MOVE_EV_ACCEPT,      SOURCE_ACTIVE,    source_accepted},
    {SOURCE_ACTIVE,    MOVE_EV_CHECKED,     SOURCE_CHECKED,   source_checked},
    {SOURCE_ACTIVE,    MOVE_EV_SENT,        SOURCE_ACTIVE,    source_round},
    {SOURCE_ACTIVE,    MOVE_EV_SETTLE,      SOURCE_SETTLE,    source_settle},
    {SOURCE_SETTLE,    MOVE_EV_SETTLED,     SOURCE_ACTIVE,    source_settled_on},
    {SOURCE_ACTIVE,    MOVE_EV_FITS,        SOURCE_QUIESCE,   source_quiesce},
    {SOURCE_QUIESCE,   MOVE_EV_DRAINED,     SOURCE_HOLD,      source_pause},
    {SOURCE_HOLD,      MOVE_EV_PROCEED,     SOURCE_RELEASE,   source_release},
    {SOURCE_RELEASE,   MOVE_EV_SETTLED,     SOURCE_SEND,      source_send},
    {SOURCE_SEND,      MOVE_EV_SENT,        SOURCE_LOAD,      source_all_sent},
    /* The answer may be here before this side has noticed that all is sent. */
    {SOURCE_SEND,      MOVE_EV_LOADED,      SOURCE_COMMIT,    source_commit},
    {SOURCE_SEND,      MOVE_EV_STARTED,     SOURCE_DONE,      source_done_unasked},
    {SOURCE_LOAD,      MOVE_EV_LOADED,      SOURCE_COMMIT,    source_commit},
    {SOURCE_LOAD,      MOVE_EV_UNASKED,     SOURCE_AWAIT,     NULL},
    {SOURCE_LOAD,      MOVE_EV_STARTED,     SOURCE_DONE,      source_done_unasked},
    {SOURCE_COMMIT,    MOVE_EV_SENT,        SOURCE_COMMIT,    source_committed},
    {SOURCE_COMMIT,    MOVE_EV_STARTED,     SOURCE_DONE,      source_done},
    {SOURCE_AWAIT,     MOVE_EV_STARTED,     SOURCE_DONE,      source_done},

    SOURCE_CAN_FAIL(SOURCE_NEW),
    SOURCE_CAN_FAIL(SOURCE_CONNECT),
    {SOURCE_CONNECT,   MOVE_EV_DUE,         SOURCE_CONNECT,   mover_late},
    SOURCE_CAN_FAIL(SOURCE_GREET),
    {SOURCE_GREET,     MOVE_EV_DUE,         SOURCE_GREET,     mover_late},
    SOURCE_CAN_FAIL(SOURCE_AGREE),
    {SOURCE_AGREE,     MOVE_EV_DUE,         SOURCE_AGREE,     mover_late},
    SOURCE_CAN_FAIL(SOURCE_ACTIVE),
    {SOURCE_ACTIVE,    MOVE_EV_DUE,         SOURCE_ACTIVE,    source_stalled},
    SOURCE_CAN_FAIL(SOURCE_SETTLE),
    {SOURCE_SETTLE,    MOVE_EV_DUE,         SOURCE_SETTLE,    source_unsettled},
    SOURCE_CAN_FAIL(SOURCE_QUIESCE),
    {SOURCE_QUIESCE,   MOVE_EV_DUE,         SOURCE_QUIESCE,   source_stuck},
    SOURCE_CAN_FAIL(SOURCE_HOLD),
    SOURCE_CAN_FAIL(SOURCE_RELEASE),
    {SOURCE_RELEASE,   MOVE_EV_DUE,         SOURCE_RELEASE,   source_unsettled},
    SOURCE_CAN_FAIL(SOURCE_SEND),
    {SOURCE_SEND,      MOVE_EV_DUE,         SOURCE_SEND,      mover_late},
    SOURCE_CAN_FAIL(SOURCE_LOAD),
    {SOURCE_LOAD,      MOVE_EV_DUE,         SOURCE_LOAD,      mover_late},

    /* From here on it is not this side that decides where the guest is. */
    {SOURCE_COMMIT,    MOVE_EV_REFUSE,      SOURCE_COMMIT,    source_refused},
    {SOURCE_COMMIT,    MOVE_EV_GONE,        SOURCE_COMMIT,    mover_gone},
    {SOURCE_COMMIT,    MOVE_EV_DUE,         SOURCE_COMMIT,    mover_late},
    {SOURCE_COMMIT,    MOVE_EV_FAULT,       SOURCE_ASCERTAIN, source_ascertain},
    {SOURCE_AWAIT,     MOVE_EV_NOT_STARTED, SOURCE_ASCERTAIN, source_not_started_there},
    {SOURCE_AWAIT,     MOVE_EV_GONE,        SOURCE_AWAIT,     mover_gone},
    {SOURCE_AWAIT,     MOVE_EV_DUE,         SOURCE_AWAIT,     mover_late},
    {SOURCE_AWAIT,     MOVE_EV_FAULT,       SOURCE_ASCERTAIN, source_ascertain},
    {SOURCE_ASCERTAIN, MOVE_EV_STARTED,     SOURCE_DONE,      source_done},
    {SOURCE_ASCERTAIN, MOVE_EV_REFUSE,      SOURCE_ASCERTAIN, source_refused},
    {SOURCE_ASCERTAIN, MOVE_EV_GONE,        SOURCE_ASCERTAIN, source_ascertain},
    {SOURCE_ASCERTAIN, MOVE_EV_DUE,         SOURCE_ASCERTAIN, source_ascertain},
    {SOURCE_ASCERTAIN, MOVE_EV_FAULT,       SOURCE_ASCERTAIN, source_ascertain},
    {SOURCE_ASCERTAIN, MOVE_EV_OWN_UNMOVED, SOURCE_BACK,      source_reclaim},
    {SOURCE_ASCERTAIN, MOVE_EV_OWN_MOVED,   SOURCE_LOST,      source_lost},
    {SOURCE_ASCERTAIN, MOVE_EV_OWN_UNKNOWN, SOURCE_LOST,      source_in_doubt},
    {SOURCE_ASCERTAIN, MOVE_EV_OWN_THEIRS,  SOURCE_DONE,      source_done},

    {SOURCE_BACK,      MOVE_EV_DUE,         SOURCE_BACK,      source_reclaim},
    {SOURCE_BACK,      MOVE_EV_RETURNED,    SOURCE_FAILED,    source_returned},
    {SOURCE_BACK,      MOVE_EV_BEREFT,      SOURCE_FAILED,    NULL},
    /* Only now that nothing more can leave it is known that everything had left. */
    {SOURCE_BACK,      MOVE_EV_OWN_UNKNOWN, SOURCE_LOST,      source_in_doubt},
    {SOURCE_BACK,      MOVE_EV_FAULT,       SOURCE_BACK,      NULL},
};
/* clang-format on */

const struct machine_table source_table = {
    .name = "source",
    .state_names = source_state_names,
    .state_count = sizeof(source_state_names) / sizeof(source_state_names[0]),
    .event_names = move_event_names,
    .event_count = MOVE_EV_COUNT,
    .fault = MOVE_EV_FAULT,
    .rules = source_rules,
    .rule_count = sizeof(source_rules) / sizeof(source_rules[0]),
};

/* --- What both public headers have --- */

_Static_assert(SOURCE_CHECKED - SOURCE_DONE == FERRY_MOVE_CHECKED - FERRY_MOVE_DONE &&
                   SOURCE_FAILED - SOURCE_DONE == FERRY_MOVE_FAILED - FERRY_MOVE_DONE &&
                   SOURCE_LOST - SOURCE_DONE == FERRY_MOVE_LOST - FERRY_MOVE_DONE,
               "mover_status() counts on it");

void source_init(struct source *s, const struct move_ops *ops, const struct source_way *way,
                 const char *what, int64_t (*clock)(void *opaque), void *clock_opaque)
{
    s->m.move.ops = ops;
    s->way = way;
    s->m.table = &source_table;
    s->m.what = what;
    s->m.peer = "target";
    s->m.first_end = SOURCE_DONE;
    s->m.clock = clock;
    s->m.clock_opaque = clock_opaque;
    s->m.deadline_ns = INT64_MAX;
}

static bool settles(const struct source *s)
{
    return s->m.state == SOURCE_SETTLE || s->m.state == SOURCE_RELEASE;
}

bool source_due(const struct source *s)
{
    return s->m.state == SOURCE_NEW || (s->drained && s->m.state == SOURCE_QUIESCE) ||
           (s->settled && settles(s));
}

void source_settled(struct source *s, const struct ferry_err *failure)
{
    s->settled = true;
    s->settle_err = failure ? *failure : (struct ferry_err){0};
}

void source_go_on(struct source *s)
{
    if (s->m.state == SOURCE_NEW)
        mover_fire(&s->m, MOVE_EV_BEGIN);
    if (s->drained && s->m.state == SOURCE_QUIESCE)
        mover_fire(&s->m, MOVE_EV_DRAINED);
    if (s->settled && settles(s)) {
        s->settled = false;
        if (s->settle_err.errnum)
            s->m.err = s->settle_err;
        mover_fire(&s->m, s->settle_err.errnum ? MOVE_EV_FAULT : MOVE_EV_SETTLED);
    }
}

int source_set_running(struct ferry_move *move, bool running, struct ferry_err *err)
{
    struct source *s = (struct source *)move;

    if (s->paused || mover_ended(&s->m))
        return err_set(err, EBUSY, "the guest is being moved");
    s->m.running = running;
    return 0;
}

int source_proceed(struct source *s, struct ferry_err *err)
{
    if (s->m.state != SOURCE_HOLD)
        return err_set(err, EINVAL, "the %s does not wait to be continued: it is %s", s->m.what,
                       mover_doing(&s->m));
    mover_fire(&s->m, MOVE_EV_PROCEED);
    return 0;
}

int source_cancel(struct ferry_move *move, struct ferry_err *err)
{
    struct source *s = (struct source *)move;

    switch (s->m.state) {
    case SOURCE_COMMIT:
    case SOURCE_AWAIT:
    case SOURCE_ASCERTAIN:
    case SOURCE_DONE:
    case SOURCE_LOST:
        return err_set(err, EBUSY, "too late to cancel: the target may run the guest");
    case SOURCE_BACK:
    case SOURCE_CHECKED:
    case SOURCE_FAILED:
        return 0;
    default:
        mover_fire(&s->m, MOVE_EV_CANCEL);
        return 0;
    }
}
