/* SPDX-License-Identifier: Apache-2.0 */
/* <ferry/move.h> and <ferry/migrate.h> for the source, and where its events come from. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/budget.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/own.h"
#include "lib/chan/address.h"
#include "lib/migrate/hello.h"
#include "lib/migrate/source.h"
#include "lib/migrate/support.h"
#include "lib/state/vm.h"

#define SOURCE_SETUP_NS INT64_C(30000000000)
#define SOURCE_PAUSE_NS INT64_C(10000000000)
#define SOURCE_STALL_NS INT64_C(60000000000)
/* In a time limit; a peer that takes something wakes nobody, and a stall is noticed so late. */
#define SOURCE_LOOKS    32
/* A turn takes some 0.1 ms. */
#define SOURCE_DEAF_NS  INT64_C(2000000)

/* --- Events from outside --- */

static enum move_event source_event_of(struct migrate_source *s)
{
    switch (s->message.type) {
    case WIRE_RP_SHUT:
        return s->message.value ? MOVE_EV_NOT_STARTED : MOVE_EV_STARTED;
    case WIRE_RP_PONG:
        if (s->message.value == SOURCE_PING_ROUND)
            s->round_awaited = false;
        /* Once RAM moves it answers nothing any more. */
        return s->message.value == WIRE_PING_FERRY && s->base.m.state < SOURCE_ACTIVE
                   ? MOVE_EV_ANSWER
                   : MOVE_EV_NONE;
    case WIRE_RP_FERRY_HELLO:
        return MOVE_EV_HELLO;
    case WIRE_RP_FERRY_ACCEPT:
        return MOVE_EV_ACCEPT;
    case WIRE_RP_FERRY_REFUSE:
        return MOVE_EV_REFUSE;
    case WIRE_RP_FERRY_LOADED:
        return MOVE_EV_LOADED;
    case WIRE_RP_FERRY_LEDGER:
        support_ledger_get(&s->ledger, s->message.ledger, s->message.ledger_bytes);
        return MOVE_EV_NONE;
    case WIRE_RP_SWITCHOVER_ACK:
        return MOVE_EV_NONE;
    default:
        return MOVE_EV_OTHER;
    }
}

/* The target may go on, or run the guest, the moment it has everything: before that was noticed. */
static void source_notice_sent(struct migrate_source *s)
{
    struct ferry_err ignored;

    if (s->base.m.state == SOURCE_SEND && sender_state(s->sender, &ignored) == SENDER_IDLE)
        mover_fire(&s->base.m, MOVE_EV_SENT);
}

/*
 * Nobody can have it all before everything was sent, whatever they say: such a word counts when
 * that is so.
 */
static bool source_too_early(struct migrate_source *s, enum move_event event)
{
    if (event != MOVE_EV_LOADED && (event != MOVE_EV_STARTED || s->ferry))
        return false;
    source_notice_sent(s);
    return s->base.m.state == SOURCE_SEND;
}

/*
 * A target may answer without end: it gets a turn, as the deadlines and everybody else do. An
 * honest one never says so much at once: whoever does is not heard for a while, so that what it
 * costs is not a processor.
 */
static void source_hear(struct migrate_source *s)
{
    struct budget turn = budget_turn();
    uint8_t data[4096];

    if (source_now(s) < s->deaf_until_ns)
        return;
    while (s->chan && !s->early && !s->gone && s->base.m.state > SOURCE_CONNECT &&
           !mover_ended(&s->base.m) && !budget_spent(&turn)) {
        struct rd bytes;
        ssize_t n;
        int r;

        s->heard_ns = source_now(s);
        n = chan_recv(s->chan, data, sizeof(data), &s->base.m.err);
        if (n == -EAGAIN)
            return;
        if (n <= 0)
            source_notice_sent(s);
        if (n < 0) {
            mover_fire(&s->base.m, MOVE_EV_FAULT);
            return;
        }
        if (n == 0) {
            s->gone = true;
            mover_fire(&s->base.m, MOVE_EV_GONE);
            return;
        }
        budget_take(&turn, (uint64_t)n);
        bytes = rd_make(data, (size_t)n);
        while (s->chan && !s->early && /* as long as anything matters */
               (r = return_path_in_next(&s->back, &bytes, &s->message, &s->base.m.err)) != 0) {
            enum move_event event = r < 0 ? MOVE_EV_FAULT : source_event_of(s);

            if (source_too_early(s, event))
                s->early = event; /* nothing that matters can follow it */
            else
                mover_fire(&s->base.m, event);
        }
    }
    if (turn.left == 0)
        s->deaf_until_ns = source_now(s) + SOURCE_DEAF_NS;
}

static void source_send_some(struct migrate_source *s)
{
    struct ferry_err err;
    int r;

    if (!s->sender)
        return;
    if (s->no_threads) {
        s->want = (struct lane_want){.fd = -1, .until_ns = INT64_MAX};
        sender_step(s->sender, &s->want);
    }
    r = sender_state(s->sender, &err);
    if (r < 0) {
        /* What the target said last is a better reason than that it has gone. */
        s->deaf_until_ns = 0;
        if (chan_traits(s->chan)->both_ways)
            source_hear(s);
        if (!s->sender)
            return;
        s->base.m.err = err;
        mover_fire(&s->base.m, MOVE_EV_FAULT);
    } else if (r == SENDER_IDLE &&
               ((s->base.m.state == SOURCE_ACTIVE && !s->lanes_awaited && !s->round_awaited) ||
                s->base.m.state == SOURCE_SEND)) {
        mover_fire(&s->base.m, MOVE_EV_SENT);
        if (s->early && !mover_ended(&s->base.m))
            mover_fire(&s->base.m, s->early);
        s->early = MOVE_EV_NONE;
    }
}

/* The channels with pages, one after the other, when the main one is there. */
static void source_connect_lane(struct migrate_source *s)
{
    struct ferry_chan *chan = NULL;
    int r = s->connect ? 0 : chan_connect_new(&s->connect, s->address, &s->base.m.err);

    if (r == 0)
        r = chan_connect_step(s->connect, &chan, &s->base.m.err);
    if (r == 0)
        return;
    chan_connect_free(TAKE_PTR(s->connect));
    if (r > 0)
        r = multifd_out_attach(s->multifd, &chan, &s->base.m.err);
    ferry_chan_free(chan);
    if (r == 0 && s->lanes_awaited && multifd_out_complete(s->multifd)) {
        s->lanes_awaited = false;
        r = source_begin_ram(s);
    }
    s->base.m.again = true;
    if (r < 0)
        mover_fire(&s->base.m, MOVE_EV_FAULT);
}

static void source_connect(struct migrate_source *s)
{
    int r = chan_connect_step(s->connect, &s->chan, &s->base.m.err);

    if (r == 0)
        return;
    session_watch(&s->session, SESSION_MAIN, -1, 0);
    chan_connect_free(TAKE_PTR(s->connect));
    mover_fire(&s->base.m, r < 0 ? MOVE_EV_FAULT : MOVE_EV_CONNECTED);
}

/* What is not read is not waited for: it would be there again and again. */
static bool source_listens(const struct migrate_source *s)
{
    return chan_traits(s->chan)->both_ways && !s->gone && !s->early && !s->deaf_until_ns;
}

static void source_watch(struct migrate_source *s)
{
    if (mover_ended(&s->base.m))
        return;
    session_watch(&s->session, SESSION_LANES,
                  s->connect && s->chan ? chan_connect_fd(s->connect) : -1,
                  s->connect ? chan_connect_events(s->connect) : 0);
    if (s->connect && !s->chan)
        session_watch(&s->session, SESSION_MAIN, chan_connect_fd(s->connect),
                      chan_connect_events(s->connect));
    else if (s->chan && (chan_traits(s->chan)->both_ways || s->no_threads))
        /* What goes one way is the sender's, who closes it before a command's end. */
        session_watch(&s->session, SESSION_MAIN, chan_fd(s->chan),
                      (short)((source_listens(s) ? POLLIN : 0) |
                              (s->want.fd == chan_fd(s->chan) ? s->want.events : 0)));
}

/* It is a peer's turn to take bytes: not that of one who is not given any, nor of a command. */
static bool source_blocked(const struct migrate_source *s)
{
    struct ferry_err ignored;

    return chan_traits(s->chan)->both_ways &&
           (atomic_load(&sender_counters(s->sender)->blocked) ||
            (s->multifd && multifd_out_blocked(s->multifd)) ||
            (s->round_awaited && sender_state(s->sender, &ignored) == SENDER_IDLE));
}

/* Grows with what the peer was given and with what it has taken, also from the kernel's queues. */
static uint64_t source_progress(const struct migrate_source *s)
{
    uint64_t queued = chan_queued_bytes(s->chan);

    if (s->multifd)
        queued += multifd_out_queued_bytes(s->multifd);
    return 2 * source_totals(s).bytes - queued;
}

/*
 * As long as something moves, RAM and a pause may take their time. What came while this process
 * slept is heard before the target is called late.
 */
static void source_look_at_clock(struct migrate_source *s)
{
    int64_t now = source_now(s);

    s->look_ns = INT64_MAX;
    if (s->sender && (s->base.m.state == SOURCE_SEND || s->base.m.state == SOURCE_ACTIVE) &&
        !s->lanes_awaited) {
        uint64_t progress = source_progress(s);
        bool blocked = source_blocked(s);

        if (s->base.m.state == SOURCE_SEND && progress != s->seen_progress)
            mover_allow(&s->base.m, now, s->base.pause_timeout_ns);
        if (s->base.m.state == SOURCE_ACTIVE &&
            (progress != s->seen_progress || !blocked || !s->seen_blocked))
            mover_allow(&s->base.m, now, s->stall_timeout_ns);
        s->seen_progress = progress;
        s->seen_blocked = blocked;
        s->look_ns = now + s->base.m.limit_ns / SOURCE_LOOKS;
    }
    mover_look_at_clock(&s->base.m, s->heard_ns);
}

/* --- <ferry/move.h> --- */

static int stream_fd(const struct ferry_move *move)
{
    return ((const struct migrate_source *)move)->session.epoll;
}

static int64_t stream_deadline_ns(const struct ferry_move *move)
{
    const struct migrate_source *s = (const struct migrate_source *)move;
    int64_t deadline = s->base.m.deadline_ns;

    if (source_due(&s->base) || s->base.m.again || s->want.more ||
        (s->connect && chan_connect_fd(s->connect) < 0))
        return 0;
    if (s->want.until_ns && s->want.until_ns < deadline)
        deadline = s->want.until_ns;
    if (s->deaf_until_ns && s->deaf_until_ns < deadline)
        deadline = s->deaf_until_ns;
    return s->look_ns < deadline ? s->look_ns : deadline;
}

static enum ferry_move_status stream_step(struct ferry_move *move)
{
    struct migrate_source *s = (struct migrate_source *)move;

    s->base.m.again = false;
    s->heard_ns = source_now(s);
    if (s->heard_ns >= s->deaf_until_ns)
        s->deaf_until_ns = 0;
    session_noticed(&s->session);
    source_go_on(&s->base);
    if (s->base.m.state == SOURCE_CONNECT && s->connect)
        source_connect(s);
    if (s->multifd && s->sender && !mover_ended(&s->base.m) && !multifd_out_complete(s->multifd))
        source_connect_lane(s);
    if (s->chan && chan_traits(s->chan)->both_ways)
        source_hear(s);
    source_send_some(s);
    source_look_at_clock(s);
    source_watch(s);
    if (s->base.m.state == SOURCE_FAILED && !s->inactive && !s->returned) {
        s->returned = true;
        if (s->trace)
            s->trace(s->opaque, FERRY_MIGRATE_RETURNED);
    }
    return burial_over(s->burial) ? mover_status(&s->base.m) : FERRY_MOVE_BUSY;
}

static int stream_cancel(struct ferry_move *move, struct ferry_err *err)
{
    struct migrate_source *s = (struct migrate_source *)move;

    /* Who starts the guest unasked may have everything. */
    if (s->base.m.state == SOURCE_SEND && !sender_halt(s->sender))
        return err_set(err, EBUSY, "too late to cancel: %s",
                       chan_traits(s->chan)->seekable ? "the file is complete"
                                                      : "the target may run the guest");
    return source_cancel(move, err);
}

static void stream_free(struct ferry_move *move)
{
    struct migrate_source *s = (struct migrate_source *)move;
    struct ferry_err ignored;

    if (s->begin_ns)
        (void)!stream_cancel(move, &ignored);
    burial_free(s->burial);
    sender_free(s->sender);
    multifd_out_free(s->multifd);
    chan_connect_free(s->connect);
    ferry_address_free(s->address);
    ferry_chan_free(s->chan);
    if (s->logging)
        ferry_ram_log_stop(s->guest.ram);
    guest_ram_free(&s->guest);
    session_free(&s->session);
    free(s->description);
    free(s->version);
    free(s->host);
    free(s);
}

static const struct move_ops migrate_source_ops = {
    .fd = stream_fd,
    .deadline_ns = stream_deadline_ns,
    .step = stream_step,
    .cancel = stream_cancel,
    .set_running = source_set_running,
    .free = stream_free,
};

/* --- <ferry/migrate.h> --- */

static int source_multifd(struct migrate_source *s, struct ferry_err *err)
{
    struct multifd_out_params params = {
        .guest = &s->guest,
        .channels = support_channels(&s->parameters),
        .codec = s->codec,
        .level = s->parameters.multifd_level,
        .look_for_zeros = s->parameters.zero_pages == FERRY_MIGRATE_ZERO_MULTIFD,
        .thread = !s->no_threads,
    };

    if (s->has_uuid)
        memcpy(params.uuid, s->uuid, sizeof(params.uuid));
    return multifd_out_new(&s->multifd, &params, err);
}

static int source_set_up(struct migrate_source *s, const struct ferry_migrate_source_params *params,
                         struct ferry_err *err)
{
    int r;

    source_init(&s->base, &migrate_source_ops, &migrate_source_way, "migration", session_clock,
                &s->session);
    s->base.m.vm = params->vm;
    s->base.hold = params->capabilities.pause_before_switchover;
    s->description = strdup(params->description ? params->description : "");
    s->version = strdup(params->version);
    s->host = params->host ? strdup(params->host) : NULL;
    if (!s->description || !s->version || (params->host && !s->host))
        return err_set(err, ENOMEM, "no memory for a migration");
    s->base.m.running = params->running;
    s->dry_run = params->dry_run;
    s->peer = params->peer;
    s->capabilities = params->capabilities;
    s->parameters = params->parameters;
    s->parameters.multifd_compression = NULL;
    s->has_uuid = params->uuid != NULL;
    if (params->uuid)
        memcpy(s->uuid, params->uuid, sizeof(s->uuid));
    s->base.prepare_timeout_ns =
        params->setup_timeout_ns ? params->setup_timeout_ns : SOURCE_SETUP_NS;
    s->base.pause_timeout_ns =
        params->pause_timeout_ns ? params->pause_timeout_ns : SOURCE_PAUSE_NS;
    s->stall_timeout_ns = params->stall_timeout_ns ? params->stall_timeout_ns : SOURCE_STALL_NS;
    s->no_threads = params->no_threads;
    s->throttle = params->throttle;
    s->settle = params->settle;
    s->deactivate = params->deactivate;
    s->activate = params->activate;
    s->trace = params->trace;
    s->opaque = params->opaque;
    s->want.fd = -1;
    rounds_init(&s->rounds, &s->parameters);
    return_path_in_init(&s->back);
    r = session_init(&s->session, params->clock, params->opaque, err);
    if (r == 0)
        r = support_codec(&params->parameters, &s->codec, err);
    if (r == 0)
        r = guest_ram_init(&s->guest, ferry_vm_ram(s->base.m.vm), s->capabilities.ignore_shared,
                           err);
    if (r == 0 && s->capabilities.multifd && !s->capabilities.mapped_ram)
        r = source_multifd(s, err);
    if (r == 0)
        r = wire_config_make(&s->config, vm_machine_name(s->base.m.vm), err);
    if (r == 0)
        r = support_config(&s->config, &s->capabilities, s->has_uuid ? s->uuid : NULL, err);
    return r;
}

/* A file, a command, an fd: opened now, so that whoever asked hears of a failure. */
static int source_open(struct migrate_source *s, const struct ferry_address *address,
                       struct ferry_err *err)
{
    int r;

    if (address->type->open && address->mail < 0)
        return address->type->open(address, true, &s->chan, err);
    s->address = address_copy(address, err);
    r = s->address ? chan_connect_new(&s->connect, s->address, err) : -ENOMEM;
    /* What another process has opened by now is as if it were opened now. */
    if (r == 0 && address->mail >= 0)
        r = chan_connect_step(s->connect, &s->chan, err);
    if (r == 1)
        chan_connect_free(TAKE_PTR(s->connect));
    return r < 0 ? r : 0;
}

int ferry_migrate_source_new(struct ferry_move **ret,
                             const struct ferry_migrate_source_params *params,
                             const struct ferry_address *address, struct ferry_chan **chan,
                             struct ferry_err *err)
{
    struct migrate_source *s;
    int r;

    if (params->size_bytes != sizeof(*params))
        return err_set(err, EINVAL,
                       "ferry_migrate_source_params has %zu bytes, this library knows %zu",
                       params->size_bytes, sizeof(*params));
    if (params->description && strlen(params->description) > HELLO_DESCRIPTION_MAX_BYTES)
        return err_set(err, E2BIG, "the machine's description has %zu bytes, the limit is %u",
                       strlen(params->description), HELLO_DESCRIPTION_MAX_BYTES);
    r = support_check(&params->capabilities, &params->parameters, err);
    if (r < 0)
        return r;
    s = calloc(1, sizeof(*s));
    if (!s)
        return err_set(err, ENOMEM, "no memory for a migration");
    s->session.epoll = s->session.notify = -1;
    r = source_set_up(s, params, err);
    if (r == 0 && address)
        r = source_open(s, address, err);
    if (r < 0) {
        stream_free(&s->base.m.move);
        return r;
    }
    if (!address)
        s->chan = TAKE_PTR(*chan);
    *ret = &s->base.m.move;
    return 0;
}

static struct migrate_source *source_of(struct ferry_move *move)
{
    move_check(move, &migrate_source_ops);
    return (struct migrate_source *)move;
}

static const struct migrate_source *source_seen(const struct ferry_move *move)
{
    move_check(move, &migrate_source_ops);
    return (const struct migrate_source *)move;
}

void ferry_migrate_source_set_parameters(struct ferry_move *move,
                                         const struct ferry_migrate_parameters *parameters)
{
    struct migrate_source *s = source_of(move);

    s->parameters = *parameters;
    s->parameters.multifd_compression = NULL;
    rounds_set(&s->rounds, parameters);
    if (s->sender && s->base.m.state <= SOURCE_HOLD)
        sender_set_rate(s->sender, parameters->max_bandwidth_bps);
}

int ferry_migrate_source_proceed(struct ferry_move *move, struct ferry_err *err)
{
    return source_proceed(&source_of(move)->base, err);
}

void ferry_migrate_source_settled(struct ferry_move *move, const struct ferry_err *failure)
{
    source_settled(&source_of(move)->base, failure);
}

static enum ferry_migrate_phase source_phase(const struct migrate_source *s)
{
    switch (s->base.m.state) {
    case SOURCE_ACTIVE:
    case SOURCE_SETTLE:
    case SOURCE_QUIESCE:
        return FERRY_MIGRATE_ACTIVE;
    case SOURCE_HOLD:
        return FERRY_MIGRATE_PRE_SWITCHOVER;
    case SOURCE_RELEASE:
    case SOURCE_SEND:
    case SOURCE_LOAD:
    case SOURCE_COMMIT:
    case SOURCE_AWAIT:
    case SOURCE_ASCERTAIN:
    case SOURCE_BACK:
        return FERRY_MIGRATE_DEVICE;
    case SOURCE_DONE:
    case SOURCE_CHECKED:
        return FERRY_MIGRATE_COMPLETED;
    case SOURCE_FAILED:
        return s->base.m.err.errnum == ECANCELED ? FERRY_MIGRATE_CANCELLED
                                                 : FERRY_MIGRATE_ENDED_FAILED;
    case SOURCE_LOST:
        return FERRY_MIGRATE_ENDED_FAILED;
    default:
        return FERRY_MIGRATE_SETUP;
    }
}

void ferry_migrate_source_info(const struct ferry_move *move, struct ferry_migrate_info *ret)
{
    const struct migrate_source *s = source_seen(move);
    struct source_totals t = source_totals(s);
    /* A const session's clock: nothing is changed. */
    int64_t now = s->session.clock ? s->session.clock(s->session.opaque) : clock_monotonic_ns();
    size_t size = ret->size_bytes;
    uint64_t taken = t.pages_done - s->done_before;

    memset(ret, 0, sizeof(*ret));
    ret->size_bytes = size;
    ret->phase = source_phase(s);
    ret->peer_is_ferry = s->ferry;
    if (s->begin_ns)
        ret->total_time_ns = (s->end_ns ? s->end_ns : now) - s->begin_ns;
    ret->setup_time_ns = s->ledger.setup_ns;
    ret->downtime_ns = s->ledger.total_ns;
    ret->expected_downtime_ns = s->rounds.expected_ns;
    ret->transferred_bytes = t.bytes;
    ret->bandwidth_bps = s->rounds.bandwidth_bps;
    ret->ram_total_bytes = ram_total_bytes(&s->guest.blocks);
    if (s->active_ns && !mover_ended(&s->base.m) && s->pending_pages > taken)
        ret->ram_remaining_bytes = (s->pending_pages - taken) * WIRE_PAGE_BYTES;
    ret->zero_pages = t.zero_pages;
    ret->normal_pages = t.normal_pages;
    ret->dirty_pages_rate = s->rounds.dirty_pages_rate;
    ret->rounds = s->active_ns ? s->rounds.count + 1 : 0;
    ret->precopy_bytes = s->precopy_bytes ? s->precopy_bytes : t.bytes;
    ret->downtime_bytes = s->precopy_bytes ? t.bytes - s->precopy_bytes : 0;
    ret->multifd_bytes = t.multifd_bytes;
    ret->xbzrle_pages = t.xbzrle_pages;
    ret->xbzrle_bytes = t.xbzrle_bytes;
    ret->xbzrle_cache_misses = t.xbzrle_misses;
    ret->xbzrle_overflows = t.xbzrle_overflows;
    ret->throttle_percent = s->rounds.throttle_percent;
}

bool ferry_migrate_source_thread(const struct ferry_move *move, size_t index,
                                 struct ferry_migrate_thread *ret)
{
    const struct migrate_source *s = source_seen(move);
    size_t senders = 0;

    while (s->sender && sender_thread_id(s->sender, senders))
        senders++;
    ret->id = index < senders ? sender_thread_id(s->sender, index)
              : s->multifd    ? multifd_out_thread_id(s->multifd, index - senders)
                              : 0;
    if (index == 0)
        snprintf(ret->name, sizeof(ret->name), "mig/src/main");
    else
        snprintf(ret->name, sizeof(ret->name), "mig/src/send_%zu", index - 1);
    return ret->id != 0;
}

const struct ferry_migrate_ledger *ferry_migrate_source_ledger(const struct ferry_move *move)
{
    return &source_seen(move)->ledger;
}
