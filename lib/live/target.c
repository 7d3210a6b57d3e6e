/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The handover's way for the target (lib/move/target.h): building a machine from what arrives,
 * loading its state, and the ownership lock. What is called from outside is at the end.
 */
#include "lib/move/target.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ferry/live.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/own.h"
#include "lib/live/drive.h"
#include "lib/live/fdset.h"
#include "lib/live/message.h"
#include "lib/live/owner.h"
#include "lib/wire/vm_load.h"
#include "lib/wire/vm_save.h"

#define TARGET_HELLO_NS       (INT64_C(30) * 1000000000)
/* A process that dies closes its files one by one: its socket may go before its lock. */
#define TARGET_GRACE_NS       (INT64_C(2) * 1000000000)
#define TARGET_RETRY_NS       (INT64_C(2) * 1000000)
/*
 * Some 300 us of page tables, then the guest has its turn: on a host with no processor to spare it
 * would else stand still for whole ticks of the host's scheduler (measured: 4 ms each).
 */
#define TARGET_PREFAULT_BYTES (UINT64_C(4) << 20)

struct live_target {
    struct target base;
    struct live_drive drive;
    char *version; /* owned */
    int (*build)(void *opaque, struct ferry_move *move, const char *description,
                 struct ferry_vm **ret, struct ferry_err *err);
    void (*clock_go_on)(void *opaque, int64_t stopped_ns);
    ferry_live_trace_fn *trace;
    ferry_live_urgent_fn *urgent;
    void *opaque;

    struct hello hello;
    uint16_t wire_version; /* the newest that both know */
    bool is_urgent;
    int region_fds[LIVE_REGIONS_MAX]; /* owned until taken */
    int64_t hello_ns;
    int64_t orphaned_ns;
    struct ferry_owner *owner; /* owned */
    struct vm_load *load;      /* owned */
    struct buf rehearsal;      /* what was built, saved */
    bool awake;                /* SOON came */
    struct fdset fds;
    struct state_header header;
    struct live_marks source_marks, marks;
    struct ferry_ledger ledger;
};

/* The base is the first member. */
static struct live_target *live_of(struct target *base)
{
    return (struct live_target *)base;
}

static void target_trace(struct live_target *t, enum ferry_live_point point)
{
    if (t->trace)
        t->trace(t->opaque, point);
}

static void target_urgent(struct live_target *t)
{
    if (!t->urgent)
        return;
    t->is_urgent = true;
    t->marks.urgency = t->urgent(t->opaque, true);
}

static void target_calm(struct live_target *t)
{
    if (t->is_urgent)
        t->urgent(t->opaque, false);
    t->is_urgent = false;
}

/* --- The guest runs in the source --- */

/* HELLO is what the connection brings first. */
static int live_begin(struct target *base)
{
    mover_allow(&base->m, clock_monotonic_ns(), TARGET_HELLO_NS);
    return 0;
}

/* Every region of the source has its place here: one too many would lose memory. */
static int target_check_regions(struct live_target *t)
{
    for (size_t i = 0; i < t->hello.region_count; i++)
        if (t->region_fds[i] >= 0)
            return err_set(&t->base.m.err, EINVAL,
                           "the source has RAM \"%s\" (%" PRIu64 " MiB), which the machine built "
                           "from its description does not have",
                           t->hello.regions[i].name, t->hello.regions[i].size_bytes >> 20);
    return 0;
}

static int target_build(struct live_target *t)
{
    OWN_MEM char *description =
        strndup(t->hello.description ? t->hello.description : "", t->hello.description_bytes);
    int r;

    if (!description)
        return err_set(&t->base.m.err, ENOMEM, "no memory for the machine's description");
    if (strlen(description) != t->hello.description_bytes)
        return err_set(&t->base.m.err, EPROTO, "the machine's description is not text");
    r = t->build(t->opaque, &t->base.m.move, description, &t->base.m.vm, &t->base.m.err);
    if (r < 0)
        return err_prefix(&t->base.m.err, "building the machine");
    r = target_check_regions(t);
    if (r < 0)
        return r;
    r = fdset_declare(&t->fds, t->base.m.vm, &t->base.m.err);
    if (r < 0)
        return r;
    return vm_load_new(&t->load, t->base.m.vm, &t->base.m.err);
}

static int live_hello(struct target *base)
{
    struct live_target *t = live_of(base);
    int r = message_get_hello(t->drive.frame, &t->hello, t->version, &t->base.m.err);

    if (r < 0)
        return r;
    r = owner_adopt(&t->owner, &t->drive.frame->fds[0], &t->base.m.err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < t->hello.region_count; i++)
        t->region_fds[i] = take_fd(&t->drive.frame->fds[i + 1]);
    t->wire_version = t->hello.version < LIVE_VERSION ? t->hello.version : LIVE_VERSION;
    t->hello_ns = clock_monotonic_ns();
    target_trace(t, FERRY_LIVE_HELLO_RECEIVED);
    r = target_build(t);
    if (r < 0)
        return r;
    target_trace(t, FERRY_LIVE_BUILT);
    t->base.m.deadline_ns = 0;
    return 0;
}

/*
 * The first load of a process runs through code, tables and memory that neither a page table nor a
 * cache has yet. So let it not be the one in the pause: load what was just built over itself,
 * which changes nothing, once to have the pages, and again while the source stops its harts.
 */
static void target_rehearse(struct live_target *t)
{
    struct ferry_err ignored;

    if (!t->rehearsal.len_bytes &&
        vm_save_stream(t->base.m.vm, &t->rehearsal, false, marks_part, &t->marks, &ignored) < 0)
        buf_reset(&t->rehearsal);
    if (vm_load_stream(t->load, t->rehearsal.data, t->rehearsal.len_bytes, marks_part, &t->marks,
                       &ignored) == 0)
        vm_load_commit(t->load, marks_part, &t->marks);
    t->marks.count = 0;
}

static int live_prefault(struct target *base)
{
    struct live_target *t = live_of(base);
    int64_t begin_ns = clock_monotonic_ns(), end_ns;
    int r = ferry_ram_prefault(ferry_vm_ram(t->base.m.vm), TARGET_PREFAULT_BYTES, &t->base.m.err);

    if (r < 0)
        return r;
    if (r > 0) {
        end_ns = clock_monotonic_ns();
        t->base.m.deadline_ns = end_ns + (end_ns - begin_ns);
        return 0;
    }
    target_rehearse(t);
    return MOVE_EV_FAULTED_IN;
}

static int live_ready(struct target *base)
{
    struct live_target *t = live_of(base);

    /* The next that comes wakes this side in the pause. */
    target_urgent(t);
    message_put_ready(&t->drive.peer.out, t->wire_version, t->version);
    t->drive.await_sent = true;
    t->ledger.prepare_ns = clock_monotonic_ns() - t->hello_ns;
    return 0;
}

static int live_ready_sent(struct target *base)
{
    target_trace(live_of(base), FERRY_LIVE_READY_SENT);
    return 0;
}

/* --- The pause --- */

static int live_soon(struct target *base)
{
    struct live_target *t = live_of(base);

    /* Each costs a load of the whole machine. */
    if (t->awake)
        return err_set(&base->m.err, EPROTO, "SOON came twice");
    t->awake = true;
    target_urgent(t);
    target_rehearse(t);
    drive_spin(&t->drive);
    return 0;
}

static int live_fds(struct target *base)
{
    struct live_target *t = live_of(base);

    if (t->drive.frame->type == LIVE_TYPE_EXTRAS && t->wire_version < LIVE_EXTRAS_SINCE)
        return err_set(&base->m.err, EPROTO,
                       "EXTRAS came in a version of the protocol that has none");
    if (t->drive.frame->type == LIVE_TYPE_EXTRAS)
        return message_get_fds(t->drive.frame, t->fds.extras, &t->fds.extra_count, LIVE_EXTRAS_MAX,
                               &t->base.m.err);
    return message_get_fds(t->drive.frame, t->fds.arrived, &t->fds.arrived_count, LIVE_FDS_MAX,
                           &t->base.m.err);
}

static int target_load(struct live_target *t)
{
    struct rd stream;
    int r = message_get_state(t->drive.frame, &t->header, &stream, &t->source_marks,
                              t->wire_version, &t->base.m.err);

    if (r < 0)
        return r;
    if (frame_in_surplus_fds(&t->drive.peer.in))
        return err_set(&t->base.m.err, EPROTO, "%zu file descriptors arrived without a name",
                       frame_in_surplus_fds(&t->drive.peer.in));
    r = fdset_compare(&t->fds, &t->base.m.err);
    if (r < 0)
        return r;
    t->marks.phase = FERRY_PHASE_LOAD;
    t->ledger.state_bytes = stream.len_bytes;
    for (size_t i = 0; i < t->fds.arrived_count; i++)
        t->ledger.fd_count += t->fds.arrived[i].fd >= 0;
    t->ledger.fd_count += (uint32_t)t->fds.extra_count;
    r = vm_load_stream(t->load, stream.data, stream.len_bytes, marks_part, &t->marks,
                       &t->base.m.err);
    if (r < 0)
        return r;
    vm_load_commit(t->load, marks_part, &t->marks);
    return 0;
}

static int live_state(struct target *base)
{
    struct live_target *t = live_of(base);
    int r;

    marks_take(&t->marks, LIVE_MARK_RECEIVED);
    target_trace(t, FERRY_LIVE_STATE_RECEIVED);
    r = target_load(t);
    if (r < 0)
        return r;
    marks_take(&t->marks, LIVE_MARK_LOADED);
    target_trace(t, FERRY_LIVE_STATE_LOADED);
    t->marks.phase = FERRY_PHASE_ADOPT;
    r = fdset_adopt(&t->fds, &t->marks, &t->base.m.err);
    if (r < 0)
        return r;
    fdset_offer_extras(&t->fds, t->base.m.vm);
    marks_take(&t->marks, LIVE_MARK_ADOPTED);
    target_trace(t, FERRY_LIVE_ADOPTED);
    message_put_empty(&t->drive.peer.out, LIVE_TYPE_LOADED);
    t->drive.await_sent = true;
    drive_spin(&t->drive);
    return 0;
}

static int live_loaded_sent(struct target *base)
{
    target_trace(live_of(base), FERRY_LIVE_LOADED_SENT);
    return 0;
}

/* --- The ends --- */

static void live_committed(struct target *base)
{
    target_trace(live_of(base), FERRY_LIVE_COMMIT_RECEIVED);
}

/* The source's word, within what this host's clock has shown so far. */
static int64_t target_stopped_ns(const struct live_target *t)
{
    int64_t now_ns = clock_monotonic_ns(), at_ns = t->source_marks.at_ns[LIVE_MARK_STOPPED];

    return at_ns < 0 ? 0 : at_ns > now_ns ? now_ns : at_ns;
}

static int live_claim(struct target *base)
{
    struct live_target *t = live_of(base);
    int r = owner_try(t->owner);

    if (r < 0)
        return err_set(&base->m.err, -r,
                       "COMMIT came, but another process holds the ownership lock");
    if (owner_starts(t->owner) != t->header.starts) {
        owner_release(t->owner);
        return err_set(&base->m.err, ESTALE,
                       "the guest went on in the source after its state was saved: this state is "
                       "out of date");
    }
    marks_take(&t->marks, LIVE_MARK_LOCKED);
    target_trace(t, FERRY_LIVE_LOCK_TAKEN);
    owner_count_start(t->owner);
    if (t->header.running && t->clock_go_on)
        t->clock_go_on(t->opaque, target_stopped_ns(t));
    t->marks.phase = FERRY_PHASE_START;
    return 0;
}

static bool live_run(struct target *base)
{
    return live_of(base)->header.running;
}

static void live_started(struct target *base)
{
    struct live_target *t = live_of(base);

    marks_take(&t->marks, LIVE_MARK_STARTED);
    target_trace(t, FERRY_LIVE_STARTED);
    message_put_running(&t->drive.peer.out, &t->marks, t->wire_version);
    ledger_merge(&t->ledger, &t->source_marks, &t->marks);
}

/* The source is gone, and everything that the guest needs is here. The lock says who has it. */
static int live_orphaned(struct target *base)
{
    struct live_target *t = live_of(base);
    int64_t now_ns = clock_monotonic_ns();

    if (!t->orphaned_ns)
        t->orphaned_ns = now_ns;
    if (owner_try(t->owner) == 0)
        return MOVE_EV_OWN_UNMOVED;
    if (owner_starts(t->owner) != t->header.starts || now_ns - t->orphaned_ns > TARGET_GRACE_NS) {
        err_set(&base->m.err, EBUSY,
                "the source closed the connection before COMMIT and still owns the guest");
        return MOVE_EV_OWN_THEIRS;
    }
    base->m.deadline_ns = now_ns + TARGET_RETRY_NS;
    return 0;
}

static void live_reason(struct target *base)
{
    message_get_reason(live_of(base)->drive.frame, &base->m.err);
}

static int live_refuse(struct target *base)
{
    drive_end(&live_of(base)->drive, LIVE_TYPE_REFUSE);
    return MOVE_EV_CLOSE;
}

/* The connection goes with the object. */
static void live_end(struct target *base)
{
}

static const struct target_way live_target_way = {
    .begin = live_begin,
    .hello = live_hello,
    .prefault = live_prefault,
    .ready = live_ready,
    .ready_sent = live_ready_sent,
    .soon = live_soon,
    .fds = live_fds,
    .load = live_state,
    .loaded_sent = live_loaded_sent,
    .committed = live_committed,
    .claim = live_claim,
    .run = live_run,
    .started = live_started,
    .orphaned = live_orphaned,
    .reason = live_reason,
    .refuse = live_refuse,
    .end = live_end,
};

static const enum move_event live_target_events[LIVE_TYPE_MAX + 1] = {
    [LIVE_TYPE_HELLO] = MOVE_EV_HELLO, [LIVE_TYPE_FDS] = MOVE_EV_FDS,
    [LIVE_TYPE_STATE] = MOVE_EV_STATE, [LIVE_TYPE_COMMIT] = MOVE_EV_COMMIT,
    [LIVE_TYPE_ABORT] = MOVE_EV_ABORT, [LIVE_TYPE_SOON] = MOVE_EV_SOON,
    [LIVE_TYPE_EXTRAS] = MOVE_EV_FDS,
};

/* --- <ferry/move.h> and <ferry/live.h> --- */

static int live_fd(const struct ferry_move *move)
{
    return ((const struct live_target *)move)->drive.peer.fd;
}

static short live_events(const struct ferry_move *move)
{
    return peer_events(&((const struct live_target *)move)->drive.peer);
}

static int64_t live_deadline_ns(const struct ferry_move *move)
{
    const struct live_target *t = (const struct live_target *)move;

    return t->base.m.state == TARGET_NEW || t->drive.more ? 0 : t->base.m.deadline_ns;
}

static enum ferry_move_status live_step(struct ferry_move *move)
{
    struct live_target *t = (struct live_target *)move;
    struct ferry_err ignored;

    target_go_on(&t->base);
    drive_step(&t->drive);
    if (!mover_ended(&t->base.m))
        return FERRY_MOVE_BUSY;
    /* RUNNING. A source that cannot be told finds out by the lock. */
    if (t->base.m.state == TARGET_DONE && peer_send(&t->drive.peer, &ignored) < 0)
        frame_out_drop(&t->drive.peer.out);
    target_calm(t);
    return mover_status(&t->base.m);
}

static void live_free(struct ferry_move *move)
{
    struct live_target *t = (struct live_target *)move;

    target_calm(t);
    peer_close(&t->drive.peer);
    for (size_t i = 0; i < LIVE_REGIONS_MAX; i++)
        own_close_fd(&t->region_fds[i]);
    fdset_close(&t->fds);
    vm_load_free(t->load);
    buf_free(&t->rehearsal);
    ferry_owner_free(t->owner);
    free(t->version);
    free(t);
}

static const struct move_ops live_target_ops = {
    .fd = live_fd,
    .events = live_events,
    .deadline_ns = live_deadline_ns,
    .step = live_step,
    .free = live_free,
};

/*
 * For the file descriptors that come in the pause. To make the table of open files larger the
 * kernel waits, in a process with threads, for every processor to have passed a quiet state: 20 ms
 * and more. It never makes it smaller. As many as the limit allows (ulimit -n).
 */
static void target_make_room_for_fds(int fd)
{
    int far = -1;

    for (int count = LIVE_FDS_MAX; far < 0 && count > 64; count /= 2)
        far = fcntl(fd, F_DUPFD_CLOEXEC, count - 1);
    own_close_fd(&far);
}

int ferry_live_target_new(struct ferry_move **ret, const struct ferry_live_target_params *params,
                          int *fd, struct ferry_err *err)
{
    struct live_target *t;
    int r;

    if (params->size_bytes != sizeof(*params))
        return err_set(err, EINVAL,
                       "ferry_live_target_params has %zu bytes, this library knows %zu",
                       params->size_bytes, sizeof(*params));
    t = calloc(1, sizeof(*t));
    if (!t)
        return err_set(err, ENOMEM, "no memory for a handover");
    drive_touch(t, sizeof(*t));
    target_init(&t->base, &live_target_ops, &live_target_way, "handover", drive_clock, NULL);
    drive_init(&t->drive, &t->base.m, live_target_events, params->spin_ns);
    t->base.m.observe = marks_part;
    t->base.m.observe_arg = &t->marks;
    memset(t->region_fds, -1, sizeof(t->region_fds));
    t->version = strdup(params->version);
    t->build = params->build;
    t->clock_go_on = params->clock_go_on;
    t->trace = params->trace;
    t->urgent = params->urgent;
    t->opaque = params->opaque;
    r = t->version ? peer_open(&t->drive.peer, fd, err)
                   : err_set(err, ENOMEM, "no memory for a handover");
    if (r < 0) {
        live_free(&t->base.m.move);
        return r;
    }
    target_make_room_for_fds(t->drive.peer.fd);
    frame_in_reserve(&t->drive.peer.in, LIVE_STATE_ROOM_BYTES);
    frame_out_reserve(&t->drive.peer.out, LIVE_STATE_ROOM_BYTES / 8);
    *ret = &t->base.m.move;
    return 0;
}

static struct live_target *target_of(struct ferry_move *move)
{
    move_check(move, &live_target_ops);
    return (struct live_target *)move;
}

static const struct live_target *target_seen(const struct ferry_move *move)
{
    move_check(move, &live_target_ops);
    return (const struct live_target *)move;
}

/* The fd of a region that arrived and was not taken. */
static int *target_region_fd(struct live_target *t, const char *name, uint64_t size_bytes,
                             struct ferry_err *err)
{
    for (size_t i = 0; i < t->hello.region_count; i++)
        if (!strcmp(t->hello.regions[i].name, name) && t->region_fds[i] >= 0)
            return &t->region_fds[i];
    err_set(err, ENOENT, "the source has no RAM \"%s\" (%" PRIu64 " MiB)", name, size_bytes >> 20);
    return NULL;
}

int ferry_live_target_take_region(struct ferry_move *move, struct ferry_ram *ram, const char *name,
                                  uint64_t size_bytes, struct ferry_ram_region **ret,
                                  struct ferry_err *err)
{
    int *fd = target_region_fd(target_of(move), name, size_bytes, err);

    return fd ? ferry_ram_adopt(ram, name, size_bytes, fd, ret, err) : -ENOENT;
}

int ferry_live_target_take_file(struct ferry_move *move, struct ferry_ram *ram, const char *name,
                                uint64_t size_bytes, struct ferry_ram_region **ret,
                                struct ferry_err *err)
{
    int *fd = target_region_fd(target_of(move), name, size_bytes, err);

    return fd ? ferry_ram_add_file(ram, name, size_bytes, fd, ret, err) : -ENOENT;
}

struct ferry_owner *ferry_live_target_take_owner(struct ferry_move *move)
{
    struct live_target *t = target_of(move);

    return t->base.m.state == TARGET_DONE ? TAKE_PTR(t->owner) : NULL;
}

const char *ferry_live_target_source_version(const struct ferry_move *move)
{
    return target_seen(move)->hello.ferry_version;
}

const struct ferry_ledger *ferry_live_target_ledger(const struct ferry_move *move)
{
    return &target_seen(move)->ledger;
}
