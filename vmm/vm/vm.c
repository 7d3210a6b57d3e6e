/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a VM: made, built, opened, run, freed. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "base/own.h"
#include "base/priority.h"
#include "base/thread.h"
#include "vmm/backend/bell.h"
#include "vmm/backend/fd_table.h"
#include "vmm/config/machines.h"
#include "vmm/gdb/gdb.h"
#include "vmm/machine/accel.h"
#include "vmm/process/rundir.h"
#include "vmm/process/title.h"
#include "vmm/supervisor/supervisor_link.h"
#include "vmm/supervisor/urgency.h"
#include "vmm/vm/monitors.h"
#include "vmm/vm/reach.h"
#include "vmm/vm/settle.h"
#include "vmm/vm/vm_struct.h"

static bool is_sandboxed(const struct vm *vm)
{
    return supervisor_link_policy(vm->supervisor)->sandbox;
}

/* Before it does anything; a process that cannot be confined shall not have a guest. */
static void confine_thread(enum thread_role role)
{
    struct ferry_err err;

    if (sandbox_enter(role == THREAD_HART ? SANDBOX_HART : SANDBOX_BLOCK, NULL, 0, &err) == 0)
        return;
    log_error("sandbox: %s", err.text);
    _exit(1);
}

int vm_confine(struct vm *vm, enum sandbox_role role, const struct reach *reach,
               struct ferry_err *err)
{
    int rc;

    if (!is_sandboxed(vm) || vm->confined == SANDBOX_MAIN)
        return 0;
    rc = sandbox_enter(role, reach ? reach->paths : NULL, reach ? reach->count : 0, err);
    if (rc < 0)
        return err_prefix(err, "sandbox");
    vm->confined = role;
    return 0;
}

int vm_new(struct vm **ret, const struct vm_mover *mover, struct ferry_err *err)
{
    struct vm *vm = calloc(1, sizeof(*vm));
    int rc;

    if (!vm)
        return err_set(err, ENOMEM, "out of memory");
    vm->mover = mover;
    vm->startup = startup_none;
    vm->state = RUN_STATE_INMIGRATE;
    /* Until it is known what it will be. */
    vm->config.machine = machine_type_at(0);
    bequest_init(&vm->bequest, vm);
    thread_mutex_init(&vm->requests.mutex);
    rc = loop_new(&vm->loop, err);
    if (!rc)
        rc = bell_new(&vm->requested, vm->loop, vm_serve_requests, vm, err);
    if (!rc)
        rc = fd_table_new(&vm->fds, err);
    if (!rc)
        rc = supervisor_link_new(&vm->supervisor, vm->loop, err);
    if (!rc)
        startup_take(&vm->startup, vm->supervisor);
    if (!rc)
        rc = urgency_new(&vm->urgency, vm->loop, vm->supervisor, vm_drained, vm, err);
    if (!rc && is_sandboxed(vm))
        rc = sandbox_begin(err);
    if (!rc)
        rc = mover->create(&vm->migration, vm, err);
    if (!rc)
        rc = monitors_new(&vm->monitors, vm, vm->migration, err);
    if (rc < 0) {
        vm_free(vm);
        return rc;
    }
    *ret = vm;
    return 0;
}

void vm_free(struct vm *vm)
{
    bool whole;

    if (!vm)
        return;
    /* Its guest runs elsewhere, perhaps on this very processor. */
    if (vm->state == RUN_STATE_POSTMIGRATE)
        priority_last();
    vm->mover->free(vm->migration);
    gdb_free(vm->gdb);
    monitors_free(vm->monitors);
    ferry_vm_free(vm->parts);
    whole = board_free(vm->board);
    bequest_free(&vm->bequest);
    fd_table_free(vm->fds);
    urgency_free(vm->urgency);
    supervisor_link_free(vm->supervisor);
    rundir_claim_free(vm->claim);
    ferry_owner_free(vm->owner);
    startup_end(&vm->startup);
    if (!whole)
        return;
    settle_free(vm->settle);
    bell_free(vm->requested);
    if (vm->loop)
        loop_free(vm->loop);
    config_free(&vm->config);
    options_free(&vm->options);
    pthread_mutex_destroy(&vm->requests.mutex);
    free(vm);
}

static int serve_gdb(struct vm *vm, struct ferry_err *err)
{
    struct vcpu *vcpus[CONFIG_HARTS_MAX];
    struct gdb_params params = {
        .vm = vm,
        .loop = vm->loop,
        .chardev = board_find_chardev(vm->board, vm->config.gdb_chardev),
        .vcpus = vcpus,
        .hart_count = board_hart_count(vm->board),
    };

    for (size_t i = 0; i < params.hart_count; i++)
        vcpus[i] = board_vcpu(vm->board, i);
    return gdb_new(&vm->gdb, &params, err);
}

static int build_parts(struct vm *vm, struct ferry_err *err)
{
    const struct ferry_vm_params params = {
        .size_bytes = sizeof(params),
        .machine_name = vm->config.machine->name,
        .ram = board_ram(vm->board),
        .ops = &vm_move_ops,
        .opaque = vm,
    };
    const struct ferry_part own[] = {
        rundir_claim_part(vm->claim),
        requests_part(&vm->requests),
        globalstate_part(&vm->globalstate),
        urgency_part(vm->urgency),
        monitors_part(vm->monitors),
        startup_part(&vm->startup),
        bequest_part(&vm->bequest, BEQUEST_SETTINGS),
        bequest_part(&vm->bequest, BEQUEST_FDS),
    };
    int rc = ferry_vm_new(&vm->parts, &params, err);

    if (!rc && vm->gdb) {
        struct ferry_part part = gdb_part(vm->gdb);

        rc = ferry_vm_add_part(vm->parts, &part, err);
    }
    if (!rc)
        rc = board_add_parts(vm->board, vm->parts, err);
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]) && !rc; i++)
        rc = ferry_vm_add_part(vm->parts, &own[i], err);
    return rc;
}

static void confine(struct vm_config *c, const struct allow_list *allow)
{
    c->allow = allow;
    for (size_t i = 0; i < c->drive_count; i++)
        c->drives[i].allow = allow;
}

int vm_build(struct vm *vm, struct options *o, const struct vm_arrived *arrived,
             struct ferry_err *err)
{
    struct board_params params = {
        .config = &vm->config,
        .loop = vm->loop,
        .take_region = arrived ? arrived->take_region : NULL,
        .take_region_arg = arrived ? arrived->arg : NULL,
        .thread_begin = is_sandboxed(vm) ? confine_thread : NULL,
    };
    int rc;

    vm_listen_to_board(vm, &params);
    if (vm->board)
        return err_set(err, EBUSY, "this process has a machine already");
    rc = config_from_options(&vm->config, o, err);
    if (rc < 0)
        return rc;
    vm->options = *o;
    o->count = 0;
    confine(&vm->config, arrived ? arrived->allow : NULL);
    title_set(vm->config.name, arrived ? "target" : "VMM");
    rc = rundir_claim_new(&vm->claim, vm->config.name, err);
    if (!rc)
        rc = board_new(&vm->board, &params, err);
    if (!rc)
        rc = settle_new(&vm->settle, vm->loop, vm->board, err);
    if (!rc && vm->config.gdb_chardev)
        rc = serve_gdb(vm, err);
    if (!rc)
        rc = build_parts(vm, err);
    if (!rc)
        rc = monitors_attach(vm->monitors, vm->board, &vm->config, err);
    return rc;
}

/* The supervisor hears of it now, and tidies up behind it: until then it is what a stranger says.
 */
static int take_name(struct vm *vm, struct ferry_err *err)
{
    int rc = rundir_claim_take(vm->claim, err);

    if (!rc)
        supervisor_link_name(vm->supervisor, vm->config.name);
    return rc;
}

int vm_open(struct vm *vm, struct ferry_err *err)
{
    int rc = take_name(vm, err);

    return rc < 0 ? rc : board_open(vm->board, err);
}

int vm_open_incoming(struct vm *vm, struct ferry_err *err)
{
    int rc = take_name(vm, err);

    if (!rc)
        rc = board_open_incoming(vm->board, err);
    if (rc < 0)
        return rc;
    vm->inactive = true;
    vm_resume_monitors(vm);
    return 0;
}

int vm_look(struct vm *vm, struct ferry_err *err)
{
    int rc = rundir_claim_look(vm->claim, err);

    return rc < 0 ? rc : board_look(vm->board, err);
}

int vm_launch(struct vm *vm, struct ferry_err *err)
{
    int rc = ferry_owner_new(&vm->owner, err);

    if (rc < 0)
        return rc;
    supervisor_link_has_guest(vm->supervisor, true);
    vm->state = RUN_STATE_PRELAUNCH;
    ferry_vm_resume(vm->parts);
    if (vm->config.start_paused)
        return 0;
    vm->starts_with_client = board_awaits_client(vm->board);
    if (!vm->starts_with_client)
        vm_start_harts(vm);
    return 0;
}

void vm_is_up(struct vm *vm)
{
    startup_is_up(&vm->startup);
}

int vm_run(struct vm *vm)
{
    loop_run(vm->loop);
    if (vm->board)
        board_stop(vm->board);
    return vm->exit_status;
}

void vm_exit(struct vm *vm, int status)
{
    vm->exit_status = status;
    loop_stop(vm->loop);
}

/* --- accessors --- */

const struct vm_config *vm_config(const struct vm *vm)
{
    return &vm->config;
}

struct loop *vm_loop(const struct vm *vm)
{
    return vm->loop;
}

enum run_state vm_run_state(const struct vm *vm)
{
    return vm->state;
}

bool vm_starts_with_client(const struct vm *vm)
{
    return vm->starts_with_client;
}

size_t vm_hart_count(const struct vm *vm)
{
    return vm->board ? board_hart_count(vm->board) : 0;
}

bool vm_generation(struct vm *vm, uint8_t ret[16])
{
    return vm->board && board_generation(vm->board, ret);
}

int vm_hart_thread_id(const struct vm *vm, size_t index)
{
    return vcpu_thread_id(board_vcpu(vm->board, index));
}

struct urgency *vm_urgency(struct vm *vm)
{
    return vm->urgency;
}

struct supervisor_link *vm_supervisor(struct vm *vm)
{
    return vm->supervisor;
}

const struct vm_mover *vm_mover(const struct vm *vm)
{
    return vm->mover;
}

struct migration *vm_migration(struct vm *vm)
{
    return vm->migration;
}

struct monitors *vm_monitors(struct vm *vm)
{
    return vm->monitors;
}

struct fd_table *vm_fds(struct vm *vm)
{
    return vm->fds;
}

const struct bequest *vm_bequest(const struct vm *vm)
{
    return &vm->bequest;
}

struct ferry_vm *vm_parts(struct vm *vm)
{
    return vm->parts;
}

struct ferry_owner *vm_owner(struct vm *vm)
{
    return vm->owner;
}

void vm_set_owner(struct vm *vm, struct ferry_owner *owner)
{
    ferry_owner_free(vm->owner);
    vm->owner = owner;
}

const struct options *vm_options(const struct vm *vm)
{
    return &vm->options;
}

bool vm_holds_pidfile(const struct vm *vm)
{
    return vm->startup.pidfile >= 0;
}
