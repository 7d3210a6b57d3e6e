/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/err.h"
#include "vmm/backend/allow.h"
#include "vmm/backend/bell.h"
#include "vmm/backend/lost_memory.h"
#include "vmm/board/board_internal.h"
#include "vmm/board/boot.h"
#include "vmm/dev/virtio/virtio.h"
#include "vmm/dev/vmgenid.h"
#include "vmm/machine/clock.h"

int board_new(struct board **ret, const struct board_params *params, struct ferry_err *err)
{
    const struct vm_config *c = params->config;
    struct board *b;
    int rc;

    rc = machine_type_check_harts(c->machine, c->harts, err);
    if (rc)
        return rc;
    b = calloc(1, sizeof(*b));
    if (!b)
        return err_set(err, ENOMEM, "no memory for the board");
    b->params = *params;
    b->config = c;
    b->type = c->machine;
    b->accel = machine_type_accel(c->machine, c->accel);
    machine_lock_init(&b->lock);
    bus_init(&b->bus, "memory", UINT64_MAX, &b->lock, &b->mem);
    rc = board_build(b, err);
    if (rc) {
        board_free(b);
        return rc;
    }
    *ret = b;
    return 0;
}

bool board_free(struct board *b)
{
    if (!b)
        return true;
    board_stop(b);
    if (!backends_stop_drives(&b->backends)) {
        /* Whoever sits at its terminal shall have it back. */
        backends_free_chardevs(&b->backends);
        return false;
    }
    for (size_t i = 0; i < b->hart_count; i++)
        vcpu_free(b->vcpus[i]);
    while (b->device_count > 0)
        dev_free(b->devices[--b->device_count]);
    free(b->devices);
    backends_free(&b->backends);
    bell_free(b->flushed);
    boot_free(b->boot);
    guest_clock_free(b->clock);
    lost_memory_is(NULL, 0, NULL);
    ferry_ram_free(b->ram);
    machine_lock_destroy(&b->lock);
    free(b);
    return true;
}

/* A second guest in the same memory would be the end of both. */
static int board_check_ram_is_ours(const struct board *b, struct ferry_err *err)
{
    const struct config_memory *file = config_ram_memory(b->config);

    if (file && !ferry_ram_is_ours(ferry_ram_find(b->ram, file->id)))
        return err_set(err, EBUSY, "guest RAM '%s': another VM has its memory, or a disk, in '%s'",
                       file->id, file->path);
    return 0;
}

int board_open(struct board *b, struct ferry_err *err)
{
    int rc = board_open_file(b, err);

    if (!rc)
        rc = board_check_ram_is_ours(b, err);
    if (!rc)
        rc = boot_open(b->boot, err);
    if (!rc)
        rc = boot_place(b->boot, &b->mem, err);
    if (!rc)
        rc = backends_open(&b->backends, err);
    return rc;
}

int board_open_incoming(struct board *b, struct ferry_err *err)
{
    int rc = board_open_file(b, err);

    if (!rc)
        rc = boot_open(b->boot, err);
    if (!rc)
        rc = backends_open_unlocked(&b->backends, err);
    return rc;
}

bool board_awaits_client(const struct board *b)
{
    return backends_await_client(&b->backends);
}

int board_look(const struct board *b, struct ferry_err *err)
{
    const struct vm_config *c = b->config;
    int rc = 0;

    for (size_t i = 0; !rc && i < c->drive_count; i++) {
        const struct config_drive *d = &c->drives[i];

        rc = allow_access(d->allow, d->path, d->readonly ? R_OK : R_OK | W_OK);
        if (rc < 0)
            err_sys(err, -rc, "drive \"%s\": image \"%s\"%s", d->id, d->path, allow_hint(-rc));
    }
    return rc ? rc : boot_look(b->boot, err);
}

int board_take_locks(struct board *b, struct ferry_err *err)
{
    return backends_take_locks(&b->backends, err);
}

void board_announce(struct board *b)
{
    machine_lock(&b->lock);
    for (size_t i = 0; i < b->device_count; i++)
        virtio_net_announce(b->devices[i]);
    machine_unlock(&b->lock);
}

bool board_press_power(struct board *b)
{
    bool pressed = false;

    machine_lock(&b->lock);
    for (size_t i = 0; i < b->device_count; i++)
        pressed |= virtio_input_press_power(b->devices[i]);
    machine_unlock(&b->lock);
    return pressed;
}

bool board_set_balloon(struct board *b, uint64_t ram_bytes)
{
    uint64_t all_bytes = b->config->ram_bytes;
    bool found = false;

    machine_lock(&b->lock);
    for (size_t i = 0; i < b->device_count && !found; i++)
        found =
            virtio_balloon_set(b->devices[i], ram_bytes < all_bytes ? all_bytes - ram_bytes : 0);
    machine_unlock(&b->lock);
    return found;
}

bool board_balloon(struct board *b, uint64_t *ret_ram_bytes)
{
    uint64_t held_bytes = 0, all_bytes = b->config->ram_bytes;
    bool found = false;

    machine_lock(&b->lock);
    for (size_t i = 0; i < b->device_count && !found; i++)
        found = virtio_balloon_get(b->devices[i], &held_bytes);
    machine_unlock(&b->lock);
    /* The driver says how much it holds, and may say anything. */
    *ret_ram_bytes = held_bytes < all_bytes ? all_bytes - held_bytes : 0;
    return found;
}

int board_change_generation(struct board *b, bool own_options, struct ferry_err *err)
{
    uint8_t guid[VMGENID_BYTES];
    int rc = board_choose_guid(b, own_options, guid, err);

    if (rc)
        return rc;
    machine_lock(&b->lock);
    for (size_t i = 0; i < b->device_count; i++)
        vmgenid_change(b->devices[i], guid);
    machine_unlock(&b->lock);
    return 0;
}

bool board_generation(struct board *b, uint8_t ret[16])
{
    bool found = false;

    machine_lock(&b->lock);
    for (size_t i = 0; i < b->device_count && !found; i++)
        found = vmgenid_get(b->devices[i], ret);
    machine_unlock(&b->lock);
    return found;
}

void board_give_locks(struct board *b, bool claim)
{
    backends_give_locks(&b->backends, claim);
}

/* What the host could not do is tried again whenever the guest goes on. */
static void board_retry_io(struct board *b)
{
    for (size_t i = 0; i < b->backends.drive_count; i++)
        block_set_io_status(b->backends.drives[i], BLOCK_IO_OK);
    machine_lock(&b->lock);
    for (size_t i = 0; i < b->device_count; i++)
        virtio_blk_retry(b->devices[i]);
    machine_unlock(&b->lock);
}

static void let_go(struct board *b)
{
    board_retry_io(b);
    guest_clock_start(b->clock);
    for (size_t i = 0; i < b->hart_count; i++)
        vcpu_run(b->vcpus[i]);
}

static void halt(struct board *b)
{
    for (size_t i = 0; i < b->hart_count; i++)
        vcpu_stop_request(b->vcpus[i]);
    for (size_t i = 0; i < b->hart_count; i++)
        vcpu_stop_wait(b->vcpus[i]);
    guest_clock_stop(b->clock);
}

void board_flush_begin(struct board *b)
{
    backends_flush_begin(&b->backends, b->flushed);
}

int board_flush_result(struct board *b, struct ferry_err *err)
{
    return backends_flush_result(&b->backends, err);
}

bool board_disks_are_idle(struct board *b, struct bell *bell)
{
    return backends_are_idle(&b->backends, bell);
}

void board_start(struct board *b)
{
    if (b->running)
        return;
    b->running = true;
    if (!b->held)
        let_go(b);
}

void board_set_throttle(struct board *b, unsigned percent)
{
    for (size_t i = 0; i < b->hart_count; i++)
        vcpu_set_throttle(b->vcpus[i], percent);
}

void board_stop(struct board *b)
{
    if (!b->running)
        return;
    b->running = false;
    if (!b->held)
        halt(b);
}

bool board_reset_begin(struct board *b)
{
    bool calm = true;

    if (b->running && !b->held)
        halt(b);
    b->held = true;
    machine_lock(&b->lock);
    for (size_t i = 0; i < b->device_count; i++) {
        const struct dev_type *type = b->devices[i]->type;

        if (type->reset_begin && !type->reset_begin(b->devices[i]))
            calm = false;
    }
    machine_unlock(&b->lock);
    return calm;
}

void board_reset_end(struct board *b)
{
    b->held = false;
    if (b->running)
        let_go(b);
}

int board_reset(struct board *b, struct ferry_err *err)
{
    board_power_on(b);
    return boot_place(b->boot, &b->mem, err);
}

int board_add_parts(struct board *b, struct ferry_vm *vm, struct ferry_err *err)
{
    struct ferry_part part = guest_clock_part(b->clock);
    int rc = ferry_vm_add_part(vm, &part, err);

    for (size_t i = 0; !rc && i < b->hart_count; i++) {
        struct ferry_part parts[VCPU_PARTS_MAX];
        size_t count = vcpu_parts(b->vcpus[i], parts);

        for (size_t j = 0; !rc && j < count; j++)
            rc = ferry_vm_add_part(vm, &parts[j], err);
    }
    for (size_t i = 0; !rc && i < b->device_count; i++) {
        part = dev_part(b->devices[i]);
        if (part.table || part.ops)
            rc = ferry_vm_add_part(vm, &part, err);
    }
    if (!rc)
        rc = backends_add_parts(&b->backends, vm, err);
    if (!rc) {
        part = boot_part(b->boot);
        rc = ferry_vm_add_part(vm, &part, err);
    }
    return rc;
}

struct ferry_ram *board_ram(const struct board *b)
{
    return b->ram;
}

struct bus *board_bus(struct board *b)
{
    return &b->bus;
}

struct guest_clock *board_clock(const struct board *b)
{
    return b->clock;
}

size_t board_hart_count(const struct board *b)
{
    return b->hart_count;
}

struct vcpu *board_vcpu(const struct board *b, size_t index)
{
    return b->vcpus[index];
}

struct chardev *board_chardev(const struct board *b, size_t index)
{
    return index < b->backends.chardev_count ? b->backends.chardevs[index] : NULL;
}

struct chardev *board_monitor_line(const struct board *b, size_t index)
{
    return backends_monitor_line(&b->backends, b->config, index);
}

struct chardev *board_find_chardev(const struct board *b, const char *id)
{
    return backends_find_chardev(&b->backends, id);
}

struct net *board_netdev(const struct board *b, size_t index)
{
    return index < b->backends.netdev_count ? b->backends.netdevs[index] : NULL;
}

struct block *board_find_drive(const struct board *b, const char *id)
{
    return backends_find_drive(&b->backends, id);
}

struct net *board_find_netdev(const struct board *b, const char *id)
{
    return backends_find_netdev(&b->backends, id);
}

void board_let_go(struct board *b)
{
    for (size_t i = 0; i < b->backends.netdev_count; i++)
        net_let_go(b->backends.netdevs[i]);
}

struct block *board_block(const struct board *b, size_t index)
{
    return index < b->backends.drive_count ? b->backends.drives[index] : NULL;
}
