/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A domain with a bridge at 00:01.0, a toy behind it (device 0) and another one at 00:02.0. A toy
 * has 4 KiB of memory (BAR 0), 64 KiB of 64-bit memory (BAR 2), 32 ports (BAR 4), and MSI-X with
 * three vectors (BAR 1); a register reads as the toy's tag with the offset in its low byte.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "vmm/dev/pci/bus.h"

enum {
    RIG_BRIDGE = 0x08,
    RIG_TOY = 0x10, /* devfn on the root bus */
    RIG_BEHIND = 1, /* the number that rig_open_bridge() gives to the bus behind the bridge */
    RIG_MESSAGES = 16,
};

struct toy {
    struct pci_function function; /* first */
    uint32_t tag;
    uint64_t written; /* last */
    int resets;
};

struct pci_rig {
    struct machine_lock lock;
    struct pci_domain domain;
    struct pci_bridge bridge;
    struct toy behind, toy;
    bool level[PCI_PINS];
    struct msi_message messages[RIG_MESSAGES];
    unsigned message_count;
};

struct pci_rig *pci_rig_new(void);
void pci_rig_free(struct pci_rig *r);
void toy_init(struct toy *t, const char *name, uint32_t tag);

/* As a guest: addresses are of the bus 0, or the one behind the bridge. */
uint32_t rig_config(struct pci_rig *r, unsigned bus, unsigned devfn, unsigned offset,
                    unsigned size_bytes);
void rig_set_config(struct pci_rig *r, unsigned bus, unsigned devfn, unsigned offset,
                    unsigned size_bytes, uint32_t value);
/* What is at an address, or all ones. */
uint32_t rig_memory(struct pci_rig *r, uint64_t address);
uint32_t rig_port(struct pci_rig *r, uint64_t port);
/* Bus 1 behind it, memory from 0x40000000 and ports from 0x1000, one megabyte and 4 KiB; prefetched
 * memory from 0x400000000; all enabled. */
void rig_open_bridge(struct pci_rig *r);
/* Everything on, and MSI-X, whose vectors have address 0x1000 + 16 * vector and data 7 + vector. */
void rig_enable_msix(struct pci_rig *r, unsigned bus, unsigned devfn, uint32_t bar);
