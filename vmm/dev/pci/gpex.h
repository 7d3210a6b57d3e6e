/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The PCI Express host of QEMU's `virt`: configuration space in memory (ECAM), three windows into
 * the address spaces of its domain, four interrupt lines, and function 00:00.0, which is itself.
 *
 * It is three devices because QEMU saves three sections: gpex_root is all of it, and made first;
 * the others are state only.
 */
#pragma once

#include "vmm/dev/dev.h"
#include "vmm/dev/pci/bus.h"

#define GPEX_ECAM_BYTES        0x10000000u
#define GPEX_IO_BYTES          0x10000u
#define GPEX_MEMORY_BYTES      0x40000000u
#define GPEX_MEMORY_HIGH_BYTES UINT64_C(0x400000000)

extern const struct dev_type gpex_root_type; /* its registers are the ECAM */
extern const struct dev_type pci_host_type;  /* state only */
extern const struct dev_type pci_bus_type;   /* state only: of the bus it is given */

/* Where the windows are for harts; addresses of memory are the same on both sides, ports begin at
 * 0. */
struct gpex_windows {
    uint64_t io_gpa, memory_gpa, memory_high_gpa;
};

/* Before harts run: onto the bus that they see, which outlives it. */
int gpex_map_windows(struct dev *root, struct bus *bus, const struct gpex_windows *at,
                     struct ferry_err *err) FERRY_MUST_CHECK;
/* INTA to INTD, by 0 to 3, after the turns of all bridges. */
void gpex_connect(struct dev *root, unsigned pin, struct irq_line line);
/* The domain that begins here; as long as the device. */
struct pci_domain *gpex_domain(struct dev *root);
/* Whose state the device of pci_bus_type saves; a loan. */
void pci_bus_state_connect(struct dev *d, const struct pci_bus *bus);
