/* SPDX-License-Identifier: Apache-2.0 */
/* The guest goes as a stream, to another host or into a file: the source of <ferry/migrate.h>. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <ferry/ferry.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/own.h"
#include "vmm/move/migration_internal.h"
#include "vmm/vm/vm_internal.h"

void migration_net_set_parameters(struct migration *m)
{
    const struct ferry_migrate_parameters parameters = migration_net_parameters(&m->params);

    ferry_migrate_source_set_parameters(m->driver.move, &parameters);
    migration_driver_kick(&m->driver);
}

static void source_keep_numbers(struct migration *m)
{
    m->net_info = (struct ferry_migrate_info){.size_bytes = sizeof(m->net_info)};
    ferry_migrate_source_info(m->driver.move, &m->net_info);
    m->have_net_info = true;
    m->net_ledger = *ferry_migrate_source_ledger(m->driver.move);
}

static void source_throttle(void *opaque, unsigned percent)
{
    vm_set_throttle(((struct migration *)opaque)->vm, percent);
}

/* While the guest runs: what is left to be written in the pause is little then. */
static int source_settle(void *opaque, struct ferry_err *err)
{
    struct migration *m = opaque;

    if (m->stays)
        return 0;
    vm_flush_begin(m->vm);
    return vm_flush_result(m->vm, err);
}

static void give_images(struct migration *m)
{
    m->images_leave = false;
    m->images_out = true;
    vm_deactivate(m->vm, true);
}

static int source_deactivate(void *opaque, struct ferry_err *err)
{
    struct migration *m = opaque;
    int rc;

    if (m->status != MIGRATION_CANCELLING)
        migration_set_status(m, MIGRATION_DEVICE);
    rc = source_settle(m, err);
    if (rc == 0 && !m->stays)
        give_images(m);
    m->images_leave = rc == 1;
    return rc;
}

void migration_flushed(struct migration *m)
{
    struct ferry_move *source = migration_net_source(m);
    struct ferry_err err;
    int rc;

    if (!source)
        return;
    rc = vm_flush_result(m->vm, &err);
    if (rc == 1)
        return;
    if (rc == 0 && m->images_leave)
        give_images(m);
    ferry_migrate_source_settled(source, rc < 0 ? &err : NULL);
    migration_driver_kick(&m->driver);
}

static int source_activate(void *opaque, struct ferry_err *err)
{
    struct migration *m = opaque;
    int rc;

    m->images_leave = false;
    rc = vm_activate(m->vm, err);
    m->images_out = rc < 0;
    return rc;
}

/* The guest is paused here; its disks are the target's now, or anybody's. */
static void source_left(struct migration *m, bool fenced)
{
    if (m->images_out)
        vm_deactivate(m->vm, false);
    m->images_out = false;
    vm_left(m->vm, fenced);
}

static void source_failed(struct migration *m, bool lost)
{
    source_keep_numbers(m);
    migration_driver_stop(&m->driver);
    /* Back, but without its disks: cont tries for them again. */
    if (lost || m->images_out)
        source_left(m, lost);
    else
        migration_back(m);
    vm_retry_requests(m->vm);
    migration_source_failed(m);
}

static void source_done(struct migration *m)
{
    source_keep_numbers(m);
    m->have_net_ledger = true;
    migration_driver_stop(&m->driver);
    if (m->stays)
        vm_stayed(m->vm, m->before);
    else
        source_left(m, !m->one_way);
    vm_retry_requests(m->vm);
    migration_finish(m, MIGRATION_COMPLETED);
}

static void source_checked(struct migration *m)
{
    migration_done_fn *done = m->done;

    m->done = NULL;
    migration_finish(m, MIGRATION_NONE);
    if (done)
        done(m->done_arg, 0, NULL);
}

/* Every harvest is one, also that which finds that little enough is left. */
static void tell_passes(struct migration *m)
{
    struct ferry_migrate_info info = {.size_bytes = sizeof(info)};

    ferry_migrate_source_info(m->driver.move, &info);
    while (m->passes_told < info.rounds) {
        m->passes_told++;
        for (size_t i = 0; i < m->observer_count; i++)
            if (m->observers[i].pass)
                m->observers[i].pass(m->observers[i].arg, m->passes_told);
    }
}

/* A target has said what it is; who will read a file can be known by its machine only. */
static enum guest_clock_reader reader_of(const struct migration *m)
{
    struct ferry_migrate_info info = {.size_bytes = sizeof(info)};

    ferry_migrate_source_info(m->driver.move, &info);
    if (m->one_way ? !vm_config(m->vm)->compat : info.peer_is_ferry)
        return GUEST_CLOCK_FOR_FERRY;
    return GUEST_CLOCK_FOR_QEMU;
}

static void source_trace(void *opaque, enum ferry_migrate_point point)
{
    struct migration *m = opaque;
    bool cancelling = m->status == MIGRATION_CANCELLING;

    switch (point) {
    case FERRY_MIGRATE_ROUND:
        if (!m->setup_end_ns)
            m->setup_end_ns = clock_monotonic_ns();
        tell_passes(m);
        if (!cancelling)
            migration_set_status(m, MIGRATION_ACTIVE);
        break;
    case FERRY_MIGRATE_QUIESCED:
        tell_passes(m);
        migration_pausing(m, reader_of(m));
        break;
    case FERRY_MIGRATE_PAUSED:
        /* Monitors answer on; nothing of theirs goes to the target. */
        vm_resume_monitors(m->vm);
        vm_set_run_state(m->vm, RUN_STATE_FINISH_MIGRATE);
        break;
    case FERRY_MIGRATE_SAVED:
        tell_passes(m);
        break;
    case FERRY_MIGRATE_RETURNED:
        /* What sent may still wait for a disk: the guest does not. */
        if (vm_run_state(m->vm) == RUN_STATE_FINISH_MIGRATE && !m->images_out)
            vm_set_run_state(m->vm, m->before);
        vm_retry_requests(m->vm);
        break;
    default:
        break;
    }
}

static int source_stepped(void *arg, enum ferry_move_status status)
{
    struct migration *m = arg;
    struct ferry_migrate_info info = {.size_bytes = sizeof(info)};

    switch (status) {
    case FERRY_MOVE_BUSY:
        ferry_migrate_source_info(m->driver.move, &info);
        if (info.phase == FERRY_MIGRATE_PRE_SWITCHOVER && m->status == MIGRATION_ACTIVE)
            migration_set_status(m, MIGRATION_PRE_SWITCHOVER);
        return 0;
    case FERRY_MOVE_DONE:
        source_done(m);
        return 1;
    case FERRY_MOVE_FAILED:
        source_failed(m, false);
        return 1;
    case FERRY_MOVE_LOST:
        source_failed(m, true);
        return 1;
    case FERRY_MOVE_CHECKED:
        source_checked(m);
        return 1;
    }
    return 0;
}

static const struct migration_side source_side = {
    .source = true,
    .stream = true,
    .stepped = source_stepped,
};

int migration_net_start(struct migration *m, const struct ferry_address *address, bool dry_run,
                        struct ferry_err *err)
{
    struct ferry_migrate_source_params params = {
        .size_bytes = sizeof(params),
        .vm = vm_parts(m->vm),
        .version = FERRY_VERSION,
        .running = vm_run_state(m->vm) == RUN_STATE_RUNNING,
        .uuid = migration_net_uuid(m),
        .dry_run = dry_run,
        .capabilities = migration_net_capabilities(&m->params),
        .parameters = migration_net_parameters(&m->params),
        .throttle = source_throttle,
        .settle = source_settle,
        .deactivate = source_deactivate,
        .activate = source_activate,
        .trace = source_trace,
        .opaque = m,
    };
    OWN_MEM char *description = options_to_json(vm_options(m->vm));
    struct ferry_move *move;
    int rc;

    if (!description)
        return err_set(err, ENOMEM, "out of memory");
    params.description = description;
    m->one_way = !ferry_address_both_ways(address);
    /* A file is read when the source has gone, or goes on with what it has. */
    if (!m->one_way && m->host[0])
        params.host = m->host;
    /* Nobody can be asked who will read it; the machine says for whom it is. */
    if (m->one_way && vm_config(m->vm)->compat)
        params.peer = FERRY_MIGRATE_PEER_QEMU;
    rc = ferry_migrate_source_new(&move, &params, address, NULL, err);
    return rc < 0 ? rc : migration_drive(m, &source_side, move, err);
}
