/* SPDX-License-Identifier: Apache-2.0 */
/* What a guest, its board and the operator ask of a VM, and how it is carried out. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "base/nospace.h"
#include "vmm/backend/bell.h"
#include "vmm/backend/block.h"
#include "vmm/dev/virtio/virtio.h"
#include "vmm/process/signals.h"
#include "vmm/supervisor/supervisor_channel.h"
#include "vmm/supervisor/supervisor_link.h"
#include "vmm/vm/hole.h"
#include "vmm/vm/vm_struct.h"

/* Whoever waits for something else of this VM hears why it does not come. */
static void end(struct vm *vm, int status)
{
    vm->mover->vm_ends(vm->migration);
    vm_exit(vm, status);
}

static void do_shutdown(struct vm *vm, enum shutdown_cause cause, int status)
{
    if (vm->state == RUN_STATE_RUNNING)
        board_stop(vm->board);
    vm_tell(vm, VM_EVENT_SHUTDOWN, cause);
    if (cause == SHUTDOWN_CAUSE_GUEST_SHUTDOWN && vm->config.no_shutdown)
        vm_set_run_state(vm, RUN_STATE_SHUTDOWN);
    else
        end(vm, status);
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
        vm_tell(vm, VM_EVENT_RESET, cause);
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

static bool is_operators(enum shutdown_cause cause)
{
    return cause == SHUTDOWN_CAUSE_HOST_QMP_QUIT || cause == SHUTDOWN_CAUSE_HOST_SIGNAL;
}

/* To end it here, the guest has to be here. Where nothing leads back any more, the request waits
 * for the end of the move, and goes where the guest went. */
static void call_back(struct vm *vm)
{
    struct ferry_err too_late;

    (void)!vm->mover->cancel(vm->migration, &too_late);
}

void vm_serve_requests(void *arg)
{
    struct vm *vm = arg;
    enum shutdown_cause reset, shutdown;
    int status;

    pthread_mutex_lock(&vm->requests.mutex);
    shutdown = vm->requests.shutdown_cause;
    pthread_mutex_unlock(&vm->requests.mutex);
    if (vm->state == RUN_STATE_INMIGRATE && is_operators(shutdown)) {
        /* A target has nothing to lose; its source has, if it gave the guest away just now. */
        if (!vm->mover->turn_away(vm->migration))
            vm_exit(vm, 0);
        return;
    }
    if (vm->state == RUN_STATE_POSTMIGRATE && shutdown) {
        vm_tell(vm, VM_EVENT_SHUTDOWN, shutdown);
        vm_exit(vm, 0);
        return;
    }
    if (vm->state == RUN_STATE_FINISH_MIGRATE && is_operators(shutdown))
        call_back(vm);
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

void vm_pass_on_signals(struct vm *vm)
{
    bool came;

    pthread_mutex_lock(&vm->requests.mutex);
    came = vm->requests.shutdown_cause == SHUTDOWN_CAUSE_HOST_SIGNAL;
    pthread_mutex_unlock(&vm->requests.mutex);
    signals_end_process(came);
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

static bool has_keyboard(const struct vm_config *c)
{
    for (size_t i = 0; i < c->device_count; i++)
        if (c->devices[i]->kind == &virtio_keyboard_device.kind)
            return true;
    return false;
}

int vm_powerdown(struct vm *vm, struct ferry_err *err)
{
    if (vm->state != RUN_STATE_RUNNING)
        return err_set(err, EBUSY, "the guest does not run (%s), so it can hear no power button",
                       run_state_name(vm->state));
    if (!board_press_power(vm->board))
        return err_set(err, ENODEV,
                       has_keyboard(&vm->config)
                           ? "the guest does not listen to its power button: no driver has set up "
                             "its virtio-keyboard-device (Linux: virtio_input)"
                           : "this VM has no power button: it needs -global "
                             "virtio-mmio.force-legacy=off -device virtio-keyboard-device");
    vm_tell(vm, VM_EVENT_POWERDOWN, 0);
    return 0;
}

bool vm_set_balloon(struct vm *vm, uint64_t ram_bytes)
{
    return board_set_balloon(vm->board, ram_bytes);
}

bool vm_balloon(struct vm *vm, uint64_t *ret_ram_bytes)
{
    return board_balloon(vm->board, ret_ram_bytes);
}

static void board_balloon_changed(void *machine)
{
    vm_tell(machine, VM_EVENT_BALLOON, 0);
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
        vm_start_harts(vm);
}

void vm_drained(void *machine)
{
    struct vm *vm = machine;

    ferry_vm_drained(vm->parts);
    vm->mover->drained(vm->migration);
}

/* A reset that waited for a disk. */
static void board_calm(void *machine)
{
    vm_retry_requests(machine);
}

static void board_flushed(void *machine)
{
    const struct vm *vm = machine;

    vm->mover->flushed(vm->migration);
}

static void board_disk_error(void *machine, const struct virtio_blk_error *error)
{
    struct vm *vm = machine;
    const struct vm_io_error e = {
        .drive = block_id(error->block),
        .write = error->write,
        .stops = error->action == VIRTIO_BLK_STOP,
        .ignored = error->action == VIRTIO_BLK_IGNORE,
        .nospace = is_nospace(error->errnum),
        .errnum = error->errnum,
    };

    if (e.stops && block_io_status(error->block) == BLOCK_IO_OK)
        block_set_io_status(error->block, e.nospace ? BLOCK_IO_NOSPACE : BLOCK_IO_FAILED);
    vm->io_error = &e;
    vm_tell(vm, VM_EVENT_IO_ERROR, 0);
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

/* The supervisor knows the address: what is asked for names a netdev of the command line. */
static int board_connect(void *machine, const char *id, int *ret_mail, struct ferry_err *err)
{
    struct vm *vm = machine;
    char words[sizeof(SUPERVISOR_CONNECT) + CONFIG_ID_BYTES_MAX];

    snprintf(words, sizeof(words), SUPERVISOR_CONNECT "%s", id);
    return supervisor_link_ask(vm->supervisor, words, -1, 0, ret_mail, err);
}

static void board_peer(void *machine, const struct net *n, bool connected)
{
    struct vm *vm = machine;
    struct net_status status;
    struct vm_netdev told;

    net_status(n, &status);
    told = (struct vm_netdev){
        .id = status.id, .path = status.server ? NULL : status.where, .connected = connected};
    vm->netdev = &told;
    vm_tell(vm, VM_EVENT_NETDEV, 0);
    vm->netdev = NULL;
}

const struct vm_netdev *vm_netdev(const struct vm *vm)
{
    return vm->netdev;
}

void vm_listen_to_board(struct vm *vm, struct board_params *params)
{
    params->power_off = board_power_off;
    params->reset = board_asks_reset;
    params->quit = board_quit;
    params->client_came = board_client_came;
    params->on_drained = vm_drained;
    params->on_calm = board_calm;
    params->on_flushed = board_flushed;
    params->on_disk_error = board_disk_error;
    params->on_balloon_change = board_balloon_changed;
    params->net_host = (struct net_host){.connect = board_connect, .peer = board_peer, .arg = vm};
    params->machine = vm;
}
