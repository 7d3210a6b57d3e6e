/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The PCI Express host of QEMU's `virt` with nothing plugged in, as much as a guest can see of it:
 * one function in the configuration space, and windows that answer all ones.
 */
#pragma once

#include "vmm/dev/dev.h"

extern const struct dev_type gpex_root_type; /* the configuration space (ECAM) */
extern const struct dev_type pci_host_type;  /* state only */
extern const struct dev_type pci_bus_type;   /* state only */
extern const struct dev_type pci_io_type;    /* windows */
extern const struct dev_type pci_mmio_type;
extern const struct dev_type pci_mmio_high_type;
