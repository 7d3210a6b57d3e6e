/* SPDX-License-Identifier: Apache-2.0 */
/* Bridges: a type 1 header, its windows, and the bus behind it. PCI-to-PCI Bridge 1.2, chapter 3.
 */
#include <assert.h>
#include <stdio.h>

#include "vmm/dev/pci/bus.h"
#include "vmm/dev/pci/core.h"

/* All but fast back-to-back (7), and timers that do not exist here (8 to 11); 5 is the answer to
 * what nobody takes, always all ones here. */
#define BRIDGE_CONTROL_WRITABLE 0x005fu

int pci_bridge_init(struct pci_bridge *b, const char *name, const struct pci_identity *is,
                    const struct pci_function_ops *ops, struct ferry_err *err)
{
    struct pci_function *f = &b->function;
    int rc = pci_function_init(f, name, is, ops, err);

    if (rc < 0)
        return rc;
    f->bridge = b;
    b->secondary.bridge = b;
    snprintf(b->secondary.name, sizeof(b->secondary.name), "%s", name);
    pci_set(f, PCI_HEADER_TYPE, 1, pci_get(f, PCI_HEADER_TYPE, 1) | PCI_HEADER_BRIDGE);
    pci_allow(f, PCI_PRIMARY_BUS, 1, 0xff);
    pci_allow(f, PCI_SECONDARY_BUS, 1, 0xff);
    pci_allow(f, PCI_SUBORDINATE_BUS, 1, 0xff);
    /* Windows are closed: they begin behind where they end. */
    pci_set(f, PCI_IO_BASE, 1, 0xf0);
    pci_set(f, PCI_MEMORY_BASE, 2, 0xfff0);
    pci_set(f, PCI_PREFETCH_BASE, 2, 0xfff1);
    pci_set(f, PCI_PREFETCH_LIMIT, 2, 0x0001);
    pci_allow(f, PCI_IO_BASE, 2, 0xf0f0);
    pci_allow(f, PCI_MEMORY_BASE, 4, 0xfff0fff0);
    pci_allow(f, PCI_PREFETCH_BASE, 4, 0xfff0fff0);
    pci_allow(f, PCI_PREFETCH_BASE_HIGH, 4, UINT32_MAX);
    pci_allow(f, PCI_PREFETCH_LIMIT_HIGH, 4, UINT32_MAX);
    pci_allow_clear(f, PCI_SECONDARY_STATUS, 2, PCI_STATUS_ERRORS);
    pci_allow(f, PCI_BRIDGE_CONTROL, 2, BRIDGE_CONTROL_WRITABLE);
    return 0;
}

void pci_bridge_destroy(struct pci_bridge *b)
{
    assert(b->secondary.function_count == 0);
    pci_function_destroy(&b->function);
}

struct window {
    uint64_t first, last; /* empty if it ends before it begins */
};

static bool holds(struct window w, uint64_t first, uint64_t last)
{
    return w.first <= first && last <= w.last;
}

static struct window io_window(const struct pci_function *f)
{
    return (struct window){(pci_get(f, PCI_IO_BASE, 1) & 0xf0) << 8,
                           (pci_get(f, PCI_IO_LIMIT, 1) & 0xf0) << 8 | 0xfff};
}

static struct window memory_window(const struct pci_function *f)
{
    return (struct window){(pci_get(f, PCI_MEMORY_BASE, 2) & 0xfff0) << 16,
                           (pci_get(f, PCI_MEMORY_LIMIT, 2) & 0xfff0) << 16 | 0xfffff};
}

static struct window prefetch_window(const struct pci_function *f)
{
    uint64_t first = (uint64_t)pci_get(f, PCI_PREFETCH_BASE_HIGH, 4) << 32,
             last = (uint64_t)pci_get(f, PCI_PREFETCH_LIMIT_HIGH, 4) << 32;

    return (struct window){first | (pci_get(f, PCI_PREFETCH_BASE, 2) & 0xfff0) << 16,
                           last | (pci_get(f, PCI_PREFETCH_LIMIT, 2) & 0xfff0) << 16 | 0xfffff};
}

bool pci_bridges_pass(const struct pci_function *f, bool io, uint64_t first, uint64_t last)
{
    for (; f->bus->bridge; f = &f->bus->bridge->function) {
        const struct pci_function *bridge = &f->bus->bridge->function;

        if (!(pci_get(bridge, PCI_COMMAND, 2) & (io ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY)))
            return false;
        if (io ? !holds(io_window(bridge), first, last)
               : !holds(memory_window(bridge), first, last) &&
                     !holds(prefetch_window(bridge), first, last))
            return false;
    }
    return true;
}

void pci_bridge_control_changed(struct pci_bridge *b, uint32_t before)
{
    uint32_t now = pci_get(&b->function, PCI_BRIDGE_CONTROL, 2);

    if (now & ~before & PCI_BRIDGE_CONTROL_RESET)
        pci_bus_reset(&b->secondary);
}
