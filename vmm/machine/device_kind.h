/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A kind of device that a description can have (-device, later device_add): its name, its
 * properties, what it needs. An entry is written beside the device it is of, and listed once, in
 * vmm/dev/kinds.c; what reads options, compares two machines, prints help and answers questions
 * goes by the list.
 *
 * A device of a description is a struct that begins with struct config_device; its properties are
 * members of it. How the device itself is made is said where its bus is: struct virtio_kind
 * (vmm/dev/virtio/kind.h).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <ferry/err.h>

#include "vmm/machine/config.h"
#include "vmm/machine/prop.h"

/* What it is plugged into. */
enum device_bus {
    DEVICE_BUS_BOARD = 1,   /* the board has a place for it */
    DEVICE_BUS_VIRTIO_MMIO, /* a transport: virtio-mmio-bus.N */
};

/* What of the host it uses, by the ID that its property `drive` or `netdev` has. */
enum device_backend {
    DEVICE_USES_NOTHING = 0,
    DEVICE_USES_DRIVE,  /* it is a struct config_disk */
    DEVICE_USES_NETDEV, /* it is a struct config_card */
};

struct device_kind {
    const char *name; /* QEMU's */
    const char *what; /* in a sentence: "disk" */
    enum device_bus bus;
    enum device_backend backend;
    const struct prop *props; /* of its struct; ends with an entry without a name */
    size_t config_bytes;      /* of its struct */
    const void *defaults;     /* all of its struct; strings are NULL */
    const char *only_one;     /* why there is no second one; NULL: as many as there are places */
    /* What no single property can see; may be NULL. */
    int (*check)(const struct config_device *d, struct ferry_err *err);
};

/* NULL: it is none. */
static inline const struct config_disk *config_disk_of(const struct config_device *d)
{
    return d && d->kind->backend == DEVICE_USES_DRIVE ? (const struct config_disk *)d : NULL;
}

static inline const struct config_card *config_card_of(const struct config_device *d)
{
    return d && d->kind->backend == DEVICE_USES_NETDEV ? (const struct config_card *)d : NULL;
}

/* As PROP_ENUM of an enum config_on_error. */
extern const char *const config_read_errors[], *const config_write_errors[];

/* What every table has. */
#define DEVICE_PROPS                                             \
    {.name = "driver", .kind = PROP_IGNORED, .whose = OF_GUEST}, \
    {                                                            \
        .name = "id", .kind = PROP_STRING, .whose = OF_GUEST,    \
        .offset = offsetof(struct config_device, id),            \
    }
