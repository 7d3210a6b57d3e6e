/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/dev/pci/bus.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "vmm/dev/pci/core.h"

#define PCI_IO_LAST 0xffffu

void pci_domain_init(struct pci_domain *d, const char *name, struct machine_lock *lock)
{
    memset(d, 0, sizeof(*d));
    bus_init(&d->memory, "PCI memory", UINT64_MAX, lock, NULL);
    bus_init(&d->io, "PCI I/O ports", PCI_IO_LAST, lock, NULL);
    d->root.domain = d;
    snprintf(d->root.name, sizeof(d->root.name), "%s", name);
}

/* --- The tree -------------------------------------------------------------------------------- */

static unsigned device_of(unsigned devfn)
{
    return devfn >> 3;
}

static bool is_multifunction(const struct pci_function *f)
{
    return pci_get(f, PCI_HEADER_TYPE, 1) & PCI_HEADER_MULTIFUNCTION;
}

/* A driver looks at functions 1 to 7 only if function 0 says that there may be some. */
static int check_multifunction(const struct pci_bus *bus, const struct pci_function *f,
                               unsigned devfn, struct ferry_err *err)
{
    const struct pci_function *first = bus->functions[devfn & ~7u];

    if (devfn & 7)
        return !first || is_multifunction(first)
                   ? 0
                   : err_set(err, EINVAL,
                             "PCI: single function device can't be populated in function %x.%x",
                             device_of(devfn), devfn & 7);
    for (unsigned i = 1; i < 8 && !is_multifunction(f); i++) {
        if (bus->functions[devfn + i])
            return err_set(err, EINVAL,
                           "PCI: %x.0 indicates single function, but %x.%x is already populated",
                           device_of(devfn), device_of(devfn), i);
    }
    return 0;
}

/* What is behind a bridge comes with it. */
static void adopt(struct pci_bus *bus, struct pci_domain *d)
{
    bus->domain = d;
    for (unsigned i = 0; i < PCI_DEVFN_MAX; i++) {
        if (bus->functions[i] && bus->functions[i]->bridge)
            adopt(&bus->functions[i]->bridge->secondary, d);
    }
}

int pci_bus_plug(struct pci_bus *bus, struct pci_function *f, uint8_t devfn, struct ferry_err *err)
{
    const struct pci_function *there = bus->functions[devfn];

    assert(!f->bus);
    if (bus->one_device && device_of(devfn) != 0)
        return err_set(err, EINVAL,
                       "PCI: slot %u is not valid for %s, parent device only allows plugging into "
                       "slot 0.",
                       device_of(devfn), f->name);
    if (there)
        return err_set(err, EBUSY, "PCI: slot %u function %u not available for %s, in use by %s",
                       device_of(devfn), devfn & 7u, f->name, there->name);
    if (check_multifunction(bus, f, devfn, err) < 0)
        return -EINVAL;
    f->bus = bus;
    f->devfn = devfn;
    bus->functions[devfn] = f;
    bus->function_count++;
    if (f->bridge)
        adopt(&f->bridge->secondary, bus->domain);
    pci_function_changed(f);
    return 0;
}

void pci_bus_unplug(struct pci_function *f)
{
    if (!f->bus)
        return;
    /* As if its power went: its BARs and lines, and those of what is behind it. */
    f->dark = true;
    pci_function_changed(f);
    f->dark = false;
    f->bus->functions[f->devfn] = NULL;
    f->bus->function_count--;
    f->bus = NULL;
}

int pci_bus_free_devfn(const struct pci_bus *bus)
{
    for (int devfn = 0; devfn < (bus->one_device ? 8 : PCI_DEVFN_MAX); devfn += 8) {
        bool taken = false;

        for (int i = 0; i < 8; i++)
            taken |= bus->functions[devfn + i] != NULL;
        if (!taken)
            return devfn;
    }
    return -ENOSPC;
}

/* What leads to a bus: ":01.0" for each bridge. */
static size_t path_to(const struct pci_bus *bus, char *ret, size_t size_bytes)
{
    size_t n;

    if (!bus->bridge || !bus->bridge->function.bus)
        return (size_t)snprintf(ret, size_bytes, "0000:00");
    n = path_to(bus->bridge->function.bus, ret, size_bytes);
    if (n < size_bytes)
        n += (size_t)snprintf(ret + n, size_bytes - n, ":%02x.%x",
                              device_of(bus->bridge->function.devfn),
                              bus->bridge->function.devfn & 7u);
    return n;
}

void pci_path(const struct pci_bus *bus, uint8_t devfn, const char *name, char ret[PCI_PATH_BYTES])
{
    size_t n = path_to(bus, ret, PCI_PATH_BYTES);

    if (n < PCI_PATH_BYTES)
        snprintf(ret + n, PCI_PATH_BYTES - n, ":%02x.%x/%s", device_of(devfn), devfn & 7u, name);
}

void pci_bus_set_power(struct pci_bus *bus, bool on)
{
    for (unsigned i = 0; i < PCI_DEVFN_MAX; i++) {
        struct pci_function *f = bus->functions[i];

        if (!f || f->dark == !on)
            continue;
        f->dark = !on;
        pci_function_changed(f);
    }
}

void pci_bus_reset(struct pci_bus *bus)
{
    for (unsigned i = 0; i < PCI_DEVFN_MAX; i++) {
        struct pci_function *f = bus->functions[i];

        if (!f)
            continue;
        if (f->bridge)
            pci_bus_reset(&f->bridge->secondary);
        pci_function_reset(f);
        if (f->ops && f->ops->reset)
            f->ops->reset(f);
    }
}

bool pci_is_reachable(const struct pci_function *f)
{
    for (; f->bus && !f->dark; f = &f->bus->bridge->function) {
        if (!f->bus->bridge)
            return true;
    }
    return false;
}

/* --- Interrupts ------------------------------------------------------------------------------ */

/* Each bridge turns the pins by the number of the device: PCI-to-PCI Bridge 1.2, 9.1. */
static unsigned line_of(const struct pci_function *f, unsigned pin)
{
    for (;; f = &f->bus->bridge->function) {
        pin = (pin + device_of(f->devfn)) % PCI_PINS;
        if (!f->bus->bridge)
            return pin;
    }
}

void pci_update_irq(struct pci_function *f)
{
    uint32_t pin = pci_get(f, PCI_INTERRUPT_PIN, 1);
    bool pulls = pin != 0 && f->irq_state[pin - 1] && pci_is_reachable(f) &&
                 !(pci_get(f, PCI_COMMAND, 2) & PCI_COMMAND_NO_INTX);
    struct pci_domain *d;
    unsigned line;

    if (pulls == f->asserted)
        return;
    f->asserted = pulls;
    d = f->bus->domain;
    line = line_of(f, pin - 1);
    d->line_counts[line] += pulls ? 1 : -1u;
    irq_set(&d->lines[line], d->line_counts[line] != 0);
}

/* --- Configuration accesses ------------------------------------------------------------------ */

uint8_t pci_bus_number(const struct pci_bus *bus)
{
    return bus->bridge ? (uint8_t)pci_get(&bus->bridge->function, PCI_SECONDARY_BUS, 1) : 0;
}

/* The bus of a number: this one, or behind the first bridge here that claims it. */
static struct pci_bus *find_bus(struct pci_bus *bus, uint8_t number)
{
    while (bus && number != pci_bus_number(bus)) {
        struct pci_bus *next = NULL;

        for (unsigned i = 0; i < PCI_DEVFN_MAX && !next; i++) {
            struct pci_function *f = bus->functions[i];

            if (f && f->bridge && !f->dark && pci_get(f, PCI_SECONDARY_BUS, 1) != 0 &&
                pci_get(f, PCI_SECONDARY_BUS, 1) <= number &&
                pci_get(f, PCI_SUBORDINATE_BUS, 1) >= number)
                next = &f->bridge->secondary;
        }
        bus = next;
    }
    return bus;
}

struct pci_function *pci_find(struct pci_domain *d, uint8_t bus_number, uint8_t devfn)
{
    struct pci_bus *bus = find_bus(&d->root, bus_number);
    struct pci_function *f = bus ? bus->functions[devfn] : NULL;

    return f && !f->dark ? f : NULL;
}

static struct pci_function *find_at(struct pci_domain *d, uint8_t bus_number, uint8_t devfn,
                                    unsigned offset)
{
    struct pci_function *f = pci_find(d, bus_number, devfn);

    return f && offset < (f->express ? PCI_EXPRESS_BYTES : PCI_CONFIG_BYTES) ? f : NULL;
}

uint64_t pci_domain_read(struct pci_domain *d, uint8_t bus_number, uint8_t devfn, unsigned offset,
                         unsigned size_bytes)
{
    struct pci_function *f = find_at(d, bus_number, devfn, offset);

    if (!f)
        return UINT64_MAX >> (64 - 8 * size_bytes);
    if (size_bytes == 8)
        return pci_config_read(f, offset, 4) | (uint64_t)pci_config_read(f, offset + 4, 4) << 32;
    return pci_config_read(f, offset, size_bytes);
}

void pci_domain_write(struct pci_domain *d, uint8_t bus_number, uint8_t devfn, unsigned offset,
                      unsigned size_bytes, uint64_t value)
{
    struct pci_function *f = find_at(d, bus_number, devfn, offset);

    if (!f)
        return;
    pci_config_write(f, offset, size_bytes == 8 ? 4 : size_bytes, (uint32_t)value);
    if (size_bytes == 8) {
        /* The first half may have made it go. */
        f = find_at(d, bus_number, devfn, offset);
        if (f)
            pci_config_write(f, offset + 4, 4, (uint32_t)(value >> 32));
    }
}
