/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PCI buses. A *domain* is what hangs on one host bridge: its root bus, two address spaces in which
 * BARs are (a struct bus each), four interrupt lines, and where messages go. Machine lock held once
 * harts run.
 *
 * The tree is made by the host (bridges are plugged into buses); the guest only numbers it. A bus
 * is looked for from the root down, by the numbers in bridges, so whatever the guest writes there,
 * a search ends.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ferry/err.h>
#include <ferry/state.h>

#include "vmm/dev/pci/function.h"
#include "vmm/machine/bus.h"
#include "vmm/machine/irq.h"
#include "vmm/machine/lock.h"
#include "vmm/machine/msi.h"

#define PCI_DEVFN_MAX  256
/* "0000:00:01.0:00.0", and then "/virtio-blk" */
#define PCI_PATH_BYTES 64

struct pci_bus {
    struct pci_domain *domain;
    struct pci_bridge *bridge; /* whose secondary bus it is; NULL: the root bus */
    char name[32];             /* "pcie.0", or the id of the bridge: for errors */
    bool one_device;           /* a link of PCI Express: there is only device 0 */
    size_t function_count;
    struct pci_function *functions[PCI_DEVFN_MAX]; /* loans */
};

struct pci_domain {
    struct bus memory, io;
    struct irq_line lines[PCI_PINS];
    uint32_t line_counts[PCI_PINS]; /* functions that pull */
    struct msi_sink msi;
    struct pci_bus root;
    unsigned waiting; /* BARs that wait for room */
};

/* A bridge: its function has a type 1 header. */
struct pci_bridge {
    struct pci_function function; /* first */
    struct pci_bus secondary;
};

void pci_domain_init(struct pci_domain *d, const char *name, struct machine_lock *lock);

/*
 * A bridge's function, as pci_function_init() with a type 1 header and its registers; the name is
 * its secondary bus's, too.
 */
int pci_bridge_init(struct pci_bridge *b, const char *name, const struct pci_identity *is,
                    const struct pci_function_ops *ops, struct ferry_err *err) FERRY_MUST_CHECK;
/* It is on no bus, and nothing is on its own. */
void pci_bridge_destroy(struct pci_bridge *b);

/*
 * The guest sees it from now on; a loan. Refuses a place that is taken, or does not exist on this
 * bus, and more functions of a device whose function 0 says that it is the only one.
 */
int pci_bus_plug(struct pci_bus *bus, struct pci_function *f, uint8_t devfn,
                 struct ferry_err *err) FERRY_MUST_CHECK;
/* It is nowhere any more, and no handler of it runs. Fine if it is not plugged. */
void pci_bus_unplug(struct pci_function *f);
/* The lowest free device (function 0), or -ENOSPC. Device 0 of the root bus is the host bridge. */
int pci_bus_free_devfn(const struct pci_bus *bus);
/* "0000:00:01.0:00.0/name": what QEMU calls a function's section, by how it is reached. */
void pci_path(const struct pci_bus *bus, uint8_t devfn, const char *name, char ret[PCI_PATH_BYTES]);
/* What is behind it now has, or has no power. */
void pci_bus_set_power(struct pci_bus *bus, bool on);
/* What is behind it is reset, as by a bridge's control register. */
void pci_bus_reset(struct pci_bus *bus);

/* The function at a number that the guest gave to its bus, or NULL. */
struct pci_function *pci_find(struct pci_domain *d, uint8_t bus_number, uint8_t devfn);
/* The number of a bus, as the guest last said. */
uint8_t pci_bus_number(const struct pci_bus *bus);
/*
 * A configuration access, size_bytes 1, 2, 4 or 8, aligned. What is not there reads as all ones. A
 * register behind the 256 bytes of a function that has no more does not exist either.
 */
uint64_t pci_domain_read(struct pci_domain *d, uint8_t bus_number, uint8_t devfn, unsigned offset,
                         unsigned size_bytes);
void pci_domain_write(struct pci_domain *d, uint8_t bus_number, uint8_t devfn, unsigned offset,
                      unsigned size_bytes, uint64_t value);
