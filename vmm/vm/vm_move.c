/* SPDX-License-Identifier: Apache-2.0 */
/* What a move, to another process or another host, does to the whole VM. */
#include <stdlib.h>

#include "base/err.h"
#include "base/log.h"
#include "vmm/process/rundir.h"
#include "vmm/process/title.h"
#include "vmm/supervisor/supervisor_link.h"
#include "vmm/vm/monitors.h"
#include "vmm/vm/vm_struct.h"

void vm_handover_begin(struct vm *vm, bool update, enum guest_clock_reader reader)
{
    guest_clock_saves_for(board_clock(vm->board), reader);
    globalstate_set(&vm->globalstate, vm->state);
    vm->stop_untold = vm->state == RUN_STATE_RUNNING;
    vm->untold = update;
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
    monitors_resume(vm->monitors);
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
    enum run_state was = globalstate_get(&vm->globalstate);

    switch (vm->on_arrival) {
    case ARRIVAL_AS_GIVEN:
        return was == RUN_STATE_RUNNING && !vm->config.start_paused;
    case ARRIVAL_RUN: /* an order; QEMU takes it and leaves one that was paused so */
        return was == RUN_STATE_RUNNING || was == RUN_STATE_PAUSED || was == RUN_STATE_PRELAUNCH;
    case ARRIVAL_STAY:
        break;
    }
    return false;
}

bool vm_is_handed_over(const struct vm *vm)
{
    return vm->mover->let_go(vm->migration);
}

void vm_left(struct vm *vm, bool fenced)
{
    vm->left = true;
    vm->fenced = fenced;
    resume_host_parts(vm);
    board_let_go(vm->board);
    vm_set_run_state(vm, RUN_STATE_POSTMIGRATE);
}

void vm_clock_go_on(struct vm *vm, int64_t stopped_ns)
{
    guest_clock_go_on(board_clock(vm->board), stopped_ns);
}

void vm_set_clock_policy(struct vm *vm, bool catch_up)
{
    struct guest_clock *clock = board_clock(vm->board);

    if (!catch_up)
        guest_clock_stand(clock);
    else if (!guest_clock_knows_since(clock))
        log_warn("the guest's clock stands still instead of catching up: the ferry that saved the "
                 "guest is an older one, and did not say when its clock stopped");
}

/* What ferry stopped for its own ends costs the guest no time; what the operator stops stands. */
static void forget_pause(struct vm *vm)
{
    int64_t stopped_ns = guest_clock_stopped_ns(board_clock(vm->board));

    if (stopped_ns)
        vm_clock_go_on(vm, stopped_ns);
}

void vm_stayed(struct vm *vm, enum run_state before)
{
    ferry_vm_resume(vm->parts);
    if (before == RUN_STATE_RUNNING) {
        forget_pause(vm);
        vm_start_harts(vm);
    } else {
        vm_set_run_state(vm, before);
    }
}

static int64_t handover_pause(void *opaque)
{
    struct vm *vm = opaque;

    board_stop(vm->board);
    return guest_clock_stopped_ns(board_clock(vm->board));
}

static void handover_resume(void *opaque)
{
    struct vm *vm = opaque;

    forget_pause(vm);
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

void vm_announce(struct vm *vm)
{
    board_announce(vm->board);
}

int vm_change_generation(struct vm *vm, struct ferry_err *err)
{
    /* An ID of the description is that of the guest which was saved. */
    return board_change_generation(vm->board, vm->config.incoming != NULL, err);
}

void vm_arrived(struct vm *vm, bool running)
{
    enum run_state was = globalstate_get(&vm->globalstate);
    struct ferry_err err;

    vm_set_run_state(vm, running                    ? RUN_STATE_RUNNING
                         : was == RUN_STATE_RUNNING ? RUN_STATE_PAUSED
                                                    : was);
    if (vm->on_arrival == ARRIVAL_STAY && vm_stop(vm, &err) < 0)
        log_error("%s", err.text);
    monitors_join(vm->monitors, &vm->options, vm->parts);
    supervisor_link_has_guest(vm->supervisor, true);
    supervisor_link_name(vm->supervisor, vm->config.name);
    rundir_claim_sign(vm->claim);
    title_set(vm->config.name, "VMM");
    vm_retry_requests(vm);
}

void vm_updated(struct vm *vm)
{
    bequest_arrived(&vm->bequest);
    monitors_take_clients(vm->monitors);
    vm_tell(vm, VM_EVENT_UPDATED, 0);
    monitors_answer_clients(vm->monitors);
}
