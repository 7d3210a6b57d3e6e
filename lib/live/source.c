/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The handover's way for the source (lib/move/source.h): what it tells the target and hears from
 * it, and the ownership lock. What is called from outside is at the end.
 */
#include "lib/move/source.h"

#include <errno.h>
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
#include "lib/wire/vm_save.h"

#define SOURCE_PREPARE_NS (INT64_C(30) * 1000000000)
#define SOURCE_PAUSE_NS   (INT64_C(2) * 1000000000)
#define SOURCE_RECHECK_NS (INT64_C(10) * 1000000)
/* A process that dies closes its files one by one: its socket may go before its lock. */
#define SOURCE_GRACE_NS   (INT64_C(50) * 1000000)

struct live_source {
    struct source base;
    struct live_drive drive;
    struct ferry_owner *owner;
    char *description; /* owned until it is sent */
    char *version;
    ferry_live_trace_fn *trace;
    ferry_live_urgent_fn *urgent;
    void *opaque;

    uint16_t wire_version; /* as READY says */
    bool is_urgent;
    char target_version[MESSAGE_TEXT8_BYTES];
    int64_t hello_ns;
    int64_t contact_lost_ns; /* 0 = not lost */
    uint64_t starts;         /* as STATE says it */
    struct live_marks marks, target_marks;
    struct ferry_ledger ledger;
    struct ferry_named_fd names[LIVE_FDS_MAX]; /* extras behind the others */
    size_t name_count, extra_count;
};

/* The base is the first member, and the move is the base's. */
static struct live_source *live_of(struct source *base)
{
    return (struct live_source *)base;
}

static void source_trace(struct live_source *s, enum ferry_live_point point)
{
    if (s->trace)
        s->trace(s->opaque, point);
}

static void live_reached(struct source *base, enum source_point point)
{
    static const enum ferry_live_point points[SOURCE_POINTS] = {
        [SOURCE_AT_QUIESCED] = FERRY_LIVE_QUIESCED,
        [SOURCE_AT_HARTS_STOPPED] = FERRY_LIVE_HARTS_STOPPED,
        [SOURCE_AT_PARTS_PAUSED] = FERRY_LIVE_PARTS_PAUSED,
        [SOURCE_AT_ALL_SENT] = FERRY_LIVE_STATE_SENT,
        [SOURCE_AT_LOADED] = FERRY_LIVE_LOADED_RECEIVED,
    };
    struct live_source *s = live_of(base);

    if (point == SOURCE_AT_HARTS_STOPPED) {
        marks_take(&s->marks, LIVE_MARK_STOPPED);
        /* The target's clock goes on from this mark, so it is the clock's own. */
        if (base->stopped_ns)
            s->marks.at_ns[LIVE_MARK_STOPPED] = base->stopped_ns;
        s->marks.phase = FERRY_PHASE_DETACH;
    } else if (point == SOURCE_AT_PARTS_PAUSED) {
        marks_take(&s->marks, LIVE_MARK_PAUSED);
    }
    source_trace(s, points[point]);
}

static void source_urgent(struct live_source *s)
{
    if (!s->urgent)
        return;
    s->is_urgent = true;
    s->marks.urgency = s->urgent(s->opaque, true);
}

static void source_calm(struct live_source *s)
{
    if (s->is_urgent)
        s->urgent(s->opaque, false);
    s->is_urgent = false;
}

/* --- Running: HELLO, READY --- */

/* The caller has connected the two. */
static int live_begin(struct source *base)
{
    return MOVE_EV_CONNECTED;
}

static int live_hello(struct source *base)
{
    struct live_source *s = live_of(base);
    struct ferry_ram *ram = ferry_vm_ram(base->m.vm);
    OWN_MEM struct hello *hello = calloc(1, sizeof(*hello));
    int fds[LIVE_REGIONS_MAX + 1];
    struct ferry_ram_region *region;

    if (!hello)
        return err_set(&s->base.m.err, ENOMEM, "no memory for HELLO");
    hello->version = LIVE_VERSION;
    hello->oldest = LIVE_OLDEST;
    hello->pause_timeout_ns = base->pause_timeout_ns;
    snprintf(hello->ferry_version, sizeof(hello->ferry_version), "%s", s->version);
    hello->description = s->description;
    hello->description_bytes = strlen(s->description);
    fds[0] = owner_memfd(s->owner);
    for (size_t i = 0; (region = ferry_ram_at(ram, i)); i++) {
        if (i == LIVE_REGIONS_MAX)
            return err_set(&s->base.m.err, E2BIG, "the machine has more than %u RAM regions",
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
    mover_allow(&base->m, s->hello_ns, base->prepare_timeout_ns);
    return MOVE_EV_ASKED;
}

static int live_hello_sent(struct source *base)
{
    source_trace(live_of(base), FERRY_LIVE_HELLO_SENT);
    return 0;
}

/* RAM is shared: nothing of it needs sending. */
static int live_ready(struct source *base)
{
    struct live_source *s = live_of(base);
    int r = message_get_ready(s->drive.frame, &s->wire_version, s->target_version, &base->m.err);

    if (r < 0)
        return r;
    source_trace(s, FERRY_LIVE_READY_RECEIVED);
    s->ledger.prepare_ns = clock_monotonic_ns() - s->hello_ns;
    return MOVE_EV_FITS;
}

/* --- The pause --- */

static int source_collect_fds(struct live_source *s)
{
    s->name_count = 0;
    for (size_t i = 0; i < ferry_vm_part_count(s->base.m.vm); i++) {
        const struct ferry_part *part = ferry_vm_part(s->base.m.vm, i);

        if (!part->ops || !part->ops->fd_at)
            continue;
        for (size_t k = 0;; k++) {
            if (s->name_count == LIVE_FDS_MAX)
                return err_set(&s->base.m.err, E2BIG, "the machine has more than %u named fds",
                               LIVE_FDS_MAX);
            if (part->ops->fd_at(part->obj, k, &s->names[s->name_count]) < 0)
                break;
            s->ledger.fd_count += s->names[s->name_count].fd >= 0;
            s->name_count++;
        }
    }
    return 0;
}

/* As many as there is room for. */
static void source_collect_extras(struct live_source *s)
{
    size_t room = LIVE_FDS_MAX - s->name_count;

    room = room < LIVE_EXTRAS_MAX ? room : LIVE_EXTRAS_MAX;
    s->extra_count = 0;
    for (size_t i = 0; i < ferry_vm_part_count(s->base.m.vm); i++) {
        const struct ferry_part *part = ferry_vm_part(s->base.m.vm, i);
        struct ferry_named_fd *next = s->names + s->name_count + s->extra_count;

        if (!part->ops || !part->ops->extra_fd_at)
            continue;
        for (size_t k = 0; s->extra_count < room && part->ops->extra_fd_at(part->obj, k, next) == 0;
             k++, next++)
            s->extra_count++;
    }
    s->ledger.fd_count += (uint32_t)s->extra_count;
}

static bool gives_extras(const struct live_source *s)
{
    return s->wire_version >= LIVE_EXTRAS_SINCE;
}

static int source_put_fds(struct live_source *s)
{
    struct frame_out *out = &s->drive.peer.out;
    size_t named = 0;
    int r = source_collect_fds(s);

    if (r < 0)
        return r;
    while (named < s->name_count)
        message_put_fds(out, LIVE_TYPE_FDS, s->names, s->name_count, &named);
    if (gives_extras(s))
        source_collect_extras(s);
    for (named = 0; named < s->extra_count;)
        message_put_fds(out, LIVE_TYPE_EXTRAS, s->names + s->name_count, s->extra_count, &named);
    return 0;
}

static int source_save(struct live_source *s)
{
    struct frame_out *out = &s->drive.peer.out;
    const struct state_header header = {.starts = s->starts, .running = s->base.m.running};
    size_t stream_at;
    int r;

    s->marks.phase = FERRY_PHASE_SAVE;
    r = source_put_fds(s);
    if (r < 0)
        return r;
    message_begin_state(out, &header);
    stream_at = out->buf.len_bytes;
    r = vm_save_stream(s->base.m.vm, &out->buf, false, marks_part, &s->marks, &s->base.m.err);
    if (r < 0)
        return r;
    s->ledger.state_bytes = out->buf.len_bytes - stream_at;
    marks_take(&s->marks, LIVE_MARK_SAVED);
    message_end_state(out, &s->marks, s->wire_version);
    return frame_out_check(out, &s->base.m.err);
}

static int live_pausing(struct source *base)
{
    struct live_source *s = live_of(base);
    int r;

    source_urgent(s);
    /* Wakes the target while the harts stop. */
    message_put_empty(&s->drive.peer.out, LIVE_TYPE_SOON);
    r = peer_send(&s->drive.peer, &base->m.err);
    if (r < 0)
        return r;
    s->starts = owner_starts(s->owner);
    return 0;
}

static int live_send(struct source *base)
{
    struct live_source *s = live_of(base);
    int r;

    s->marks.at_ns[LIVE_MARK_BEGUN] = base->pause_ns;
    s->ledger.quiesce_ns = base->pause_ns - base->quiesce_ns;
    r = source_save(s);
    if (r < 0)
        return r;
    source_trace(s, FERRY_LIVE_SAVED);
    s->drive.await_sent = true;
    drive_spin(&s->drive);
    return 0;
}

static int live_state_sent(struct source *base)
{
    return 0;
}

static int live_commit(struct source *base)
{
    struct live_source *s = live_of(base);

    if (s->drive.await_sent)
        return err_set(&base->m.err, EPROTO, "LOADED came to the source while it was %s",
                       mover_doing(&base->m));
    owner_release(s->owner);
    source_trace(s, FERRY_LIVE_LOCK_RELEASED);
    message_put_empty(&s->drive.peer.out, LIVE_TYPE_COMMIT);
    s->drive.await_sent = true;
    /* The target needs the processor now. */
    s->drive.spin_until_ns = 0;
    return 0;
}

static int live_commit_sent(struct source *base)
{
    source_trace(live_of(base), FERRY_LIVE_COMMIT_SENT);
    /* However late it is, the target gets its time to take the lock. */
    mover_allow(&base->m, clock_monotonic_ns(), base->pause_timeout_ns);
    return 0;
}

/* --- The ends --- */

/* The guest runs there. Where that is only inferred, its half of the account is missing. */
static void live_started(struct source *base)
{
    struct live_source *s = live_of(base);
    struct frame *frame = s->drive.frame;
    struct ferry_err ignored;

    source_trace(s, FERRY_LIVE_RUNNING_RECEIVED);
    if (frame && frame->type == LIVE_TYPE_RUNNING &&
        message_get_running(frame, &s->target_marks, s->wire_version, &ignored) < 0)
        memset(&s->target_marks, 0, sizeof(s->target_marks));
    ledger_merge(&s->ledger, &s->marks, &s->target_marks);
}

static void live_reason(struct source *base)
{
    message_get_reason(live_of(base)->drive.frame, &base->m.err);
}

/* COMMIT may have been received: only the lock knows who runs the guest. */
static int live_ascertain(struct source *base)
{
    struct live_source *s = live_of(base);
    int64_t now_ns = clock_monotonic_ns();
    bool moved;

    if (!s->contact_lost_ns)
        s->contact_lost_ns = now_ns;
    if (owner_try(s->owner) == 0)
        return owner_starts(s->owner) == s->starts ? MOVE_EV_OWN_UNMOVED : MOVE_EV_OWN_MOVED;
    moved = owner_starts(s->owner) != s->starts;
    if (moved && now_ns - s->contact_lost_ns > SOURCE_GRACE_NS)
        return MOVE_EV_OWN_THEIRS;
    base->m.deadline_ns = now_ns + SOURCE_RECHECK_NS;
    return 0;
}

static void live_end(struct source *base)
{
    drive_end(&live_of(base)->drive, base->refused ? 0 : LIVE_TYPE_ABORT);
}

/* The lock is held. The count tells a target that wakes up later that its state is out of date. */
static int live_reclaim(struct source *base)
{
    if (base->paused)
        owner_count_start(live_of(base)->owner);
    live_end(base);
    return MOVE_EV_RETURNED;
}

static const struct source_way live_source_way = {
    .begin = live_begin,
    .greet = live_hello,
    .asked = live_hello_sent,
    .accepted = live_ready,
    .pausing = live_pausing,
    .send = live_send,
    .all_sent = live_state_sent,
    .commit = live_commit,
    .committed = live_commit_sent,
    .ascertain = live_ascertain,
    .started = live_started,
    .reason = live_reason,
    .reclaim = live_reclaim,
    .end = live_end,
    .reached = live_reached,
};

static const enum move_event live_source_events[LIVE_TYPE_MAX + 1] = {
    [LIVE_TYPE_READY] = MOVE_EV_ACCEPT,
    [LIVE_TYPE_REFUSE] = MOVE_EV_REFUSE,
    [LIVE_TYPE_LOADED] = MOVE_EV_LOADED,
    [LIVE_TYPE_RUNNING] = MOVE_EV_STARTED,
};

/* --- <ferry/move.h> and <ferry/live.h> --- */

static int live_fd(const struct ferry_move *move)
{
    return ((const struct live_source *)move)->drive.peer.fd;
}

static short live_events(const struct ferry_move *move)
{
    return peer_events(&((const struct live_source *)move)->drive.peer);
}

static int64_t live_deadline_ns(const struct ferry_move *move)
{
    const struct live_source *s = (const struct live_source *)move;

    return source_due(&s->base) || s->drive.more ? 0 : s->base.m.deadline_ns;
}

static enum ferry_move_status live_step(struct ferry_move *move)
{
    struct live_source *s = (struct live_source *)move;

    source_go_on(&s->base);
    drive_step(&s->drive);
    if (mover_ended(&s->base.m))
        source_calm(s);
    return mover_status(&s->base.m);
}

static void live_free(struct ferry_move *move)
{
    struct live_source *s = (struct live_source *)move;
    struct ferry_err ignored;

    (void)!source_cancel(move, &ignored);
    source_calm(s);
    peer_close(&s->drive.peer);
    free(s->description);
    free(s->version);
    free(s);
}

static const struct move_ops live_source_ops = {
    .fd = live_fd,
    .events = live_events,
    .deadline_ns = live_deadline_ns,
    .step = live_step,
    .cancel = source_cancel,
    .set_running = source_set_running,
    .free = live_free,
};

int ferry_live_source_new(struct ferry_move **ret, const struct ferry_live_source_params *params,
                          int *fd, struct ferry_err *err)
{
    struct live_source *s;
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
    source_init(&s->base, &live_source_ops, &live_source_way, "handover", drive_clock, NULL);
    drive_init(&s->drive, &s->base.m, live_source_events, params->spin_ns);
    s->base.m.vm = params->vm;
    s->base.m.running = params->running;
    s->base.m.observe = marks_part;
    s->base.m.observe_arg = &s->marks;
    s->base.commits = true;
    s->base.prepare_timeout_ns =
        params->prepare_timeout_ns ? params->prepare_timeout_ns : SOURCE_PREPARE_NS;
    s->base.pause_timeout_ns =
        params->pause_timeout_ns ? params->pause_timeout_ns : SOURCE_PAUSE_NS;
    s->owner = params->owner;
    s->description = strdup(params->description);
    s->version = strdup(params->version);
    s->trace = params->trace;
    s->urgent = params->urgent;
    s->opaque = params->opaque;
    r = s->description && s->version ? peer_open(&s->drive.peer, fd, err)
                                     : err_set(err, ENOMEM, "no memory for a handover");
    if (r < 0) {
        live_free(&s->base.m.move);
        return r;
    }
    frame_out_reserve(&s->drive.peer.out, LIVE_STATE_ROOM_BYTES);
    *ret = &s->base.m.move;
    return 0;
}

static const struct live_source *source_seen(const struct ferry_move *move)
{
    move_check(move, &live_source_ops);
    return (const struct live_source *)move;
}

bool ferry_live_source_gives_extras(const struct ferry_move *move)
{
    return gives_extras(source_seen(move));
}

const char *ferry_live_source_target_version(const struct ferry_move *move)
{
    return source_seen(move)->target_version;
}

const struct ferry_ledger *ferry_live_source_ledger(const struct ferry_move *move)
{
    return &source_seen(move)->ledger;
}
