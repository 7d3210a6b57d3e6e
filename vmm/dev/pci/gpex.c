/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/dev/pci/gpex.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

/* ECAM: PCI Express Base 4.0, 7.2.2. */
#define ECAM_BUS(offset)      ((uint8_t)((offset) >> 20))
#define ECAM_DEVFN(offset)    ((uint8_t)((offset) >> 12))
#define ECAM_REGISTER(offset) ((unsigned)((offset)&0xfff))

/* What hangs on the host: not in the device, which is copied whenever state is loaded. */
struct gpex_inside {
    struct pci_domain domain;
    struct bus_window io, memory; /* both memory windows are one-to-one */
    struct bus_region io_region, memory_region, memory_high_region;
    struct bus_window memory_high;
};

struct gpex_root {
    struct dev dev;
    struct pci_function function; /* 00:00.0 */
    struct gpex_inside *inside;   /* owned */
};

struct pci_host {
    struct dev dev;
    uint32_t config_reg;
};

struct pci_bus_state {
    struct dev dev;
    const struct pci_bus *bus; /* NULL: nobody's yet */
    uint32_t nirq;
    uint32_t irq_count[PCI_PINS]; /* on the wire only: who counts is the domain */
};

/* --- The host -------------------------------------------------------------------------------- */

static const struct pci_identity identity = {
    .vendor = 0x1b36,
    .device = 0x0008,
    .subsystem_vendor = 0x1af4,
    .subsystem = 0x1100,
    .class = 0x0600, /* host bridge */
};

static struct gpex_root *root_of(struct dev *d)
{
    assert(d->type == &gpex_root_type);
    return (struct gpex_root *)d;
}

static int gpex_root_create(struct dev *d, struct ferry_err *err)
{
    struct gpex_root *g = root_of(d);
    int rc;

    g->inside = calloc(1, sizeof(*g->inside));
    if (!g->inside)
        return err_set(err, ENOMEM, "no memory for the PCI host");
    pci_domain_init(&g->inside->domain, "pcie.0", d->env->lock);
    rc = pci_function_init(&g->function, "gpex-root", &identity, NULL, err);
    if (rc < 0)
        return rc;
    pci_function_seal(&g->function);
    return pci_bus_plug(&g->inside->domain.root, &g->function, 0, err);
}

static void gpex_root_destroy(struct dev *d)
{
    struct gpex_root *g = root_of(d);

    pci_bus_unplug(&g->function);
    pci_function_destroy(&g->function);
    free(g->inside);
}

static void gpex_root_reset(struct dev *d)
{
    pci_function_reset(&root_of(d)->function);
}

static int ecam_read(void *dev, uint64_t offset, unsigned size_bytes, uint64_t *ret)
{
    struct gpex_root *g = dev;

    *ret = pci_domain_read(&g->inside->domain, ECAM_BUS(offset), ECAM_DEVFN(offset),
                           ECAM_REGISTER(offset), size_bytes);
    return 0;
}

static int ecam_write(void *dev, uint64_t offset, unsigned size_bytes, uint64_t value)
{
    struct gpex_root *g = dev;

    pci_domain_write(&g->inside->domain, ECAM_BUS(offset), ECAM_DEVFN(offset),
                     ECAM_REGISTER(offset), size_bytes, value);
    return 0;
}

static const struct ferry_field gpex_root_fields[] = {
    FERRY_STRUCT(struct gpex_root, function, &pci_function_table, .wire_name = "parent_obj"),
};

static const struct ferry_table gpex_root_table = {
    .name = "gpex_root",
    .version = 1,
    .minimum_version = 1,
    FERRY_FIELDS(gpex_root_fields),
};

const struct dev_type gpex_root_type = {
    .name = "gpex_root",
    .size_bytes = sizeof(struct gpex_root),
    .mmio_bytes = GPEX_ECAM_BYTES,
    .access_sizes = 1 | 2 | 4 | 8,
    .mmio = {.read = ecam_read, .write = ecam_write},
    .create = gpex_root_create,
    .destroy = gpex_root_destroy,
    .reset = gpex_root_reset,
    .table = &gpex_root_table,
};

static int map_window(struct bus_region *region, struct bus_window *window, const struct bus *to,
                      uint64_t first, struct bus_region is, struct bus *bus, struct ferry_err *err)
{
    *window = (struct bus_window){.to = to, .first = first};
    *region = is;
    region->access_sizes = 1 | 2 | 4 | 8;
    region->ops = &bus_window_ops;
    region->dev = window;
    return bus_add(bus, region, err);
}

int gpex_map_windows(struct dev *root, struct bus *bus, const struct gpex_windows *at,
                     struct ferry_err *err)
{
    struct gpex_inside *in = root_of(root)->inside;
    int rc = map_window(&in->io_region, &in->io, &in->domain.io, 0,
                        (struct bus_region){"pci_io", at->io_gpa, GPEX_IO_BYTES}, bus, err);

    if (!rc)
        rc = map_window(&in->memory_region, &in->memory, &in->domain.memory, at->memory_gpa,
                        (struct bus_region){"pci_mmio", at->memory_gpa, GPEX_MEMORY_BYTES}, bus,
                        err);
    if (!rc)
        rc = map_window(
            &in->memory_high_region, &in->memory_high, &in->domain.memory, at->memory_high_gpa,
            (struct bus_region){"pci_mmio_high", at->memory_high_gpa, GPEX_MEMORY_HIGH_BYTES}, bus,
            err);
    return rc;
}

void gpex_connect(struct dev *root, unsigned pin, struct irq_line line)
{
    assert(pin < PCI_PINS);
    root_of(root)->inside->domain.lines[pin] = line;
}

struct pci_domain *gpex_domain(struct dev *root)
{
    return &root_of(root)->inside->domain;
}

/* --- State only ------------------------------------------------------------------------------ */

static void pci_host_reset(struct dev *d)
{
    ((struct pci_host *)d)->config_reg = 0;
}

/* QEMU can be told to leave the section out (x-config-reg-migration-enabled). */
static bool pci_host_needed(const void *obj)
{
    return ((const struct pci_host *)obj)->config_reg != 0;
}

static const struct ferry_field pci_host_fields[] = {
    FERRY_U32(struct pci_host, config_reg),
};

static const struct ferry_table pci_host_table = {
    .name = "PCIHost",
    .version = 1,
    .minimum_version = 1,
    FERRY_FIELDS(pci_host_fields),
    .needed = pci_host_needed,
};

const struct dev_type pci_host_type = {
    .name = "PCIHost",
    .size_bytes = sizeof(struct pci_host),
    .reset = pci_host_reset,
    .table = &pci_host_table,
};

void pci_bus_state_connect(struct dev *d, const struct pci_bus *bus)
{
    struct pci_bus_state *s = (struct pci_bus_state *)d;

    assert(d->type == &pci_bus_type);
    s->bus = bus;
    /* A bridge has no lines of its own, it passes on its bus's. */
    s->nirq = bus->bridge ? 0 : PCI_PINS;
}

static int pci_bus_create(struct dev *d, struct ferry_err *err)
{
    ((struct pci_bus_state *)d)->nirq = PCI_PINS;
    return 0;
}

static void pci_bus_pre_save(void *obj)
{
    struct pci_bus_state *s = obj;

    for (unsigned i = 0; s->bus && i < PCI_PINS; i++)
        s->irq_count[i] = s->bus->domain->line_counts[i];
}

static bool has_lines(const void *obj, uint32_t version)
{
    return ((const struct pci_bus_state *)obj)->nirq != 0;
}

static const struct ferry_field pci_bus_fields[] = {
    FERRY_U32_EQ(struct pci_bus_state, nirq, .type_name = "int32 equal"),
    FERRY_U32_ARRAY(struct pci_bus_state, irq_count, .type_name = "int32", .present = has_lines),
};

static const struct ferry_table pci_bus_table = {
    .name = "PCIBUS",
    .version = 1,
    .minimum_version = 1,
    FERRY_FIELDS(pci_bus_fields),
    .pre_save = pci_bus_pre_save,
};

const struct dev_type pci_bus_type = {
    .name = "PCIBUS",
    .size_bytes = sizeof(struct pci_bus_state),
    .create = pci_bus_create,
    .table = &pci_bus_table,
};
