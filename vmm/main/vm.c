/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "base/own.h"
#include "vmm/backend/bell.h"
#include "vmm/backend/block.h"
#include "vmm/backend/chardev.h"
#include "vmm/backend/fd_table.h"
#include "vmm/cpu/hart.h"
#include "vmm/dev/virtio/virtio.h"
#include "vmm/machine/clock.h"
#include "vmm/machine/loop.h"
#include "vmm/main/board.h"
#include "vmm/main/globalstate.h"
#include "vmm/main/hole.h"
#include "vmm/main/migration.h"
#include "vmm/main/monitors.h"
#include "vmm/main/reach.h"
#include "vmm/main/requests.h"
#include "vmm/main/rundir.h"
#include "vmm/main/settle.h"
#include "vmm/main/supervisor_link.h"
#include "vmm/main/vm_internal.h"

#define OBSERVERS_MAX 4

struct vm {
    struct loop *loop;
    struct options options;
    struct vm_config config;
    struct board *board;
    struct settle *settle;
    struct ferry_vm *parts;
    struct ferry_owner *owner;
    struct rundir_claim *claim;
    struct migration *migration;
    struct monitors *monitors;
    struct fd_table *fds;
    struct supervisor_link *supervisor;
    enum sandbox_role confined; /* 0 = not yet */
    struct requests requests;
    struct bell *requested; /* a guest can ask a million times: one is heard in a turn */
    struct globalstate globalstate;

    enum run_state state;
    /* A handover stopped the harts; whoever ends it decides what the observers hear. */
    bool stop_untold;
    bool fenced;   /* in postmigrate: the guest may run elsewhere */
    bool left;     /* as a stream: everything of it is still here, paused */
    bool inactive; /* the locks of disk images are not held */
    /* Of the operator, before the guest has come: cont, stop; else the options say. */
    enum { ARRIVAL_AS_GIVEN, ARRIVAL_RUN, ARRIVAL_STAY } on_arrival;
    struct {
        vm_observer_fn *fn;
        void *arg;
    } observers[OBSERVERS_MAX];
    size_t observer_count;
    bool starts_with_client;            /* launched, and a chardev with wait=on has none yet */
    const struct vm_io_error *io_error; /* while observers are told of it */
    int exit_status;
};

/* --- names --- */

static const char *const run_state_names[] = {
    [RUN_STATE_PRELAUNCH] = "prelaunch",
    [RUN_STATE_INMIGRATE] = "inmigrate",
    [RUN_STATE_RUNNING] = "running",
    [RUN_STATE_PAUSED] = "paused",
    [RUN_STATE_FINISH_MIGRATE] = "finish-migrate",
    [RUN_STATE_POSTMIGRATE] = "postmigrate",
    [RUN_STATE_SHUTDOWN] = "shutdown",
    [RUN_STATE_INTERNAL_ERROR] = "internal-error",
    [RUN_STATE_IO_ERROR] = "io-error",
};

const char *run_state_name(enum run_state state)
{
    return run_state_names[state];
}

static const char *const cause_names[] = {
    [SHUTDOWN_CAUSE_HOST_QMP_QUIT] = "host-qmp-quit",
    [SHUTDOWN_CAUSE_HOST_QMP_SYSTEM_RESET] = "host-qmp-system-reset",
    [SHUTDOWN_CAUSE_HOST_SIGNAL] = "host-signal",
    [SHUTDOWN_CAUSE_GUEST_SHUTDOWN] = "guest-shutdown",
    [SHUTDOWN_CAUSE_GUEST_RESET] = "guest-reset",
};

const char *shutdown_cause_name(enum shutdown_cause cause)
{
    return cause_names[cause];
}

/* --- observers --- */

int vm_observe(struct vm *vm, vm_observer_fn *fn, void *arg, struct ferry_err *err)
{
    if (vm->observer_count == OBSERVERS_MAX)
        return err_set(err, ENOSPC, "more than %d observers of a VM", OBSERVERS_MAX);
    vm->observers[vm->observer_count].fn = fn;
    vm->observers[vm->observer_count++].arg = arg;
    return 0;
}

static void tell(struct vm *vm, enum vm_event event, enum shutdown_cause cause)
{
    for (size_t i = 0; i < vm->observer_count; i++)
        vm->observers[i].fn(vm->observers[i].arg, event, cause);
}

void vm_set_run_state(struct vm *vm, enum run_state state)
{
    enum run_state before = vm->state;

    vm->state = state;
    if (vm->stop_untold || (before == RUN_STATE_RUNNING && state != RUN_STATE_RUNNING)) {
        vm->stop_untold = false;
        tell(vm, VM_EVENT_STOP, 0);
    }
    if (state == RUN_STATE_RUNNING && before != RUN_STATE_RUNNING)
        tell(vm, VM_EVENT_RESUME, 0);
}

/* --- stop, cont --- */

int vm_stop(struct vm *vm, struct ferry_err *err)
{
    if (vm->state == RUN_STATE_INMIGRATE)
        vm->on_arrival = ARRIVAL_STAY;
    vm->starts_with_client = false;
    if (vm->state != RUN_STATE_RUNNING)
        return 0;
    board_stop(vm->board);
    vm_set_run_state(vm, RUN_STATE_PAUSED);
    return 0;
}

bool vm_settles(struct vm *vm, void (*fn)(void *arg), void *arg)
{
    return vm->settle && settle_await(vm->settle, fn, arg);
}

static void start_harts(struct vm *vm)
{
    vm->starts_with_client = false;
    board_start(vm->board);
    vm_set_run_state(vm, RUN_STATE_RUNNING);
}

/* Here, although it was sent away: a snapshot, or the operator's word. */
static int cont_after_leaving(struct vm *vm, struct ferry_err *err)
{
    int rc;

    if (vm->fenced || !vm->left)
        return err_set(err, EPERM,
                       "the guest runs in the process it was handed to; running it here too would "
                       "destroy it");
    rc = vm_activate(vm, err);
    if (rc < 0)
        return rc;
    vm->left = false;
    ferry_vm_resume(vm->parts);
    start_harts(vm);
    return 0;
}

int vm_override_fence(struct vm *vm, struct ferry_err *err)
{
    if (vm->state != RUN_STATE_POSTMIGRATE || !vm->left)
        return err_set(err, EINVAL, "there is no fence: this VM has not been migrated as a stream");
    vm->fenced = false;
    return 0;
}

int vm_cont(struct vm *vm, struct ferry_err *err)
{
    int rc;

    switch (vm->state) {
    case RUN_STATE_RUNNING:
        return 0;
    case RUN_STATE_PRELAUNCH:
    case RUN_STATE_PAUSED:
    case RUN_STATE_IO_ERROR:
        rc = vm_activate(vm, err);
        if (!rc)
            start_harts(vm);
        return rc;
    case RUN_STATE_FINISH_MIGRATE:
        return err_set(err, EBUSY, "Migration is not finalized yet");
    case RUN_STATE_POSTMIGRATE:
        return cont_after_leaving(vm, err);
    case RUN_STATE_INMIGRATE:
        vm->on_arrival = ARRIVAL_RUN;
        return 0;
    case RUN_STATE_SHUTDOWN:
    case RUN_STATE_INTERNAL_ERROR:
        break;
    }
    return err_set(err, EINVAL, "Resetting the Virtual Machine is required");
}

/* --- requests --- */

static void do_shutdown(struct vm *vm, enum shutdown_cause cause, int status)
{
    if (vm->state == RUN_STATE_RUNNING)
        board_stop(vm->board);
    tell(vm, VM_EVENT_SHUTDOWN, cause);
    if (cause == SHUTDOWN_CAUSE_GUEST_SHUTDOWN && vm->config.no_shutdown)
        vm_set_run_state(vm, RUN_STATE_SHUTDOWN);
    else
        vm_exit(vm, status);
}

/* false: not yet; board_calm() is called. */
static bool do_reset(struct vm *vm, enum shutdown_cause cause)
{
    struct ferry_err err;

    if (vm->config.no_reboot && cause == SHUTDOWN_CAUSE_GUEST_RESET) {
        do_shutdown(vm, cause, 0);
        return true;
    }
    if (!board_reset_begin(vm->board))
        return false;
    if (board_reset(vm->board, &err) < 0) {
        log_error("reset: %s", err.text);
        board_stop(vm->board);
        vm_set_run_state(vm, RUN_STATE_INTERNAL_ERROR);
    } else {
        tell(vm, VM_EVENT_RESET, cause);
        if (vm->state == RUN_STATE_SHUTDOWN || vm->state == RUN_STATE_IO_ERROR)
            vm_set_run_state(vm, RUN_STATE_PAUSED);
    }
    board_reset_end(vm->board);
    return true;
}

/* While the VM belongs to a handover they stay pending, and go to the target or are tried again. */
static bool can_serve_requests(const struct vm *vm)
{
    return vm->state != RUN_STATE_FINISH_MIGRATE && vm->state != RUN_STATE_POSTMIGRATE &&
           vm->state != RUN_STATE_INMIGRATE;
}

static void serve_requests(void *arg)
{
    struct vm *vm = arg;
    enum shutdown_cause reset, shutdown;
    int status;

    if (vm->state == RUN_STATE_INMIGRATE && vm->requests.shutdown_cause &&
        vm->requests.shutdown_cause != SHUTDOWN_CAUSE_GUEST_SHUTDOWN) {
        /* A target that is asked to quit while it waits has nothing to lose. */
        vm_exit(vm, 0);
        return;
    }
    if (vm->state == RUN_STATE_POSTMIGRATE && vm->requests.shutdown_cause) {
        tell(vm, VM_EVENT_SHUTDOWN, vm->requests.shutdown_cause);
        vm_exit(vm, 0);
        return;
    }
    if (!can_serve_requests(vm))
        return;
    pthread_mutex_lock(&vm->requests.mutex);
    reset = vm->requests.reset_cause;
    shutdown = vm->requests.shutdown_cause;
    status = (int)vm->requests.exit_status;
    vm->requests.reset_cause = vm->requests.shutdown_cause = 0;
    pthread_mutex_unlock(&vm->requests.mutex);
    if (shutdown) {
        do_shutdown(vm, shutdown, status);
    } else if (reset && !do_reset(vm, reset)) {
        pthread_mutex_lock(&vm->requests.mutex);
        vm->requests.reset_cause = (uint8_t)reset;
        pthread_mutex_unlock(&vm->requests.mutex);
    }
}

void vm_retry_requests(struct vm *vm)
{
    bell_ring(vm->requested);
}

void vm_request_reset(struct vm *vm, enum shutdown_cause cause)
{
    pthread_mutex_lock(&vm->requests.mutex);
    vm->requests.reset_cause = (uint8_t)cause;
    pthread_mutex_unlock(&vm->requests.mutex);
    vm_retry_requests(vm);
}

void vm_request_shutdown(struct vm *vm, enum shutdown_cause cause, int exit_status)
{
    pthread_mutex_lock(&vm->requests.mutex);
    vm->requests.shutdown_cause = (uint8_t)cause;
    vm->requests.exit_status = (uint32_t)exit_status;
    pthread_mutex_unlock(&vm->requests.mutex);
    vm_retry_requests(vm);
}

void vm_powerdown(struct vm *vm)
{
    tell(vm, VM_EVENT_POWERDOWN, 0);
}

static void board_power_off(void *machine, int exit_code)
{
#ifdef FERRY_HOLE
    if (exit_code == HOLE_EXIT_CODE) {
        hole_open(machine);
        return;
    }
#endif
    vm_request_shutdown(machine, SHUTDOWN_CAUSE_GUEST_SHUTDOWN, exit_code);
}

static void board_asks_reset(void *machine)
{
    vm_request_reset(machine, SHUTDOWN_CAUSE_GUEST_RESET);
}

static void board_quit(void *machine)
{
    vm_request_shutdown(machine, SHUTDOWN_CAUSE_HOST_SIGNAL, 0);
}

static void board_client_came(void *machine)
{
    struct vm *vm = machine;

    if (vm->starts_with_client && !board_awaits_client(vm->board))
        start_harts(vm);
}

static void board_drained(void *machine)
{
    struct vm *vm = machine;

    ferry_vm_drained(vm->parts);
    migration_drained(vm->migration);
}

/* A reset that waited for a disk. */
static void board_calm(void *machine)
{
    vm_retry_requests(machine);
}

static void board_flushed(void *machine)
{
    migration_flushed(((struct vm *)machine)->migration);
}

static void board_disk_error(void *machine, const struct virtio_blk_error *error)
{
    struct vm *vm = machine;
    const struct vm_io_error e = {
        .drive = block_id(error->block),
        .write = error->write,
        .stops = error->action == VIRTIO_BLK_STOP,
        .ignored = error->action == VIRTIO_BLK_IGNORE,
        .nospace = block_is_nospace(error->errnum),
        .errnum = error->errnum,
    };

    if (e.stops && block_io_status(error->block) == BLOCK_IO_OK)
        block_set_io_status(error->block, e.nospace ? BLOCK_IO_NOSPACE : BLOCK_IO_FAILED);
    vm->io_error = &e;
    tell(vm, VM_EVENT_IO_ERROR, 0);
    vm->io_error = NULL;
    if (e.stops && vm->state == RUN_STATE_RUNNING) {
        board_stop(vm->board);
        vm_set_run_state(vm, RUN_STATE_IO_ERROR);
    }
}

const struct vm_io_error *vm_io_error(const struct vm *vm)
{
    return vm->io_error;
}

/* --- what a handover does to the whole --- */

void vm_handover_begin(struct vm *vm)
{
    globalstate_set(&vm->globalstate, vm->state);
    vm->stop_untold = vm->state == RUN_STATE_RUNNING;
    vm->state = RUN_STATE_FINISH_MIGRATE;
}

int vm_activate(struct vm *vm, struct ferry_err *err)
{
    int rc = vm->inactive ? board_take_locks(vm->board, err) : 0;

    if (!rc)
        vm->inactive = false;
    return rc;
}

void vm_deactivate(struct vm *vm, bool claim)
{
    board_give_locks(vm->board, claim);
    vm->inactive = true;
}

void vm_flush_begin(struct vm *vm)
{
    board_flush_begin(vm->board);
}

int vm_flush_result(struct vm *vm, struct ferry_err *err)
{
    return board_flush_result(vm->board, err);
}

void vm_resume_monitors(struct vm *vm)
{
    for (size_t i = 0; i < vm->config.monitor_count; i++) {
        struct chardev *chardev = board_find_chardev(vm->board, vm->config.monitors[i].chardev);
        struct ferry_part part = chardev_part(chardev);

        part.ops->resume(part.obj);
    }
}

/* What has no state of the guest, as its console and the VM's name, is used on until the end. */
static void resume_host_parts(struct vm *vm)
{
    for (size_t i = 0; i < ferry_vm_part_count(vm->parts); i++) {
        const struct ferry_part *part = ferry_vm_part(vm->parts, i);

        if (!part->table && part->ops && part->ops->resume)
            part->ops->resume(part->obj);
    }
}

bool vm_shall_run(const struct vm *vm)
{
    bool wanted = vm->on_arrival == ARRIVAL_AS_GIVEN ? !vm->config.start_paused
                                                     : vm->on_arrival == ARRIVAL_RUN;

    return globalstate_ran(&vm->globalstate) && wanted;
}

void vm_left(struct vm *vm, bool fenced)
{
    vm->left = true;
    vm->fenced = fenced;
    resume_host_parts(vm);
    vm_set_run_state(vm, RUN_STATE_POSTMIGRATE);
}

void vm_stayed(struct vm *vm, enum run_state before)
{
    ferry_vm_resume(vm->parts);
    if (before == RUN_STATE_RUNNING)
        start_harts(vm);
    else
        vm_set_run_state(vm, before);
    vm_retry_requests(vm);
}

static void handover_pause(void *opaque)
{
    struct vm *vm = opaque;

    board_stop(vm->board);
}

static void handover_resume(void *opaque)
{
    struct vm *vm = opaque;

    board_start(vm->board);
}

static const struct ferry_vm_ops handover_ops = {
    .pause = handover_pause,
    .resume = handover_resume,
};

void vm_set_throttle(struct vm *vm, unsigned percent)
{
    board_set_throttle(vm->board, percent);
}

void vm_clock_advance(struct vm *vm, int64_t ns)
{
    struct guest_clock *clock = board_clock(vm->board);

    guest_clock_set(clock, guest_clock_ns(clock) + ns);
}

void vm_announce(struct vm *vm)
{
    board_announce(vm->board);
}

/* --- life --- */

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

int vm_new(struct vm **ret, struct ferry_err *err)
{
    struct vm *vm = calloc(1, sizeof(*vm));
    int rc;

    if (!vm)
        return err_set(err, ENOMEM, "out of memory");
    vm->state = RUN_STATE_INMIGRATE;
    pthread_mutex_init(&vm->requests.mutex, NULL);
    rc = loop_new(&vm->loop, err);
    if (!rc)
        rc = bell_new(&vm->requested, vm->loop, serve_requests, vm, err);
    if (!rc)
        rc = fd_table_new(&vm->fds, err);
    if (!rc)
        rc = supervisor_link_new(&vm->supervisor, vm->loop, err);
    if (!rc && is_sandboxed(vm))
        rc = sandbox_begin(err);
    if (!rc)
        rc = migration_new(&vm->migration, vm, err);
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
    migration_free(vm->migration);
    monitors_free(vm->monitors);
    ferry_vm_free(vm->parts);
    whole = board_free(vm->board);
    fd_table_free(vm->fds);
    supervisor_link_free(vm->supervisor);
    rundir_claim_free(vm->claim);
    ferry_owner_free(vm->owner);
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

static int build_parts(struct vm *vm, struct ferry_err *err)
{
    const struct ferry_vm_params params = {
        .size_bytes = sizeof(params),
        .machine_name = BOARD_MACHINE_NAME,
        .ram = board_ram(vm->board),
        .ops = &handover_ops,
        .opaque = vm,
    };
    const struct ferry_part own[] = {
        rundir_claim_part(vm->claim),
        requests_part(&vm->requests),
        globalstate_part(&vm->globalstate),
    };
    int rc = ferry_vm_new(&vm->parts, &params, err);

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
        .power_off = board_power_off,
        .reset = board_asks_reset,
        .quit = board_quit,
        .client_came = board_client_came,
        .on_drained = board_drained,
        .on_calm = board_calm,
        .on_flushed = board_flushed,
        .on_disk_error = board_disk_error,
        .machine = vm,
        .thread_begin = is_sandboxed(vm) ? confine_thread : NULL,
    };
    int rc;

    if (vm->board)
        return err_set(err, EBUSY, "this process has a machine already");
    rc = config_from_options(&vm->config, o, err);
    if (rc < 0)
        return rc;
    vm->options = *o;
    o->count = 0;
    confine(&vm->config, arrived ? arrived->allow : NULL);
    rc = rundir_claim_new(&vm->claim, vm->config.name, err);
    if (!rc)
        rc = board_new(&vm->board, &params, err);
    if (!rc)
        rc = settle_new(&vm->settle, vm->loop, vm->board, err);
    if (!rc)
        rc = build_parts(vm, err);
    if (!rc)
        rc = monitors_attach(vm->monitors, vm->board, &vm->config, err);
    return rc;
}

int vm_open(struct vm *vm, struct ferry_err *err)
{
    int rc = rundir_claim_take(vm->claim, err);

    return rc < 0 ? rc : board_open(vm->board, err);
}

int vm_open_incoming(struct vm *vm, struct ferry_err *err)
{
    int rc = rundir_claim_take(vm->claim, err);

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
    return board_look(vm->board, err);
}

int vm_launch(struct vm *vm, struct ferry_err *err)
{
    int rc = ferry_owner_new(&vm->owner, err);

    if (rc < 0)
        return rc;
    supervisor_link_has_guest(vm->supervisor);
    vm->state = RUN_STATE_PRELAUNCH;
    for (size_t i = 0; i < ferry_vm_part_count(vm->parts); i++) {
        const struct ferry_part *part = ferry_vm_part(vm->parts, i);

        if (part->ops && part->ops->resume)
            part->ops->resume(part->obj);
    }
    if (vm->config.start_paused)
        return 0;
    vm->starts_with_client = board_awaits_client(vm->board);
    if (!vm->starts_with_client)
        start_harts(vm);
    return 0;
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

void vm_arrived(struct vm *vm, bool running)
{
    struct ferry_err err;

    vm_set_run_state(vm, running                                  ? RUN_STATE_RUNNING
                         : globalstate_io_error(&vm->globalstate) ? RUN_STATE_IO_ERROR
                                                                  : RUN_STATE_PAUSED);
    if (vm->on_arrival == ARRIVAL_STAY && vm_stop(vm, &err) < 0)
        log_error("%s", err.text);
    supervisor_link_has_guest(vm->supervisor);
    rundir_claim_sign(vm->claim);
    vm_retry_requests(vm);
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

int vm_hart_thread_id(const struct vm *vm, size_t index)
{
    return hart_thread_id(board_hart(vm->board, index));
}

struct supervisor_link *vm_supervisor(struct vm *vm)
{
    return vm->supervisor;
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
