/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/dev/pci/root_port.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>

#include "base/err.h"

/* Where its capabilities are, in the order in which they are made. */
enum { AT_SUBSYSTEM = 0x40, AT_MSIX = 0x48, AT_EXPRESS = 0x54, AT_AER = 0x100, AT_ACS = 0x148 };
enum { SUBSYSTEM_BYTES = 8, AER_BYTES = 0x48, ACS_BYTES = 8 };
#define MSIX_BAR    0
#define AER_LOG_MAX 8 /* errors that QEMU would keep */

struct pcie_root_port {
    struct dev dev;
    struct pci_bridge bridge;
    struct pcie_slot slot;
    char id[32];
    uint8_t chassis;
    uint16_t number;
    /* QEMU's list of errors, which is empty. */
    uint16_t aer_log_num, aer_log_max;
};

/* What a port says of itself: value, and what the guest may write or clear. */
static const struct {
    uint16_t offset;
    uint8_t bytes;
    uint32_t value, writable, clears;
} registers[] = {
    {AT_SUBSYSTEM + 4, 4, 0x00001b36, 0, 0},
    {AT_EXPRESS + PCIE_FLAGS, 2, PCIE_FLAGS_VERSION | PCIE_FLAGS_ROOT_PORT | PCIE_FLAGS_SLOT, 0, 0},
    {AT_EXPRESS + PCIE_DEVICE_CAP, 4, 0x00008020, 0, 0}, /* extended tags, role-based errors */
    {AT_EXPRESS + PCIE_DEVICE_CONTROL, 2, 0, 0x000f, 0},
    {AT_EXPRESS + PCIE_DEVICE_STATUS, 2, 0, 0, 0x000f},
    {AT_EXPRESS + PCIE_LINK_CAP, 4, 0x00300604, 0, 0}, /* 32 lanes, 16 GT/s */
    {AT_EXPRESS + PCIE_ROOT_CONTROL, 2, 0, 0x0007, 0},
    {AT_EXPRESS + PCIE_ROOT_STATUS, 4, 0, 0, 0x00010000},
    {AT_EXPRESS + PCIE_DEVICE_CAP_2, 4, 0x00300020, 0, 0}, /* alternative routing IDs, prefixes */
    {AT_EXPRESS + PCIE_DEVICE_CONTROL_2, 2, 0, 0x8020, 0},
    {AT_EXPRESS + PCIE_LINK_CAP_2, 4, 0x0000001e, 0, 0},
    {AT_EXPRESS + PCIE_LINK_CONTROL_2, 2, 0x0004, 0, 0},
    /* Errors that cannot be corrected: status, mask, severity; that can: status, mask. */
    {AT_AER + 0x04, 4, 0, 0, 0x03fff030},
    {AT_AER + 0x08, 4, 0x02400000, 0x03fff030, 0},
    {AT_AER + 0x0c, 4, 0x00462030, 0x03fff030, 0},
    {AT_AER + 0x10, 4, 0, 0, 0x0000f1c1},
    {AT_AER + 0x14, 4, 0x0000e000, 0x0000f1c1, 0},
    {AT_AER + 0x18, 4, 0x000002a0, 0x00000540, 0},
    {AT_AER + 0x2c, 4, 0, 0x00000007, 0}, /* root error command */
    {AT_AER + 0x30, 4, 0, 0, 0x0000007f}, /* ... and status */
    {AT_ACS + 0x04, 2, 0x005f, 0, 0},
    {AT_ACS + 0x06, 2, 0, 0x005f, 0},
};

static struct pcie_root_port *port_of(const struct pci_function *f)
{
    return (struct pcie_root_port *)((char *)(uintptr_t)f -
                                     offsetof(struct pcie_root_port, bridge));
}

static void port_wrote(struct pci_function *f, unsigned offset, unsigned size_bytes, uint32_t old)
{
    pcie_slot_wrote(&port_of(f)->slot, offset, size_bytes, old);
}

static void port_reset(struct pci_function *f)
{
    pcie_slot_reset(&port_of(f)->slot);
}

static const struct pci_function_ops port_ops = {.wrote = port_wrote, .reset = port_reset};

static int make_function(struct pcie_root_port *p, const struct pcie_root_port_params *params,
                         struct ferry_err *err)
{
    const struct pci_identity is = {
        .vendor = 0x1b36,
        .device = 0x000c,
        .class = 0x0604, /* bridge */
        .pin = 1,
        .multifunction = params->multifunction,
        .express = true,
    };
    struct pci_function *f = &p->bridge.function;
    int rc = pci_bridge_init(&p->bridge, p->id, &is, &port_ops, err);

    if (rc < 0)
        return rc;
    pci_add_capability(f, PCI_CAP_SUBSYSTEM, AT_SUBSYSTEM, SUBSYSTEM_BYTES);
    rc = pci_add_msix(f, 1, MSIX_BAR, AT_MSIX, err);
    if (rc < 0)
        return rc;
    pci_add_capability(f, PCI_CAP_EXPRESS, AT_EXPRESS, PCIE_CAP_BYTES);
    pci_add_extended_capability(f, PCI_EXTCAP_AER, 2, AT_AER, AER_BYTES);
    pci_add_extended_capability(f, PCI_EXTCAP_ACS, 1, AT_ACS, ACS_BYTES);
    for (size_t i = 0; i < sizeof(registers) / sizeof(registers[0]); i++) {
        pci_set(f, registers[i].offset, registers[i].bytes, registers[i].value);
        pci_allow(f, registers[i].offset, registers[i].bytes, registers[i].writable);
        pci_allow_clear(f, registers[i].offset, registers[i].bytes, registers[i].clears);
    }
    pci_set(f, AT_EXPRESS + PCIE_LINK_CAP + 3, 1, params->port);
    pcie_slot_init(&p->slot, &p->bridge, AT_EXPRESS, params->slot, params->hotplug);
    pci_function_seal(f);
    return 0;
}

/* Guests tell slots apart by these numbers. */
static int check_number(const struct pcie_root_port_params *params, struct ferry_err *err)
{
    for (unsigned i = 0; i < PCI_DEVFN_MAX; i++) {
        const struct pci_function *f = params->bus->functions[i];

        if (f && f->ops == &port_ops && port_of(f)->chassis == params->chassis &&
            port_of(f)->number == params->slot)
            return err_set(err, EBUSY,
                           "pcie-root-port '%s': slot %u of chassis %u is that of '%s' already; "
                           "give it another slot= or chassis=",
                           params->id, params->slot, params->chassis, f->name);
    }
    return 0;
}

int pcie_root_port_new(struct dev **ret, const struct dev_env *env,
                       const struct pcie_root_port_params *params, struct ferry_err *err)
{
    int devfn = params->devfn < 0 ? pci_bus_free_devfn(params->bus) : params->devfn;
    char idstr[PCI_PATH_BYTES];
    struct pcie_root_port *p;
    struct dev *d;
    int rc;

    if (params->bus->bridge)
        return err_set(err, EINVAL,
                       "pcie-root-port '%s': it can only be on a root bus, as pcie.0, not on '%s'",
                       params->id, params->bus->name);
    if (devfn < 0)
        return err_set(err, ENOSPC, "pcie-root-port '%s': bus '%s' has no device left", params->id,
                       params->bus->name);
    if (params->slot > PCIE_SLOT_NUMBER_MAX)
        return err_set(err, ERANGE, "pcie-root-port '%s': slot %u, the largest is %d", params->id,
                       params->slot, PCIE_SLOT_NUMBER_MAX);
    rc = check_number(params, err);
    if (rc < 0)
        return rc;
    pci_path(params->bus, (uint8_t)devfn, "pcie-root-port", idstr);
    rc = dev_new(&d, &pcie_root_port_type, env, (struct irq_line){0}, idstr, 0, err);
    if (rc < 0)
        return rc;
    p = (struct pcie_root_port *)d;
    snprintf(p->id, sizeof(p->id), "%s", params->id);
    p->chassis = params->chassis;
    p->number = params->slot;
    rc = make_function(p, params, err);
    if (!rc)
        rc = pci_bus_plug(params->bus, &p->bridge.function, (uint8_t)devfn, err);
    if (rc < 0) {
        dev_free(d);
        return rc;
    }
    *ret = d;
    return 0;
}

struct pcie_slot *pcie_root_port_slot(struct dev *d)
{
    return d->type == &pcie_root_port_type ? &((struct pcie_root_port *)d)->slot : NULL;
}

/* --- Its type -------------------------------------------------------------------------------- */

static int root_port_create(struct dev *d, struct ferry_err *err)
{
    ((struct pcie_root_port *)d)->aer_log_max = AER_LOG_MAX;
    return 0;
}

static void root_port_destroy(struct dev *d)
{
    struct pcie_root_port *p = (struct pcie_root_port *)d;

    pci_bus_unplug(&p->bridge.function);
    pci_bridge_destroy(&p->bridge);
}

static void root_port_reset(struct dev *d)
{
    struct pcie_root_port *p = (struct pcie_root_port *)d;

    if (!p->bridge.function.masks)
        return; /* as it is being made */
    pci_function_reset(&p->bridge.function);
    pcie_slot_reset(&p->slot);
}

static const struct ferry_field aer_fields[] = {
    FERRY_U16(struct pcie_root_port, aer_log_num),
    FERRY_SCALAR_(struct pcie_root_port, aer_log_max, FERRY_KIND_EQUAL, uint16_t,
                  .type_name = "uint16 equal"),
};

static int check_log(const void *scratch, struct ferry_err *err)
{
    const struct pcie_root_port *p = scratch;

    if (p->aer_log_num != 0)
        return err_set(err, EINVAL,
                       "the log of PCI Express errors has %u entries, nothing here reports any",
                       p->aer_log_num);
    return 0;
}

static const struct ferry_table aer_table = {
    .name = "PCIE_AER_ERROR_LOG",
    .version = 1,
    .minimum_version = 1,
    FERRY_FIELDS(aer_fields),
    .check = check_log,
};

static const struct ferry_field root_port_fields[] = {
    FERRY_STRUCT(struct pcie_root_port, bridge.function, &pci_function_table,
                 .wire_name = "parent_obj.parent_obj.parent_obj"),
    FERRY_SELF(struct pcie_root_port, "parent_obj.parent_obj.parent_obj.exp.aer_log", &aer_table),
    FERRY_STRUCT(struct pcie_root_port, bridge.function, &pci_msix_table,
                 .wire_name = "parent_obj.parent_obj.parent_obj.parent_obj"),
};

/* Whoever says that a slot is empty here, or not, speaks of another machine. */
static int check_slot(const void *scratch, struct ferry_err *err)
{
    const struct pcie_root_port *p = scratch;
    bool said = pci_get(&p->bridge.function, AT_EXPRESS + PCIE_SLOT_STATUS, 2) & SLOT_PRESENT;
    bool is = p->bridge.secondary.functions[0] != NULL;

    if (said != is)
        return err_set(
            err, EINVAL,
            "a device is in the slot of '%s' on %s side only: give both the same devices", p->id,
            said ? "the other" : "this");
    return 0;
}

static void root_port_loaded(void *obj)
{
    pcie_slot_loaded(&((struct pcie_root_port *)obj)->slot);
}

static const struct ferry_table root_port_table = {
    .name = "pcie-root-port",
    .version = 1,
    .minimum_version = 1,
    FERRY_FIELDS(root_port_fields),
    .check = check_slot,
    .post_load = root_port_loaded,
};

const struct dev_type pcie_root_port_type = {
    .name = "pcie-root-port",
    .size_bytes = sizeof(struct pcie_root_port),
    .create = root_port_create,
    .destroy = root_port_destroy,
    .reset = root_port_reset,
    .table = &root_port_table,
};
