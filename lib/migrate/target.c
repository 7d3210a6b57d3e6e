/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/migrate/target.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/err.h"
#include "base/own.h"
#include "lib/migrate/support.h"
#include "lib/state/vm.h"
#include "lib/wire/return_path.h"

/* For the source to read why. */
#define TARGET_DRAIN_NS INT64_C(2000000000)

/* The base is the first member. */
static struct migrate_target *stream_of(struct target *base)
{
    return (struct migrate_target *)base;
}

void target_trace(struct migrate_target *t, enum ferry_migrate_point point)
{
    if (t->trace)
        t->trace(t->opaque, point);
}

void target_answer(struct migrate_target *t)
{
    while (t->chan && t->answered_bytes < t->answers.len_bytes) {
        struct iovec iov = {.iov_base = t->answers.data + t->answered_bytes,
                            .iov_len = t->answers.len_bytes - t->answered_bytes};
        struct ferry_err ignored;
        ssize_t n = chan_send(t->chan, &iov, 1, &ignored);

        if (n == -EAGAIN)
            return;
        /* A source that is gone is noticed by who reads. */
        t->answered_bytes += n < 0 ? iov.iov_len : (size_t)n;
    }
    buf_reset(&t->answers);
    t->answered_bytes = 0;
}

static int stream_begin(struct target *base)
{
    struct migrate_target *t = stream_of(base);

    return t->chan ? MOVE_EV_CONNECTED : 0;
}

static int stream_connected(struct target *base)
{
    struct migrate_target *t = stream_of(base);

    t->begin_ns = target_now(t);
    /* A command or an fd may be open long before its source begins. */
    if (chan_traits(t->chan)->many) {
        t->awaited = true;
        mover_allow(&base->m, t->begin_ns, t->setup_timeout_ns);
    }
    target_trace(t, FERRY_MIGRATE_CONNECTED);
    return 0;
}

static int stream_ram_read(struct target *base)
{
    struct migrate_target *t = stream_of(base);

    t->section = NULL;
    return 0;
}

static void stream_end(struct target *base)
{
    struct migrate_target *t = stream_of(base);

    target_answer(t);
    session_watch(&t->session, SESSION_MAIN, -1, 0);
    if (t->receiver) {
        const struct receiver_counters *c = receiver_counters(t->receiver);

        t->received_bytes = atomic_load(&c->bytes);
        t->zero_pages = atomic_load(&c->zero_pages);
        t->normal_pages = atomic_load(&c->normal_pages);
    }
    receiver_free(TAKE_PTR(t->receiver));
    if (t->multifd) {
        struct multifd_totals m = multifd_in_totals(t->multifd);

        t->received_bytes += m.bytes;
        t->zero_pages += m.zero_pages;
        t->normal_pages += m.normal_pages;
    }
    multifd_in_free(TAKE_PTR(t->multifd));
    ferry_chan_free(TAKE_PTR(t->chan));
    ferry_listener_free(TAKE_PTR(t->listener));
    t->end_ns = target_now(t);
    t->base.m.deadline_ns = INT64_MAX;
}

/* All is loaded and checked. */
static int stream_load(struct target *base)
{
    struct migrate_target *t = stream_of(base);
    int r = t->activate ? t->activate(t->opaque, &base->m.err) : 0;

    if (r < 0)
        return r;
    t->active = true;
    t->ledger.target_load_ns = t->load_ns;
    target_trace(t, FERRY_MIGRATE_LOADED);
    if (!t->asked)
        return MOVE_EV_COMMIT;
    return_path_put_plain(&t->answers, WIRE_RP_FERRY_LOADED);
    target_answer(t);
    mover_allow(&base->m, target_now(t), t->commit_timeout_ns);
    return 0;
}

static void stream_committed(struct target *base)
{
    struct migrate_target *t = stream_of(base);

    t->commit_ns = target_now(t);
    target_trace(t, FERRY_MIGRATE_COMMITTED);
}

static int stream_claim(struct target *base)
{
    vm_load_commit(stream_of(base)->load, NULL, NULL);
    return 0;
}

static bool stream_run(struct target *base)
{
    struct migrate_target *t = stream_of(base);

    return !t->run || t->run(t->opaque);
}

static void stream_started(struct target *base)
{
    struct migrate_target *t = stream_of(base);

    t->ledger.target_start_ns = target_now(t) - t->commit_ns;
    if (t->switchover_ns)
        t->ledger.total_ns = target_now(t) - t->switchover_ns;
    if (t->asked)
        support_ledger_put(&t->answers, &t->ledger);
    if (t->may_answer)
        return_path_put_shut(&t->answers, 0);
    target_answer(t);
    target_trace(t, FERRY_MIGRATE_STARTED);
    stream_end(base);
}

/* No COMMIT was given: the guest is the source's. */
static int stream_orphaned(struct target *base)
{
    (void)mover_gone(base);
    return MOVE_EV_OWN_THEIRS;
}

static void stream_late(struct target *base)
{
    struct migrate_target *t = stream_of(base);
    int64_t ms = base->m.limit_ns / 1000000;

    if (!t->has_config)
        err_set(&base->m.err, ETIMEDOUT,
                "the source connected and said nothing within %" PRId64 " ms", ms);
    else if (!t->ready)
        err_set(&base->m.err, ETIMEDOUT,
                "the source began, and did not say within %" PRId64 " ms what it sends", ms);
    else if (!t->awaited)
        err_set(&base->m.err, ETIMEDOUT,
                "nothing came from the source for %" PRId64 " ms while the target was %s; is its "
                "process stopped, or its host gone?",
                ms, mover_doing(&base->m));
    else
        err_set(&base->m.err, ETIMEDOUT,
                "only %u of %u channels said within %" PRId64 " ms which they are; set "
                "multifd-channels alike on both sides",
                t->multifd ? multifd_in_greeted(t->multifd) : 0, t->channels, ms);
}

/* Closing with unread bytes would reset the connection and take the reason with it. */
static int stream_refuse(struct target *base)
{
    struct migrate_target *t = stream_of(base);

    /* Before the source can notice that the guest does not come: it takes everything back. */
    if (t->active && t->deactivate)
        t->deactivate(t->opaque);
    t->active = false;
    receiver_free(TAKE_PTR(t->receiver));
    /* The other channels stay: the source must not notice their end before it has heard why. */
    t->base.m.deadline_ns = target_now(t) + TARGET_DRAIN_NS;
    if (!t->chan || !t->may_answer || t->gone)
        return MOVE_EV_CLOSE;
    if (t->asked)
        return_path_put_refuse(&t->answers, t->base.m.err.text);
    else
        return_path_put_shut(&t->answers, 1);
    target_answer(t);
    chan_shutdown_write(t->chan);
    return 0;
}

const struct target_way migrate_target_way = {
    .begin = stream_begin,
    .connected = stream_connected,
    .ram_read = stream_ram_read,
    .load = stream_load,
    .committed = stream_committed,
    .claim = stream_claim,
    .run = stream_run,
    .started = stream_started,
    .orphaned = stream_orphaned,
    .late = stream_late,
    .refuse = stream_refuse,
    .end = stream_end,
};
