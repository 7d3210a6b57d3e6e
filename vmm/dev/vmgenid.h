/* SPDX-License-Identifier: Apache-2.0 */
/*
 * VM generation ID: 16 bytes that a guest compares to find out that time has forked, since what was
 * saved once can be started twice. Its random numbers would be the same in both. Microsoft's
 * specification (go.microsoft.com/fwlink/?LinkId=260709) with Linux's devicetree binding
 * (Documentation/devicetree/bindings/rng/microsoft,vmgenid.yaml; drivers since 6.10): the ID is at
 * the start of the region, and an interrupt says that it has changed. Lock held.
 */
#pragma once

#include <stdint.h>

#include "vmm/dev/dev.h"
#include "vmm/machine/device_kind.h"

#define VMGENID_BYTES 16

extern const struct dev_type vmgenid_type;
extern const struct device_kind vmgenid_kind;

struct config_vmgenid {
    struct config_device device; /* first */
    struct config_guid guid;
};

/* The one that a machine has; NULL: none. */
const struct config_vmgenid *vmgenid_of(const struct vm_config *c);

/* guid: as its text is written, most significant byte first. Devices of other types: nothing. */
void vmgenid_set(struct dev *d, const uint8_t guid[VMGENID_BYTES]);
/* The guest's past may be somebody else's, too: another ID, and the interrupt. */
void vmgenid_change(struct dev *d, const uint8_t guid[VMGENID_BYTES]);
/* False: d is another type's. */
bool vmgenid_get(const struct dev *d, uint8_t ret[VMGENID_BYTES]);
