/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/dev/vmgenid.h"

#include <string.h>

struct vmgenid {
    struct dev dev;
    uint8_t guid[VMGENID_BYTES]; /* as the guest reads it: the first three numbers little endian */
};

/* Both ways. */
static void swap_numbers(uint8_t *to, const uint8_t *from)
{
    static const uint8_t order[VMGENID_BYTES] = {3, 2, 1,  0,  5,  4,  7,  6,
                                                 8, 9, 10, 11, 12, 13, 14, 15};

    for (size_t i = 0; i < VMGENID_BYTES; i++)
        to[i] = from[order[i]];
}

static int vmgenid_read(void *dev, uint64_t offset, unsigned size_bytes, uint64_t *ret)
{
    const struct vmgenid *g = dev;

    *ret = 0;
    for (unsigned i = 0; i < size_bytes && offset + i < VMGENID_BYTES; i++)
        *ret |= (uint64_t)g->guid[offset + i] << (8 * i);
    return 0;
}

static int vmgenid_write(void *dev, uint64_t offset, unsigned size_bytes, uint64_t value)
{
    return 0;
}

void vmgenid_set(struct dev *d, const uint8_t guid[VMGENID_BYTES])
{
    if (d->type == &vmgenid_type)
        swap_numbers(((struct vmgenid *)d)->guid, guid);
}

void vmgenid_change(struct dev *d, const uint8_t guid[VMGENID_BYTES])
{
    if (d->type != &vmgenid_type)
        return;
    vmgenid_set(d, guid);
    /* An edge: the guest has nothing to write to for an answer. The controller keeps it. */
    irq_set(&d->irq, true);
    irq_set(&d->irq, false);
}

bool vmgenid_get(const struct dev *d, uint8_t ret[VMGENID_BYTES])
{
    if (d->type == &vmgenid_type)
        swap_numbers(ret, ((const struct vmgenid *)d)->guid);
    return d->type == &vmgenid_type;
}

static const struct ferry_field vmgenid_fields[] = {FERRY_BYTES(struct vmgenid, guid)};
static const struct ferry_table vmgenid_table = {
    .name = "vmgenid",
    .version = 1,
    .minimum_version = 1,
    FERRY_FIELDS(vmgenid_fields),
};

const struct dev_type vmgenid_type = {
    .name = "vmgenid",
    .size_bytes = sizeof(struct vmgenid),
    .mmio_bytes = 0x1000,
    .access_sizes = 1 | 2 | 4 | 8,
    .mmio = {.read = vmgenid_read, .write = vmgenid_write},
    .table = &vmgenid_table,
};

static const struct prop vmgenid_props[] = {
    DEVICE_PROPS,
    {.name = "guid",
     .kind = PROP_GUID,
     .offset = offsetof(struct config_vmgenid, guid),
     .whose = OF_GUEST},
    {0},
};
static const struct config_vmgenid vmgenid_defaults = {.device.slot = -1};

const struct device_kind vmgenid_kind = {
    .name = "vmgenid",
    .what = "generation ID",
    .bus = DEVICE_BUS_BOARD,
    .only_one = "a machine has one vmgenid",
    .props = vmgenid_props,
    .config_bytes = sizeof(vmgenid_defaults),
    .defaults = &vmgenid_defaults,
};

const struct config_vmgenid *vmgenid_of(const struct vm_config *c)
{
    for (size_t i = 0; i < c->device_count; i++)
        if (c->devices[i]->kind == &vmgenid_kind)
            return (const struct config_vmgenid *)c->devices[i];
    return NULL;
}
