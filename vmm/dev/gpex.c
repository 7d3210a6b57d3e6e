/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes are dropped: function 00:00.0 has no BAR, no capability and no device behind it, so
 * nothing that a guest could set there would do anything.
 */
#include "vmm/dev/gpex.h"

#include <errno.h>
#include <string.h>

#include "base/err.h"

#define GPEX_CONFIG_BYTES    256u
#define GPEX_ECAM_BYTES      0x10000000u
#define GPEX_DEVICE_VERSION  2
#define GPEX_INTERRUPTS      4
#define GPEX_IO_BYTES        0x10000u
#define GPEX_MMIO_BYTES      0x40000000u
#define GPEX_MMIO_HIGH_BYTES UINT64_C(0x400000000)

struct gpex_root {
    struct dev dev;
    uint32_t version_id;
    uint8_t config[GPEX_CONFIG_BYTES];
    uint8_t express_config[1]; /* never there: the other of two formats of config */
    uint32_t irq_state[GPEX_INTERRUPTS];
};

struct pci_host {
    struct dev dev;
    uint32_t config_reg;
};

struct pci_bus {
    struct dev dev;
    uint32_t nirq;
    uint32_t irq_count[GPEX_INTERRUPTS];
};

/* --- The one function ------------------------------------------------------------------------ */

/* What identifies it; the rest is zero. */
static const struct {
    uint8_t offset, value;
} identity[] = {
    {0x00, 0x36}, {0x01, 0x1b},               /* vendor */
    {0x02, 0x08}, {0x03, 0x00},               /* device */
    {0x09, 0x00}, {0x0a, 0x00}, {0x0b, 0x06}, /* class: host bridge */
    {0x0e, 0x00},                             /* header type */
    {0x2c, 0xf4}, {0x2d, 0x1a},               /* subsystem vendor */
    {0x2e, 0x00}, {0x2f, 0x11},               /* subsystem */
};
#define IDENTITY_COUNT (sizeof(identity) / sizeof(identity[0]))

static int ecam_read(void *dev, uint64_t offset, unsigned size_bytes, uint64_t *ret)
{
    const struct gpex_root *g = dev;

    *ret = UINT64_MAX >> (64 - 8 * size_bytes);
    if (offset >= GPEX_CONFIG_BYTES)
        return 0;
    *ret = 0;
    for (unsigned i = 0; i < size_bytes; i++)
        *ret |= (uint64_t)g->config[offset + i] << (8 * i);
    return 0;
}

static int dropped_write(void *dev, uint64_t offset, unsigned size_bytes, uint64_t value)
{
    return 0;
}

static void gpex_root_reset(struct dev *d)
{
    struct gpex_root *g = (struct gpex_root *)d;

    g->version_id = GPEX_DEVICE_VERSION;
    memset(g->config, 0, sizeof(g->config));
    for (size_t i = 0; i < IDENTITY_COUNT; i++)
        g->config[identity[i].offset] = identity[i].value;
    memset(g->irq_state, 0, sizeof(g->irq_state));
}

static int gpex_root_check(const void *scratch, struct ferry_err *err)
{
    const struct gpex_root *g = scratch;

    for (size_t i = 0; i < IDENTITY_COUNT; i++) {
        uint8_t at = identity[i].offset;

        if (g->config[at] != identity[i].value)
            return err_set(err, EINVAL,
                           "byte 0x%x of the configuration space of PCI function 00:00.0 is 0x%x, "
                           "QEMU's host bridge has 0x%x: another device is there",
                           at, g->config[at], identity[i].value);
    }
    return 0;
}

static bool never(const void *obj, uint32_t version)
{
    return false;
}

static const struct ferry_field pci_device_fields[] = {
    FERRY_U32(struct gpex_root, version_id, .min = 1, .max = GPEX_DEVICE_VERSION,
              .type_name = "int32 le"),
    FERRY_BYTES(struct gpex_root, config, .type_name = "pci config"),
    FERRY_BYTES(struct gpex_root, express_config, .wire_name = "config", .present = never),
    FERRY_U32_ARRAY(struct gpex_root, irq_state, .max = 1, .type_name = "pci irq state"),
};

static const struct ferry_table pci_device_table = {
    .name = "PCIDevice",
    .version = 2,
    .minimum_version = 1,
    FERRY_FIELDS(pci_device_fields),
};

static const struct ferry_field gpex_root_fields[] = {
    FERRY_SELF(struct gpex_root, "parent_obj", &pci_device_table),
};

static const struct ferry_table gpex_root_table = {
    .name = "gpex_root",
    .version = 1,
    .minimum_version = 1,
    FERRY_FIELDS(gpex_root_fields),
    .check = gpex_root_check,
};

const struct dev_type gpex_root_type = {
    .name = "gpex_root",
    .size_bytes = sizeof(struct gpex_root),
    .mmio_bytes = GPEX_ECAM_BYTES,
    .access_sizes = 1 | 2 | 4,
    .mmio = {.read = ecam_read, .write = dropped_write},
    .reset = gpex_root_reset,
    .table = &gpex_root_table,
};

/* --- Host and bus: state only ---------------------------------------------------------------- */

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

static void pci_bus_reset(struct dev *d)
{
    struct pci_bus *b = (struct pci_bus *)d;

    b->nirq = GPEX_INTERRUPTS;
    memset(b->irq_count, 0, sizeof(b->irq_count));
}

static const struct ferry_field pci_bus_fields[] = {
    FERRY_U32_EQ(struct pci_bus, nirq, .type_name = "int32 equal"),
    FERRY_U32_ARRAY(struct pci_bus, irq_count, .type_name = "int32"),
};

static const struct ferry_table pci_bus_table = {
    .name = "PCIBUS",
    .version = 1,
    .minimum_version = 1,
    FERRY_FIELDS(pci_bus_fields),
};

const struct dev_type pci_bus_type = {
    .name = "PCIBUS",
    .size_bytes = sizeof(struct pci_bus),
    .reset = pci_bus_reset,
    .table = &pci_bus_table,
};

/* --- Windows --------------------------------------------------------------------------------- */

static int window_read(void *dev, uint64_t offset, unsigned size_bytes, uint64_t *ret)
{
    *ret = UINT64_MAX >> (64 - 8 * size_bytes);
    return 0;
}

#define WINDOW(name_, bytes)                                                                  \
    {                                                                                         \
        .name = (name_), .size_bytes = sizeof(struct dev), .mmio_bytes = (bytes),             \
        .access_sizes = 1 | 2 | 4 | 8, .mmio = {.read = window_read, .write = dropped_write}, \
    }

const struct dev_type pci_io_type = WINDOW("pci_io", GPEX_IO_BYTES);
const struct dev_type pci_mmio_type = WINDOW("pci_mmio", GPEX_MMIO_BYTES);
const struct dev_type pci_mmio_high_type = WINDOW("pci_mmio_high", GPEX_MMIO_HIGH_BYTES);
