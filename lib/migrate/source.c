/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/migrate/source.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/own.h"
#include "lib/migrate/hello.h"
#include "lib/migrate/support.h"
#include "lib/state/vm.h"
#include "lib/wire/command.h"
#include "lib/wire/ram_out.h"
#include "lib/wire/stream_out.h"
#include "lib/wire/vm_save.h"

/* How often to try whether the target's process has let go: nobody tells. */
#define SOURCE_RETRY_NS     INT64_C(20000000)
#define SOURCE_XBZRLE_BYTES (UINT64_C(64) << 20)
/* Section ids: ours to choose. */
#define SOURCE_HELLO_ID     0u
#define SOURCE_RAM_ID       1u
#define SOURCE_PARTS_ID     2u

/* The base is the first member. */
static struct migrate_source *stream_of(struct source *base)
{
    return (struct migrate_source *)base;
}

static void source_trace(struct migrate_source *s, enum ferry_migrate_point point)
{
    if (s->trace)
        s->trace(s->opaque, point);
}

static void stream_reached(struct source *base, enum source_point point)
{
    static const enum ferry_migrate_point points[SOURCE_POINTS] = {
        [SOURCE_AT_QUIESCED] = FERRY_MIGRATE_QUIESCED,
        [SOURCE_AT_PARTS_PAUSED] = FERRY_MIGRATE_PAUSED,
        [SOURCE_AT_ALL_SENT] = FERRY_MIGRATE_ALL_SENT,
        [SOURCE_AT_LOADED] = FERRY_MIGRATE_LOADED,
    };
    struct migrate_source *s = stream_of(base);

    if (point == SOURCE_AT_PARTS_PAUSED)
        s->ledger.stop_ns = source_now(s) - base->pause_ns;
    if (points[point])
        source_trace(s, points[point]);
}

struct source_totals source_totals(const struct migrate_source *s)
{
    const struct sender_counters *c;
    struct multifd_totals m = {0};

    if (!s->sender)
        return s->totals;
    c = sender_counters(s->sender);
    if (s->multifd)
        m = multifd_out_totals(s->multifd);
    return (struct source_totals){
        .bytes = atomic_load(&c->bytes) + m.bytes,
        .multifd_bytes = m.bytes,
        .zero_pages = atomic_load(&c->zero_pages) + m.zero_pages,
        .normal_pages = atomic_load(&c->normal_pages) + m.normal_pages,
        .pages_done = atomic_load(&c->pages_done),
        .xbzrle_pages = atomic_load(&c->xbzrle_pages),
        .xbzrle_bytes = atomic_load(&c->xbzrle_bytes),
        .xbzrle_misses = atomic_load(&c->xbzrle_misses),
        .xbzrle_overflows = atomic_load(&c->xbzrle_overflows),
    };
}

/* --- Before the first page --- */

static int stream_begin(struct source *base)
{
    struct migrate_source *s = stream_of(base);

    s->begin_ns = source_now(s);
    mover_allow(&base->m, s->begin_ns, base->prepare_timeout_ns);
    return s->chan ? MOVE_EV_CONNECTED : 0;
}

static int source_send_hello(struct migrate_source *s, struct buf *out)
{
    const struct hello_side here = {
        .capabilities = hello_capabilities(&s->capabilities),
        .channels = support_channels(&s->parameters),
        .compression = s->codec->name,
        .blocks = &s->guest.blocks,
        .vm = s->base.m.vm,
        .host = s->host,
    };

    stream_put_section(out, WIRE_SECTION_FULL, SOURCE_HELLO_ID, WIRE_FERRY_IDSTR, 0, HELLO_VERSION);
    s->hello_bytes = out->len_bytes;
    hello_put(out, s->version, s->dry_run, !s->base.hold, &here, s->description);
    s->hello_bytes = out->len_bytes - s->hello_bytes;
    stream_put_footer(out, SOURCE_HELLO_ID);
    if (out->failed)
        return err_set(&s->base.m.err, out->failed, "no memory to describe the machine");
    return 0;
}

static int stream_greet(struct source *base)
{
    struct migrate_source *s = stream_of(base);
    bool both_ways = chan_traits(s->chan)->both_ways;
    const struct sender_params params = {
        .chan = s->chan,
        .guest = &s->guest,
        .multifd = s->multifd,
        .mapped_channels = support_mapped_channels(&s->capabilities, &s->parameters),
        .direct_io = s->parameters.direct_io,
        .notify = s->session.notify,
        .section_id = SOURCE_RAM_ID,
        .xbzrle_bytes = !s->capabilities.xbzrle            ? 0
                        : s->parameters.xbzrle_cache_bytes ? s->parameters.xbzrle_cache_bytes
                                                           : SOURCE_XBZRLE_BYTES,
        .look_for_zeros = s->multifd ? s->parameters.zero_pages == FERRY_MIGRATE_ZERO_LEGACY
                                     : s->parameters.zero_pages != FERRY_MIGRATE_ZERO_NONE,
        .thread = !s->no_threads,
        .clock = session_clock,
        .opaque = &s->session,
    };
    struct buf out = {0};
    bool ask = both_ways && s->peer != FERRY_MIGRATE_PEER_QEMU;
    int r;

    if (s->capabilities.mapped_ram && !chan_traits(s->chan)->seekable)
        return err_set(&s->base.m.err, EINVAL, "Migration requires seekable transport (e.g. file)");
    if (s->multifd && (!s->address || !chan_traits(s->chan)->many))
        return err_set(&s->base.m.err, EINVAL, "Migration requires multi-channel URIs (e.g. tcp)");
    if (!both_ways && s->dry_run)
        return err_set(&s->base.m.err, EINVAL,
                       "%s goes one way: no target can say what it would accept",
                       chan_name(s->chan));
    r = sender_new(&s->sender, &params, &s->base.m.err);
    if (r < 0)
        return r;
    sender_set_rate(s->sender, s->parameters.max_bandwidth_bps);
    source_trace(s, FERRY_MIGRATE_CONNECTED);
    r = stream_put_header(&out, &s->config, &s->base.m.err);
    if (r == 0 && both_ways) {
        command_put_empty(&out, WIRE_CMD_OPEN_RETURN_PATH);
        command_put_ping(&out, 1);
        if (ask)
            command_put_ping(&out, WIRE_PING_FERRY);
    }
    /* A file that ferry will read says which machine it needs. */
    if (r == 0 && !both_ways && s->peer != FERRY_MIGRATE_PEER_QEMU)
        r = source_send_hello(s, &out);
    if (r < 0) {
        buf_free(&out);
        return r;
    }
    sender_bytes(s->sender, &out);
    s->asked_ns = source_now(s);
    mover_allow(&base->m, s->asked_ns, base->prepare_timeout_ns);
    return ask ? 0 : MOVE_EV_ANSWER;
}

static int stream_greeted(struct source *base)
{
    struct migrate_source *s = stream_of(base);
    struct buf out = {0};
    int64_t now = source_now(s);
    int r;

    if (s->message.oldest > WIRE_FERRY_PROTOCOL || s->message.protocol < WIRE_FERRY_OLDEST)
        return err_set(&s->base.m.err, EPROTO,
                       "the target is ferry %s, which speaks protocols %u to %u; this one speaks "
                       "%u to %u",
                       s->message.text, s->message.oldest, s->message.protocol, WIRE_FERRY_OLDEST,
                       WIRE_FERRY_PROTOCOL);
    s->ferry = base->commits = true;
    s->rounds.answer_ns = now - s->asked_ns;
    mover_allow(&base->m, now, base->prepare_timeout_ns);
    r = source_send_hello(s, &out);
    if (r < 0) {
        buf_free(&out);
        return r;
    }
    sender_bytes(s->sender, &out);
    return 0;
}

/* --- Rounds --- */

/*
 * What has left may wait in buffers on both sides, for longer than the pause may last: a round ends
 * when the target has read it.
 */
static void source_ask_for_round(struct migrate_source *s)
{
    struct buf out = {0};

    if (!chan_traits(s->chan)->both_ways)
        return;
    command_put_ping(&out, SOURCE_PING_ROUND);
    s->round_awaited = !out.failed;
    sender_bytes(s->sender, &out);
}

static void source_round_begins(struct migrate_source *s, uint64_t pages)
{
    const struct sender_counters *c = sender_counters(s->sender);

    s->pending_pages = pages;
    s->done_before = atomic_load(&c->pages_done);
    s->bytes_before = source_totals(s).bytes;
    s->round_ns = source_now(s);
    source_trace(s, FERRY_MIGRATE_ROUND);
    sender_ram(s->sender, WIRE_SECTION_PART);
    source_ask_for_round(s);
}

static int stream_accepted(struct source *base)
{
    struct migrate_source *s = stream_of(base);

    if (s->dry_run) {
        if (s->ferry)
            return MOVE_EV_CHECKED;
        return err_set(&s->base.m.err, EINVAL,
                       "the target is QEMU, which cannot say what it would accept");
    }
    if (s->peer == FERRY_MIGRATE_PEER_FERRY && chan_traits(s->chan)->both_ways && !s->ferry)
        return err_set(&s->base.m.err, EINVAL, "the target is not ferry");
    source_trace(s, FERRY_MIGRATE_ACCEPTED);
    mover_allow(&base->m, source_now(s), base->prepare_timeout_ns);
    s->lanes_awaited = s->multifd && !multifd_out_complete(s->multifd);
    return s->lanes_awaited ? 0 : source_begin_ram(s);
}

int source_begin_ram(struct migrate_source *s)
{
    const struct ram_rules rules = {.ignore_shared = s->capabilities.ignore_shared};
    uint8_t head[RAM_HEAD_MAX_BYTES];
    struct buf out = {0};
    int r;

    s->active_ns = source_now(s);
    s->ledger.setup_ns = s->active_ns - s->begin_ns;
    r = ferry_ram_log_start(s->guest.ram, &s->base.m.err);
    if (r < 0)
        return r;
    s->logging = true;
    if (s->capabilities.mapped_ram) {
        sender_ram(s->sender, WIRE_SECTION_START);
        source_round_begins(s, guest_ram_all(&s->guest));
        return 0;
    }
    stream_put_section(&out, WIRE_SECTION_START, SOURCE_RAM_ID, WIRE_RAM_IDSTR, 0,
                       WIRE_RAM_VERSION);
    ram_put_list(&out, &rules, &s->guest.blocks);
    if (s->multifd) {
        multifd_out_sync(s->multifd);
        buf_put(&out, head, ram_out_flush(head));
    }
    buf_put(&out, head, ram_out_eos(head));
    stream_put_footer(&out, SOURCE_RAM_ID);
    if (out.failed) {
        buf_free(&out);
        return err_set(&s->base.m.err, ENOMEM, "no memory to list RAM");
    }
    sender_bytes(s->sender, &out);
    source_round_begins(s, guest_ram_all(&s->guest));
    return 0;
}

/* Before the pause, while the guest still runs. What it writes to RAM meanwhile is another round.
 */
static int source_settle_or_fit(struct migrate_source *s)
{
    int r = 0;

    if (s->settle && !s->settle_asked) {
        s->settle_asked = true;
        s->base.settled = false;
        r = s->settle(s->opaque, &s->base.m.err);
    }
    return r < 0 ? r : r > 0 ? MOVE_EV_SETTLE : MOVE_EV_FITS;
}

static int stream_settled(struct source *base)
{
    struct migrate_source *s = stream_of(base);

    mover_allow(&base->m, source_now(s), s->stall_timeout_ns);
    source_round_begins(s, s->pending_pages + guest_ram_harvest(&s->guest));
    return 0;
}

static int stream_round(struct source *base)
{
    struct migrate_source *s = stream_of(base);
    const struct sender_counters *c = sender_counters(s->sender);
    uint64_t sent = source_totals(s).bytes - s->bytes_before;
    int64_t duration_ns = source_now(s) - s->round_ns;
    uint64_t dirty = guest_ram_harvest(&s->guest);

    rounds_account(&s->rounds, sent, duration_ns, dirty);
    if (s->capabilities.auto_converge && s->base.m.running && s->throttle) {
        unsigned before = s->rounds.throttle_percent;
        unsigned percent = rounds_throttle(&s->rounds, &s->parameters);

        if (percent != before)
            s->throttle(s->opaque, percent);
    }
    if (rounds_enough(&s->rounds, s->pending_pages, dirty)) {
        s->pending_pages = dirty;
        s->done_before = atomic_load(&c->pages_done);
        return source_settle_or_fit(s);
    }
    source_round_begins(s, dirty);
    return 0;
}

/* --- The pause --- */

static int stream_pausing(struct source *base)
{
    struct migrate_source *s = stream_of(base);

    s->precopy_bytes = source_totals(s).bytes;
    return 0;
}

static int stream_release(struct source *base)
{
    struct migrate_source *s = stream_of(base);
    int r = 0;

    s->inactive = true;
    if (s->deactivate)
        r = s->deactivate(s->opaque, &base->m.err);
    return r < 0 ? r : r > 0 ? 0 : MOVE_EV_SETTLED;
}

/* end: what makes the stream a whole one. */
static int source_save(struct migrate_source *s, struct buf *out, struct buf *end)
{
    bool describe = !chan_traits(s->chan)->both_ways;
    struct buf devices = {0}, json = {0};
    int r;

    if (s->hello_bytes)
        vm_describe_opaque(&devices, WIRE_FERRY_IDSTR, HELLO_VERSION, s->hello_bytes);
    r = vm_save_parts(s->base.m.vm, out, SOURCE_PARTS_ID, describe ? &devices : NULL, NULL, NULL,
                      &s->base.m.err);
    if (r == 0 && describe)
        r = vm_save_description(&json, &s->config, &devices, &s->base.m.err);
    if (r == 0) {
        s->ledger.state_bytes = out->len_bytes;
        stream_put_eof(end);
        stream_put_description(end, json.data, (uint32_t)json.len_bytes);
        if (out->failed || end->failed)
            r = err_set(&s->base.m.err, ENOMEM, "no memory for the state");
    }
    buf_free(&devices);
    buf_free(&json);
    return r;
}

static int stream_send(struct source *base)
{
    struct migrate_source *s = stream_of(base);
    struct buf parts = {0}, end = {0}, command = {0};
    uint64_t dirty;
    int64_t begin_ns = source_now(s);
    int r = source_save(s, &parts, &end); /* may write to RAM: before the last harvest */

    if (r < 0) {
        buf_free(&parts);
        buf_free(&end);
        return r;
    }
    dirty = guest_ram_harvest(&s->guest);
    s->pending_pages += dirty;
    s->ledger.quiesce_ns = base->pause_ns - base->quiesce_ns;
    s->rounds.count++;
    s->saved_ns = source_now(s);
    s->ledger.save_ns = s->saved_ns - begin_ns;
    s->ledger.last_ram_bytes = s->pending_pages * WIRE_PAGE_BYTES;
    source_trace(s, FERRY_MIGRATE_SAVED);
    command_put_empty(&command, WIRE_CMD_SWITCHOVER_START);
    sender_set_rate(s->sender, 0);
    sender_bytes(s->sender, &command);
    sender_ram(s->sender, WIRE_SECTION_END);
    sender_bytes(s->sender, &parts);
    /* Nobody starts the guest that is in a file, and ferry waits for COMMIT. */
    if (s->ferry || chan_traits(s->chan)->seekable)
        sender_bytes(s->sender, &end);
    else
        sender_last(s->sender, &end);
    if (!chan_traits(s->chan)->both_ways)
        sender_finish(s->sender);
    s->seen_progress = 0;
    mover_allow(&base->m, s->saved_ns, base->pause_timeout_ns);
    return 0;
}

static int stream_all_sent(struct source *base)
{
    struct migrate_source *s = stream_of(base);

    s->sent_ns = source_now(s);
    s->ledger.send_ns = s->sent_ns - s->saved_ns;
    if (!chan_traits(s->chan)->both_ways)
        return MOVE_EV_STARTED;
    mover_allow(&base->m, s->sent_ns, s->ferry ? base->pause_timeout_ns : base->prepare_timeout_ns);
    return s->ferry ? 0 : MOVE_EV_UNASKED;
}

static int stream_commit(struct source *base)
{
    struct migrate_source *s = stream_of(base);
    struct buf out = {0};

    s->commit_ns = source_now(s);
    if (!s->sent_ns)
        s->sent_ns = s->commit_ns;
    s->ledger.wait_ns = s->commit_ns - s->sent_ns;
    command_put_empty(&out, WIRE_CMD_FERRY_COMMIT);
    if (out.failed)
        return err_set(&s->base.m.err, ENOMEM, "no memory for COMMIT");
    sender_bytes(s->sender, &out);
    mover_allow(&base->m, s->commit_ns, base->pause_timeout_ns);
    source_trace(s, FERRY_MIGRATE_COMMITTED);
    return 0;
}

/* --- Ends --- */

static void source_bury(struct migrate_source *s)
{
    struct sender *sender = TAKE_PTR(s->sender);
    struct multifd_out *multifd = TAKE_PTR(s->multifd);
    struct ferry_chan *chan = TAKE_PTR(s->chan);

    if (sender && !s->no_threads) {
        s->burial = burial_begin(sender, multifd, chan, s->session.notify);
        return;
    }
    sender_free(sender);
    multifd_out_free(multifd);
    ferry_chan_free(chan);
}

static void stream_end(struct source *base)
{
    struct migrate_source *s = stream_of(base);

    session_watch(&s->session, SESSION_MAIN, -1, 0);
    if (s->chan)
        chan_shutdown(s->chan);
    s->totals = source_totals(s);
    chan_connect_free(TAKE_PTR(s->connect));
    source_bury(s);
    if (s->logging)
        ferry_ram_log_stop(s->guest.ram);
    s->logging = false;
    if (s->rounds.throttle_percent && s->throttle)
        s->throttle(s->opaque, 0);
    s->end_ns = source_now(s);
    base->m.deadline_ns = INT64_MAX;
}

static void stream_started(struct source *base)
{
    struct migrate_source *s = stream_of(base);
    int64_t now = source_now(s);

    if (s->commit_ns)
        s->ledger.commit_ns = now - s->commit_ns;
    else if (s->sent_ns)
        s->ledger.wait_ns = now - s->sent_ns;
    s->ledger.total_ns = now - base->pause_ns;
    source_trace(s, FERRY_MIGRATE_STARTED);
    stream_end(base);
}

static void stream_reason(struct source *base)
{
    err_set(&base->m.err, EREMOTEIO, "%s", stream_of(base)->message.text);
}

/*
 * What was heard last is all that can be known. A target that refuses says that it never will run
 * the guest. Who lies about that could as well have run it without a COMMIT: it had everything
 * before, so believing it gives nothing away, and not to believe it loses the guest of every
 * target that is honest.
 */
static int stream_ascertain(struct source *base)
{
    return base->refused ? MOVE_EV_OWN_UNMOVED : MOVE_EV_OWN_UNKNOWN;
}

/*
 * What was harvested and not sent needs no putting back: the next attempt sends everything. What
 * only one side can have is free when the target's process has noticed.
 */
static int stream_reclaim(struct source *base)
{
    struct migrate_source *s = stream_of(base);
    struct ferry_err err;

    if (!s->bereft_ns) {
        /* Nobody runs what is in a file. */
        bool there = s->sender && !base->refused && !sender_halt(s->sender) &&
                     !chan_traits(s->chan)->seekable;

        stream_end(base);
        if (there)
            return MOVE_EV_OWN_UNKNOWN;
        s->bereft_ns = s->end_ns + base->pause_timeout_ns;
    }
    s->end_ns = source_now(s);
    if (!s->inactive || !s->activate || s->activate(s->opaque, &err) == 0) {
        s->inactive = false;
        return MOVE_EV_RETURNED;
    }
    if (s->end_ns < s->bereft_ns) {
        base->m.deadline_ns = s->end_ns + SOURCE_RETRY_NS;
        return 0;
    }
    err_prefix(&err, "%s; the guest stays paused here, whole, because this failed",
               base->m.err.text);
    base->m.err = err;
    return MOVE_EV_BEREFT;
}

const struct source_way migrate_source_way = {
    .begin = stream_begin,
    .greet = stream_greet,
    .greeted = stream_greeted,
    .accepted = stream_accepted,
    .round = stream_round,
    .settled = stream_settled,
    .pausing = stream_pausing,
    .release = stream_release,
    .send = stream_send,
    .all_sent = stream_all_sent,
    .commit = stream_commit,
    .ascertain = stream_ascertain,
    .started = stream_started,
    .reason = stream_reason,
    .reclaim = stream_reclaim,
    .end = stream_end,
    .reached = stream_reached,
};
