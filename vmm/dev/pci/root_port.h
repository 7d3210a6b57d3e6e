/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pcie-root-port: QEMU's generic one (1b36:000c), a bridge on the root bus with a slot (slot.h) for
 * one device, MSI-X with one vector, and the registers of error reporting, in which nothing is ever
 * reported.
 *
 * Its section is "0000:00:01.0/pcie-root-port"; a section "PCIBUS" of its secondary bus is another
 * device (gpex.h: pci_bus_type), as with QEMU.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <ferry/err.h>

#include "vmm/dev/dev.h"
#include "vmm/dev/pci/bus.h"
#include "vmm/dev/pci/slot.h"

#define PCIE_SLOT_NUMBER_MAX 8191

extern const struct dev_type pcie_root_port_type;

struct pcie_root_port_params {
    const char *id;      /* what its bus is called; copied */
    struct pci_bus *bus; /* a root bus, which outlives it */
    int devfn;           /* -1: the first device that is free */
    uint8_t port;        /* number of the link */
    uint8_t chassis;     /* with slot unique in the domain, as far as a guest believes it */
    uint16_t slot;
    bool multifunction;
    bool hotplug;
};

/* Before harts run. */
int pcie_root_port_new(struct dev **ret, const struct dev_env *env,
                       const struct pcie_root_port_params *params,
                       struct ferry_err *err) FERRY_MUST_CHECK;
/* The slot, whose secondary bus is slot->bridge->secondary; NULL: d is of another type. */
struct pcie_slot *pcie_root_port_slot(struct dev *d);
