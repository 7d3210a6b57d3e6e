/* SPDX-License-Identifier: Apache-2.0 */
/* Which run state a VM is in, who hears of it, and what the operator changes about it. */
#include <errno.h>

#include "base/err.h"
#include "vmm/vm/settle.h"
#include "vmm/vm/vm_struct.h"

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
    if (vm->observer_count == VM_OBSERVERS_MAX)
        return err_set(err, ENOSPC, "more than %d observers of a VM", VM_OBSERVERS_MAX);
    vm->observers[vm->observer_count].fn = fn;
    vm->observers[vm->observer_count++].arg = arg;
    return 0;
}

void vm_tell(struct vm *vm, enum vm_event event, enum shutdown_cause cause)
{
    for (size_t i = 0; i < vm->observer_count; i++)
        vm->observers[i].fn(vm->observers[i].arg, event, cause);
}

void vm_set_run_state(struct vm *vm, enum run_state state)
{
    enum run_state before = vm->state;

    vm->state = state;
    if (vm->untold) {
        vm->untold = vm->stop_untold = false;
        return;
    }
    if (vm->stop_untold || (before == RUN_STATE_RUNNING && state != RUN_STATE_RUNNING)) {
        vm->stop_untold = false;
        vm_tell(vm, VM_EVENT_STOP, 0);
    }
    if (state == RUN_STATE_RUNNING && before != RUN_STATE_RUNNING)
        vm_tell(vm, VM_EVENT_RESUME, 0);
}

/* --- stop, cont, reset, quit --- */

/* Its state is saved: what changes the guest here and now, the other side would not know. */
static int check_guest_is_here(const struct vm *vm, struct ferry_err *err)
{
    if (vm->state != RUN_STATE_FINISH_MIGRATE && !vm_is_handed_over(vm))
        return 0;
    return err_set(err, EBUSY,
                   "the guest is on its way elsewhere just now, and takes no order before it is "
                   "there, or here again; ask again, and where it will be");
}

int vm_reset(struct vm *vm, struct ferry_err *err)
{
    int rc = check_guest_is_here(vm, err);

    if (!rc)
        vm_request_reset(vm, SHUTDOWN_CAUSE_HOST_QMP_SYSTEM_RESET);
    return rc;
}

int vm_quit(struct vm *vm, struct ferry_err *err)
{
    int rc = vm_is_handed_over(vm) ? check_guest_is_here(vm, err) : 0;

    /* Now, not when the request is served: what is acknowledged here must not be too late then. */
    if (!rc && vm->state == RUN_STATE_FINISH_MIGRATE)
        rc = vm->mover->cancel(vm->migration, err);
    if (!rc)
        vm_request_shutdown(vm, SHUTDOWN_CAUSE_HOST_QMP_QUIT, 0);
    return rc;
}

int vm_stop(struct vm *vm, struct ferry_err *err)
{
    int rc = check_guest_is_here(vm, err);

    if (rc < 0)
        return rc;
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

void vm_start_harts(struct vm *vm)
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
    vm_start_harts(vm);
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
            vm_start_harts(vm);
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
