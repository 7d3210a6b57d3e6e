/* SPDX-License-Identifier: Apache-2.0 */
/*
 * BARs: where a function's registers are. What the guest writes there counts once the command
 * register says so and every bridge above passes the range on; then the region is on the domain's
 * bus. Where something else is already, it waits until there is room: two at one address are a
 * guest's mistake, of which the later one is not seen.
 */
#include <assert.h>

#include "vmm/dev/pci/bus.h"
#include "vmm/dev/pci/core.h"

void pci_add_bar(struct pci_function *f, unsigned index, const struct pci_bar_spec *spec)
{
    struct pci_bar *b = &f->bars[index];
    bool io = spec->space == PCI_SPACE_IO;
    uint64_t size = spec->size_bytes, least = io ? 4 : 16;
    uint32_t kind =
        io ? PCI_BAR_IS_IO
           : (spec->is_64 ? PCI_BAR_IS_64 : 0u) | (spec->prefetch ? PCI_BAR_IS_PREFETCH : 0u);

    assert(index + spec->is_64 < (f->bridge ? 2u : PCI_BARS) && b->region.size_bytes == 0);
    assert(size >= least && (size & (size - 1)) == 0 && (spec->is_64 || size <= UINT32_C(1) << 31));
    *b = (struct pci_bar){
        .space = spec->space,
        .is_64 = spec->is_64,
        .prefetch = spec->prefetch,
        .region = {.name = f->name,
                   .size_bytes = size,
                   .access_sizes = spec->access_sizes,
                   .ops = spec->ops,
                   .dev = spec->dev},
    };
    pci_set(f, PCI_BAR_0 + 4 * index, 4, kind);
    pci_allow(f, PCI_BAR_0 + 4 * index, 4, (uint32_t) ~(size - 1));
    if (spec->is_64)
        pci_allow(f, PCI_BAR_0 + 4 * index + 4, 4, (uint32_t)(~(size - 1) >> 32));
}

static struct bus *bus_of(struct pci_domain *d, const struct pci_bar *b)
{
    return b->space == PCI_SPACE_IO ? &d->io : &d->memory;
}

bool pci_bar_address(const struct pci_function *f, unsigned index, uint64_t *ret)
{
    const struct pci_bar *b = &f->bars[index];
    bool io = b->space == PCI_SPACE_IO;
    uint64_t base = pci_get(f, PCI_BAR_0 + 4 * index, 4), last, end;

    if (b->region.size_bytes == 0 || !pci_is_reachable(f) ||
        !(pci_get(f, PCI_COMMAND, 2) & (io ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY)))
        return false;
    if (b->is_64)
        base |= (uint64_t)pci_get(f, PCI_BAR_0 + 4 * index + 4, 4) << 32;
    base &= ~(b->region.size_bytes - 1);
    last = base + (b->region.size_bytes - 1);
    /* Up to the last address is where it is while a driver looks how large it is; memory at 0 is
     * where it is before anybody has said anything. */
    end = io ? f->bus->domain->io.last : b->is_64 ? UINT64_MAX - 1 : UINT32_MAX - 1;
    if (last > end || (!io && base == 0) || !pci_bridges_pass(f, io, base, last))
        return false;
    *ret = base;
    return true;
}

static void set_waits(struct pci_domain *d, struct pci_bar *b, bool waits)
{
    d->waiting += (unsigned)waits - (unsigned)b->waits;
    b->waits = waits;
}

static void map(struct pci_domain *d, struct pci_bar *b)
{
    struct ferry_err err = {0};

    b->mapped = bus_add(bus_of(d, b), &b->region, &err) == 0;
    set_waits(d, b, !b->mapped);
}

/* Says whether there is room now where there was none. */
static bool update(struct pci_domain *d, struct pci_function *f, unsigned index)
{
    struct pci_bar *b = &f->bars[index];
    bool freed = b->mapped;
    uint64_t base;

    if (b->region.size_bytes == 0)
        return false;
    if (!pci_bar_address(f, index, &base)) {
        bus_remove(bus_of(d, b), &b->region);
        b->mapped = false;
        set_waits(d, b, false);
        return freed;
    }
    if (b->mapped && b->region.base == base)
        return false;
    bus_remove(bus_of(d, b), &b->region);
    b->region.base = base;
    map(d, b);
    return freed;
}

static bool update_all(struct pci_domain *d, struct pci_function *f)
{
    bool freed = false;

    for (unsigned i = 0; i < PCI_BARS; i++)
        freed |= update(d, f, i);
    pci_update_irq(f);
    for (unsigned i = 0; f->bridge && i < PCI_DEVFN_MAX; i++) {
        if (f->bridge->secondary.functions[i])
            freed |= update_all(d, f->bridge->secondary.functions[i]);
    }
    return freed;
}

static void map_waiting(struct pci_domain *d, struct pci_bus *bus)
{
    for (unsigned i = 0; d->waiting && i < PCI_DEVFN_MAX; i++) {
        struct pci_function *f = bus->functions[i];

        for (unsigned k = 0; f && k < PCI_BARS; k++) {
            if (f->bars[k].waits)
                map(d, &f->bars[k]);
        }
        if (f && f->bridge)
            map_waiting(d, &f->bridge->secondary);
    }
}

void pci_function_changed(struct pci_function *f)
{
    struct pci_domain *d = f->bus ? f->bus->domain : NULL;

    if (d && update_all(d, f) && d->waiting)
        map_waiting(d, &d->root);
}
