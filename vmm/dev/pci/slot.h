/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The slot behind a PCI Express port: presence, attention button, power controller and indicators,
 * command completed, as PCI Express Base 4.0, 6.7, has them and Linux's pciehp drives them.
 *
 * What is plugged while the guest runs has no power until the guest gives it some; what shall go
 * stays until the guest has taken the power away and switched the indicator off. Everything that a
 * move or an update must keep is in the registers, so a request to unplug that is under way goes on
 * in the next process. Machine lock held.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <ferry/err.h>

#include "vmm/dev/pci/bus.h"

struct pcie_slot {
    struct pci_bridge *bridge; /* whose secondary bus the slot is */
    unsigned cap;              /* its PCI Express capability */
    bool hotplug;
    bool interrupting;
    /*
     * The guest has let this go: it is on no bus any more. Called with the machine lock held, in
     * the access of a hart: note it, and free it elsewhere. NULL: nobody wants to know.
     */
    void (*ejected)(void *arg, struct pci_function *f);
    void *arg;
};

/* Before the bridge's function is sealed: the registers of its slot, which is empty. */
void pcie_slot_init(struct pcie_slot *s, struct pci_bridge *bridge, unsigned cap, uint16_t number,
                    bool hotplug);
/* The guest has written to the function's configuration space: pci_function_ops.wrote. */
void pcie_slot_wrote(struct pcie_slot *s, unsigned offset, unsigned size_bytes, uint32_t old);
/* After its function's reset: what is in it has power. */
void pcie_slot_reset(struct pcie_slot *s);
/* After its function's registers were loaded. */
void pcie_slot_loaded(struct pcie_slot *s);

/*
 * Into the slot, function 0 last: with it the guest is told, if it runs (hot). Before harts run,
 * and for a guest that arrives, it is simply there. Refuses what pci_bus_plug() refuses, and while
 * the guest runs a slot without hot-plug.
 */
int pcie_slot_plug(struct pcie_slot *s, struct pci_function *f, uint8_t devfn, bool hot,
                   struct ferry_err *err) FERRY_MUST_CHECK;
/*
 * Presses the attention button: the guest shall let go of all that is in the slot, and `ejected`
 * says when it has; of a slot without power before this returns. name: whose end it is, for
 * refusals.
 */
int pcie_slot_request_unplug(struct pcie_slot *s, const char *name,
                             struct ferry_err *err) FERRY_MUST_CHECK;
