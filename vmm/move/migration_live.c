/* SPDX-License-Identifier: Apache-2.0 */
/* The guest goes to another process of this host: both sides of a handover (<ferry/live.h>). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/build.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mail.h"
#include "base/own.h"
#include "vmm/move/migration_internal.h"
#include "vmm/process/reaper.h"
#include "vmm/supervisor/supervisor_link.h"
#include "vmm/supervisor/urgency.h"
#include "vmm/vm/bequest.h"
#include "vmm/vm/monitors.h"
#include "vmm/vm/vm_internal.h"

/* For a target that failed to end by itself, so that its exit status can be told. */
#define CHILD_GRACE_NS (INT64_C(500) * 1000000)

/* Either side's. */
static enum ferry_urgency urgent(void *opaque, bool begin)
{
    struct migration *m = opaque;

    return urgency_take(vm_urgency(m->vm), begin);
}

/* --- source --- */

/* The operator hears of it when the target's end has been heard of. */
static void report_failure(void *arg, const char *end)
{
    struct migration *m = arg;
    /* Called off before it could answer, it may well be. */
    bool silent = *end && !m->answered && m->error.errnum != ECANCELED;
    const char *ask = silent ? "; is it a ferry?" : "";
    size_t n = strlen(m->error.text);

    snprintf(m->error.text + n, sizeof(m->error.text) - n, "%s%s", end, ask);
    reaper_free(TAKE_PTR(m->reaper));
    m->child = 0;
    migration_source_failed(m);
    /* The guest is lost, and its monitors are gone with the target: nobody could end what is left.
     */
    if (vm_run_state(m->vm) == RUN_STATE_POSTMIGRATE) {
        log_error("handing the VM over: %s", m->error.text);
        vm_exit(m->vm, 1);
    }
}

static void source_failed(struct migration *m, bool lost)
{
    struct ferry_err err;

    m->let_go = false;
    urgency_expect(vm_urgency(m->vm), false);
    if (lost) {
        /* It ran there, and ended there. */
        supervisor_link_has_guest(vm_supervisor(m->vm), false);
        vm_set_run_state(m->vm, RUN_STATE_POSTMIGRATE);
        monitors_keep_clients(vm_monitors(m->vm));
    } else {
        migration_back(m);
    }
    vm_retry_requests(m->vm);
    migration_driver_stop(&m->driver);
    if (!m->child || reaper_new(&m->reaper, vm_loop(m->vm), &m->mail, CHILD_GRACE_NS,
                                report_failure, m, &err) < 0)
        report_failure(m, "");
}

/* Whoever asked for the update is answered here; then all have to connect again. */
static void keep_extras(struct migration *m)
{
    const char *runner = ferry_live_source_target_version(m->driver.move);

    log_warn("the clients of this VM's monitors have to connect again: ferry %s, which runs it "
             "now, does not take them over",
             runner);
    if (vm_holds_pidfile(m->vm))
        log_warn(
            "nobody holds the file of -pidfile any more: ferry %s, which runs the VM now, does "
            "not take its lock over; a VM that is started with it would write over it",
            runner);
    bequest_say_lost(vm_bequest(m->vm), runner);
    monitors_keep_clients(vm_monitors(m->vm));
}

static void source_done(struct migration *m)
{
    migration_done_fn *done = m->done;

    m->ledger = *ferry_live_source_ledger(m->driver.move);
    m->have_ledger = true;
    snprintf(m->peer_build, sizeof(m->peer_build), "%s",
             ferry_live_source_target_version(m->driver.move));
    supervisor_link_has_guest(vm_supervisor(m->vm), false);
    vm_set_run_state(m->vm, RUN_STATE_POSTMIGRATE);
    migration_set_status(m, MIGRATION_DEVICE);
    if (m->update && !ferry_live_source_gives_extras(m->driver.move))
        keep_extras(m);
    m->done = NULL;
    migration_finish(m, MIGRATION_COMPLETED);
    if (!done) {
        /* This process stays, and what it is told is meant for it. */
        m->let_go = false;
        vm_retry_requests(m->vm);
        return;
    }
    done(m->done_arg, 0, NULL);
    vm_pass_on_signals(m->vm);
    vm_exit(m->vm, 0);
}

static void source_trace(void *opaque, enum ferry_live_point point)
{
    struct migration *m = opaque;

    fault_at(&m->fault, point);
    if (point == FERRY_LIVE_READY_RECEIVED) {
        m->answered = true;
        m->setup_end_ns = clock_monotonic_ns();
        if (m->status == MIGRATION_SETUP)
            migration_set_status(m, MIGRATION_ACTIVE);
    }
    if (point == FERRY_LIVE_QUIESCED)
        migration_pausing(m, GUEST_CLOCK_FOR_UPDATE);
    if (point == FERRY_LIVE_LOCK_RELEASED)
        m->let_go = true;
}

static int source_stepped(void *arg, enum ferry_move_status status)
{
    struct migration *m = arg;

    if (status == FERRY_MOVE_BUSY)
        return 0;
    if (status == FERRY_MOVE_DONE)
        source_done(m);
    else
        source_failed(m, status == FERRY_MOVE_LOST);
    return 1;
}

static const struct migration_side source_side = {
    .source = true,
    .stream = false,
    .stepped = source_stepped,
};

int migration_live_start(struct migration *m, int *fd, int64_t prepare_timeout_ns,
                         struct ferry_err *err)
{
    char build[BUILD_TEXT_BYTES];
    struct ferry_live_source_params params = {
        .size_bytes = sizeof(params),
        .vm = vm_parts(m->vm),
        .owner = vm_owner(m->vm),
        .version = build_text(build),
        .running = vm_run_state(m->vm) == RUN_STATE_RUNNING,
        .prepare_timeout_ns = prepare_timeout_ns,
        .trace = source_trace,
        .urgent = urgent,
        .opaque = m,
    };
    OWN_MEM char *description = options_to_json(vm_options(m->vm));
    struct ferry_move *move;
    int rc;

    if (!description)
        return err_set(err, ENOMEM, "out of memory");
    params.description = description;
    rc = ferry_live_source_new(&move, &params, fd, err);
    return rc < 0 ? rc : migration_drive(m, &source_side, move, err);
}

int migration_update(struct migration *m, int *mail, int64_t prepare_timeout_ns,
                     migration_done_fn *done, void *arg, struct ferry_err *err)
{
    struct mail target;
    int rc = migration_may_start(m, err);

    if (!rc)
        rc = mail_recv(*mail, &target, err);
    if (rc < 0)
        return rc;
    m->update = true;
    if (target.kind == MAIL_OPENED && target.fds[0] >= 0)
        rc = migration_live_start(m, &target.fds[0], prepare_timeout_ns, err);
    else
        rc = err_set(err, EPROTO, "the new process ended before it could be spoken to");
    mail_free(&target);
    m->update = rc == 0;
    if (rc < 0)
        return rc;
    m->child = target.value;
    own_close_fd(&m->mail);
    m->mail = take_fd(mail);
    m->let_go = m->answered = false;
    urgency_expect(vm_urgency(m->vm), true);
    m->done = done;
    m->done_arg = arg;
    return 0;
}

/* --- target --- */

static int target_take_region(void *arg, struct ferry_ram *ram, const char *name,
                              uint64_t size_bytes, bool file, struct ferry_ram_region **ret,
                              struct ferry_err *err)
{
    struct migration *m = arg;

    if (file)
        return ferry_live_target_take_file(m->driver.move, ram, name, size_bytes, ret, err);
    return ferry_live_target_take_region(m->driver.move, ram, name, size_bytes, ret, err);
}

static int target_build(void *opaque, struct ferry_move *move, const char *description,
                        struct ferry_vm **ret, struct ferry_err *err)
{
    struct migration *m = opaque;
    const struct vm_arrived arrived = {.take_region = target_take_region, .arg = m};
    struct options o = {0};
    int rc = options_from_json(&o, description, err);

    if (!rc)
        rc = vm_confine(m->vm, SANDBOX_MAIN, NULL, err);
    if (!rc)
        rc = vm_build(m->vm, &o, &arrived, err);
    options_free(&o);
    if (rc < 0)
        return rc;
    *ret = vm_parts(m->vm);
    return 0;
}

static void target_clock_go_on(void *opaque, int64_t stopped_ns)
{
    struct migration *m = opaque;

    vm_clock_go_on(m->vm, stopped_ns);
}

static void target_trace(void *opaque, enum ferry_live_point point)
{
    struct migration *m = opaque;

    /* Before it can run: whoever is killed while it has the guest has said so. */
    if (point == FERRY_LIVE_LOCK_TAKEN)
        supervisor_link_has_guest(vm_supervisor(m->vm), true);
    /* Behind READY may come the pause. */
    if (point == FERRY_LIVE_BUILT)
        supervisor_link_no_hurry(vm_supervisor(m->vm));
    fault_at(&m->fault, point);
    if (point == FERRY_LIVE_HELLO_RECEIVED)
        migration_set_status(m, MIGRATION_ACTIVE);
}

static void target_failed(struct migration *m)
{
    migration_driver_stop(&m->driver);
    migration_target_failed(m);
}

static void target_done(struct migration *m)
{
    bool running = ferry_move_running(m->driver.move);

    m->ledger = *ferry_live_target_ledger(m->driver.move);
    m->have_ledger = true;
    snprintf(m->peer_build, sizeof(m->peer_build), "%s",
             ferry_live_target_source_version(m->driver.move));
    vm_set_owner(m->vm, ferry_live_target_take_owner(m->driver.move));
    migration_driver_stop(&m->driver);
    vm_arrived(m->vm, running);
    migration_finish(m, MIGRATION_COMPLETED);
    vm_updated(m->vm);
}

static int target_stepped(void *arg, enum ferry_move_status status)
{
    struct migration *m = arg;

    if (status == FERRY_MOVE_BUSY)
        return 0;
    if (status == FERRY_MOVE_DONE)
        target_done(m);
    else
        target_failed(m);
    return 1;
}

static const struct migration_side target_side = {
    .source = false,
    .stream = false,
    .stepped = target_stepped,
};

int migration_live_incoming(struct migration *m, int *fd, struct ferry_err *err)
{
    char build[BUILD_TEXT_BYTES];
    const struct ferry_live_target_params params = {
        .size_bytes = sizeof(params),
        .version = build_text(build),
        .build = target_build,
        .clock_go_on = target_clock_go_on,
        .trace = target_trace,
        .urgent = urgent,
        .opaque = m,
    };
    struct ferry_move *move;
    int rc = ferry_live_target_new(&move, &params, fd, err);

    return rc < 0 ? rc : migration_drive(m, &target_side, move, err);
}
