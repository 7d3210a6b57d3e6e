/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A PCI function: a configuration space in which masks say what the guest may change, BARs behind
 * which are registers on the buses of its domain (bus.h), an interrupt pin, and MSI-X (msix.h).
 *
 * It is a member of the device that it shows, which makes it in this order:
 *
 *     pci_function_init      what it is; then capabilities, BARs, MSI-X
 *     pci_function_seal      what it is now is what a reset leads back to
 *     pci_bus_plug           (bus.h) the guest sees it
 *     ...
 *     pci_bus_unplug         it does not any more; nobody is in a handler of it
 *     pci_function_destroy
 *
 * and saves it with pci_function_table (and pci_msix_table) as a member of its own table, which
 * are QEMU's bytes. The machine lock is held from the moment that the guest may see it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <ferry/err.h>
#include <ferry/state.h>

#include "vmm/dev/pci/msix.h"
#include "vmm/dev/pci/regs.h"
#include "vmm/machine/bus.h"

#define PCI_CONFIG_BYTES  256u
#define PCI_EXPRESS_BYTES 4096u
#define PCI_BARS          6
#define PCI_PINS          4

struct pci_bus;
struct pci_function;

/* Every member may be NULL. */
struct pci_function_ops {
    /* The guest is about to read these bytes of the configuration space, which are brought up to
     * date here: for registers behind which something happens. */
    void (*reads)(struct pci_function *f, unsigned offset, unsigned size_bytes);
    /* It has written them: what its masks let through is in f->config already. old: the up to 4
     * bytes that were there, as a number. */
    void (*wrote)(struct pci_function *f, unsigned offset, unsigned size_bytes, uint32_t old);
    /* A reset of the bus it is on (a machine's reset reaches devices otherwise). The function
     * itself has been reset. */
    void (*reset)(struct pci_function *f);
};

/* What does not change once it is sealed. */
struct pci_masks {
    uint8_t writable[PCI_EXPRESS_BYTES]; /* bits that take what is written */
    uint8_t clears[PCI_EXPRESS_BYTES];   /* bits that a written 1 clears */
    uint8_t differs[PCI_EXPRESS_BYTES];  /* bits that the device changes itself */
    uint8_t initial[PCI_EXPRESS_BYTES];
};

enum pci_space { PCI_SPACE_MEMORY, PCI_SPACE_IO };

struct pci_bar {
    enum pci_space space;
    bool is_64, prefetch;
    bool waits; /* enabled, but what is at its address does not leave room */
    struct bus_region region;
    bool mapped; /* region is on a bus */
};

struct pci_function {
    /* Saved (state.c). */
    uint32_t version_id;
    uint8_t config[PCI_EXPRESS_BYTES];
    uint32_t irq_state[PCI_PINS]; /* what the device makes of its pin; others are 0 */
    struct pci_msix msix;

    const char *name; /* a loan: what errors and regions are called */
    const struct pci_function_ops *ops;
    bool express;              /* 4096 bytes of configuration space, not 256 */
    bool asserted;             /* its pin counts in its bus's lines */
    bool dark;                 /* without power: neither registers nor interrupts */
    uint8_t devfn;             /* device * 8 + function */
    unsigned list_end;         /* behind the capabilities; 0: none */
    unsigned extended_last;    /* the last of the extended ones; 0: none */
    struct pci_masks *masks;   /* owned */
    struct pci_bus *bus;       /* NULL: not plugged */
    struct pci_bridge *bridge; /* NULL: it is none */
    struct pci_bar bars[PCI_BARS];
};

/* What a function says it is. */
struct pci_identity {
    uint16_t vendor, device;
    uint16_t subsystem_vendor, subsystem; /* of a type 0 header; 0: none */
    uint16_t class;                       /* base class in the high byte */
    uint8_t prog, revision;
    uint8_t pin; /* 1 to 4: INTA to INTD; 0: none */
    bool multifunction;
    bool express;
};

int pci_function_init(struct pci_function *f, const char *name, const struct pci_identity *is,
                      const struct pci_function_ops *ops, struct ferry_err *err) FERRY_MUST_CHECK;
/* Fine if it was never made (zeros). It is on no bus. */
void pci_function_destroy(struct pci_function *f);
void pci_function_seal(struct pci_function *f);
/* As it was sealed: BARs nowhere, interrupts low and disabled. */
void pci_function_reset(struct pci_function *f);

/* --- Making it ------------------------------------------------------------------------------- */

/*
 * A capability of size_bytes, its two bytes of header included, read-only and zeros until the next
 * functions change that. Returns its offset; at: where it shall be, 0: behind what there is.
 * Capabilities are read by the guest in the reverse of this order, as from QEMU. Asserts that there
 * is room: this is a device's own doing.
 */
unsigned pci_add_capability(struct pci_function *f, uint8_t id, unsigned at, unsigned size_bytes);
/* PCI Express, at 0x100 and above, in this order. */
unsigned pci_add_extended_capability(struct pci_function *f, uint16_t id, uint8_t version,
                                     unsigned at, unsigned size_bytes);
/* Bytes of the configuration space as numbers. size_bytes is 1, 2 or 4. */
uint32_t pci_get(const struct pci_function *f, unsigned offset, unsigned size_bytes);
void pci_set(struct pci_function *f, unsigned offset, unsigned size_bytes, uint32_t value);
/* These bits take what the guest writes; these are cleared by a written 1. */
void pci_allow(struct pci_function *f, unsigned offset, unsigned size_bytes, uint32_t mask);
void pci_allow_clear(struct pci_function *f, unsigned offset, unsigned size_bytes, uint32_t mask);
/* Bits that no guest writes, and that a state which arrives may have otherwise all the same: the
 * device changes them itself. */
void pci_let_differ(struct pci_function *f, unsigned offset, unsigned size_bytes, uint32_t mask);

/* What a BAR is to its device. */
struct pci_bar_spec {
    enum pci_space space;
    bool is_64, prefetch;  /* of memory */
    uint64_t size_bytes;   /* a power of two, 16 or more (4 for I/O) */
    unsigned access_sizes; /* as of struct bus_region */
    const struct bus_ops *ops;
    void *dev;
};
/* index 0 to 5; one that is_64 takes the next one, too. */
void pci_add_bar(struct pci_function *f, unsigned index, const struct pci_bar_spec *spec);

/* --- In use ---------------------------------------------------------------------------------- */

/* As the guest accesses it: size_bytes is 1, 2 or 4, the offset aligned to it and in the space. */
uint32_t pci_config_read(struct pci_function *f, unsigned offset, unsigned size_bytes);
void pci_config_write(struct pci_function *f, unsigned offset, unsigned size_bytes, uint32_t value);
/* What a register at `at` was before a write of which pci_function_ops.wrote told. */
uint32_t pci_before(const struct pci_function *f, unsigned at, unsigned bytes, unsigned offset,
                    unsigned size_bytes, uint32_t old);
bool pci_touches(unsigned offset, unsigned size_bytes, unsigned at, unsigned bytes);
/* The level of its pin; its bus's lines follow, unless the command register forbids it. */
void pci_set_irq(struct pci_function *f, bool level);
/* May it reach memory, and send messages? */
bool pci_is_master(const struct pci_function *f);
/* Where a BAR's registers are (an address of its space), or false: nowhere. */
bool pci_bar_address(const struct pci_function *f, unsigned index, uint64_t *ret);
/* Configuration space changed by other means than pci_config_write(): a load, power, a bridge. */
void pci_function_changed(struct pci_function *f);

/*
 * QEMU's PCIDevice, version 2. After a load it maps BARs and pulls lines as the state says.
 * Refuses another device, and a capability that is not as it was made here.
 */
extern const struct ferry_table pci_function_table;
