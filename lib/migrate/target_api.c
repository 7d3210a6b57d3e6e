/* SPDX-License-Identifier: Apache-2.0 */
/* <ferry/move.h> and <ferry/migrate.h> for the target, and where its events come from. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/be.h"
#include "base/budget.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/own.h"
#include "lib/migrate/support.h"
#include "lib/migrate/target.h"

#define TARGET_SETUP_NS   INT64_C(30000000000)
#define TARGET_COMMIT_NS  INT64_C(30000000000)
/* A rate that the operator allows may leave long silences between two batches. */
#define TARGET_STALL_NS   INT64_C(300000000000)
#define TARGET_LOOKS      32 /* in that time */
#define TARGET_READ_BYTES (32u << 10)
/* Of those who connected, besides the channels: a source finds room whoever else is there. */
#define TARGET_SILENT_MAX 16u
#define TARGET_REST_NS    INT64_C(100000000)
#define TARGET_GO_BYTES   5u /* the command COMMIT */

/* --- Who connects --- */

/*
 * Which channel is it? Its first bytes tell. 1: it is taken, 0: not yet, -ECONNRESET: it is gone,
 * or nobody who sends a stream.
 */
static int target_sort(struct migrate_target *t, struct ferry_chan **chan)
{
    uint32_t magic;
    int r = chan_peek(*chan, &magic, sizeof(magic), &t->base.m.err);

    if (r < 0)
        return r == -EAGAIN ? 0 : r;
    magic = be32_load(&magic);
    if (t->channels && magic == WIRE_MULTIFD_MAGIC) {
        if (!t->multifd)
            return 0;
        session_watch_edge(&t->session, chan_fd(*chan), false);
        r = multifd_in_attach(t->multifd, chan, &t->base.m.err);
        t->taken_count++;
        return r < 0 ? r : 1;
    }
    if (t->chan)
        return err_set(&t->base.m.err, EPROTO, "a channel begins with %08x, which says nothing",
                       magic);
    /* Where somebody else can come after it; what is there alone is told what is wrong with it. */
    if (magic != WIRE_MAGIC && listener_fd(t->listener) >= 0)
        return err_set(&t->base.m.err, ECONNRESET, "who connected begins with %08x, no stream does",
                       magic);
    t->chan = TAKE_PTR(*chan);
    return 1;
}

/* The others keep their order: the first has been here for longest. */
static void target_forget(struct migrate_target *t, unsigned i)
{
    struct target_arrival *a = &t->arrived[i];

    ferry_chan_free(a->chan);
    t->arrived_count--;
    memmove(a, a + 1, (t->arrived_count - i) * sizeof(*a));
}

/*
 * Who connects and goes, says nothing for long, or something else, was not the source. Once that is
 * known it may be one of its channels.
 */
static int target_look_at_arrived(struct migrate_target *t)
{
    int64_t now_ns = target_now(t);

    for (unsigned i = 0; i < t->arrived_count;) {
        int r = target_sort(t, &t->arrived[i].chan);

        if (r < 0 && (r != -ECONNRESET || t->chan))
            return r;
        if (r != 0 || now_ns >= t->arrived[i].until_ns)
            target_forget(t, i);
        else
            i++;
    }
    return 0;
}

/* Nobody can be accepted until this process has closed something, which nobody tells. */
static bool target_must_rest(int r)
{
    return r == -EMFILE || r == -ENFILE || r == -ENOBUFS || r == -ENOMEM;
}

static int target_accept(struct migrate_target *t)
{
    if (target_now(t) < t->resting_until_ns)
        return 0;
    t->resting_until_ns = 0;
    /* As many in one turn as there is room for. */
    for (unsigned i = 0; i < t->channels + TARGET_SILENT_MAX; i++) {
        struct ferry_chan *chan = NULL;
        bool only = listener_fd(t->listener) < 0;
        int r = listener_accept(t->listener, &chan, &t->base.m.err);

        if (target_must_rest(r)) {
            t->resting_until_ns = target_now(t) + TARGET_REST_NS;
            return 0;
        }
        if (r <= 0)
            return r;
        t->base.m.again = true;
        /* A file, a command, an fd: nobody else can come. */
        if (only && !t->channels) {
            t->chan = chan;
            return 0;
        }
        if (t->arrived_count == t->channels + TARGET_SILENT_MAX)
            target_forget(t, 0);
        t->arrived[t->arrived_count++] =
            (struct target_arrival){.chan = chan, .until_ns = target_now(t) + t->setup_timeout_ns};
        session_watch_edge(&t->session, chan_fd(chan), true);
    }
    return 0;
}

static void target_meet(struct migrate_target *t)
{
    bool met = t->chan != NULL;
    int r = target_look_at_arrived(t);

    if (r == 0 && (!t->chan || t->channels))
        r = target_accept(t);
    if (r < 0) {
        mover_fire(&t->base.m, MOVE_EV_FAULT);
        return;
    }
    if (t->chan && t->taken_count == t->channels) {
        session_watch(&t->session, SESSION_LANES, -1, 0);
        ferry_listener_free(TAKE_PTR(t->listener));
        while (t->arrived_count)
            target_forget(t, 0);
    }
    if (t->chan && !met)
        mover_fire(&t->base.m, MOVE_EV_CONNECTED);
}

/* What comes is known, all channels are there and have said which they are: from here on they may
 * be silent. */
static void target_check_awaited(struct migrate_target *t)
{
    if (!t->awaited || !t->ready ||
        (t->channels && (!t->multifd || multifd_in_greeted(t->multifd) < t->channels)))
        return;
    t->awaited = false;
    if (t->base.m.state < TARGET_COMMIT)
        t->base.m.deadline_ns = INT64_MAX;
}

/*
 * A source that is stopped, or whose host is gone without a word, would else hold this host's
 * memory for ever.
 */
static void target_look_at_progress(struct migrate_target *t)
{
    bool reads = t->base.m.state == TARGET_READ || t->base.m.state == TARGET_RAM;
    int64_t now = target_now(t);
    uint64_t bytes;

    t->look_ns = INT64_MAX;
    if (!reads || t->awaited || !t->steady || !t->chan || !chan_traits(t->chan)->both_ways)
        return;
    bytes = t->receiver ? atomic_load(&receiver_counters(t->receiver)->bytes) : 0;
    if (t->multifd)
        bytes += multifd_in_totals(t->multifd).bytes;
    /* The receiver's thread has the channel while RAM comes. */
    if (t->base.m.state == TARGET_READ)
        bytes += t->chan->received_bytes;
    if (bytes != t->seen_bytes || t->base.m.deadline_ns == INT64_MAX)
        mover_allow(&t->base.m, now, t->stall_timeout_ns);
    t->seen_bytes = bytes;
    t->look_ns = now + t->stall_timeout_ns / TARGET_LOOKS;
}

/* --- What comes --- */

/* 1: some bytes more, 0: none now. */
static int target_feed(struct migrate_target *t, struct budget *turn)
{
    uint8_t data[TARGET_READ_BYTES];
    ssize_t n;

    if (t->gone)
        return 0;
    n = chan_recv(t->chan, data, sizeof(data), &t->base.m.err);
    if (n == -EAGAIN)
        return 0;
    if (n < 0)
        return (int)n;
    if (n > 0) {
        int r = stream_in_feed(t->stream, data, (size_t)n, &t->base.m.err);

        budget_take(turn, (uint64_t)n);
        return r < 0 ? r : 1;
    }
    t->gone = true;
    stream_in_finish(t->stream);
    return 1;
}

/* What could not be read is where it was cut; that it was is why. */
static int target_blame_end(struct migrate_target *t)
{
    struct ferry_err why;

    (void)!chan_cut_short(t->chan, &why);
    return err_prefix(&t->base.m.err, "%s", why.text);
}

/* Items until bytes are missing, RAM begins, or it is somebody else's turn. */
static void target_read(struct migrate_target *t)
{
    struct budget turn = budget_turn();

    while (t->base.m.state == TARGET_READ) {
        int r;

        /* What was read and not looked at yet no fd tells of. */
        t->base.m.again = budget_spent(&turn);
        if (t->base.m.again)
            return;
        r = target_item(t);
        if (r < 0 && t->gone)
            r = target_blame_end(t);
        if (r != 0) {
            mover_fire(&t->base.m, r < 0 ? MOVE_EV_FAULT : (enum move_event)r);
            continue;
        }
        target_answer(t);
        if (t->base.m.again)
            continue;
        if (t->gone) {
            (void)!chan_cut_short(t->chan, &t->base.m.err);
            mover_fire(&t->base.m, MOVE_EV_FAULT);
            return;
        }
        r = target_feed(t, &turn);
        if (r < 0)
            mover_fire(&t->base.m, MOVE_EV_FAULT);
        if (r == 0)
            return;
    }
}

static void target_ram(struct migrate_target *t)
{
    int r;

    if (t->no_threads) {
        t->want = (struct lane_want){.fd = -1, .until_ns = INT64_MAX};
        receiver_step(t->receiver, &t->want);
    }
    r = receiver_state(t->receiver, &t->base.m.err);
    if (r != RECEIVER_BUSY)
        mover_fire(&t->base.m, r < 0 ? MOVE_EV_FAULT : MOVE_EV_RAM_READ);
}

/* Behind the stream: five bytes that start the guest. */
static void target_wait_for_go(struct migrate_target *t)
{
    static const uint8_t go[TARGET_GO_BYTES] = {WIRE_COMMAND, WIRE_CMD_FERRY_COMMIT >> 8,
                                                WIRE_CMD_FERRY_COMMIT & 0xff, 0, 0};
    struct budget turn = budget_turn();
    int r = target_feed(t, &turn);
    struct rd in;

    if (r < 0) {
        mover_fire(&t->base.m, MOVE_EV_FAULT);
        return;
    }
    in = stream_in_data(t->stream);
    if (rd_left(&in) >= TARGET_GO_BYTES) {
        if (memcmp(rd_peek(&in, TARGET_GO_BYTES), go, TARGET_GO_BYTES) == 0) {
            mover_fire(&t->base.m, MOVE_EV_COMMIT);
        } else {
            err_set(&t->base.m.err, EPROTO, "something else than COMMIT follows the stream");
            mover_fire(&t->base.m, MOVE_EV_FAULT);
        }
    } else if (t->gone) {
        mover_fire(&t->base.m, MOVE_EV_GONE);
    }
}

static void target_drain(struct migrate_target *t)
{
    struct budget turn = budget_turn();
    uint8_t data[TARGET_READ_BYTES];
    struct ferry_err ignored;

    target_answer(t);
    while (t->base.m.state == TARGET_DRAIN && !budget_spent(&turn)) {
        ssize_t n = chan_recv(t->chan, data, sizeof(data), &ignored);

        if (n == -EAGAIN)
            return;
        if (n <= 0)
            mover_fire(&t->base.m, MOVE_EV_GONE);
        else
            budget_take(&turn, (uint64_t)n);
    }
}

static void target_watch(struct migrate_target *t)
{
    short events = POLLIN;

    if (t->listener)
        session_watch(&t->session, SESSION_LANES, listener_fd(t->listener),
                      t->resting_until_ns ? 0 : POLLIN);
    if (!t->chan)
        return;
    /* The receiver's thread reads it. */
    if (t->base.m.state == TARGET_RAM && !t->no_threads)
        events = 0;
    if (t->answers.len_bytes)
        events |= POLLOUT;
    session_watch(&t->session, SESSION_MAIN, chan_fd(t->chan), events);
}

/* --- <ferry/move.h> --- */

static int stream_fd(const struct ferry_move *move)
{
    return ((const struct migrate_target *)move)->session.epoll;
}

static int64_t stream_deadline_ns(const struct ferry_move *move)
{
    const struct migrate_target *t = (const struct migrate_target *)move;
    bool file = t->chan && chan_traits(t->chan)->seekable && t->base.m.state == TARGET_READ;
    int64_t deadline;

    if (t->base.m.state == TARGET_NEW || t->base.m.again || t->want.more || file ||
        (t->base.m.state == TARGET_LISTEN && t->listener && listener_fd(t->listener) < 0))
        return 0;
    deadline = t->base.m.deadline_ns;
    if (t->base.m.state >= TARGET_DRAIN)
        return deadline;
    /* The first of them came first. */
    if (t->arrived_count && t->arrived[0].until_ns < deadline)
        deadline = t->arrived[0].until_ns;
    if (t->resting_until_ns && t->resting_until_ns < deadline)
        deadline = t->resting_until_ns;
    return t->look_ns < deadline ? t->look_ns : deadline;
}

static enum ferry_move_status stream_step(struct ferry_move *move)
{
    struct migrate_target *t = (struct migrate_target *)move;
    int64_t heard_ns = target_now(t); /* what comes from now on is not late */

    t->base.m.again = false;
    session_noticed(&t->session);
    target_go_on(&t->base);
    if (t->listener && t->base.m.state > TARGET_NEW && t->base.m.state < TARGET_DRAIN)
        target_meet(t);
    if (t->base.m.state == TARGET_RAM)
        target_ram(t);
    if (t->base.m.state == TARGET_READ) {
        bool multifd = t->multifd != NULL;

        target_read(t);
        /* Channels that wait for it have said all that they will say. */
        t->base.m.again |= !multifd && t->multifd && t->arrived_count;
    }
    if (t->base.m.state == TARGET_COMMIT)
        target_wait_for_go(t);
    if (t->base.m.state == TARGET_DRAIN)
        target_drain(t);
    target_check_awaited(t);
    target_look_at_progress(t);
    mover_look_at_clock(&t->base.m, heard_ns);
    if (!mover_ended(&t->base.m)) {
        target_answer(t);
        target_watch(t);
    }
    return mover_status(&t->base.m);
}

static int stream_cancel(struct ferry_move *move, struct ferry_err *err)
{
    struct migrate_target *t = (struct migrate_target *)move;

    if (t->base.m.state == TARGET_DONE)
        return err_set(err, EBUSY, "too late to cancel: the guest has started");
    if (!mover_ended(&t->base.m))
        mover_fire(&t->base.m, MOVE_EV_CANCEL);
    return 0;
}

static void stream_free(struct ferry_move *move)
{
    struct migrate_target *t = (struct migrate_target *)move;

    receiver_free(t->receiver);
    multifd_in_free(t->multifd);
    for (unsigned i = 0; i < t->arrived_count; i++)
        ferry_chan_free(t->arrived[i].chan);
    free(t->arrived);
    vm_load_free(t->load);
    stream_in_free(t->stream);
    guest_ram_free(&t->guest);
    ferry_chan_free(t->chan);
    ferry_listener_free(t->listener);
    buf_free(&t->answers);
    session_free(&t->session);
    free(t->version);
    free(t->host);
    free(t);
}

static const struct move_ops migrate_target_ops = {
    .fd = stream_fd,
    .deadline_ns = stream_deadline_ns,
    .step = stream_step,
    .cancel = stream_cancel,
    .free = stream_free,
};

/* --- <ferry/migrate.h> --- */

static int target_set_up(struct migrate_target *t, const struct ferry_migrate_target_params *params,
                         bool listens, struct ferry_err *err)
{
    int r;

    target_init(&t->base, &migrate_target_ops, &migrate_target_way, "migration", session_clock,
                &t->session);
    t->version = strdup(params->version);
    t->host = params->host ? strdup(params->host) : NULL;
    if (!t->version || (params->host && !t->host))
        return err_set(err, ENOMEM, "no memory for a migration");
    t->base.m.vm = params->vm;
    t->build = params->build;
    t->open = params->open;
    t->has_uuid = params->uuid != NULL;
    if (params->uuid)
        memcpy(t->uuid, params->uuid, sizeof(t->uuid));
    t->capabilities = params->capabilities;
    t->any_file = params->any_file;
    t->mapped_channels = params->capabilities.multifd ? support_channels(&params->parameters) : 1;
    t->direct_io = params->parameters.direct_io;
    t->setup_timeout_ns = params->setup_timeout_ns ? params->setup_timeout_ns : TARGET_SETUP_NS;
    t->commit_timeout_ns = params->commit_timeout_ns ? params->commit_timeout_ns : TARGET_COMMIT_NS;
    t->stall_timeout_ns = params->stall_timeout_ns ? params->stall_timeout_ns : TARGET_STALL_NS;
    t->look_ns = INT64_MAX;
    t->no_threads = params->no_threads;
    t->trace = params->trace;
    t->activate = params->activate;
    t->deactivate = params->deactivate;
    t->run = params->run;
    t->opaque = params->opaque;
    t->want.until_ns = INT64_MAX;
    r = session_init(&t->session, params->clock, params->opaque, err);
    if (r == 0)
        r = support_codec(&params->parameters, &t->codec, err);
    if (r == 0 && params->capabilities.multifd && !params->capabilities.mapped_ram &&
        (listens || !params->any_file)) {
        t->channels = support_channels(&params->parameters);
    }
    if (r == 0 && listens) {
        t->arrived = calloc(t->channels + TARGET_SILENT_MAX, sizeof(*t->arrived));
        if (!t->arrived)
            r = err_set(err, ENOMEM, "no memory for %u channels", t->channels);
    }
    return r < 0 ? r : stream_in_new(&t->stream, err);
}

int ferry_migrate_target_new(struct ferry_move **ret,
                             const struct ferry_migrate_target_params *params,
                             struct ferry_listener **listener, struct ferry_chan **chan,
                             struct ferry_err *err)
{
    struct migrate_target *t;
    int r;

    if (params->size_bytes != sizeof(*params))
        return err_set(err, EINVAL,
                       "ferry_migrate_target_params has %zu bytes, this library knows %zu",
                       params->size_bytes, sizeof(*params));
    r = support_check(&params->capabilities, &params->parameters, err);
    if (r < 0)
        return r;
    t = calloc(1, sizeof(*t));
    if (!t)
        return err_set(err, ENOMEM, "no memory for a migration");
    t->session.epoll = t->session.notify = -1;
    r = target_set_up(t, params, listener != NULL, err);
    if (r < 0) {
        stream_free(&t->base.m.move);
        return r;
    }
    if (listener)
        t->listener = TAKE_PTR(*listener);
    else
        t->chan = TAKE_PTR(*chan);
    *ret = &t->base.m.move;
    return 0;
}

static struct migrate_target *target_of(struct ferry_move *move)
{
    move_check(move, &migrate_target_ops);
    return (struct migrate_target *)move;
}

static const struct migrate_target *target_seen(const struct ferry_move *move)
{
    move_check(move, &migrate_target_ops);
    return (const struct migrate_target *)move;
}

int ferry_migrate_target_set_capabilities(struct ferry_move *move,
                                          const struct ferry_migrate_capabilities *capabilities,
                                          struct ferry_err *err)
{
    struct migrate_target *t = target_of(move);
    struct ferry_migrate_capabilities settled = t->capabilities;

    if (t->base.m.state > TARGET_LISTEN || t->chan)
        return err_set(err, EBUSY, "a source has connected: what it may send is settled");
    t->capabilities = *capabilities;
    t->capabilities.multifd = settled.multifd;
    t->capabilities.mapped_ram = settled.mapped_ram;
    return 0;
}

const char *ferry_migrate_target_listening(const struct ferry_move *move)
{
    const struct migrate_target *t = target_seen(move);
    bool waits = t->base.m.state <= TARGET_LISTEN && !t->chan && t->listener;

    return waits && ferry_listener_is_ready(t->listener) ? ferry_listener_text(t->listener) : NULL;
}

bool ferry_migrate_target_is_local(const struct ferry_move *move)
{
    return target_seen(move)->local;
}

void ferry_migrate_target_info(const struct ferry_move *move, struct ferry_migrate_info *ret)
{
    const struct migrate_target *t = target_seen(move);
    const struct receiver_counters *c = t->receiver ? receiver_counters(t->receiver) : NULL;
    int64_t now = t->session.clock ? t->session.clock(t->session.opaque) : clock_monotonic_ns();
    size_t size = ret->size_bytes;

    memset(ret, 0, sizeof(*ret));
    ret->size_bytes = size;
    ret->phase = t->base.m.state == TARGET_FAILED || t->base.m.state == TARGET_DRAIN
                     ? FERRY_MIGRATE_ENDED_FAILED
                 : t->base.m.state >= TARGET_DONE ? FERRY_MIGRATE_COMPLETED
                 : t->base.m.state >= TARGET_READ ? FERRY_MIGRATE_ACTIVE
                                                  : FERRY_MIGRATE_SETUP;
    ret->peer_is_ferry = t->asked || t->greeted;
    if (t->begin_ns)
        ret->total_time_ns = (t->end_ns ? t->end_ns : now) - t->begin_ns;
    ret->downtime_ns = t->ledger.total_ns;
    ret->transferred_bytes = c ? atomic_load(&c->bytes) : t->received_bytes;
    ret->zero_pages = c ? atomic_load(&c->zero_pages) : t->zero_pages;
    ret->normal_pages = c ? atomic_load(&c->normal_pages) : t->normal_pages;
    ret->ram_total_bytes = ram_total_bytes(&t->guest.blocks);
}

const struct ferry_migrate_ledger *ferry_migrate_target_ledger(const struct ferry_move *move)
{
    return &target_seen(move)->ledger;
}
