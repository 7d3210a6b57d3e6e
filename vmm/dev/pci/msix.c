/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/dev/pci/msix.h"

#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "vmm/dev/pci/bus.h"
#include "vmm/dev/pci/function.h"

#define BAR_BYTES_MIN 4096u

/* --- Table ----------------------------------------------------------------------------------- */

static uint32_t entry_get(const struct pci_msix *m, uint32_t vector, unsigned at)
{
    const uint8_t *p = m->table + vector * MSIX_ENTRY_BYTES + at;

    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static bool is_pending(const struct pci_msix *m, uint32_t vector)
{
    return m->pending[vector / 8] >> (vector % 8) & 1;
}

static void set_pending(struct pci_msix *m, uint32_t vector, bool pending)
{
    uint8_t bit = (uint8_t)(1u << (vector % 8));

    if (pending)
        m->pending[vector / 8] |= bit;
    else
        m->pending[vector / 8] &= (uint8_t)~bit;
}

static uint32_t control_of(const struct pci_function *f)
{
    return pci_get(f, f->msix.cap + MSIX_CONTROL, 2);
}

static bool is_masked(const struct pci_function *f, uint32_t vector)
{
    return control_of(f) & MSIX_CONTROL_MASK_ALL ||
           entry_get(&f->msix, vector, MSIX_ENTRY_CONTROL) & MSIX_ENTRY_MASKED;
}

bool pci_msix_enabled(const struct pci_function *f)
{
    return f->msix.vectors && control_of(f) & MSIX_CONTROL_ENABLE;
}

void pci_msix_notify(struct pci_function *f, uint32_t vector)
{
    struct pci_msix *m = &f->msix;
    struct msi_message message;

    if (!pci_msix_enabled(f) || vector >= m->vectors)
        return;
    if (is_masked(f, vector)) {
        set_pending(m, vector, true);
        return;
    }
    set_pending(m, vector, false);
    /* A message is a store into memory, which only a master may make. */
    if (!pci_is_master(f))
        return;
    message.address = entry_get(m, vector, 0) | (uint64_t)entry_get(m, vector, 4) << 32;
    message.data = entry_get(m, vector, MSIX_ENTRY_DATA);
    msi_send(&f->bus->domain->msi, message);
}

void pci_msix_forget(struct pci_function *f, uint32_t vector)
{
    if (vector < f->msix.vectors)
        set_pending(&f->msix, vector, false);
}

/* What was masked when it should have been sent, and is not masked now. */
static void send_pending(struct pci_function *f, uint32_t vector)
{
    if (is_pending(&f->msix, vector) && pci_msix_enabled(f) && !is_masked(f, vector))
        pci_msix_notify(f, vector);
}

void pci_msix_control_changed(struct pci_function *f)
{
    /* Whose interrupts are messages does not pull its pin. */
    if (pci_msix_enabled(f))
        pci_set_irq(f, false);
    for (uint32_t vector = 0; vector < f->msix.vectors; vector++)
        send_pending(f, vector);
}

void pci_msix_reset(struct pci_function *f)
{
    memset(f->msix.table, 0, sizeof(f->msix.table));
    memset(f->msix.pending, 0, sizeof(f->msix.pending));
    for (uint32_t vector = 0; vector < f->msix.vectors; vector++)
        f->msix.table[vector * MSIX_ENTRY_BYTES + MSIX_ENTRY_CONTROL] = MSIX_ENTRY_MASKED;
}

/* --- Its BAR --------------------------------------------------------------------------------- */

static int msix_read(void *dev, uint64_t offset, unsigned size_bytes, uint64_t *ret)
{
    const struct pci_function *f = dev;
    const struct pci_msix *m = &f->msix;

    *ret = 0;
    for (unsigned i = 0; i < size_bytes; i++) {
        uint64_t at = offset + i;
        uint8_t byte = 0;

        if (at < m->vectors * MSIX_ENTRY_BYTES)
            byte = m->table[at];
        else if (at >= m->pending_at && at - m->pending_at < (m->vectors + 7) / 8)
            byte = m->pending[at - m->pending_at];
        *ret |= (uint64_t)byte << (8 * i);
    }
    return 0;
}

/* Of at most 8 aligned bytes, which are one vector's; nobody writes pending bits. */
static int msix_write(void *dev, uint64_t offset, unsigned size_bytes, uint64_t value)
{
    struct pci_function *f = dev;
    struct pci_msix *m = &f->msix;

    if (offset >= m->vectors * MSIX_ENTRY_BYTES)
        return 0;
    for (unsigned i = 0; i < size_bytes; i++)
        m->table[offset + i] = (uint8_t)(value >> (8 * i));
    send_pending(f, (uint32_t)(offset / MSIX_ENTRY_BYTES));
    return 0;
}

static const struct bus_ops msix_ops = {.read = msix_read, .write = msix_write};

int pci_add_msix(struct pci_function *f, uint32_t vectors, unsigned bar, unsigned cap_at,
                 struct ferry_err *err)
{
    struct pci_msix *m = &f->msix;
    uint32_t bytes = BAR_BYTES_MIN, end;

    if (vectors == 0 || vectors > PCI_MSIX_VECTORS_MAX)
        return err_set(err, EINVAL, "%s: %u vectors for MSI-X, it can have 1 to %u", f->name,
                       vectors, PCI_MSIX_VECTORS_MAX);
    m->vectors = vectors;
    m->pending_at = BAR_BYTES_MIN / 2;
    if (vectors * MSIX_ENTRY_BYTES > m->pending_at)
        m->pending_at = vectors * MSIX_ENTRY_BYTES;
    end = m->pending_at + (vectors + 63) / 64 * 8;
    while (bytes < end)
        bytes *= 2;
    m->bar_bytes = bytes;
    m->cap = pci_add_capability(f, PCI_CAP_MSIX, cap_at, MSIX_CAP_BYTES);
    pci_set(f, m->cap + MSIX_CONTROL, 2, vectors - 1);
    pci_allow(f, m->cap + MSIX_CONTROL, 2, MSIX_CONTROL_ENABLE | MSIX_CONTROL_MASK_ALL);
    pci_set(f, m->cap + MSIX_TABLE, 4, bar);
    pci_set(f, m->cap + MSIX_PBA, 4, m->pending_at | bar);
    pci_add_bar(f, bar,
                &(struct pci_bar_spec){.space = PCI_SPACE_MEMORY,
                                       .size_bytes = bytes,
                                       .access_sizes = 1 | 2 | 4 | 8,
                                       .ops = &msix_ops,
                                       .dev = f});
    pci_msix_reset(f);
    return 0;
}

/* --- Saved state ----------------------------------------------------------------------------- */

static void save_table(const void *obj, const void *member, struct ferry_out *out)
{
    const struct pci_msix *m = member;

    ferry_out_put(out, m->table, m->vectors * MSIX_ENTRY_BYTES);
    ferry_out_put(out, m->pending, (m->vectors + 7) / 8);
}

static int load_table(const void *scratch, void *member, struct ferry_in *in, struct ferry_err *err)
{
    struct pci_msix *m = member;
    const uint8_t *table = ferry_in_take(in, m->vectors * MSIX_ENTRY_BYTES), *pending;

    if (!table)
        return -EINVAL;
    memcpy(m->table, table, m->vectors * MSIX_ENTRY_BYTES);
    pending = ferry_in_take(in, (m->vectors + 7) / 8);
    if (!pending)
        return -EINVAL;
    memcpy(m->pending, pending, (m->vectors + 7) / 8);
    return 0;
}

static const struct ferry_custom msix_state = {.save = save_table, .load = load_table};

static const struct ferry_field msix_fields[] = {
    FERRY_CUSTOM(struct pci_function, msix, &msix_state, .type_name = "msix state"),
};

const struct ferry_table pci_msix_table = {.name = "msix", FERRY_FIELDS(msix_fields)};
