/* SPDX-License-Identifier: Apache-2.0 */
/* The guest goes to another process of this host: both sides of a handover (<ferry/live.h>). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <ferry/ferry.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mail.h"
#include "base/own.h"
#include "vmm/main/migration_internal.h"
#include "vmm/main/reaper.h"
#include "vmm/main/vm_internal.h"

/* For a target that failed to end by itself, so that its exit status can be told. */
#define CHILD_GRACE_NS (INT64_C(500) * 1000000)

/* --- source --- */

/* The operator hears of it when the target's end has been heard of. */
static void report_failure(void *arg, const char *end)
{
    struct migration *m = arg;

    if (strlen(m->error.text) + strlen(end) < sizeof(m->error.text))
        strcat(m->error.text, end);
    reaper_free(TAKE_PTR(m->reaper));
    m->child = 0;
    migration_source_failed(m);
}

static void source_failed(struct migration *m, bool lost)
{
    struct ferry_err err;

    if (lost)
        vm_set_run_state(m->vm, RUN_STATE_POSTMIGRATE);
    else
        migration_back(m);
    vm_retry_requests(m->vm);
    migration_driver_stop(&m->driver);
    if (!m->child || reaper_new(&m->reaper, vm_loop(m->vm), &m->mail, CHILD_GRACE_NS,
                                report_failure, m, &err) < 0)
        report_failure(m, "");
}

static void source_done(struct migration *m)
{
    migration_done_fn *done = m->done;

    m->ledger = *ferry_live_source_ledger(m->source);
    m->have_ledger = true;
    vm_set_run_state(m->vm, RUN_STATE_POSTMIGRATE);
    migration_set_status(m, MIGRATION_DEVICE);
    m->done = NULL;
    migration_finish(m, MIGRATION_COMPLETED);
    if (!done)
        return;
    done(m->done_arg, 0, NULL);
    vm_exit(m->vm, 0);
}

static void source_trace(void *opaque, enum ferry_live_point point)
{
    struct migration *m = opaque;

    fault_at(&m->fault, point);
    if (point == FERRY_LIVE_READY_RECEIVED) {
        m->setup_end_ns = clock_monotonic_ns();
        if (m->status == MIGRATION_SETUP)
            migration_set_status(m, MIGRATION_ACTIVE);
    }
    if (point == FERRY_LIVE_QUIESCED)
        migration_pausing(m);
    if (point == FERRY_LIVE_LOCK_RELEASED)
        m->let_go = true;
}

static int source_step(void *obj)
{
    struct migration *m = obj;

    switch (ferry_live_source_step(m->source, &m->error)) {
    case FERRY_LIVE_BUSY:
        return 0;
    case FERRY_LIVE_DONE:
        source_done(m);
        return 1;
    case FERRY_LIVE_FAILED:
        source_failed(m, false);
        return 1;
    case FERRY_LIVE_LOST:
        source_failed(m, true);
        return 1;
    }
    return 0;
}

static short source_events(void *obj)
{
    return ferry_live_source_events(((struct migration *)obj)->source);
}

MIGRATION_SOURCE(ferry_live_source, source)

static const struct migration_driver_ops source_driver = {
    .fd = source_fd,
    .events = source_events,
    .deadline_ns = source_deadline_ns,
    .step = source_step,
    .release = source_release,
    .cancel = source_cancel,
    .set_running = source_set_running,
};

int migration_live_start(struct migration *m, int *fd, int64_t prepare_timeout_ns,
                         struct ferry_err *err)
{
    struct ferry_live_source_params params = {
        .size_bytes = sizeof(params),
        .vm = vm_parts(m->vm),
        .owner = vm_owner(m->vm),
        .version = FERRY_VERSION,
        .running = vm_run_state(m->vm) == RUN_STATE_RUNNING,
        .prepare_timeout_ns = prepare_timeout_ns,
        .trace = source_trace,
        .opaque = m,
    };
    OWN_MEM char *description = options_to_json(vm_options(m->vm));
    int rc;

    if (!description)
        return err_set(err, ENOMEM, "out of memory");
    params.description = description;
    rc = ferry_live_source_new(&m->source, &params, fd, err);
    return rc < 0 ? rc : migration_drive(m, &source_driver, false, err);
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
    if (target.kind == MAIL_OPENED && target.fds[0] >= 0)
        rc = migration_live_start(m, &target.fds[0], prepare_timeout_ns, err);
    else
        rc = err_set(err, EPROTO, "the new process ended before it could be spoken to");
    mail_free(&target);
    if (rc < 0)
        return rc;
    m->child = target.value;
    own_close_fd(&m->mail);
    m->mail = take_fd(mail);
    m->let_go = false;
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
        return ferry_live_target_take_file(m->target, ram, name, size_bytes, ret, err);
    return ferry_live_target_take_region(m->target, ram, name, size_bytes, ret, err);
}

static int target_build(void *opaque, struct ferry_live_target *t, const char *description,
                        struct ferry_vm **ret, struct ferry_err *err)
{
    struct migration *m = opaque;
    const struct vm_arrived arrived = {.take_region = target_take_region, .arg = m};
    struct options o = {0};
    int rc = options_from_json(&o, description, err);

    m->target = t;
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

static void target_clock_advance(void *opaque, int64_t pause_ns)
{
    struct migration *m = opaque;

    vm_clock_advance(m->vm, pause_ns);
}

static void target_trace(void *opaque, enum ferry_live_point point)
{
    struct migration *m = opaque;

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
    bool running = ferry_live_target_running(m->target);

    m->ledger = *ferry_live_target_ledger(m->target);
    m->have_ledger = true;
    vm_set_owner(m->vm, ferry_live_target_take_owner(m->target));
    migration_driver_stop(&m->driver);
    vm_arrived(m->vm, running);
    migration_finish(m, MIGRATION_COMPLETED);
}

static int target_step(void *obj)
{
    struct migration *m = obj;

    switch (ferry_live_target_step(m->target, &m->error)) {
    case FERRY_LIVE_BUSY:
        return 0;
    case FERRY_LIVE_DONE:
        target_done(m);
        return 1;
    default:
        target_failed(m);
        return 1;
    }
}

static short target_events(void *obj)
{
    return ferry_live_target_events(((struct migration *)obj)->target);
}

MIGRATION_TARGET(ferry_live_target, target)

static const struct migration_driver_ops target_driver = {
    .fd = target_fd,
    .events = target_events,
    .deadline_ns = target_deadline_ns,
    .step = target_step,
    .release = target_release,
};

int migration_live_incoming(struct migration *m, int *fd, struct ferry_err *err)
{
    const struct ferry_live_target_params params = {
        .size_bytes = sizeof(params),
        .version = FERRY_VERSION,
        .build = target_build,
        .clock_advance = target_clock_advance,
        .trace = target_trace,
        .opaque = m,
    };
    int rc = ferry_live_target_new(&m->target, &params, fd, err);

    return rc < 0 ? rc : migration_drive(m, &target_driver, true, err);
}
