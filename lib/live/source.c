/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The side that runs the guest and wants to be rid of it: states, and what happens in each.
 * The functions of <ferry/live.h> are at the end.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ferry/live.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/own.h"
#include "lib/live/drive.h"
#include "lib/live/message.h"
#include "lib/live/owner.h"
#include "lib/state/vm.h"
#include "lib/wire/vm_save.h"

#define SOURCE_PREPARE_NS (INT64_C(30) * 1000000000)
#define SOURCE_PAUSE_NS   (INT64_C(2) * 1000000000)
#define SOURCE_RECHECK_NS (INT64_C(10) * 1000000)
/* A process that dies closes its files one by one: its socket may go before its lock. */
#define SOURCE_GRACE_NS   (INT64_C(50) * 1000000)

/* clang-format off */
enum {
    SOURCE_NEW = 0, SOURCE_PREPARE, SOURCE_QUIESCE, SOURCE_SEND, SOURCE_LOAD, SOURCE_COMMIT, SOURCE_RUN,
    SOURCE_ASCERTAIN,
    SOURCE_DONE, SOURCE_FAILED, SOURCE_LOST, /* the ends */
};
/* clang-format on */

struct ferry_live_source {
    struct live_drive drive;
    struct ferry_vm *vm;
    struct ferry_owner *owner;
    char *description; /* owned until it is sent */
    char *version;
    bool running;
    int64_t prepare_timeout_ns, pause_timeout_ns;
    ferry_live_trace_fn *trace;
    void *opaque;

    char target_version[MESSAGE_TEXT8_BYTES];
    int64_t hello_ns, quiesce_ns;
    int64_t contact_lost_ns; /* 0 = not lost */
    uint64_t starts;         /* as STATE says it */
    bool drained;            /* a part said so; step() has not acted on it yet */
    bool quiesced, paused;   /* to be undone by source_back */
    bool refused;            /* the target knows that it ended */
    struct live_marks marks, target_marks;
    struct ferry_ledger ledger;
    struct ferry_named_fd names[LIVE_FDS_MAX];
    size_t name_count;
};

static void source_trace(struct ferry_live_source *s, enum ferry_live_point point)
{
    if (s->trace)
        s->trace(s->opaque, point);
}

/* --- Running: HELLO, READY, quiesce --- */

static int source_hello(void *self)
{
    struct ferry_live_source *s = self;
    struct ferry_ram *ram = ferry_vm_ram(s->vm);
    OWN_MEM struct hello *hello = calloc(1, sizeof(*hello));
    int fds[LIVE_REGIONS_MAX + 1];
    struct ferry_ram_region *region;

    if (!hello)
        return err_set(&s->drive.err, ENOMEM, "no memory for HELLO");
    hello->version = LIVE_VERSION;
    hello->oldest = LIVE_OLDEST;
    hello->pause_timeout_ns = s->pause_timeout_ns;
    snprintf(hello->ferry_version, sizeof(hello->ferry_version), "%s", s->version);
    hello->description = s->description;
    hello->description_bytes = strlen(s->description);
    fds[0] = owner_memfd(s->owner);
    for (size_t i = 0; (region = ferry_ram_at(ram, i)); i++) {
        if (i == LIVE_REGIONS_MAX)
            return err_set(&s->drive.err, E2BIG, "the machine has more than %u RAM regions",
                           LIVE_REGIONS_MAX);
        snprintf(hello->regions[i].name, MESSAGE_TEXT8_BYTES, "%s", ferry_ram_name(region));
        hello->regions[i].size_bytes = ferry_ram_size_bytes(region);
        fds[i + 1] = ferry_ram_fd(region);
        hello->region_count = i + 1;
    }
    message_put_hello(&s->drive.peer.out, hello, fds);
    free(s->description);
    s->description = NULL;
    s->drive.await_sent = true;
    s->hello_ns = clock_monotonic_ns();
    s->drive.deadline_ns = s->hello_ns + s->prepare_timeout_ns;
    return 0;
}

static int source_hello_sent(void *self)
{
    source_trace(self, FERRY_LIVE_HELLO_SENT);
    return 0;
}

/* From inside a part: the loop comes back to step(), whose deadline is now. */
static void source_all_drained(void *arg)
{
    struct ferry_live_source *s = arg;

    s->drained = true;
}

static int source_quiesce(void *self)
{
    struct ferry_live_source *s = self;
    uint16_t version;
    int r = message_get_ready(s->drive.frame, &version, s->target_version, &s->drive.err);

    if (r < 0)
        return r;
    source_trace(s, FERRY_LIVE_READY_RECEIVED);
    s->quiesce_ns = clock_monotonic_ns();
    s->ledger.prepare_ns = s->quiesce_ns - s->hello_ns;
    s->quiesced = true;
    return vm_quiesce_begin(s->vm, source_all_drained, s) ? 0 : LIVE_EVENT_DRAINED;
}

/* --- The pause --- */

static int source_collect_fds(struct ferry_live_source *s)
{
    s->name_count = 0;
    for (size_t i = 0; i < ferry_vm_part_count(s->vm); i++) {
        const struct ferry_part *part = ferry_vm_part(s->vm, i);

        if (!part->ops || !part->ops->fd_at)
            continue;
        for (size_t k = 0;; k++) {
            if (s->name_count == LIVE_FDS_MAX)
                return err_set(&s->drive.err, E2BIG, "the machine has more than %u named fds",
                               LIVE_FDS_MAX);
            if (part->ops->fd_at(part->obj, k, &s->names[s->name_count]) < 0)
                break;
            s->ledger.fd_count += s->names[s->name_count].fd >= 0;
            s->name_count++;
        }
    }
    return 0;
}

static int source_save(struct ferry_live_source *s)
{
    struct frame_out *out = &s->drive.peer.out;
    const struct state_header header = {.starts = s->starts, .running = s->running};
    size_t named = 0, stream_at;
    int r;

    s->marks.phase = FERRY_PHASE_SAVE;
    r = source_collect_fds(s);
    if (r < 0)
        return r;
    while (named < s->name_count)
        message_put_fds(out, s->names, s->name_count, &named);
    message_begin_state(out, &header);
    stream_at = out->buf.len_bytes;
    r = vm_save_stream(s->vm, &out->buf, false, marks_part, &s->marks, &s->drive.err);
    if (r < 0)
        return r;
    s->ledger.state_bytes = out->buf.len_bytes - stream_at;
    marks_take(&s->marks, LIVE_MARK_SAVED);
    message_end_state(out, &s->marks);
    return frame_out_check(out, &s->drive.err);
}

static int source_pause(void *self)
{
    struct ferry_live_source *s = self;
    int r;

    source_trace(s, FERRY_LIVE_QUIESCED);
    /* Wakes the target while the harts stop. */
    message_put_empty(&s->drive.peer.out, LIVE_TYPE_SOON);
    r = peer_send(&s->drive.peer, &s->drive.err);
    if (r < 0)
        return r;
    s->starts = owner_starts(s->owner);
    s->paused = true;

    marks_take(&s->marks, LIVE_MARK_BEGUN);
    s->ledger.quiesce_ns = s->marks.at_ns[LIVE_MARK_BEGUN] - s->quiesce_ns;
    s->drive.deadline_ns = s->marks.at_ns[LIVE_MARK_BEGUN] + s->pause_timeout_ns;
    if (s->running)
        vm_pause_harts(s->vm);
    marks_take(&s->marks, LIVE_MARK_STOPPED);
    source_trace(s, FERRY_LIVE_HARTS_STOPPED);

    s->marks.phase = FERRY_PHASE_DETACH;
    vm_pause_parts(s->vm, marks_part, &s->marks);
    marks_take(&s->marks, LIVE_MARK_PAUSED);
    source_trace(s, FERRY_LIVE_PARTS_PAUSED);

    r = source_save(s);
    if (r < 0)
        return r;
    source_trace(s, FERRY_LIVE_SAVED);
    s->drive.await_sent = true;
    drive_spin(&s->drive);
    return 0;
}

static int source_state_sent(void *self)
{
    source_trace(self, FERRY_LIVE_STATE_SENT);
    return 0;
}

static int source_commit(void *self)
{
    struct ferry_live_source *s = self;

    source_trace(s, FERRY_LIVE_LOADED_RECEIVED);
    owner_release(s->owner);
    source_trace(s, FERRY_LIVE_LOCK_RELEASED);
    message_put_empty(&s->drive.peer.out, LIVE_TYPE_COMMIT);
    s->drive.await_sent = true;
    /* The target needs the processor now. */
    s->drive.spin_until_ns = 0;
    return 0;
}

static int source_commit_sent(void *self)
{
    struct ferry_live_source *s = self;

    source_trace(s, FERRY_LIVE_COMMIT_SENT);
    /* However late it is, the target gets its time to take the lock. */
    s->drive.deadline_ns = clock_monotonic_ns() + s->pause_timeout_ns;
    return 0;
}

/* --- The ends --- */

/* The guest runs there. What is missing in the account (frame == NULL) is missing. */
static int source_account(void *self)
{
    struct ferry_live_source *s = self;
    struct ferry_err ignored;

    source_trace(s, FERRY_LIVE_RUNNING_RECEIVED);
    if (s->drive.frame && message_get_running(s->drive.frame, &s->target_marks, &ignored) < 0)
        memset(&s->target_marks, 0, sizeof(s->target_marks));
    ledger_merge(&s->ledger, &s->marks, &s->target_marks);
    return 0;
}

static int source_refused(void *self)
{
    struct ferry_live_source *s = self;

    message_get_reason(s->drive.frame, &s->drive.err);
    err_prefix(&s->drive.err, "the target refused");
    s->refused = true;
    return LIVE_EVENT_FAULT;
}

static int source_gone(void *self)
{
    struct ferry_live_source *s = self;

    err_set(&s->drive.err, ECONNRESET,
            "the target closed the connection (has it crashed?) while the source was %s",
            drive_state_name(&s->drive));
    return LIVE_EVENT_FAULT;
}

static int source_late(void *self)
{
    struct ferry_live_source *s = self;
    int64_t limit_ns = s->paused ? s->pause_timeout_ns : s->prepare_timeout_ns;

    err_set(&s->drive.err, ETIMEDOUT,
            "the deadline of %" PRId64 " ms passed while the source was %s", limit_ns / 1000000,
            drive_state_name(&s->drive));
    return LIVE_EVENT_FAULT;
}

static int source_stuck(void *self)
{
    struct ferry_live_source *s = self;

    err_set(&s->drive.err, ETIMEDOUT,
            "%zu devices still had requests in flight after the deadline of %" PRId64 " ms",
            vm_draining(s->vm), s->prepare_timeout_ns / 1000000);
    return LIVE_EVENT_FAULT;
}

static int source_cancelled(void *self)
{
    struct ferry_live_source *s = self;

    err_set(&s->drive.err, ECANCELED, "the handover was cancelled");
    return LIVE_EVENT_FAULT;
}

/* Back to where READY was answered. The lock is held. */
static int source_back(void *self)
{
    struct ferry_live_source *s = self;

    if (s->paused) {
        /* Tells a target that wakes up later that its state is out of date. */
        owner_count_start(s->owner);
        vm_resume_parts(s->vm, NULL, NULL);
    }
    if (s->quiesced)
        vm_unquiesce(s->vm);
    if (s->paused && s->running)
        vm_resume_harts(s->vm);
    s->paused = s->quiesced = false;
    drive_end(&s->drive, s->refused ? 0 : LIVE_TYPE_ABORT);
    return 0;
}

static int source_lost(void *self)
{
    struct ferry_live_source *s = self;

    err_prefix(&s->drive.err, "the guest ran in the target and is lost with it");
    return 0;
}

/* COMMIT may have been received: only the lock knows who runs the guest. */
static int source_ascertain(void *self)
{
    struct ferry_live_source *s = self;
    int64_t now_ns = clock_monotonic_ns();
    bool moved;

    if (!s->contact_lost_ns)
        s->contact_lost_ns = now_ns;
    if (owner_try(s->owner) == 0)
        return owner_starts(s->owner) == s->starts ? LIVE_EVENT_OWN_UNMOVED : LIVE_EVENT_OWN_MOVED;
    moved = owner_starts(s->owner) != s->starts;
    if (moved && now_ns - s->contact_lost_ns > SOURCE_GRACE_NS)
        return LIVE_EVENT_OWN_THEIRS;
    s->drive.deadline_ns = now_ns + SOURCE_RECHECK_NS;
    return 0;
}

static int source_theirs(void *self)
{
    struct ferry_live_source *s = self;

    s->drive.frame = NULL;
    return source_account(s);
}

static const char *const source_state_names[] = {
    [SOURCE_NEW] = "not begun",
    [SOURCE_PREPARE] = "waiting for READY",
    [SOURCE_QUIESCE] = "waiting for requests in flight",
    [SOURCE_SEND] = "sending the state",
    [SOURCE_LOAD] = "waiting for LOADED",
    [SOURCE_COMMIT] = "sending COMMIT",
    [SOURCE_RUN] = "waiting for RUNNING",
    [SOURCE_ASCERTAIN] = "looking for who runs the guest",
    [SOURCE_DONE] = "done",
    [SOURCE_FAILED] = "failed",
    [SOURCE_LOST] = "lost",
};

/* clang-format off */
static const struct machine_rule source_rules[] = {
    {SOURCE_NEW,       LIVE_EVENT_BEGIN,       SOURCE_PREPARE,   source_hello},
    {SOURCE_PREPARE,   LIVE_EVENT_SENT,        SOURCE_PREPARE,   source_hello_sent},
    {SOURCE_PREPARE,   LIVE_EVENT_READY,       SOURCE_QUIESCE,   source_quiesce},
    {SOURCE_QUIESCE,   LIVE_EVENT_DRAINED,     SOURCE_SEND,      source_pause},
    {SOURCE_SEND,      LIVE_EVENT_SENT,        SOURCE_LOAD,      source_state_sent},
    {SOURCE_LOAD,      LIVE_EVENT_LOADED,      SOURCE_COMMIT,    source_commit},
    {SOURCE_COMMIT,    LIVE_EVENT_SENT,        SOURCE_RUN,       source_commit_sent},
    {SOURCE_RUN,       LIVE_EVENT_RUNNING,     SOURCE_DONE,      source_account},

    {SOURCE_NEW,       LIVE_EVENT_CANCEL,      SOURCE_NEW,       source_cancelled},
    {SOURCE_NEW,       LIVE_EVENT_FAULT,       SOURCE_FAILED,    source_back},
    {SOURCE_PREPARE,   LIVE_EVENT_REFUSE,      SOURCE_PREPARE,   source_refused},
    {SOURCE_PREPARE,   LIVE_EVENT_GONE,        SOURCE_PREPARE,   source_gone},
    {SOURCE_PREPARE,   LIVE_EVENT_DUE,         SOURCE_PREPARE,   source_late},
    {SOURCE_PREPARE,   LIVE_EVENT_CANCEL,      SOURCE_PREPARE,   source_cancelled},
    {SOURCE_PREPARE,   LIVE_EVENT_FAULT,       SOURCE_FAILED,    source_back},
    {SOURCE_QUIESCE,   LIVE_EVENT_REFUSE,      SOURCE_QUIESCE,   source_refused},
    {SOURCE_QUIESCE,   LIVE_EVENT_GONE,        SOURCE_QUIESCE,   source_gone},
    {SOURCE_QUIESCE,   LIVE_EVENT_DUE,         SOURCE_QUIESCE,   source_stuck},
    {SOURCE_QUIESCE,   LIVE_EVENT_CANCEL,      SOURCE_QUIESCE,   source_cancelled},
    {SOURCE_QUIESCE,   LIVE_EVENT_FAULT,       SOURCE_FAILED,    source_back},
    {SOURCE_SEND,      LIVE_EVENT_REFUSE,      SOURCE_SEND,      source_refused},
    {SOURCE_SEND,      LIVE_EVENT_GONE,        SOURCE_SEND,      source_gone},
    {SOURCE_SEND,      LIVE_EVENT_DUE,         SOURCE_SEND,      source_late},
    {SOURCE_SEND,      LIVE_EVENT_CANCEL,      SOURCE_SEND,      source_cancelled},
    {SOURCE_SEND,      LIVE_EVENT_FAULT,       SOURCE_FAILED,    source_back},
    {SOURCE_LOAD,      LIVE_EVENT_REFUSE,      SOURCE_LOAD,      source_refused},
    {SOURCE_LOAD,      LIVE_EVENT_GONE,        SOURCE_LOAD,      source_gone},
    {SOURCE_LOAD,      LIVE_EVENT_DUE,         SOURCE_LOAD,      source_late},
    {SOURCE_LOAD,      LIVE_EVENT_CANCEL,      SOURCE_LOAD,      source_cancelled},
    {SOURCE_LOAD,      LIVE_EVENT_FAULT,       SOURCE_FAILED,    source_back},

    /* The lock is given up: from here on it decides. */
    {SOURCE_COMMIT,    LIVE_EVENT_REFUSE,      SOURCE_COMMIT,    source_refused},
    {SOURCE_COMMIT,    LIVE_EVENT_GONE,        SOURCE_COMMIT,    source_gone},
    {SOURCE_COMMIT,    LIVE_EVENT_DUE,         SOURCE_COMMIT,    source_late},
    {SOURCE_COMMIT,    LIVE_EVENT_FAULT,       SOURCE_ASCERTAIN, source_ascertain},
    {SOURCE_RUN,       LIVE_EVENT_REFUSE,      SOURCE_RUN,       source_refused},
    {SOURCE_RUN,       LIVE_EVENT_GONE,        SOURCE_RUN,       source_gone},
    {SOURCE_RUN,       LIVE_EVENT_DUE,         SOURCE_RUN,       source_late},
    {SOURCE_RUN,       LIVE_EVENT_FAULT,       SOURCE_ASCERTAIN, source_ascertain},
    {SOURCE_ASCERTAIN, LIVE_EVENT_RUNNING,     SOURCE_DONE,      source_account},
    {SOURCE_ASCERTAIN, LIVE_EVENT_REFUSE,      SOURCE_ASCERTAIN, source_refused},
    {SOURCE_ASCERTAIN, LIVE_EVENT_GONE,        SOURCE_ASCERTAIN, source_ascertain},
    {SOURCE_ASCERTAIN, LIVE_EVENT_DUE,         SOURCE_ASCERTAIN, source_ascertain},
    {SOURCE_ASCERTAIN, LIVE_EVENT_FAULT,       SOURCE_ASCERTAIN, source_ascertain},
    {SOURCE_ASCERTAIN, LIVE_EVENT_OWN_UNMOVED, SOURCE_FAILED,    source_back},
    {SOURCE_ASCERTAIN, LIVE_EVENT_OWN_MOVED,   SOURCE_LOST,      source_lost},
    {SOURCE_ASCERTAIN, LIVE_EVENT_OWN_THEIRS,  SOURCE_DONE,      source_theirs},
};
/* clang-format on */

const struct machine_table live_source_table = {
    .name = "source",
    .state_names = source_state_names,
    .state_count = sizeof(source_state_names) / sizeof(source_state_names[0]),
    .event_names = live_event_names,
    .event_count = LIVE_EVENT_COUNT,
    .fault = LIVE_EVENT_FAULT,
    .rules = source_rules,
    .rule_count = sizeof(source_rules) / sizeof(source_rules[0]),
};

/* --- <ferry/live.h> --- */

int ferry_live_source_new(struct ferry_live_source **ret,
                          const struct ferry_live_source_params *params, int *fd,
                          struct ferry_err *err)
{
    struct ferry_live_source *s;
    int r;

    if (params->size_bytes != sizeof(*params))
        return err_set(err, EINVAL,
                       "ferry_live_source_params has %zu bytes, this library knows %zu",
                       params->size_bytes, sizeof(*params));
    if (strlen(params->description) > LIVE_DESCRIPTION_MAX_BYTES)
        return err_set(err, E2BIG, "the machine's description has %zu bytes, the limit is %u",
                       strlen(params->description), LIVE_DESCRIPTION_MAX_BYTES);
    if (!owner_held(params->owner))
        return err_set(err, EPERM, "this process does not own the guest");
    s = calloc(1, sizeof(*s));
    if (!s)
        return err_set(err, ENOMEM, "no memory for a handover");
    drive_touch(s, sizeof(*s));
    drive_init(&s->drive, &live_source_table, s, SOURCE_DONE, params->spin_ns);
    s->vm = params->vm;
    s->owner = params->owner;
    s->description = strdup(params->description);
    s->version = strdup(params->version);
    s->running = params->running;
    s->prepare_timeout_ns =
        params->prepare_timeout_ns ? params->prepare_timeout_ns : SOURCE_PREPARE_NS;
    s->pause_timeout_ns = params->pause_timeout_ns ? params->pause_timeout_ns : SOURCE_PAUSE_NS;
    s->trace = params->trace;
    s->opaque = params->opaque;
    r = s->description && s->version ? peer_open(&s->drive.peer, fd, err)
                                     : err_set(err, ENOMEM, "no memory for a handover");
    if (r < 0) {
        ferry_live_source_free(s);
        return r;
    }
    frame_out_reserve(&s->drive.peer.out, LIVE_STATE_ROOM_BYTES);
    *ret = s;
    return 0;
}

int ferry_live_source_fd(const struct ferry_live_source *s)
{
    return s->drive.peer.fd;
}

short ferry_live_source_events(const struct ferry_live_source *s)
{
    return peer_events(&s->drive.peer);
}

int64_t ferry_live_source_deadline_ns(const struct ferry_live_source *s)
{
    if (s->drive.state == SOURCE_NEW || (s->drained && s->drive.state == SOURCE_QUIESCE))
        return 0;
    return s->drive.deadline_ns;
}

enum ferry_live_status ferry_live_source_step(struct ferry_live_source *s, struct ferry_err *err)
{
    if (s->drive.state == SOURCE_NEW)
        drive_fire(&s->drive, LIVE_EVENT_BEGIN);
    if (s->drained && s->drive.state == SOURCE_QUIESCE)
        drive_fire(&s->drive, LIVE_EVENT_DRAINED);
    drive_step(&s->drive);
    if (s->drive.state < SOURCE_DONE)
        return FERRY_LIVE_BUSY;
    if (s->drive.state == SOURCE_DONE)
        return FERRY_LIVE_DONE;
    *err = s->drive.err;
    return s->drive.state == SOURCE_LOST ? FERRY_LIVE_LOST : FERRY_LIVE_FAILED;
}

int ferry_live_source_set_running(struct ferry_live_source *s, bool running, struct ferry_err *err)
{
    if (s->paused || s->drive.state >= SOURCE_DONE)
        return err_set(err, EBUSY, "the guest is being handed over");
    s->running = running;
    return 0;
}

int ferry_live_source_cancel(struct ferry_live_source *s, struct ferry_err *err)
{
    if (s->drive.state >= SOURCE_COMMIT && s->drive.state != SOURCE_FAILED)
        return err_set(err, EBUSY, "too late to cancel: the target may run the guest");
    if (s->drive.state < SOURCE_COMMIT)
        drive_fire(&s->drive, LIVE_EVENT_CANCEL);
    return 0;
}

const struct ferry_ledger *ferry_live_source_ledger(const struct ferry_live_source *s)
{
    return &s->ledger;
}

void ferry_live_source_free(struct ferry_live_source *s)
{
    if (!s)
        return;
    if (s->drive.state < SOURCE_COMMIT)
        drive_fire(&s->drive, LIVE_EVENT_CANCEL);
    peer_close(&s->drive.peer);
    free(s->description);
    free(s->version);
    free(s);
}
