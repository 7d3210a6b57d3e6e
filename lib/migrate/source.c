/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/migrate/source.h"

#include <errno.h>
#include <inttypes.h>
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

int64_t source_now(struct ferry_migrate_source *s)
{
    return session_clock(&s->session);
}

static void source_trace(struct ferry_migrate_source *s, enum ferry_migrate_point point)
{
    if (s->trace)
        s->trace(s->opaque, point);
}

const char *source_doing(const struct ferry_migrate_source *s)
{
    return migrate_source_table.state_names[s->state];
}

struct source_totals source_totals(const struct ferry_migrate_source *s)
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

static int source_begin(void *self)
{
    struct ferry_migrate_source *s = self;

    s->begin_ns = source_now(s);
    s->deadline_ns = s->begin_ns + s->setup_timeout_ns;
    return s->chan ? SOURCE_EV_CONNECTED : 0;
}

static int source_send_hello(struct ferry_migrate_source *s, struct buf *out)
{
    stream_put_section(out, WIRE_SECTION_FULL, SOURCE_HELLO_ID, WIRE_FERRY_IDSTR, 0, HELLO_VERSION);
    hello_put(out, s->version, s->dry_run, hello_capabilities(&s->capabilities), &s->guest.blocks,
              s->vm, s->description);
    stream_put_footer(out, SOURCE_HELLO_ID);
    if (out->failed)
        return err_set(&s->err, out->failed, "no memory to describe the machine");
    return 0;
}

static int source_connected(void *self)
{
    struct ferry_migrate_source *s = self;
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
        .look_for_zeros = s->parameters.zero_pages != FERRY_MIGRATE_ZERO_NONE,
        .thread = !s->no_threads,
        .clock = session_clock,
        .opaque = &s->session,
    };
    struct buf out = {0};
    bool ask = both_ways && s->peer != FERRY_MIGRATE_PEER_QEMU;
    int r;

    if (s->capabilities.mapped_ram && !chan_traits(s->chan)->seekable)
        return err_set(&s->err, EINVAL, "Migration requires seekable transport (e.g. file)");
    if (s->multifd && (!s->address || !chan_traits(s->chan)->many))
        return err_set(&s->err, EINVAL, "Migration requires multi-channel URIs (e.g. tcp)");
    if (!both_ways && s->dry_run)
        return err_set(&s->err, EINVAL, "%s goes one way: no target can say what it would accept",
                       chan_name(s->chan));
    r = sender_new(&s->sender, &params, &s->err);
    if (r < 0)
        return r;
    sender_set_rate(s->sender, s->parameters.max_bandwidth_bps);
    source_trace(s, FERRY_MIGRATE_CONNECTED);
    r = stream_put_header(&out, &s->config, &s->err);
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
    s->deadline_ns = s->asked_ns + s->setup_timeout_ns;
    return ask ? 0 : SOURCE_EV_PONG;
}

static int source_preflight(void *self)
{
    struct ferry_migrate_source *s = self;
    struct buf out = {0};
    int64_t now = source_now(s);
    int r;

    if (s->message.oldest > WIRE_FERRY_PROTOCOL || s->message.protocol < WIRE_FERRY_OLDEST)
        return err_set(&s->err, EPROTO,
                       "the target is ferry %s, which speaks protocols %u to %u; this one speaks "
                       "%u to %u",
                       s->message.text, s->message.oldest, s->message.protocol, WIRE_FERRY_OLDEST,
                       WIRE_FERRY_PROTOCOL);
    s->ferry = true;
    /* In the pause there are two questions, and the way of the last page. */
    s->rounds.fixed_ns += 3 * (now - s->asked_ns);
    s->deadline_ns = now + s->setup_timeout_ns;
    r = source_send_hello(s, &out);
    if (r < 0) {
        buf_free(&out);
        return r;
    }
    sender_bytes(s->sender, &out);
    return 0;
}

/* --- Rounds --- */

static void source_round_begins(struct ferry_migrate_source *s, uint64_t pages)
{
    const struct sender_counters *c = sender_counters(s->sender);

    s->pending_pages = pages;
    s->done_before = atomic_load(&c->pages_done);
    s->bytes_before = source_totals(s).bytes;
    s->round_ns = source_now(s);
    source_trace(s, FERRY_MIGRATE_ROUND);
    sender_ram(s->sender, WIRE_SECTION_PART);
}

static int source_active(void *self)
{
    struct ferry_migrate_source *s = self;

    if (s->dry_run) {
        if (s->ferry)
            return SOURCE_EV_CHECKED;
        return err_set(&s->err, EINVAL,
                       "the target is QEMU, which cannot say what it would accept");
    }
    if (s->peer == FERRY_MIGRATE_PEER_FERRY && chan_traits(s->chan)->both_ways && !s->ferry)
        return err_set(&s->err, EINVAL, "the target is not ferry");
    source_trace(s, FERRY_MIGRATE_ACCEPTED);
    s->deadline_ns = INT64_MAX;
    s->lanes_awaited = s->multifd && !multifd_out_complete(s->multifd);
    return s->lanes_awaited ? 0 : source_begin_ram(s);
}

int source_begin_ram(struct ferry_migrate_source *s)
{
    const struct ram_rules rules = {.ignore_shared = s->capabilities.ignore_shared};
    uint8_t head[RAM_HEAD_MAX_BYTES];
    struct buf out = {0};
    int r;

    s->active_ns = source_now(s);
    s->ledger.setup_ns = s->active_ns - s->begin_ns;
    r = ferry_ram_log_start(s->guest.ram, &s->err);
    if (r < 0)
        return r;
    s->logging = true;
    guest_ram_find_backed(&s->guest);
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
        return err_set(&s->err, ENOMEM, "no memory to list RAM");
    }
    sender_bytes(s->sender, &out);
    source_round_begins(s, guest_ram_all(&s->guest));
    return 0;
}

static int source_round(void *self)
{
    struct ferry_migrate_source *s = self;
    const struct sender_counters *c = sender_counters(s->sender);
    uint64_t sent = source_totals(s).bytes - s->bytes_before;
    int64_t duration_ns = source_now(s) - s->round_ns;
    uint64_t dirty = guest_ram_harvest(&s->guest);

    rounds_account(&s->rounds, sent, duration_ns, dirty);
    if (s->capabilities.auto_converge && s->running && s->throttle) {
        unsigned before = s->rounds.throttle_percent;
        unsigned percent = rounds_throttle(&s->rounds, &s->parameters, sent, dirty);

        if (percent != before)
            s->throttle(s->opaque, percent);
    }
    if (rounds_fits(&s->rounds, dirty)) {
        s->pending_pages = dirty;
        s->done_before = atomic_load(&c->pages_done);
        return SOURCE_EV_FITS;
    }
    source_round_begins(s, dirty);
    return 0;
}

/* --- The pause --- */

static void source_note_drained(void *self)
{
    ((struct ferry_migrate_source *)self)->drained = true;
}

static int source_quiesce(void *self)
{
    struct ferry_migrate_source *s = self;

    s->quiesce_ns = source_now(s);
    s->deadline_ns = s->quiesce_ns + s->setup_timeout_ns;
    s->quiesced = true;
    s->drained = false;
    return vm_quiesce_begin(s->vm, source_note_drained, s) == 0 ? SOURCE_EV_DRAINED : 0;
}

static int source_pause(void *self)
{
    struct ferry_migrate_source *s = self;

    source_trace(s, FERRY_MIGRATE_QUIESCED);
    s->pause_ns = source_now(s);
    s->ledger.quiesce_ns = s->pause_ns - s->quiesce_ns;
    s->precopy_bytes = source_totals(s).bytes;
    s->paused = true;
    if (s->running)
        vm_pause_harts(s->vm);
    vm_pause_parts(s->vm, NULL, NULL);
    s->ledger.stop_ns = source_now(s) - s->pause_ns;
    source_trace(s, FERRY_MIGRATE_PAUSED);
    if (!s->capabilities.pause_before_switchover)
        return SOURCE_EV_PROCEED;
    s->deadline_ns = INT64_MAX;
    return 0;
}

static int source_save(struct ferry_migrate_source *s, struct buf *out)
{
    bool describe = !chan_traits(s->chan)->both_ways;
    struct buf devices = {0}, json = {0};
    int r =
        vm_save_parts(s->vm, out, SOURCE_PARTS_ID, describe ? &devices : NULL, NULL, NULL, &s->err);

    if (r == 0 && describe)
        r = vm_save_description(&json, &s->config, &devices, &s->err);
    if (r == 0) {
        s->ledger.state_bytes = out->len_bytes;
        stream_put_eof(out);
        stream_put_description(out, json.data, (uint32_t)json.len_bytes);
        if (out->failed)
            r = err_set(&s->err, out->failed, "no memory for the state");
    }
    buf_free(&devices);
    buf_free(&json);
    return r;
}

static int source_last(void *self)
{
    struct ferry_migrate_source *s = self;
    struct buf parts = {0}, command = {0};
    uint64_t dirty;
    int64_t begin_ns = source_now(s);
    int r = source_save(s, &parts); /* may write to RAM: before the last harvest */

    if (r < 0) {
        buf_free(&parts);
        return r;
    }
    dirty = guest_ram_harvest(&s->guest);
    s->pending_pages += dirty;
    s->rounds.count++;
    s->saved_ns = source_now(s);
    s->ledger.save_ns = s->saved_ns - begin_ns;
    s->ledger.last_ram_bytes = s->pending_pages * WIRE_PAGE_BYTES;
    source_trace(s, FERRY_MIGRATE_SAVED);
    s->inactive = true;
    if (s->deactivate)
        s->deactivate(s->opaque);
    command_put_empty(&command, WIRE_CMD_SWITCHOVER_START);
    sender_set_rate(s->sender, 0);
    sender_bytes(s->sender, &command);
    sender_ram(s->sender, WIRE_SECTION_END);
    sender_bytes(s->sender, &parts);
    if (!chan_traits(s->chan)->both_ways)
        sender_finish(s->sender);
    s->seen_progress = 0;
    s->deadline_ns = s->saved_ns + s->pause_timeout_ns;
    return 0;
}

static int source_all_sent(void *self)
{
    struct ferry_migrate_source *s = self;

    s->sent_ns = source_now(s);
    s->ledger.send_ns = s->sent_ns - s->saved_ns;
    source_trace(s, FERRY_MIGRATE_ALL_SENT);
    if (s->ferry) {
        s->deadline_ns = s->sent_ns + s->pause_timeout_ns;
        return 0;
    }
    if (!chan_traits(s->chan)->both_ways)
        return SOURCE_EV_SHUT;
    s->deadline_ns = s->sent_ns + s->setup_timeout_ns;
    return SOURCE_EV_UNASKED;
}

static int source_commit(void *self)
{
    struct ferry_migrate_source *s = self;
    struct buf out = {0};

    s->commit_ns = source_now(s);
    if (!s->sent_ns)
        s->sent_ns = s->commit_ns;
    s->ledger.wait_ns = s->commit_ns - s->sent_ns;
    source_trace(s, FERRY_MIGRATE_LOADED);
    command_put_empty(&out, WIRE_CMD_FERRY_COMMIT);
    if (out.failed)
        return err_set(&s->err, ENOMEM, "no memory for COMMIT");
    sender_bytes(s->sender, &out);
    s->deadline_ns = s->commit_ns + s->pause_timeout_ns;
    source_trace(s, FERRY_MIGRATE_COMMITTED);
    return 0;
}

/* --- Ends --- */

static void source_close(struct ferry_migrate_source *s)
{
    session_watch(&s->session, SESSION_MAIN, -1, 0);
    if (s->chan)
        chan_shutdown(s->chan);
    s->totals = source_totals(s);
    sender_free(TAKE_PTR(s->sender));
    multifd_out_free(TAKE_PTR(s->multifd));
    chan_connect_free(TAKE_PTR(s->connect));
    ferry_chan_free(TAKE_PTR(s->chan));
    if (s->logging)
        ferry_ram_log_stop(s->guest.ram);
    s->logging = false;
    if (s->rounds.throttle_percent && s->throttle)
        s->throttle(s->opaque, 0);
    s->end_ns = source_now(s);
    s->deadline_ns = INT64_MAX;
}

static int source_done(void *self)
{
    struct ferry_migrate_source *s = self;
    int64_t now = source_now(s);

    if (s->commit_ns)
        s->ledger.commit_ns = now - s->commit_ns;
    else if (s->sent_ns)
        s->ledger.wait_ns = now - s->sent_ns;
    s->ledger.total_ns = now - s->pause_ns;
    source_trace(s, FERRY_MIGRATE_STARTED);
    source_close(s);
    return 0;
}

static int source_checked(void *self)
{
    source_close(self);
    return 0;
}

static int source_refused(void *self)
{
    struct ferry_migrate_source *s = self;

    err_set(&s->err, EREMOTEIO, "the target refused: %s", s->message.text);
    return SOURCE_EV_FAULT;
}

static int source_shut_bad(void *self)
{
    struct ferry_migrate_source *s = self;

    err_set(&s->err, EREMOTEIO,
            "the target could not load the guest and says so while the source "
            "was %s; its log has the reason",
            source_doing(s));
    return SOURCE_EV_BACK;
}

static int source_gone(void *self)
{
    struct ferry_migrate_source *s = self;

    err_set(&s->err, ECONNRESET,
            "the target closed the connection (has it failed?) while the source was %s",
            source_doing(s));
    return SOURCE_EV_FAULT;
}

static int source_late(void *self)
{
    struct ferry_migrate_source *s = self;

    err_set(&s->err, ETIMEDOUT, "nothing was heard from the target in time while the source was %s",
            source_doing(s));
    return SOURCE_EV_FAULT;
}

static int source_stuck(void *self)
{
    struct ferry_migrate_source *s = self;

    err_set(&s->err, ETIMEDOUT,
            "%zu devices still had requests in flight after the deadline of %" PRId64 " ms",
            vm_draining(s->vm), s->setup_timeout_ns / 1000000);
    return SOURCE_EV_FAULT;
}

static int source_cancelled(void *self)
{
    struct ferry_migrate_source *s = self;

    err_set(&s->err, ECANCELED, "the migration was cancelled");
    return SOURCE_EV_BACK;
}

static int source_activate(void *self)
{
    struct ferry_migrate_source *s = self;
    struct ferry_err err;
    int64_t now = source_now(s);

    if (!s->inactive || !s->activate || s->activate(s->opaque, &err) == 0)
        return SOURCE_EV_RETURNED;
    if (now < s->bereft_ns) {
        s->deadline_ns = now + SOURCE_RETRY_NS;
        return 0;
    }
    err_prefix(&err, "%s; the guest stays paused here, whole, because this failed", s->err.text);
    s->err = err;
    return SOURCE_EV_BEREFT;
}

static int source_back(void *self)
{
    struct ferry_migrate_source *s = self;

    source_close(s);
    s->bereft_ns = source_now(s) + s->pause_timeout_ns;
    return source_activate(s);
}

/*
 * To where the guest was. What was harvested and not sent needs no putting back: the next attempt
 * sends everything.
 */
static int source_returned(void *self)
{
    struct ferry_migrate_source *s = self;

    if (s->paused)
        vm_resume_parts(s->vm, NULL, NULL);
    if (s->quiesced)
        vm_unquiesce(s->vm);
    if (s->paused && s->running)
        vm_resume_harts(s->vm);
    s->paused = s->quiesced = s->inactive = false;
    s->end_ns = source_now(s);
    return 0;
}

static int source_bereft(void *self)
{
    ((struct ferry_migrate_source *)self)->deadline_ns = INT64_MAX;
    return 0;
}

static int source_lost(void *self)
{
    struct ferry_migrate_source *s = self;

    source_close(s);
    err_prefix(&s->err, "the target may run the guest, which therefore stays paused here");
    return 0;
}

static const char *const source_state_names[] = {
    [SOURCE_NEW] = "not begun",
    [SOURCE_CONNECT] = "connecting",
    [SOURCE_GREET] = "waiting for the target's first answer",
    [SOURCE_PREFLIGHT] = "waiting for ACCEPT",
    [SOURCE_ACTIVE] = "sending RAM",
    [SOURCE_QUIESCE] = "waiting for requests in flight",
    [SOURCE_SWITCHOVER] = "waiting for migrate-continue",
    [SOURCE_LAST] = "sending the last RAM and the devices",
    [SOURCE_LOAD] = "waiting for LOADED",
    [SOURCE_COMMIT] = "waiting for the guest's start",
    [SOURCE_AWAIT] = "waiting for QEMU's SHUT",
    [SOURCE_BACK] = "taking back what the target was given",
    [SOURCE_DONE] = "done",
    [SOURCE_CHECKED] = "done with checking",
    [SOURCE_FAILED] = "failed",
    [SOURCE_LOST] = "lost",
};

static const char *const source_event_names[] = {
    [SOURCE_EV_NONE] = "nothing",
    [SOURCE_EV_BEGIN] = "begin",
    [SOURCE_EV_CONNECTED] = "connected",
    [SOURCE_EV_HELLO] = "HELLO",
    [SOURCE_EV_PONG] = "PONG",
    [SOURCE_EV_ACCEPT] = "ACCEPT",
    [SOURCE_EV_REFUSE] = "REFUSE",
    [SOURCE_EV_LOADED] = "LOADED",
    [SOURCE_EV_SHUT] = "SHUT",
    [SOURCE_EV_SHUT_BAD] = "SHUT with a failure",
    [SOURCE_EV_OTHER] = "a message of postcopy",
    [SOURCE_EV_GONE] = "peer gone",
    [SOURCE_EV_IDLE] = "all sent",
    [SOURCE_EV_FITS] = "little is left",
    [SOURCE_EV_DRAINED] = "drained",
    [SOURCE_EV_PROCEED] = "migrate-continue",
    [SOURCE_EV_CHECKED] = "dry run over",
    [SOURCE_EV_UNASKED] = "target starts unasked",
    [SOURCE_EV_BACK] = "back",
    [SOURCE_EV_RETURNED] = "all is back",
    [SOURCE_EV_BEREFT] = "not everything comes back",
    [SOURCE_EV_DUE] = "deadline",
    [SOURCE_EV_CANCEL] = "cancel",
    [SOURCE_EV_FAULT] = "fault",
};

/* clang-format off */
#define SOURCE_CAN_FAIL(state)                                      \
    {state, SOURCE_EV_REFUSE,   state,         source_refused},     \
    {state, SOURCE_EV_SHUT_BAD, state,         source_shut_bad},    \
    {state, SOURCE_EV_GONE,     state,         source_gone},        \
    {state, SOURCE_EV_CANCEL,   state,         source_cancelled},   \
    {state, SOURCE_EV_BACK,     SOURCE_BACK,   source_back},        \
    {state, SOURCE_EV_FAULT,    SOURCE_BACK,   source_back}

static const struct machine_rule source_rules[] = {
    {SOURCE_NEW,        SOURCE_EV_BEGIN,     SOURCE_CONNECT,    source_begin},
    {SOURCE_CONNECT,    SOURCE_EV_CONNECTED, SOURCE_GREET,      source_connected},
    {SOURCE_GREET,      SOURCE_EV_HELLO,     SOURCE_PREFLIGHT,  source_preflight},
    {SOURCE_GREET,      SOURCE_EV_PONG,      SOURCE_ACTIVE,     source_active},
    {SOURCE_PREFLIGHT,  SOURCE_EV_PONG,      SOURCE_PREFLIGHT,  NULL},
    {SOURCE_PREFLIGHT,  SOURCE_EV_ACCEPT,    SOURCE_ACTIVE,     source_active},
    {SOURCE_ACTIVE,     SOURCE_EV_CHECKED,   SOURCE_CHECKED,    source_checked},
    {SOURCE_ACTIVE,     SOURCE_EV_IDLE,      SOURCE_ACTIVE,     source_round},
    {SOURCE_ACTIVE,     SOURCE_EV_FITS,      SOURCE_QUIESCE,    source_quiesce},
    {SOURCE_QUIESCE,    SOURCE_EV_DRAINED,   SOURCE_SWITCHOVER, source_pause},
    {SOURCE_SWITCHOVER, SOURCE_EV_PROCEED,   SOURCE_LAST,       source_last},
    {SOURCE_LAST,       SOURCE_EV_IDLE,      SOURCE_LOAD,       source_all_sent},
    {SOURCE_LAST,       SOURCE_EV_LOADED,    SOURCE_COMMIT,     source_commit},
    {SOURCE_LAST,       SOURCE_EV_SHUT,      SOURCE_DONE,       source_done},
    {SOURCE_LOAD,       SOURCE_EV_LOADED,    SOURCE_COMMIT,     source_commit},
    {SOURCE_LOAD,       SOURCE_EV_UNASKED,   SOURCE_AWAIT,      NULL},
    {SOURCE_LOAD,       SOURCE_EV_SHUT,      SOURCE_DONE,       source_done},
    {SOURCE_COMMIT,     SOURCE_EV_SHUT,      SOURCE_DONE,       source_done},
    {SOURCE_AWAIT,      SOURCE_EV_SHUT,      SOURCE_DONE,       source_done},

    SOURCE_CAN_FAIL(SOURCE_NEW),
    SOURCE_CAN_FAIL(SOURCE_CONNECT),
    {SOURCE_CONNECT,    SOURCE_EV_DUE,       SOURCE_CONNECT,    source_late},
    SOURCE_CAN_FAIL(SOURCE_GREET),
    {SOURCE_GREET,      SOURCE_EV_DUE,       SOURCE_GREET,      source_late},
    SOURCE_CAN_FAIL(SOURCE_PREFLIGHT),
    {SOURCE_PREFLIGHT,  SOURCE_EV_DUE,       SOURCE_PREFLIGHT,  source_late},
    SOURCE_CAN_FAIL(SOURCE_ACTIVE),
    SOURCE_CAN_FAIL(SOURCE_QUIESCE),
    {SOURCE_QUIESCE,    SOURCE_EV_DUE,       SOURCE_QUIESCE,    source_stuck},
    SOURCE_CAN_FAIL(SOURCE_SWITCHOVER),
    SOURCE_CAN_FAIL(SOURCE_LAST),
    {SOURCE_LAST,       SOURCE_EV_DUE,       SOURCE_LAST,       source_late},
    SOURCE_CAN_FAIL(SOURCE_LOAD),
    {SOURCE_LOAD,       SOURCE_EV_DUE,       SOURCE_LOAD,       source_late},

    /* Only the target's word that it does not run the guest leads back from here. */
    {SOURCE_COMMIT,     SOURCE_EV_REFUSE,    SOURCE_COMMIT,     source_refused},
    {SOURCE_COMMIT,     SOURCE_EV_GONE,      SOURCE_COMMIT,     source_gone},
    {SOURCE_COMMIT,     SOURCE_EV_DUE,       SOURCE_COMMIT,     source_late},
    {SOURCE_COMMIT,     SOURCE_EV_FAULT,     SOURCE_LOST,       source_lost},
    {SOURCE_AWAIT,      SOURCE_EV_SHUT_BAD,  SOURCE_AWAIT,      source_shut_bad},
    {SOURCE_AWAIT,      SOURCE_EV_BACK,      SOURCE_BACK,       source_back},
    {SOURCE_AWAIT,      SOURCE_EV_GONE,      SOURCE_AWAIT,      source_gone},
    {SOURCE_AWAIT,      SOURCE_EV_DUE,       SOURCE_AWAIT,      source_late},
    {SOURCE_AWAIT,      SOURCE_EV_FAULT,     SOURCE_LOST,       source_lost},

    {SOURCE_BACK,       SOURCE_EV_DUE,       SOURCE_BACK,       source_activate},
    {SOURCE_BACK,       SOURCE_EV_CANCEL,    SOURCE_BACK,       NULL},
    {SOURCE_BACK,       SOURCE_EV_RETURNED,  SOURCE_FAILED,     source_returned},
    {SOURCE_BACK,       SOURCE_EV_BEREFT,    SOURCE_FAILED,     source_bereft},
};
/* clang-format on */

const struct machine_table migrate_source_table = {
    .name = "source",
    .state_names = source_state_names,
    .state_count = sizeof(source_state_names) / sizeof(source_state_names[0]),
    .event_names = source_event_names,
    .event_count = sizeof(source_event_names) / sizeof(source_event_names[0]),
    .fault = SOURCE_EV_FAULT,
    .rules = source_rules,
    .rule_count = sizeof(source_rules) / sizeof(source_rules[0]),
};
