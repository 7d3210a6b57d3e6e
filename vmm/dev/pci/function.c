/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/dev/pci/function.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "vmm/dev/pci/bus.h"
#include "vmm/dev/pci/core.h"

#define PCI_FUNCTION_VERSION 2 /* of its saved state */

/* --- Bytes as numbers ------------------------------------------------------------------------ */

static uint32_t load(const uint8_t *bytes, unsigned size_bytes)
{
    uint32_t v = 0;

    for (unsigned i = 0; i < size_bytes; i++)
        v |= (uint32_t)bytes[i] << (8 * i);
    return v;
}

static void or_into(uint8_t *bytes, unsigned size_bytes, uint32_t mask)
{
    for (unsigned i = 0; i < size_bytes; i++)
        bytes[i] |= (uint8_t)(mask >> (8 * i));
}

uint32_t pci_get(const struct pci_function *f, unsigned offset, unsigned size_bytes)
{
    assert(offset + size_bytes <= sizeof(f->config));
    return load(f->config + offset, size_bytes);
}

void pci_set(struct pci_function *f, unsigned offset, unsigned size_bytes, uint32_t value)
{
    assert(offset + size_bytes <= sizeof(f->config));
    for (unsigned i = 0; i < size_bytes; i++)
        f->config[offset + i] = (uint8_t)(value >> (8 * i));
}

void pci_allow(struct pci_function *f, unsigned offset, unsigned size_bytes, uint32_t mask)
{
    or_into(f->masks->writable + offset, size_bytes, mask);
}

void pci_allow_clear(struct pci_function *f, unsigned offset, unsigned size_bytes, uint32_t mask)
{
    or_into(f->masks->clears + offset, size_bytes, mask);
}

void pci_let_differ(struct pci_function *f, unsigned offset, unsigned size_bytes, uint32_t mask)
{
    or_into(f->masks->differs + offset, size_bytes, mask);
}

/* --- Making it ------------------------------------------------------------------------------- */

static unsigned config_bytes(const struct pci_function *f)
{
    return f->express ? PCI_EXPRESS_BYTES : PCI_CONFIG_BYTES;
}

int pci_function_init(struct pci_function *f, const char *name, const struct pci_identity *is,
                      const struct pci_function_ops *ops, struct ferry_err *err)
{
    memset(f, 0, sizeof(*f));
    f->masks = calloc(1, sizeof(*f->masks));
    if (!f->masks)
        return err_set(err, ENOMEM, "no memory for PCI function \"%s\"", name);
    f->name = name;
    f->ops = ops;
    f->express = is->express;
    f->version_id = PCI_FUNCTION_VERSION;
    pci_set(f, PCI_VENDOR_ID, 2, is->vendor);
    pci_set(f, PCI_DEVICE_ID, 2, is->device);
    pci_set(f, PCI_REVISION, 1, is->revision);
    pci_set(f, PCI_CLASS_PROG, 1, is->prog);
    pci_set(f, PCI_CLASS, 2, is->class);
    pci_set(f, PCI_INTERRUPT_PIN, 1, is->pin);
    pci_set(f, PCI_SUBSYSTEM_VENDOR, 2, is->subsystem_vendor);
    pci_set(f, PCI_SUBSYSTEM, 2, is->subsystem);
    if (is->multifunction)
        pci_set(f, PCI_HEADER_TYPE, 1, PCI_HEADER_MULTIFUNCTION);
    pci_allow(f, PCI_COMMAND, 2,
              PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_SERR |
                  PCI_COMMAND_NO_INTX);
    pci_allow_clear(f, PCI_STATUS, 2, PCI_STATUS_ERRORS);
    pci_let_differ(f, PCI_STATUS, 2, PCI_STATUS_INTX);
    pci_allow(f, PCI_CACHE_LINE, 1, 0xff);
    pci_allow(f, PCI_INTERRUPT_LINE, 1, 0xff);
    /* What no capability takes is memory, as in QEMU, from where guests come. */
    memset(f->masks->writable + PCI_HEADER_BYTES, 0xff, config_bytes(f) - PCI_HEADER_BYTES);
    return 0;
}

void pci_function_destroy(struct pci_function *f)
{
    assert(!f->bus);
    free(f->masks);
    f->masks = NULL;
}

void pci_function_seal(struct pci_function *f)
{
    memcpy(f->masks->initial, f->config, sizeof(f->config));
}

/* Of the first so many bytes nothing is writable any more, or differs. */
static void take_bytes(struct pci_function *f, unsigned at, unsigned size_bytes)
{
    assert(at >= PCI_HEADER_BYTES && at + size_bytes <= config_bytes(f));
    memset(f->config + at, 0, size_bytes);
    memset(f->masks->writable + at, 0, size_bytes);
}

unsigned pci_add_capability(struct pci_function *f, uint8_t id, unsigned at, unsigned size_bytes)
{
    if (at == 0)
        at = f->list_end ? f->list_end : PCI_HEADER_BYTES;
    assert(at + size_bytes <= PCI_CONFIG_BYTES);
    take_bytes(f, at, size_bytes);
    pci_set(f, at, 1, id);
    pci_set(f, at + 1, 1, pci_get(f, PCI_CAPABILITIES, 1));
    pci_set(f, PCI_CAPABILITIES, 1, at);
    pci_set(f, PCI_STATUS, 2, pci_get(f, PCI_STATUS, 2) | PCI_STATUS_CAPABILITIES);
    if (at + size_bytes > f->list_end)
        f->list_end = (at + size_bytes + 3) & ~3u;
    return at;
}

unsigned pci_add_extended_capability(struct pci_function *f, uint16_t id, uint8_t version,
                                     unsigned at, unsigned size_bytes)
{
    assert(f->express && (f->extended_last ? at > f->extended_last : at == PCI_EXTENDED));
    take_bytes(f, at, size_bytes);
    pci_set(f, at, 4, id | (uint32_t)version << 16);
    if (f->extended_last)
        pci_set(f, f->extended_last, 4, pci_get(f, f->extended_last, 4) | (uint32_t)at << 20);
    f->extended_last = at;
    return at;
}

void pci_function_reset(struct pci_function *f)
{
    memcpy(f->config, f->masks->initial, sizeof(f->config));
    memset(f->irq_state, 0, sizeof(f->irq_state));
    f->version_id = PCI_FUNCTION_VERSION;
    pci_msix_reset(f);
    pci_function_changed(f);
}

/* --- Accesses of the guest ------------------------------------------------------------------- */

bool pci_touches(unsigned offset, unsigned size_bytes, unsigned at, unsigned bytes)
{
    return offset < at + bytes && at < offset + size_bytes;
}

uint32_t pci_before(const struct pci_function *f, unsigned at, unsigned bytes, unsigned offset,
                    unsigned size_bytes, uint32_t old)
{
    uint32_t value = 0;

    for (unsigned i = 0; i < bytes; i++) {
        unsigned in = at + i - offset; /* wraps round if it is before */
        uint8_t byte = in < size_bytes ? (uint8_t)(old >> (8 * in)) : f->config[at + i];

        value |= (uint32_t)byte << (8 * i);
    }
    return value;
}

/* BARs, and in a bridge's header the windows, reach from 0x10 to 0x33. */
static bool moves_registers(unsigned offset, unsigned size_bytes)
{
    return pci_touches(offset, size_bytes, PCI_COMMAND, 2) ||
           pci_touches(offset, size_bytes, PCI_BAR_0, 36);
}

uint32_t pci_config_read(struct pci_function *f, unsigned offset, unsigned size_bytes)
{
    if (f->ops && f->ops->reads)
        f->ops->reads(f, offset, size_bytes);
    return pci_get(f, offset, size_bytes);
}

void pci_config_write(struct pci_function *f, unsigned offset, unsigned size_bytes, uint32_t value)
{
    const struct pci_masks *m = f->masks;
    uint32_t old = pci_get(f, offset, size_bytes);

    for (unsigned i = 0; i < size_bytes; i++) {
        uint8_t byte = (uint8_t)(value >> (8 * i)), *at = &f->config[offset + i];

        *at = (uint8_t)((*at & ~m->writable[offset + i]) | (byte & m->writable[offset + i]));
        *at = (uint8_t)(*at & ~(byte & m->clears[offset + i]));
    }
    if (moves_registers(offset, size_bytes))
        pci_function_changed(f);
    if (f->msix.vectors && pci_touches(offset, size_bytes, f->msix.cap + MSIX_CONTROL, 2))
        pci_msix_control_changed(f);
    if (f->bridge && pci_touches(offset, size_bytes, PCI_BRIDGE_CONTROL, 2))
        pci_bridge_control_changed(f->bridge,
                                   pci_before(f, PCI_BRIDGE_CONTROL, 2, offset, size_bytes, old));
    if (f->ops && f->ops->wrote)
        f->ops->wrote(f, offset, size_bytes, old);
}

bool pci_is_master(const struct pci_function *f)
{
    return pci_is_reachable(f) && pci_get(f, PCI_COMMAND, 2) & PCI_COMMAND_MASTER;
}

void pci_set_irq(struct pci_function *f, bool level)
{
    uint32_t pin = pci_get(f, PCI_INTERRUPT_PIN, 1), status = pci_get(f, PCI_STATUS, 2);

    if (pin == 0 || f->irq_state[pin - 1] == level)
        return;
    f->irq_state[pin - 1] = level;
    pci_set(f, PCI_STATUS, 2, level ? status | PCI_STATUS_INTX : status & ~PCI_STATUS_INTX);
    pci_update_irq(f);
}

/* --- Saved state ----------------------------------------------------------------------------- */

static bool is_express(const void *obj, uint32_t version)
{
    return ((const struct pci_function *)obj)->express;
}

static bool is_conventional(const void *obj, uint32_t version)
{
    return !((const struct pci_function *)obj)->express;
}

static int check_loaded(const void *scratch, struct ferry_err *err)
{
    const struct pci_function *f = scratch;
    const struct pci_masks *m = f->masks;

    for (unsigned i = 0; i < config_bytes(f); i++) {
        uint8_t ours = (uint8_t) ~(m->writable[i] | m->clears[i] | m->differs[i]);

        if ((f->config[i] ^ m->initial[i]) & ours)
            return err_set(err, EINVAL,
                           "byte 0x%x of the configuration space of PCI function \"%s\" is 0x%x, "
                           "here it is 0x%x: another device is there, or one made otherwise",
                           i, f->name, f->config[i], m->initial[i]);
    }
    return 0;
}

static void loaded(void *obj)
{
    pci_function_changed(obj);
}

static const struct ferry_field function_fields[] = {
    FERRY_U32(struct pci_function, version_id, .min = 1, .max = PCI_FUNCTION_VERSION,
              .type_name = "int32 le"),
    /* One of two formats. */
    {.name = "config",
     .type_name = "pci config",
     .kind = FERRY_KIND_BYTES,
     .offset = offsetof(struct pci_function, config),
     .size_bytes = 1,
     .count = PCI_CONFIG_BYTES,
     .present = is_conventional},
    FERRY_BYTES(struct pci_function, config, .type_name = "pci config", .present = is_express),
    FERRY_U32_ARRAY(struct pci_function, irq_state, .max = 1, .type_name = "pci irq state"),
};

const struct ferry_table pci_function_table = {
    .name = "PCIDevice",
    .version = 2,
    .minimum_version = 1,
    FERRY_FIELDS(function_fields),
    .check = check_loaded,
    .post_load = loaded,
};
