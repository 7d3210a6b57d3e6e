/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit.h"

#include "tests/vmm/dev/pci/pci_rig.h"

#include <stdlib.h>

static int toy_read(void *dev, uint64_t offset, unsigned size_bytes, uint64_t *ret)
{
    *ret = ((struct toy *)dev)->tag | (offset & 0xff);
    return 0;
}

static int toy_write(void *dev, uint64_t offset, unsigned size_bytes, uint64_t value)
{
    ((struct toy *)dev)->written = value;
    return 0;
}

static const struct bus_ops toy_registers = {.read = toy_read, .write = toy_write};

static void toy_reset(struct pci_function *f)
{
    ((struct toy *)f)->resets++;
}

static const struct pci_function_ops toy_ops = {.reset = toy_reset};

void toy_init(struct toy *t, const char *name, uint32_t tag)
{
    static const struct pci_identity is = {
        .vendor = 0x1af4, .device = 0x1044, .class = 0x00ff, .pin = 1, .express = true};
    struct pci_bar_spec bar = {
        .size_bytes = 4096, .access_sizes = 1 | 2 | 4 | 8, .ops = &toy_registers, .dev = t};
    struct pci_function *f = &t->function;
    struct ferry_err err;

    t->tag = tag;
    assert_int_equal(pci_function_init(f, name, &is, &toy_ops, &err), 0);
    assert_int_equal(pci_add_msix(f, 3, 1, 0, &err), 0);
    pci_add_bar(f, 0, &bar);
    bar.size_bytes = 65536;
    bar.is_64 = bar.prefetch = true;
    pci_add_bar(f, 2, &bar);
    bar = (struct pci_bar_spec){PCI_SPACE_IO, .size_bytes = 32, .access_sizes = 1 | 2 | 4};
    bar.ops = &toy_registers;
    bar.dev = t;
    pci_add_bar(f, 4, &bar);
    pci_function_seal(f);
}

static void set_line(void *controller, unsigned source, bool level)
{
    ((struct pci_rig *)controller)->level[source] = level;
}

static void take_message(void *controller, struct msi_message message)
{
    struct pci_rig *r = controller;

    r->messages[r->message_count++ % RIG_MESSAGES] = message;
}

struct pci_rig *pci_rig_new(void)
{
    static const struct pci_identity bridge_is = {
        .vendor = 0x1b36, .device = 0x000c, .class = 0x0604, .pin = 1, .express = true};
    struct pci_rig *r = calloc(1, sizeof(*r));
    struct ferry_err err;

    assert_non_null(r);
    machine_lock_init(&r->lock);
    pci_domain_init(&r->domain, "pcie.0", &r->lock);
    for (unsigned i = 0; i < PCI_PINS; i++)
        r->domain.lines[i] = (struct irq_line){set_line, r, i};
    r->domain.msi = (struct msi_sink){take_message, r};
    assert_int_equal(pci_bridge_init(&r->bridge, "s0", &bridge_is, NULL, &err), 0);
    r->bridge.secondary.one_device = true;
    pci_function_seal(&r->bridge.function);
    toy_init(&r->behind, "behind", 0xb0000);
    toy_init(&r->toy, "toy", 0xa0000);
    assert_int_equal(pci_bus_plug(&r->domain.root, &r->bridge.function, RIG_BRIDGE, &err), 0);
    assert_int_equal(pci_bus_plug(&r->bridge.secondary, &r->behind.function, 0, &err), 0);
    assert_int_equal(pci_bus_plug(&r->domain.root, &r->toy.function, RIG_TOY, &err), 0);
    return r;
}

void pci_rig_free(struct pci_rig *r)
{
    pci_bus_unplug(&r->toy.function);
    pci_bus_unplug(&r->behind.function);
    pci_bus_unplug(&r->bridge.function);
    /* Nothing is left of them. */
    assert_int_equal(r->domain.memory.region_count, 0);
    assert_int_equal(r->domain.io.region_count, 0);
    assert_int_equal(r->domain.waiting, 0);
    for (unsigned i = 0; i < PCI_PINS; i++)
        assert_false(r->level[i]);
    pci_function_destroy(&r->toy.function);
    pci_function_destroy(&r->behind.function);
    pci_bridge_destroy(&r->bridge);
    machine_lock_destroy(&r->lock);
    free(r);
}

uint32_t rig_config(struct pci_rig *r, unsigned bus, unsigned devfn, unsigned offset,
                    unsigned size_bytes)
{
    return (uint32_t)pci_domain_read(&r->domain, (uint8_t)bus, (uint8_t)devfn, offset, size_bytes);
}

void rig_set_config(struct pci_rig *r, unsigned bus, unsigned devfn, unsigned offset,
                    unsigned size_bytes, uint32_t value)
{
    pci_domain_write(&r->domain, (uint8_t)bus, (uint8_t)devfn, offset, size_bytes, value);
}

static uint32_t read_space(struct bus *bus, uint64_t address)
{
    uint64_t value;

    return bus_read(bus, address, 4, &value) ? UINT32_MAX : (uint32_t)value;
}

uint32_t rig_memory(struct pci_rig *r, uint64_t address)
{
    return read_space(&r->domain.memory, address);
}

uint32_t rig_port(struct pci_rig *r, uint64_t port)
{
    return read_space(&r->domain.io, port);
}

void rig_open_bridge(struct pci_rig *r)
{
    rig_set_config(r, 0, RIG_BRIDGE, PCI_PRIMARY_BUS, 4, 0x00010100);
    rig_set_config(r, 0, RIG_BRIDGE, PCI_IO_BASE, 2, 0x1010);
    rig_set_config(r, 0, RIG_BRIDGE, PCI_MEMORY_BASE, 4, 0x40004000);
    rig_set_config(r, 0, RIG_BRIDGE, PCI_PREFETCH_BASE, 4, 0x00000000);
    rig_set_config(r, 0, RIG_BRIDGE, PCI_PREFETCH_BASE_HIGH, 4, 4);
    rig_set_config(r, 0, RIG_BRIDGE, PCI_PREFETCH_LIMIT_HIGH, 4, 4);
    rig_set_config(r, 0, RIG_BRIDGE, PCI_COMMAND, 2, 7);
}

void rig_enable_msix(struct pci_rig *r, unsigned bus, unsigned devfn, uint32_t bar)
{
    struct pci_function *f = pci_find(&r->domain, (uint8_t)bus, (uint8_t)devfn);

    assert_non_null(f);
    rig_set_config(r, bus, devfn, PCI_BAR_0 + 4, 4, bar);
    rig_set_config(r, bus, devfn, PCI_COMMAND, 2, 7);
    for (unsigned v = 0; v < 3; v++) {
        assert_int_equal(bus_write(&r->domain.memory, bar + 16 * v, 4, 0x1000 + 16 * v), 0);
        assert_int_equal(bus_write(&r->domain.memory, bar + 16 * v + 4, 4, 0), 0);
        assert_int_equal(bus_write(&r->domain.memory, bar + 16 * v + 8, 4, 7 + v), 0);
        assert_int_equal(bus_write(&r->domain.memory, bar + 16 * v + 12, 4, 0), 0);
    }
    rig_set_config(r, bus, devfn, f->msix.cap + MSIX_CONTROL, 2, MSIX_CONTROL_ENABLE);
}
