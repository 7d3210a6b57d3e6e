/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/migrate/target.h"

#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "base/own.h"
#include "lib/migrate/support.h"
#include "lib/state/vm.h"
#include "lib/wire/return_path.h"

/* For the source to read why. */
#define TARGET_DRAIN_NS INT64_C(2000000000)

int64_t target_now(struct ferry_migrate_target *t)
{
    return session_clock(&t->session);
}

void target_trace(struct ferry_migrate_target *t, enum ferry_migrate_point point)
{
    if (t->trace)
        t->trace(t->opaque, point);
}

void target_answer(struct ferry_migrate_target *t)
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

static int target_begin(void *self)
{
    struct ferry_migrate_target *t = self;

    return t->chan ? TARGET_EV_CONNECTED : 0;
}

static int target_connected(void *self)
{
    struct ferry_migrate_target *t = self;

    t->begin_ns = target_now(t);
    target_trace(t, FERRY_MIGRATE_CONNECTED);
    return 0;
}

static int target_ram_read(void *self)
{
    struct ferry_migrate_target *t = self;

    t->section = NULL;
    return 0;
}

/* Before the source can notice that the guest does not come: it takes everything back. */
static void target_deactivate(struct ferry_migrate_target *t)
{
    if (t->active && t->deactivate)
        t->deactivate(t->opaque);
    t->active = false;
}

static void target_close(struct ferry_migrate_target *t)
{
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
    t->deadline_ns = INT64_MAX;
}

/* All is loaded and checked. */
static int target_end(void *self)
{
    struct ferry_migrate_target *t = self;
    int r = t->activate ? t->activate(t->opaque, &t->err) : 0;

    if (r < 0)
        return r;
    t->active = true;
    t->ledger.target_load_ns = t->load_ns;
    target_trace(t, FERRY_MIGRATE_LOADED);
    if (!t->asked)
        return TARGET_EV_COMMIT;
    return_path_put_plain(&t->answers, WIRE_RP_FERRY_LOADED);
    target_answer(t);
    t->deadline_ns = target_now(t) + t->commit_timeout_ns;
    return 0;
}

static int target_start(void *self)
{
    struct ferry_migrate_target *t = self;
    int64_t begin_ns = target_now(t);

    target_trace(t, FERRY_MIGRATE_COMMITTED);
    vm_load_commit(t->load, NULL, NULL);
    vm_resume_parts(t->vm, NULL, NULL);
    t->running = !t->run || t->run(t->opaque);
    if (t->running)
        vm_resume_harts(t->vm);
    t->ledger.target_start_ns = target_now(t) - begin_ns;
    if (t->switchover_ns)
        t->ledger.total_ns = target_now(t) - t->switchover_ns;
    if (t->asked)
        support_ledger_put(&t->answers, &t->ledger);
    if (t->may_answer)
        return_path_put_shut(&t->answers, 0);
    target_answer(t);
    target_trace(t, FERRY_MIGRATE_STARTED);
    target_close(t);
    return 0;
}

static int target_gone(void *self)
{
    struct ferry_migrate_target *t = self;

    err_set(&t->err, ECONNRESET, "the source closed the connection while the target was %s",
            migrate_target_table.state_names[t->state]);
    return TARGET_EV_CLOSE;
}

static int target_cancelled(void *self)
{
    struct ferry_migrate_target *t = self;

    err_set(&t->err, ECANCELED, "the target was told to stop");
    return TARGET_EV_FAULT;
}

static int target_late(void *self)
{
    struct ferry_migrate_target *t = self;

    err_set(&t->err, ETIMEDOUT, "the source did not say in time that the guest shall start");
    return TARGET_EV_FAULT;
}

/* Closing with unread bytes would reset the connection and take the reason with it. */
static int target_refuse(void *self)
{
    struct ferry_migrate_target *t = self;

    target_deactivate(t);
    receiver_free(TAKE_PTR(t->receiver));
    multifd_in_free(TAKE_PTR(t->multifd));
    t->deadline_ns = target_now(t) + TARGET_DRAIN_NS;
    if (!t->chan || !t->may_answer)
        return TARGET_EV_CLOSE;
    if (t->asked)
        return_path_put_refuse(&t->answers, t->err.text);
    else
        return_path_put_shut(&t->answers, 1);
    target_answer(t);
    chan_shutdown_write(t->chan);
    return 0;
}

static int target_failed(void *self)
{
    target_deactivate(self);
    target_close(self);
    return 0;
}

/* The source knows, and closes. */
static int target_checked(void *self)
{
    struct ferry_migrate_target *t = self;

    target_answer(t);
    target_close(t);
    return 0;
}

static const char *const target_state_names[] = {
    [TARGET_NEW] = "not begun",
    [TARGET_LISTEN] = "waiting for a connection",
    [TARGET_READ] = "reading the stream",
    [TARGET_RAM] = "reading RAM",
    [TARGET_COMMIT] = "waiting for COMMIT",
    [TARGET_DRAIN] = "telling the source why not",
    [TARGET_DONE] = "done",
    [TARGET_CHECKED] = "done with checking",
    [TARGET_FAILED] = "failed",
};

static const char *const target_event_names[] = {
    [TARGET_EV_NONE] = "nothing",        [TARGET_EV_BEGIN] = "begin",
    [TARGET_EV_CONNECTED] = "connected", [TARGET_EV_RAM] = "a RAM section",
    [TARGET_EV_IDLE] = "RAM read",       [TARGET_EV_CHECKED] = "dry run over",
    [TARGET_EV_END] = "end of stream",   [TARGET_EV_COMMIT] = "COMMIT",
    [TARGET_EV_GONE] = "peer gone",      [TARGET_EV_DUE] = "deadline",
    [TARGET_EV_CANCEL] = "cancel",       [TARGET_EV_FAULT] = "fault",
    [TARGET_EV_CLOSE] = "close",
};

/* clang-format off */
static const struct machine_rule target_rules[] = {
    {TARGET_NEW,    TARGET_EV_BEGIN,     TARGET_LISTEN,  target_begin},
    {TARGET_LISTEN, TARGET_EV_CONNECTED, TARGET_READ,    target_connected},
    {TARGET_READ,   TARGET_EV_RAM,       TARGET_RAM,     NULL},
    {TARGET_RAM,    TARGET_EV_IDLE,      TARGET_READ,    target_ram_read},
    {TARGET_READ,   TARGET_EV_CHECKED,   TARGET_CHECKED, target_checked},
    {TARGET_READ,   TARGET_EV_END,       TARGET_COMMIT,  target_end},
    {TARGET_COMMIT, TARGET_EV_COMMIT,    TARGET_DONE,    target_start},

    {TARGET_NEW,    TARGET_EV_CANCEL,    TARGET_NEW,     target_cancelled},
    {TARGET_NEW,    TARGET_EV_FAULT,     TARGET_FAILED,  target_failed},
    {TARGET_LISTEN, TARGET_EV_CANCEL,    TARGET_LISTEN,  target_cancelled},
    {TARGET_LISTEN, TARGET_EV_FAULT,     TARGET_FAILED,  target_failed},
    {TARGET_READ,   TARGET_EV_GONE,      TARGET_DRAIN,   target_gone},
    {TARGET_READ,   TARGET_EV_CANCEL,    TARGET_READ,    target_cancelled},
    {TARGET_READ,   TARGET_EV_FAULT,     TARGET_DRAIN,   target_refuse},
    {TARGET_RAM,    TARGET_EV_CANCEL,    TARGET_RAM,     target_cancelled},
    {TARGET_RAM,    TARGET_EV_FAULT,     TARGET_DRAIN,   target_refuse},
    {TARGET_COMMIT, TARGET_EV_GONE,      TARGET_DRAIN,   target_gone},
    {TARGET_COMMIT, TARGET_EV_CANCEL,    TARGET_COMMIT,  target_cancelled},
    {TARGET_COMMIT, TARGET_EV_DUE,       TARGET_COMMIT,  target_late},
    {TARGET_COMMIT, TARGET_EV_FAULT,     TARGET_DRAIN,   target_refuse},
    {TARGET_DRAIN,  TARGET_EV_GONE,      TARGET_FAILED,  target_failed},
    {TARGET_DRAIN,  TARGET_EV_DUE,       TARGET_FAILED,  target_failed},
    {TARGET_DRAIN,  TARGET_EV_CLOSE,     TARGET_FAILED,  target_failed},
    {TARGET_DRAIN,  TARGET_EV_CANCEL,    TARGET_FAILED,  target_failed},
    {TARGET_DRAIN,  TARGET_EV_FAULT,     TARGET_FAILED,  target_failed},
};
/* clang-format on */

const struct machine_table migrate_target_table = {
    .name = "target",
    .state_names = target_state_names,
    .state_count = sizeof(target_state_names) / sizeof(target_state_names[0]),
    .event_names = target_event_names,
    .event_count = sizeof(target_event_names) / sizeof(target_event_names[0]),
    .fault = TARGET_EV_FAULT,
    .rules = target_rules,
    .rule_count = sizeof(target_rules) / sizeof(target_rules[0]),
};
