/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The side that builds a machine from what arrives and takes the guest over: states, and what
 * happens in each. The functions of <ferry/live.h> are at the end.
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
#include "lib/live/fdset.h"
#include "lib/live/message.h"
#include "lib/live/owner.h"
#include "lib/state/vm.h"
#include "lib/wire/vm_load.h"
#include "lib/wire/vm_save.h"

#define TARGET_HELLO_NS       (INT64_C(30) * 1000000000)
/* A process that dies closes its files one by one: its socket may go before its lock. */
#define TARGET_GRACE_NS       (INT64_C(2) * 1000000000)
#define TARGET_RETRY_NS       (INT64_C(2) * 1000000)
/* A millisecond or two of page tables, then the caller's loop has its turn. */
#define TARGET_PREFAULT_BYTES (UINT64_C(16) << 20)

/* clang-format off */
enum {
    TARGET_NEW = 0, TARGET_PREFAULT, TARGET_READY, TARGET_WAIT, TARGET_LOADED, TARGET_ORPHAN,
    TARGET_DONE, TARGET_FAILED, /* the ends */
};
/* clang-format on */

struct ferry_live_target {
    struct live_drive drive;
    char *version; /* owned */
    int (*build)(void *opaque, struct ferry_live_target *t, const char *description,
                 struct ferry_vm **ret, struct ferry_err *err);
    void (*clock_advance)(void *opaque, int64_t pause_ns);
    ferry_live_trace_fn *trace;
    void *opaque;

    struct hello hello;
    int region_fds[LIVE_REGIONS_MAX]; /* owned until taken */
    int64_t hello_ns;
    int64_t orphaned_ns;
    struct ferry_owner *owner; /* owned */
    struct ferry_vm *vm;       /* loan, from build() */
    struct vm_load *load;      /* owned */
    struct buf rehearsal;      /* what was built, saved */
    struct fdset fds;
    struct state_header header;
    struct live_marks source_marks, marks;
    struct ferry_ledger ledger;
};

static void target_trace(struct ferry_live_target *t, enum ferry_live_point point)
{
    if (t->trace)
        t->trace(t->opaque, point);
}

/* --- The guest runs in the source --- */

/* Every region of the source has its place here: one too many would lose memory. */
static int target_check_regions(struct ferry_live_target *t)
{
    for (size_t i = 0; i < t->hello.region_count; i++)
        if (t->region_fds[i] >= 0)
            return err_set(&t->drive.err, EINVAL,
                           "the source has RAM \"%s\" (%" PRIu64 " MiB), which the machine built "
                           "from its description does not have",
                           t->hello.regions[i].name, t->hello.regions[i].size_bytes >> 20);
    return 0;
}

static int target_build(struct ferry_live_target *t)
{
    OWN_MEM char *description =
        strndup(t->hello.description ? t->hello.description : "", t->hello.description_bytes);
    int r;

    if (!description)
        return err_set(&t->drive.err, ENOMEM, "no memory for the machine's description");
    if (strlen(description) != t->hello.description_bytes)
        return err_set(&t->drive.err, EPROTO, "the machine's description is not text");
    r = t->build(t->opaque, t, description, &t->vm, &t->drive.err);
    if (r < 0)
        return err_prefix(&t->drive.err, "building the machine");
    r = target_check_regions(t);
    if (r < 0)
        return r;
    r = fdset_declare(&t->fds, t->vm, &t->drive.err);
    if (r < 0)
        return r;
    return vm_load_new(&t->load, t->vm, &t->drive.err);
}

static int target_hello(void *self)
{
    struct ferry_live_target *t = self;
    int r = message_get_hello(t->drive.frame, &t->hello, t->version, &t->drive.err);

    if (r < 0)
        return r;
    r = owner_adopt(&t->owner, &t->drive.frame->fds[0], &t->drive.err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < t->hello.region_count; i++)
        t->region_fds[i] = take_fd(&t->drive.frame->fds[i + 1]);
    t->hello_ns = clock_monotonic_ns();
    target_trace(t, FERRY_LIVE_HELLO_RECEIVED);
    r = target_build(t);
    if (r < 0)
        return r;
    target_trace(t, FERRY_LIVE_BUILT);
    t->drive.deadline_ns = 0;
    return 0;
}

/*
 * The first load of a process runs through code, tables and memory that neither a page table nor a
 * cache has yet. So let it not be the one in the pause: load what was just built over itself,
 * which changes nothing, once to have the pages, and again while the source stops its harts.
 */
static void target_rehearse(struct ferry_live_target *t)
{
    struct ferry_err ignored;

    if (!t->rehearsal.len_bytes &&
        vm_save_stream(t->vm, &t->rehearsal, false, marks_part, &t->marks, &ignored) < 0)
        buf_reset(&t->rehearsal);
    if (vm_load_stream(t->load, t->rehearsal.data, t->rehearsal.len_bytes, marks_part, &t->marks,
                       &ignored) == 0)
        vm_load_commit(t->load, marks_part, &t->marks);
    t->marks.count = 0;
}

static int target_prefault(void *self)
{
    struct ferry_live_target *t = self;
    int r = ferry_ram_prefault(ferry_vm_ram(t->vm), TARGET_PREFAULT_BYTES, &t->drive.err);

    if (r < 0)
        return r;
    if (r > 0) {
        t->drive.deadline_ns = 0;
        return 0;
    }
    target_rehearse(t);
    return LIVE_EVENT_FAULTED_IN;
}

static int target_ready(void *self)
{
    struct ferry_live_target *t = self;

    message_put_ready(&t->drive.peer.out, LIVE_VERSION, t->version);
    t->drive.await_sent = true;
    t->ledger.prepare_ns = clock_monotonic_ns() - t->hello_ns;
    return 0;
}

static int target_ready_sent(void *self)
{
    target_trace(self, FERRY_LIVE_READY_SENT);
    return 0;
}

/* --- The pause --- */

static int target_soon(void *self)
{
    struct ferry_live_target *t = self;

    target_rehearse(t);
    drive_spin(&t->drive);
    return 0;
}

static int target_fds(void *self)
{
    struct ferry_live_target *t = self;

    return message_get_fds(t->drive.frame, t->fds.arrived, &t->fds.arrived_count, LIVE_FDS_MAX,
                           &t->drive.err);
}

static int target_load(struct ferry_live_target *t)
{
    struct rd stream;
    int r = message_get_state(t->drive.frame, &t->header, &stream, &t->source_marks, &t->drive.err);

    if (r < 0)
        return r;
    if (frame_in_surplus_fds(&t->drive.peer.in))
        return err_set(&t->drive.err, EPROTO, "%zu file descriptors arrived without a name",
                       frame_in_surplus_fds(&t->drive.peer.in));
    r = fdset_compare(&t->fds, &t->drive.err);
    if (r < 0)
        return r;
    t->marks.phase = FERRY_PHASE_LOAD;
    t->ledger.state_bytes = stream.len_bytes;
    for (size_t i = 0; i < t->fds.arrived_count; i++)
        t->ledger.fd_count += t->fds.arrived[i].fd >= 0;
    r = vm_load_stream(t->load, stream.data, stream.len_bytes, marks_part, &t->marks,
                       &t->drive.err);
    if (r < 0)
        return r;
    vm_load_commit(t->load, marks_part, &t->marks);
    return 0;
}

static int target_state(void *self)
{
    struct ferry_live_target *t = self;
    int r;

    marks_take(&t->marks, LIVE_MARK_RECEIVED);
    target_trace(t, FERRY_LIVE_STATE_RECEIVED);
    r = target_load(t);
    if (r < 0)
        return r;
    marks_take(&t->marks, LIVE_MARK_LOADED);
    target_trace(t, FERRY_LIVE_STATE_LOADED);
    t->marks.phase = FERRY_PHASE_ADOPT;
    r = fdset_adopt(&t->fds, &t->marks, &t->drive.err);
    if (r < 0)
        return r;
    marks_take(&t->marks, LIVE_MARK_ADOPTED);
    target_trace(t, FERRY_LIVE_ADOPTED);
    message_put_empty(&t->drive.peer.out, LIVE_TYPE_LOADED);
    t->drive.await_sent = true;
    drive_spin(&t->drive);
    return 0;
}

static int target_loaded_sent(void *self)
{
    target_trace(self, FERRY_LIVE_LOADED_SENT);
    return 0;
}

/* --- The ends --- */

/* The lock is held here. */
static int target_start(struct ferry_live_target *t)
{
    int64_t pause_ns;

    if (owner_starts(t->owner) != t->header.starts) {
        owner_release(t->owner);
        return err_set(&t->drive.err, ESTALE,
                       "the guest went on in the source after its state was saved: this state is "
                       "out of date");
    }
    marks_take(&t->marks, LIVE_MARK_LOCKED);
    target_trace(t, FERRY_LIVE_LOCK_TAKEN);
    owner_count_start(t->owner);
    pause_ns = clock_monotonic_ns() - t->source_marks.at_ns[LIVE_MARK_STOPPED];
    if (t->header.running && t->clock_advance)
        t->clock_advance(t->opaque, pause_ns > 0 ? pause_ns : 0);
    t->marks.phase = FERRY_PHASE_START;
    vm_resume_parts(t->vm, marks_part, &t->marks);
    if (t->header.running)
        vm_resume_harts(t->vm);
    marks_take(&t->marks, LIVE_MARK_STARTED);
    target_trace(t, FERRY_LIVE_STARTED);
    message_put_running(&t->drive.peer.out, &t->marks);
    ledger_merge(&t->ledger, &t->source_marks, &t->marks);
    return 0;
}

static int target_commit(void *self)
{
    struct ferry_live_target *t = self;
    int r;

    target_trace(t, FERRY_LIVE_COMMIT_RECEIVED);
    r = owner_try(t->owner);
    if (r < 0)
        return err_set(&t->drive.err, -r,
                       "COMMIT came, but another process holds the ownership lock");
    return target_start(t);
}

/* The source is gone, and everything that the guest needs is here. The lock says who has it. */
static int target_orphaned(void *self)
{
    struct ferry_live_target *t = self;
    int64_t now_ns = clock_monotonic_ns();

    if (!t->orphaned_ns)
        t->orphaned_ns = now_ns;
    if (owner_try(t->owner) == 0)
        return LIVE_EVENT_OWN_UNMOVED;
    if (owner_starts(t->owner) != t->header.starts || now_ns - t->orphaned_ns > TARGET_GRACE_NS)
        return LIVE_EVENT_OWN_THEIRS;
    t->drive.deadline_ns = now_ns + TARGET_RETRY_NS;
    return 0;
}

static int target_inherit(void *self)
{
    return target_start(self);
}

static int target_theirs(void *self)
{
    struct ferry_live_target *t = self;

    err_set(&t->drive.err, EBUSY,
            "the source closed the connection before COMMIT and still owns the guest");
    return 0;
}

static int target_gone(void *self)
{
    struct ferry_live_target *t = self;

    err_set(&t->drive.err, ECONNRESET,
            "the source closed the connection (has it crashed?) while the target was %s: its guest "
            "cannot run here without the whole state",
            drive_state_name(&t->drive));
    return LIVE_EVENT_FAULT;
}

static int target_late(void *self)
{
    struct ferry_live_target *t = self;

    err_set(&t->drive.err, ETIMEDOUT, "no source said HELLO within %" PRId64 " s",
            TARGET_HELLO_NS / 1000000000);
    return LIVE_EVENT_FAULT;
}

static int target_aborted(void *self)
{
    struct ferry_live_target *t = self;

    message_get_reason(t->drive.frame, &t->drive.err);
    err_prefix(&t->drive.err, "the source gave up");
    return 0;
}

static int target_refuse(void *self)
{
    struct ferry_live_target *t = self;

    drive_end(&t->drive, LIVE_TYPE_REFUSE);
    return 0;
}

static const char *const target_state_names[] = {
    [TARGET_NEW] = "waiting for HELLO",
    [TARGET_PREFAULT] = "entering RAM in its page tables",
    [TARGET_READY] = "sending READY",
    [TARGET_WAIT] = "waiting for the state",
    [TARGET_LOADED] = "waiting for COMMIT",
    [TARGET_ORPHAN] = "waiting for the ownership lock",
    [TARGET_DONE] = "done",
    [TARGET_FAILED] = "failed",
};

/* clang-format off */
static const struct machine_rule target_rules[] = {
    {TARGET_NEW,      LIVE_EVENT_HELLO,       TARGET_PREFAULT, target_hello},
    {TARGET_PREFAULT, LIVE_EVENT_DUE,         TARGET_PREFAULT, target_prefault},
    {TARGET_PREFAULT, LIVE_EVENT_FAULTED_IN,  TARGET_READY,    target_ready},
    {TARGET_READY,    LIVE_EVENT_SENT,        TARGET_WAIT,     target_ready_sent},
    {TARGET_WAIT,     LIVE_EVENT_SOON,        TARGET_WAIT,     target_soon},
    {TARGET_WAIT,     LIVE_EVENT_FDS,         TARGET_WAIT,     target_fds},
    {TARGET_WAIT,     LIVE_EVENT_STATE,       TARGET_LOADED,   target_state},
    {TARGET_LOADED,   LIVE_EVENT_SENT,        TARGET_LOADED,   target_loaded_sent},
    {TARGET_LOADED,   LIVE_EVENT_COMMIT,      TARGET_DONE,     target_commit},

    {TARGET_NEW,      LIVE_EVENT_GONE,        TARGET_NEW,      target_gone},
    {TARGET_NEW,      LIVE_EVENT_DUE,         TARGET_NEW,      target_late},
    {TARGET_NEW,      LIVE_EVENT_ABORT,       TARGET_FAILED,   target_aborted},
    {TARGET_NEW,      LIVE_EVENT_FAULT,       TARGET_FAILED,   target_refuse},
    {TARGET_PREFAULT, LIVE_EVENT_GONE,        TARGET_PREFAULT, target_gone},
    {TARGET_PREFAULT, LIVE_EVENT_ABORT,       TARGET_FAILED,   target_aborted},
    {TARGET_PREFAULT, LIVE_EVENT_FAULT,       TARGET_FAILED,   target_refuse},
    {TARGET_READY,    LIVE_EVENT_GONE,        TARGET_READY,    target_gone},
    {TARGET_READY,    LIVE_EVENT_ABORT,       TARGET_FAILED,   target_aborted},
    {TARGET_READY,    LIVE_EVENT_FAULT,       TARGET_FAILED,   target_refuse},
    {TARGET_WAIT,     LIVE_EVENT_GONE,        TARGET_WAIT,     target_gone},
    {TARGET_WAIT,     LIVE_EVENT_ABORT,       TARGET_FAILED,   target_aborted},
    {TARGET_WAIT,     LIVE_EVENT_FAULT,       TARGET_FAILED,   target_refuse},

    /* Everything is here: a source that dies now does not take the guest along. */
    {TARGET_LOADED,   LIVE_EVENT_GONE,        TARGET_ORPHAN,   target_orphaned},
    {TARGET_LOADED,   LIVE_EVENT_ABORT,       TARGET_FAILED,   target_aborted},
    {TARGET_LOADED,   LIVE_EVENT_FAULT,       TARGET_FAILED,   target_refuse},
    {TARGET_ORPHAN,   LIVE_EVENT_DUE,         TARGET_ORPHAN,   target_orphaned},
    {TARGET_ORPHAN,   LIVE_EVENT_OWN_UNMOVED, TARGET_DONE,     target_inherit},
    {TARGET_ORPHAN,   LIVE_EVENT_OWN_THEIRS,  TARGET_FAILED,   target_theirs},
    {TARGET_ORPHAN,   LIVE_EVENT_FAULT,       TARGET_FAILED,   target_refuse},
};
/* clang-format on */

const struct machine_table live_target_table = {
    .name = "target",
    .state_names = target_state_names,
    .state_count = sizeof(target_state_names) / sizeof(target_state_names[0]),
    .event_names = live_event_names,
    .event_count = LIVE_EVENT_COUNT,
    .fault = LIVE_EVENT_FAULT,
    .rules = target_rules,
    .rule_count = sizeof(target_rules) / sizeof(target_rules[0]),
};

/* --- <ferry/live.h> --- */

int ferry_live_target_new(struct ferry_live_target **ret,
                          const struct ferry_live_target_params *params, int *fd,
                          struct ferry_err *err)
{
    struct ferry_live_target *t;
    int r;

    if (params->size_bytes != sizeof(*params))
        return err_set(err, EINVAL,
                       "ferry_live_target_params has %zu bytes, this library knows %zu",
                       params->size_bytes, sizeof(*params));
    t = calloc(1, sizeof(*t));
    if (!t)
        return err_set(err, ENOMEM, "no memory for a handover");
    drive_touch(t, sizeof(*t));
    drive_init(&t->drive, &live_target_table, t, TARGET_DONE, params->spin_ns);
    memset(t->region_fds, -1, sizeof(t->region_fds));
    t->version = strdup(params->version);
    t->build = params->build;
    t->clock_advance = params->clock_advance;
    t->trace = params->trace;
    t->opaque = params->opaque;
    r = t->version ? peer_open(&t->drive.peer, fd, err)
                   : err_set(err, ENOMEM, "no memory for a handover");
    if (r < 0) {
        ferry_live_target_free(t);
        return r;
    }
    frame_in_reserve(&t->drive.peer.in, LIVE_STATE_ROOM_BYTES);
    frame_out_reserve(&t->drive.peer.out, LIVE_STATE_ROOM_BYTES / 8);
    t->drive.deadline_ns = clock_monotonic_ns() + TARGET_HELLO_NS;
    *ret = t;
    return 0;
}

int ferry_live_target_take_region(struct ferry_live_target *t, struct ferry_ram *ram,
                                  const char *name, uint64_t size_bytes,
                                  struct ferry_ram_region **ret, struct ferry_err *err)
{
    for (size_t i = 0; i < t->hello.region_count; i++)
        if (!strcmp(t->hello.regions[i].name, name) && t->region_fds[i] >= 0)
            return ferry_ram_adopt(ram, name, size_bytes, &t->region_fds[i], ret, err);
    return err_set(err, ENOENT, "the source has no RAM \"%s\" (%" PRIu64 " MiB)", name,
                   size_bytes >> 20);
}

int ferry_live_target_fd(const struct ferry_live_target *t)
{
    return t->drive.peer.fd;
}

short ferry_live_target_events(const struct ferry_live_target *t)
{
    return peer_events(&t->drive.peer);
}

int64_t ferry_live_target_deadline_ns(const struct ferry_live_target *t)
{
    return t->drive.deadline_ns;
}

enum ferry_live_status ferry_live_target_step(struct ferry_live_target *t, struct ferry_err *err)
{
    struct ferry_err ignored;

    drive_step(&t->drive);
    if (t->drive.state < TARGET_DONE)
        return FERRY_LIVE_BUSY;
    if (t->drive.state == TARGET_FAILED) {
        *err = t->drive.err;
        return FERRY_LIVE_FAILED;
    }
    /* RUNNING. A source that cannot be told finds out by the lock. */
    if (peer_send(&t->drive.peer, &ignored) < 0)
        frame_out_drop(&t->drive.peer.out);
    return FERRY_LIVE_DONE;
}

bool ferry_live_target_running(const struct ferry_live_target *t)
{
    return t->drive.state == TARGET_DONE && t->header.running;
}

struct ferry_owner *ferry_live_target_take_owner(struct ferry_live_target *t)
{
    return t->drive.state == TARGET_DONE ? TAKE_PTR(t->owner) : NULL;
}

const struct ferry_ledger *ferry_live_target_ledger(const struct ferry_live_target *t)
{
    return &t->ledger;
}

void ferry_live_target_free(struct ferry_live_target *t)
{
    if (!t)
        return;
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
