/* SPDX-License-Identifier: Apache-2.0 */
/* A finished config: what no single option can see, and its end. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "vmm/main/options.h"

/* QEMU fills the transports from the top. */
static int assign_slots(struct vm_config *c, struct ferry_err *err)
{
    const struct config_device *taken[CONFIG_VIRTIO_SLOTS] = {0};
    int next = CONFIG_VIRTIO_SLOTS - 1;

    for (size_t i = 0; i < c->device_count; i++) {
        int slot = c->devices[i].slot;

        if (slot < 0)
            continue;
        if (taken[slot])
            return err_set(err, EBUSY, "two devices are on virtio-mmio-bus.%d", slot);
        taken[slot] = &c->devices[i];
    }
    for (size_t i = 0; i < c->device_count; i++) {
        if (c->devices[i].slot >= 0)
            continue;
        while (next >= 0 && taken[next])
            next--;
        if (next < 0)
            return err_set(err, ENOSPC, "all %d virtio-mmio slots are taken", CONFIG_VIRTIO_SLOTS);
        c->devices[i].slot = next;
        taken[next] = &c->devices[i];
    }
    return 0;
}

/* NULL: none such, or not a disk. */
static const struct config_drive *find_drive(const struct vm_config *c,
                                             const struct config_device *d)
{
    for (size_t i = 0; d->type == CONFIG_DEVICE_BLK && i < c->drive_count; i++)
        if (!strcmp(c->drives[i].id, d->backend))
            return &c->drives[i];
    return NULL;
}

static bool have_backend(const struct vm_config *c, const struct config_device *d)
{
    if (d->type == CONFIG_DEVICE_BLK)
        return find_drive(c, d) != NULL;
    for (size_t i = 0; i < c->netdev_count; i++)
        if (!strcmp(c->netdevs[i].id, d->backend))
            return true;
    return false;
}

static int check_backends(const struct vm_config *c, struct ferry_err *err)
{
    for (size_t i = 0; i < c->device_count; i++) {
        const struct config_device *d = &c->devices[i];
        const char *property = d->type == CONFIG_DEVICE_BLK ? "drive" : "netdev";

        if (!d->backend)
            continue;
        if (!have_backend(c, d))
            return err_set(err, ENOENT, "Property '%s' of a device can't find value '%s'", property,
                           d->backend);
        for (size_t j = 0; j < i; j++)
            if (c->devices[j].type == d->type && !strcmp(c->devices[j].backend, d->backend))
                return err_set(err, EBUSY,
                               "Property '%s' can't take value '%s', it's in use by another device",
                               property, d->backend);
    }
    return 0;
}

static int check_chardevs(const struct vm_config *c, struct ferry_err *err)
{
    size_t users[CONFIG_CHARDEVS_MAX] = {0};

    for (size_t i = 0; i <= c->monitor_count; i++) {
        const char *id = i < c->monitor_count ? c->monitors[i].chardev : c->serial_chardev;
        size_t at = 0;

        if (!id)
            continue;
        while (at < c->chardev_count && strcmp(c->chardevs[at].id, id))
            at++;
        if (at == c->chardev_count)
            return err_set(err, ENOENT, "Chardev '%s' not found", id);
        if (users[at]++)
            return err_set(err, EBUSY, "Chardev '%s' is used twice", id);
    }
    return 0;
}

/* What the disk says outweighs what its drive says. */
static void default_on_error(struct vm_config *c)
{
    for (size_t i = 0; i < c->device_count; i++) {
        struct config_device *d = &c->devices[i];
        const struct config_drive *drive = find_drive(c, d);

        if (!drive)
            continue;
        if (d->on_read_error == CONFIG_ON_ERROR_AUTO)
            d->on_read_error = drive->on_read_error;
        if (d->on_read_error == CONFIG_ON_ERROR_AUTO)
            d->on_read_error = CONFIG_ON_ERROR_REPORT;
        if (d->on_write_error == CONFIG_ON_ERROR_AUTO)
            d->on_write_error = drive->on_write_error;
        if (d->on_write_error == CONFIG_ON_ERROR_AUTO)
            d->on_write_error = CONFIG_ON_ERROR_ENOSPC;
    }
}

static void default_macs(struct vm_config *c)
{
    static const uint8_t none[6];
    uint8_t index = 0;

    for (size_t i = 0; i < c->device_count; i++) {
        struct config_device *d = &c->devices[i];

        if (d->type != CONFIG_DEVICE_NET)
            continue;
        if (!memcmp(d->mac, none, sizeof(none)))
            memcpy(d->mac, (uint8_t[]){0x52, 0x54, 0x00, 0x12, 0x34, (uint8_t)(0x56 + index)}, 6);
        index++;
    }
}

int config_check(struct vm_config *c, struct ferry_err *err)
{
    int rc = assign_slots(c, err);

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
    if (!rc && c->initrd && !c->kernel)
        rc = err_set(err, EINVAL, "-initrd has no use without -kernel");
    if (!rc && c->append && !c->kernel)
        rc = err_set(err, EINVAL, "-append has no use without -kernel");
    /* The escape is for people at a terminal. */
    for (size_t i = 0; i < c->chardev_count; i++)
        if (c->serial_chardev && !strcmp(c->chardevs[i].id, c->serial_chardev))
            c->escape = c->chardevs[i].type == CONFIG_CHARDEV_STDIO;
    return rc;
}

void config_free(struct vm_config *c)
{
    for (size_t i = 0; i < c->drive_count; i++) {
        free(c->drives[i].id);
        free(c->drives[i].path);
    }
    for (size_t i = 0; i < c->netdev_count; i++) {
        free(c->netdevs[i].id);
        free(c->netdevs[i].ifname);
        free(c->netdevs[i].path);
    }
    for (size_t i = 0; i < c->chardev_count; i++) {
        free(c->chardevs[i].id);
        free(c->chardevs[i].path);
    }
    for (size_t i = 0; i < c->device_count; i++) {
        free(c->devices[i].id);
        free(c->devices[i].backend);
        free(c->devices[i].serial);
    }
    for (size_t i = 0; i < c->monitor_count; i++)
        free(c->monitors[i].chardev);
    for (size_t i = 0; i < c->memory_count; i++) {
        free(c->memories[i].id);
        free(c->memories[i].path);
    }
    free(c->ram_backend);
    free(c->name);
    free(c->compat);
    free(c->bios);
    free(c->kernel);
    free(c->initrd);
    free(c->append);
    free(c->incoming);
    free(c->serial_chardev);
    *c = (struct vm_config){0};
}
