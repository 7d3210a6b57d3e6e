/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/vmm/gdb/rig.h"

#include "vmm/backend/chardev.h"

/* --- What the server asks of a VM --- */

enum run_state vm_run_state(const struct vm *vm)
{
    return vm->state;
}

int vm_stop(struct vm *vm, struct ferry_err *err)
{
    bool ran = vm->state == RUN_STATE_RUNNING;

    vm->state = RUN_STATE_PAUSED;
    if (ran)
        vm->observer(vm->observer_arg, VM_EVENT_STOP, 0);
    return 0;
}

int vm_cont(struct vm *vm, struct ferry_err *err)
{
    vm->state = RUN_STATE_RUNNING;
    return 0;
}

int vm_observe(struct vm *vm, vm_observer_fn *fn, void *arg, struct ferry_err *err)
{
    vm->observer = fn;
    vm->observer_arg = arg;
    return 0;
}

void vm_request_shutdown(struct vm *vm, enum shutdown_cause cause, int exit_code)
{
}

/* --- */

void gdb_rig_init(struct gdb_rig *r)
{
    static char id[] = "gdb";
    struct vcpu *vcpus[GDB_RIG_HARTS];
    struct gdb_params params = {.vm = &r->vm, .vcpus = vcpus, .hart_count = GDB_RIG_HARTS};
    struct chardev_params chardev = {.config = &r->config};
    struct ferry_err err = {0};

    *r = (struct gdb_rig){.vm.state = RUN_STATE_RUNNING,
                          .config = {.id = id, .type = CONFIG_CHARDEV_NULL}};
    machine_init(&r->vm.machine, GDB_RIG_HARTS);
    for (size_t i = 0; i < GDB_RIG_HARTS; i++)
        vcpus[i] = hart_vcpu(r->vm.machine.harts[i]);
    params.loop = chardev.loop = r->vm.machine.loop;
    machine_check(chardev_new(&r->chardev, &chardev, &err), &err);
    params.chardev = r->chardev;
    machine_check(gdb_new(&r->gdb, &params, &err), &err);
}

void gdb_rig_free(struct gdb_rig *r)
{
    gdb_free(r->gdb);
    chardev_free(r->chardev);
    machine_free(&r->vm.machine);
}
