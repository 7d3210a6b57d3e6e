/* SPDX-License-Identifier: Apache-2.0 */
/* A finished config: what no single option can see, and its end. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "vmm/backend/chardev_mux.h"
#include "vmm/config/config_device.h"
#include "vmm/config/options.h"
#include "vmm/machine/device_kind.h"
#include "vmm/machine/machine_type.h"

static bool has_other_user(const struct vm_config *c, size_t index)
{
    const struct config_device *d = c->devices[index];

    for (size_t i = 0; i < c->device_count; i++)
        if (i != index && c->devices[i]->kind->backend == d->kind->backend &&
            !strcmp(c->devices[i]->backend, d->backend))
            return true;
    return false;
}

/* "-drive file=F,id=d0 -device virtio-blk-device,drive=d0" means one disk. */
static void drop_automatic(struct vm_config *c)
{
    for (size_t i = 0; i < c->device_count;) {
        struct config_device *d = c->devices[i];

        if (!d->automatic || !has_other_user(c, i)) {
            i++;
            continue;
        }
        config_take_device(c, d);
        config_device_free(d);
    }
}

static int name_slot(struct config_device *d, struct ferry_err *err)
{
    free(d->bus);
    if (asprintf(&d->bus, "virtio-mmio-bus.%d", d->slot) >= 0)
        return 0;
    d->bus = NULL;
    return err_set(err, ENOMEM, "out of memory");
}

/* QEMU fills the transports from the top. */
static int assign_slots(struct vm_config *c, struct ferry_err *err)
{
    bool taken[CONFIG_VIRTIO_SLOTS] = {false};
    int next = CONFIG_VIRTIO_SLOTS - 1, rc = 0;

    for (size_t i = 0; i < c->device_count; i++) {
        int slot = c->devices[i]->slot;

        if (slot < 0)
            continue;
        if (taken[slot])
            return err_set(err, EBUSY, "two devices are on virtio-mmio-bus.%d", slot);
        taken[slot] = true;
    }
    for (size_t i = 0; !rc && i < c->device_count; i++) {
        struct config_device *d = c->devices[i];

        if (d->kind->bus != DEVICE_BUS_VIRTIO_MMIO)
            continue;
        while (d->slot < 0 && next >= 0 && taken[next])
            next--;
        if (d->slot < 0 && next < 0)
            return err_set(err, ENOSPC, "all %d virtio-mmio slots are taken", CONFIG_VIRTIO_SLOTS);
        if (d->slot < 0)
            d->slot = next;
        taken[d->slot] = true;
        rc = name_slot(d, err);
    }
    return rc;
}

/* NULL: none such, or not a disk. */
static const struct config_drive *find_drive(const struct vm_config *c,
                                             const struct config_device *d)
{
    for (size_t i = 0; d->kind->backend == DEVICE_USES_DRIVE && i < c->drive_count; i++)
        if (!strcmp(c->drives[i].id, d->backend))
            return &c->drives[i];
    return NULL;
}

static bool have_backend(const struct vm_config *c, const struct config_device *d)
{
    if (d->kind->backend == DEVICE_USES_DRIVE)
        return find_drive(c, d) != NULL;
    for (size_t i = 0; i < c->netdev_count; i++)
        if (!strcmp(c->netdevs[i].id, d->backend))
            return true;
    return false;
}

static int check_backends(const struct vm_config *c, struct ferry_err *err)
{
    for (size_t i = 0; i < c->device_count; i++) {
        const struct config_device *d = c->devices[i];
        const char *property = d->kind->backend == DEVICE_USES_DRIVE ? "drive" : "netdev";

        if (!d->backend)
            continue;
        if (!have_backend(c, d))
            return err_set(
                err, ENOENT, "Property '%s' of a device can't find value '%s': no -%s has id=%s%s",
                property, d->backend, property, d->backend,
                d->kind->backend == DEVICE_USES_DRIVE ? ", no -blockdev that node-name" : "");
        for (size_t j = 0; j < i; j++)
            if (c->devices[j]->kind->backend == d->kind->backend &&
                !strcmp(c->devices[j]->backend, d->backend))
                return err_set(err, EBUSY,
                               "Property '%s' can't take value '%s', it's in use by another device",
                               property, d->backend);
    }
    return 0;
}

/* Who uses a chardev. */
struct users {
    size_t count, qmp;
};

static int check_shared(const struct config_chardev *d, const struct users *u, bool gdb,
                        struct ferry_err *err)
{
    if (gdb)
        return err_set(err, EINVAL,
                       "GDB's protocol has every key for itself: chardev '%s' cannot have mux=on",
                       d->id);
    if (u->qmp > 1)
        return err_set(err, EINVAL,
                       "%zu QMP monitors share chardev '%s', and nobody could tell whose answer is "
                       "whose; one may, beside a serial line and monitors with mode=readline",
                       u->qmp, d->id);
    if (u->count > MUX_PLACES_MAX)
        return err_set(err, E2BIG, "%zu share chardev '%s'; mux=on has places for %u", u->count,
                       d->id, MUX_PLACES_MAX);
    return 0;
}

static int check_chardevs(const struct vm_config *c, struct ferry_err *err)
{
    struct users users[CONFIG_CHARDEVS_MAX] = {0};
    int rc;

    for (size_t i = 0; i <= c->monitor_count + 1; i++) {
        const char *id = i < c->monitor_count    ? c->monitors[i].chardev
                         : i == c->monitor_count ? c->serial_chardev
                                                 : c->gdb_chardev;
        size_t at = 0;

        if (!id)
            continue;
        while (at < c->chardev_count && strcmp(c->chardevs[at].id, id))
            at++;
        if (at == c->chardev_count)
            return err_set(err, ENOENT, "Chardev '%s' not found: no -chardev has id=%s", id, id);
        users[at].count++;
        users[at].qmp += i < c->monitor_count && !c->monitors[i].human;
        if (c->chardevs[at].mux) {
            rc = check_shared(&c->chardevs[at], &users[at], i > c->monitor_count, err);
            if (rc < 0)
                return rc;
        } else if (users[at].count > 1) {
            return err_set(err, EBUSY,
                           "Chardev '%s' is used twice; a serial line and monitors can share one "
                           "with mux=on",
                           id);
        }
    }
    return 0;
}

static enum config_on_error first_given(enum config_on_error disk, enum config_on_error drive,
                                        enum config_on_error otherwise)
{
    if (disk != CONFIG_ON_ERROR_AUTO)
        return disk;
    return drive != CONFIG_ON_ERROR_AUTO ? drive : otherwise;
}

/* What the disk says outweighs what its drive says. */
static void default_on_error(struct vm_config *c)
{
    for (size_t i = 0; i < c->device_count; i++) {
        const struct config_drive *drive = find_drive(c, c->devices[i]);
        struct config_disk *d = (struct config_disk *)c->devices[i];

        if (!drive)
            continue;
        d->on_read_error =
            first_given(d->on_read_error, drive->on_read_error, CONFIG_ON_ERROR_REPORT);
        d->on_write_error =
            first_given(d->on_write_error, drive->on_write_error, CONFIG_ON_ERROR_ENOSPC);
    }
}

static bool has_mac(const struct vm_config *c, const uint8_t mac[6])
{
    for (size_t i = 0; i < c->device_count; i++)
        if (config_card_of(c->devices[i]) && !memcmp(config_card_of(c->devices[i])->mac, mac, 6))
            return true;
    return false;
}

/* The last number is the card's, unless another has it: after one of them has gone. */
static void default_macs(struct vm_config *c)
{
    static const uint8_t none[6];
    uint8_t index = 0;

    for (size_t i = 0; i < c->device_count; i++) {
        struct config_card *d = (struct config_card *)c->devices[i];
        uint8_t mac[6] = {0x52, 0x54, 0x00, 0x12, 0x34, (uint8_t)(0x56 + index)};

        if (!config_card_of(c->devices[i]))
            continue;
        index++;
        if (memcmp(d->mac, none, sizeof(none)) != 0)
            continue;
        while (has_mac(c, mac))
            mac[5]++;
        memcpy(d->mac, mac, sizeof(mac));
    }
}

int config_check(struct vm_config *c, struct ferry_err *err)
{
    int rc;

    drop_automatic(c);
    rc = assign_slots(c, err);
    if (!rc)
        rc = config_check_memory(c, err);
    if (!rc)
        rc = check_backends(c, err);
    if (!rc)
        rc = check_chardevs(c, err);
    if (!rc) {
        default_macs(c);
        default_on_error(c);
    }
    if (!rc)
        rc = c->machine->check(c, err);
    if (!rc && c->initrd && !c->kernel)
        rc = err_set(err, EINVAL, "-initrd has no use without -kernel");
    if (!rc && c->append && !c->kernel)
        rc = err_set(err, EINVAL, "-append has no use without -kernel");
    for (size_t i = 0; !rc && c->daemonize && i < c->chardev_count; i++)
        if (c->chardevs[i].type == CONFIG_CHARDEV_STDIO)
            rc = err_set(err, EINVAL,
                         "-daemonize leaves no terminal for chardev \"%s\" on stdio; put it on a "
                         "socket (unix:PATH,server=on,wait=off), on pty or on null",
                         c->chardevs[i].id);
    /* The escape is for people at a terminal; a mux has its own. */
    for (size_t i = 0; i < c->chardev_count; i++)
        if (c->serial_chardev && !strcmp(c->chardevs[i].id, c->serial_chardev))
            c->escape = c->chardevs[i].type == CONFIG_CHARDEV_STDIO && !c->chardevs[i].mux;
    return rc;
}

void config_remove_netdev(struct vm_config *c, size_t index)
{
    struct config_netdev *n = &c->netdevs[index];

    free(n->id);
    free(n->ifname);
    free(n->path);
    c->netdev_count--;
    memmove(n, n + 1, (c->netdev_count - index) * sizeof(*n));
}

void config_remove_drive(struct vm_config *c, size_t index)
{
    struct config_drive *d = &c->drives[index];

    free(d->id);
    free(d->path);
    c->drive_count--;
    memmove(d, d + 1, (c->drive_count - index) * sizeof(*d));
}

void config_remove_chardev(struct vm_config *c, size_t index)
{
    struct config_chardev *d = &c->chardevs[index];

    free(d->id);
    free(d->path);
    free(d->logfile);
    c->chardev_count--;
    memmove(d, d + 1, (c->chardev_count - index) * sizeof(*d));
}

void config_free(struct vm_config *c)
{
    while (c->drive_count > 0)
        config_remove_drive(c, c->drive_count - 1);
    while (c->netdev_count > 0)
        config_remove_netdev(c, c->netdev_count - 1);
    while (c->chardev_count > 0)
        config_remove_chardev(c, c->chardev_count - 1);
    for (size_t i = 0; i < c->device_count; i++)
        config_device_free(c->devices[i]);
    free(c->devices);
    for (size_t i = 0; i < c->monitor_count; i++)
        free(c->monitors[i].chardev);
    for (size_t i = 0; i < c->memory_count; i++) {
        free(c->memories[i].id);
        free(c->memories[i].path);
    }
    free(c->ram_backend);
    free(c->accel);
    free(c->name);
    free(c->compat);
    free(c->bios);
    free(c->kernel);
    free(c->initrd);
    free(c->append);
    free(c->incoming);
    free(c->pidfile);
    free(c->log_path);
    free(c->serial_chardev);
    free(c->gdb_chardev);
    *c = (struct vm_config){.machine = c->machine};
}
