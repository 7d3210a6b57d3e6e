/* SPDX-License-Identifier: Apache-2.0 */
/* What a move, to another process or another host, does to the whole VM. */
#include <stdlib.h>

#include "base/err.h"
#include "base/log.h"
#include "vmm/backend/chardev.h"
#include "vmm/machine/clock.h"
#include "vmm/main/rundir.h"
#include "vmm/main/supervisor_link.h"
#include "vmm/main/vm_struct.h"

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
        vm_start_harts(vm);
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

const struct ferry_vm_ops vm_move_ops = {
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
