/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MSI-X of a function: a capability, and in a BAR a table (per vector address, data and a mask bit)
 * and the pending bits of vectors that were masked when they should have been sent. PCI 3.0, 6.8.2.
 * Machine lock held.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <ferry/err.h>
#include <ferry/state.h>

struct pci_function;

/* What fits into a page with its pending bits would be 128; the specification has 2048. */
#define PCI_MSIX_VECTORS_MAX 256u

struct pci_msix {
    uint32_t vectors; /* 0: the function has no MSI-X */
    unsigned cap;     /* offset of the capability */
    uint8_t table[PCI_MSIX_VECTORS_MAX * 16];
    uint8_t pending[PCI_MSIX_VECTORS_MAX / 8];
    uint32_t pending_at; /* in the BAR; the table is at 0 */
    uint32_t bar_bytes;
};

/*
 * Before the function is sealed: a capability, and a memory BAR of its own (32 bits) which holds
 * table and pending bits where QEMU has them: pending bits in the second half of 4 KiB, or behind a
 * table that needs more.
 */
int pci_add_msix(struct pci_function *f, uint32_t vectors, unsigned bar, unsigned cap_at,
                 struct ferry_err *err) FERRY_MUST_CHECK;
/* The guest has turned it on: then its pin is not used. */
bool pci_msix_enabled(const struct pci_function *f);
/* Send, or keep pending while it is masked. Nothing if MSI-X is off or there is no such vector. */
void pci_msix_notify(struct pci_function *f, uint32_t vector);
/* A device's own reset: the vector is asked for no more. */
void pci_msix_forget(struct pci_function *f, uint32_t vector);
/* For bus.h and function.h: the capability's control word was written, or reset. */
void pci_msix_control_changed(struct pci_function *f);
void pci_msix_reset(struct pci_function *f);

/*
 * Of struct pci_function, right behind pci_function_table: QEMU's "msix", the table's bytes and the
 * pending bits of as many vectors as there are; nothing if there is no MSI-X.
 */
extern const struct ferry_table pci_msix_table;
