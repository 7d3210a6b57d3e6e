/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a driver and a virtio device reach each other. A transport is a file beside this one: it
 * decodes the registers that the driver finds, calls device.h and setup.h for what they ask, and
 * has this table for what the device has to say.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "vmm/machine/bus.h"
#include "vmm/machine/irq.h"

#define VIRTIO_WHERE_BYTES 32

struct virtio_dev;

/* With the machine lock held. */
struct virtio_transport {
    /* Registers at one place of the bus, as in struct dev_type. Of 0 bytes: it has none there. */
    uint64_t mmio_bytes;
    unsigned access_sizes;
    struct bus_ops mmio;
    /* The machine is reset: its own registers are as after power-on. The device is reset then. */
    void (*reset)(struct virtio_dev *v);
    /* Interrupt the driver: for one queue, for the config. v->isr says so already. */
    void (*interrupt_queue)(struct virtio_dev *v, uint32_t index);
    void (*interrupt_config)(struct virtio_dev *v);
    /* v->isr was cleared, or loaded: an interrupt line has to follow it. */
    void (*update_line)(struct virtio_dev *v);
};

/* Where a device will be, as its transport says (virtio_mmio_place()) before there is one. */
struct virtio_place {
    const struct virtio_transport *transport; /* loan */
    char path[40]; /* QEMU's: "virtio-mmio@0000000010008000"; its section is named after it */
    char where[VIRTIO_WHERE_BYTES]; /* for people: "virtio-mmio-bus.7" */
    struct irq_line irq;            /* unset: it has none */
    bool legacy;                    /* drivers that do not know version 1 are served, */
    bool modern;                    /* ... and those that do */
};
