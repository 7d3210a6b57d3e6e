/* SPDX-License-Identifier: Apache-2.0 */
/* A guest comes as a stream: the target's side of <ferry/migrate.h>. */
#include <errno.h>
#include <string.h>

#include <ferry/ferry.h>

#include "base/err.h"
#include "base/log.h"
#include "base/own.h"
#include "vmm/config/compare.h"
#include "vmm/config/control.h"
#include "vmm/config/foreign.h"
#include "vmm/move/announce.h"
#include "vmm/move/migration_internal.h"
#include "vmm/vm/hole.h"
#include "vmm/vm/vm_internal.h"

/* To what the description is compared; free it with config_free(). */
static int describe(const char *description, struct vm_config *theirs, struct ferry_err *err)
{
    struct options o = {0};
    int rc = options_from_json(&o, description, err);

    if (!rc)
        rc = config_from_options(theirs, &o, err);
    options_free(&o);
    return rc;
}

/* The machine of this side's own options. What it looks like in the stream the library compares. */
static int target_compare(struct migration *m, const char *description, struct ferry_err *err)
{
    struct vm_config theirs = {0};
    int rc = describe(description, &theirs, err);

    if (rc < 0)
        return rc;
    rc = config_compare(&theirs, vm_config(m->vm), err);
    if (!rc && ferry_migrate_target_is_local(m->driver.move))
        rc = config_compare_peers(&theirs, vm_config(m->vm), err);
    config_free(&theirs);
    return rc;
}

/* Of a machine that is made of the description: what the two cannot both have. */
static int check_peers(const struct migration *m, const char *description,
                       const struct vm_config *ours, struct ferry_err *err)
{
    struct vm_config theirs = {0};
    int rc;

    if (!ferry_migrate_target_is_local(m->driver.move))
        return 0;
    rc = describe(description, &theirs, err);
    if (rc < 0)
        return rc;
    rc = config_compare_peers(&theirs, ours, err);
    config_free(&theirs);
    return rc;
}

/* The machine that the source's description, and this host, make. */
static int target_options(const struct migration *m, const char *description, struct options *o,
                          struct ferry_err *err)
{
    struct vm_config config;
    int rc;

#ifdef FERRY_HOLE
    hole_described();
#endif
    rc = foreign_options(o, description, m->this_host, err);
    if (!rc)
        rc = config_from_options(&config, o, err);
    if (rc < 0)
        return rc;
    rc = foreign_check(&config, m->this_host, err);
    if (!rc)
        rc = check_peers(m, description, &config, err);
    if (!rc)
        rc = control_add(o, config.name, err);
    config_free(&config);
    return rc;
}

static int target_build(void *opaque, const char *description, struct ferry_vm **vm,
                        struct ferry_err *err)
{
    struct migration *m = opaque;
    struct vm_arrived arrived = {0};
    struct options o = {0};
    int rc;

    if (vm_parts(m->vm))
        return target_compare(m, description, err);
    rc = target_options(m, description, &o, err);
    if (!rc) {
        arrived.allow = m->this_host->allow;
        rc = vm_build(m->vm, &o, &arrived, err);
    }
    options_free(&o);
    if (rc < 0)
        return rc;
    m->unopened = true;
    *vm = vm_parts(m->vm);
    return 0;
}

/* A machine of this side's own options is open since before it listened. */
static int target_open(void *opaque, bool dry_run, struct ferry_err *err)
{
    struct migration *m = opaque;
    int rc;

    if (!m->unopened)
        return 0;
    if (dry_run)
        return vm_look(m->vm, err);
    m->unopened = false;
    rc = vm_open_incoming(m->vm, err);
    return rc ? rc : vm_confine(m->vm, SANDBOX_MAIN, NULL, err);
}

static int target_activate(void *opaque, struct ferry_err *err)
{
    return vm_activate(((struct migration *)opaque)->vm, err);
}

static void target_deactivate(void *opaque)
{
    vm_deactivate(((struct migration *)opaque)->vm, false);
}

/* The state is loaded, and no hart has run yet. */
static bool target_run(void *opaque)
{
    struct migration *m = opaque;
    struct ferry_err err;

    vm_set_clock_policy(m->vm, m->catch_up);
    /* No source has seen to it that the guest runs only here. */
    if (m->one_way && vm_change_generation(m->vm, &err) < 0) {
        log_error("%s; the guest stays paused", err.text);
        return false;
    }
    return vm_shall_run(m->vm);
}

static void target_trace(void *opaque, enum ferry_migrate_point point)
{
    struct migration *m = opaque;

    if (point != FERRY_MIGRATE_CONNECTED)
        return;
    migration_set_status(m, MIGRATION_ACTIVE);
}

static void target_failed(struct migration *m)
{
    migration_driver_stop(&m->driver);
    if (!m->turned_away) {
        migration_target_failed(m);
        return;
    }
    migration_finish(m, MIGRATION_CANCELLED);
    vm_exit(m->vm, 0);
}

bool migration_turn_away(struct migration *m)
{
    struct ferry_move *target = migration_net_target(m);
    struct ferry_err err;

    if (!target || ferry_move_cancel(target, &err) < 0)
        return false;
    m->turned_away = true;
    migration_driver_kick(&m->driver);
    return true;
}

/* A paused guest too: whoever looks for it shall look here. */
static void announce(struct migration *m)
{
    const uint64_t *num = m->params.num;
    const struct announcer_params params = {
        .rounds = num[MIGRATION_PARAM_ANNOUNCE_ROUNDS],
        .initial_ms = num[MIGRATION_PARAM_ANNOUNCE_INITIAL],
        .step_ms = num[MIGRATION_PARAM_ANNOUNCE_STEP],
        .max_ms = num[MIGRATION_PARAM_ANNOUNCE_MAX],
    };

    announcer_start(m->announcer, &params);
}

/* Whoever received or restored it may expect that it runs. */
static void say_that_it_stands(struct migration *m)
{
    enum run_state state = vm_run_state(m->vm);
    const char *name = vm_config(m->vm)->name;

    if (state == RUN_STATE_SHUTDOWN || state == RUN_STATE_INTERNAL_ERROR)
        log_warn("the guest is here and stands, as it left (%s): it has to be reset before it can "
                 "run, with 'ferry qmp %s system_reset'",
                 run_state_name(state), name);
    else if (state != RUN_STATE_RUNNING)
        log_warn("the guest is here and stands, as it left (%s); 'ferry cont %s' runs it",
                 run_state_name(state), name);
}

static void target_done(struct migration *m)
{
    bool running = ferry_move_running(m->driver.move);
    struct ferry_owner *owner = NULL;
    struct ferry_err err;

    m->net_ledger = *ferry_migrate_target_ledger(m->driver.move);
    m->have_net_ledger = true;
    migration_driver_stop(&m->driver);
    /* Without it the next handover on this host is refused; the guest runs all the same. */
    if (ferry_owner_new(&owner, &err) < 0)
        log_error("%s", err.text);
    vm_set_owner(m->vm, owner);
    vm_arrived(m->vm, running);
    if (m->this_host)
        say_that_it_stands(m);
    announce(m);
    migration_finish(m, MIGRATION_COMPLETED);
}

static int target_stepped(void *arg, enum ferry_move_status status)
{
    struct migration *m = arg;

    switch (status) {
    case FERRY_MOVE_BUSY:
        return 0;
    case FERRY_MOVE_DONE:
        target_done(m);
        return 1;
    case FERRY_MOVE_CHECKED:
        err_set(&m->error, ECANCELED, "that was a dry run: this VM would be taken");
        target_failed(m);
        return 1;
    default:
        target_failed(m);
        return 1;
    }
}

static const struct migration_side target_side = {
    .source = false,
    .stream = true,
    .stepped = target_stepped,
};

int migration_net_incoming(struct migration *m, struct ferry_listener **listener,
                           struct ferry_chan **chan, struct ferry_err *err)
{
    const struct ferry_migrate_target_params params = {
        .size_bytes = sizeof(params),
        .version = FERRY_VERSION,
        .vm = vm_parts(m->vm),
        .build = target_build,
        .open = target_open,
        .uuid = migration_net_uuid(m),
        .capabilities = migration_net_capabilities(&m->params),
        .any_file = m->any_file,
        .parameters = migration_net_parameters(&m->params),
        .trace = target_trace,
        .activate = target_activate,
        .deactivate = target_deactivate,
        .run = target_run,
        .opaque = m,
        .host = m->host[0] ? m->host : NULL,
    };
    struct ferry_move *move;
    int rc = ferry_migrate_target_new(&move, &params, listener, chan, err);

    return rc < 0 ? rc : migration_drive(m, &target_side, move, err);
}
