/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/accel/riscv64/pmp.h"

#include <string.h>

enum { A_OFF = 0, A_TOR = 1, A_NA4 = 2, A_NAPOT = 3 };

static unsigned cfg_mode(uint8_t cfg)
{
    return (cfg & PMP_A) >> 3;
}

void pmp_allow_all(struct hart_pmp_entry entries[static PMP_ENTRIES])
{
    memset(entries, 0, PMP_ENTRIES * sizeof(entries[0]));
    entries[0] = (struct hart_pmp_entry){PMP_ADDR_MASK, PMP_A | PMP_X | PMP_W | PMP_R};
}

void pmp_update(struct hart *h)
{
    h->pmp_count = 0;
    for (unsigned i = 0; i < PMP_ENTRIES; i++) {
        const struct hart_pmp_entry *e = &h->r.pmp[i];
        struct pmp_rule rule = {.cfg = e->cfg_reg};
        uint64_t ones, below = i ? h->r.pmp[i - 1].addr_reg : 0;

        switch (cfg_mode(e->cfg_reg)) {
        case A_TOR:
            /* Empty if the bounds are the wrong way round. */
            if (below >= e->addr_reg)
                continue;
            rule.first = below << 2;
            rule.last = (e->addr_reg << 2) - 1;
            break;
        case A_NA4:
            rule.first = e->addr_reg << 2;
            rule.last = rule.first + 3;
            break;
        case A_NAPOT:
            /* The trailing ones and the zero above them are free. */
            ones = e->addr_reg ^ (e->addr_reg + 1);
            rule.first = (e->addr_reg & ~ones) << 2;
            rule.last = (e->addr_reg | ones) << 2 | 3;
            break;
        default:
            continue;
        }
        h->pmp_rules[h->pmp_count++] = rule;
    }
}

enum pmp_verdict pmp_check(const struct hart *h, uint64_t pa, uint64_t size_bytes,
                           enum access access, uint64_t priv)
{
    static const uint8_t wanted[] = {
        [ACCESS_READ] = PMP_R, [ACCESS_WRITE] = PMP_W, [ACCESS_FETCH] = PMP_X};
    uint64_t last = pa + size_bytes - 1;

    for (unsigned i = 0; i < h->pmp_count; i++) {
        const struct pmp_rule *rule = &h->pmp_rules[i];

        if (last < rule->first || pa > rule->last)
            continue;
        if (pa < rule->first || last > rule->last)
            return PMP_MIXED;
        if (priv == PRIV_M && !(rule->cfg & PMP_L))
            return PMP_ALLOWED;
        return rule->cfg & wanted[access] ? PMP_ALLOWED : PMP_DENIED;
    }
    return priv == PRIV_M ? PMP_ALLOWED : PMP_DENIED;
}

static bool is_locked(const struct hart *h, unsigned index)
{
    return h->r.pmp[index].cfg_reg & PMP_L;
}

void pmp_write_addr(struct hart *h, unsigned index, uint64_t value)
{
    /* The lower bound of a locked range is locked with it. */
    if (index + 1 < PMP_ENTRIES && is_locked(h, index + 1) &&
        cfg_mode(h->r.pmp[index + 1].cfg_reg) == A_TOR)
        return;
    if (is_locked(h, index))
        return;
    h->r.pmp[index].addr_reg = value & PMP_ADDR_MASK;
    pmp_update(h);
}

uint64_t pmp_read_cfg(const struct hart *h, unsigned first)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < 8; i++)
        value |= (uint64_t)h->r.pmp[first + i].cfg_reg << (8 * i);
    return value;
}

void pmp_write_cfg(struct hart *h, unsigned first, uint64_t value)
{
    for (unsigned i = 0; i < 8; i++) {
        uint8_t cfg = (uint8_t)(value >> (8 * i)) & PMP_CFG_WRITABLE;

        /* Writable but not readable is reserved. */
        if ((cfg & (PMP_R | PMP_W)) == PMP_W)
            cfg &= (uint8_t)~PMP_W;
        if (!is_locked(h, first + i))
            h->r.pmp[first + i].cfg_reg = cfg;
    }
    pmp_update(h);
}
