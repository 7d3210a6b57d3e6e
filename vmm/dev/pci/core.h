/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the PCI core know of each other; nobody else includes this. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct pci_bridge;
struct pci_function;

/* It is plugged, and so is every bridge above it, and all have power. */
bool pci_is_reachable(const struct pci_function *f);
/* Its line counts its pin, or does not any more, as registers and power say. */
void pci_update_irq(struct pci_function *f);
/* Do all bridges above pass on accesses to this range? */
bool pci_bridges_pass(const struct pci_function *f, bool io, uint64_t first, uint64_t last);
/* Its control register was written, before it was this. */
void pci_bridge_control_changed(struct pci_bridge *b, uint32_t before);
