/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/cpu/walk.h"

#include "vmm/cpu/pmp.h"

#define PTE_V        UINT64_C(0x01)
#define PTE_R        UINT64_C(0x02)
#define PTE_W        UINT64_C(0x04)
#define PTE_X        UINT64_C(0x08)
#define PTE_U        UINT64_C(0x10)
#define PTE_A        UINT64_C(0x40)
#define PTE_D        UINT64_C(0x80)
#define PTE_RESERVED (UINT64_C(0x3ff) << 54)
#define PTE_PPN(pte) ((pte) >> 10 & SATP_PPN)

#define LEVEL_BITS 9

static const uint8_t page_fault[] = {[ACCESS_READ] = CAUSE_LOAD_PAGE,
                                     [ACCESS_WRITE] = CAUSE_STORE_PAGE,
                                     [ACCESS_FETCH] = CAUSE_FETCH_PAGE};
static const uint8_t access_fault[] = {[ACCESS_READ] = CAUSE_LOAD_ACCESS,
                                       [ACCESS_WRITE] = CAUSE_STORE_ACCESS,
                                       [ACCESS_FETCH] = CAUSE_FETCH_ACCESS};

/* Host memory of a page table entry, if page tables may be there. */
static _Atomic uint64_t *pte_host(const struct hart *h, uint64_t pa, const struct guestmem_slot **s)
{
    *s = guestmem_find(h->mem, pa);
    if (!*s || pmp_check(h, pa, sizeof(uint64_t), ACCESS_READ, PRIV_S) != PMP_ALLOWED)
        return NULL;
    return (_Atomic uint64_t *)(void *)((*s)->host + (pa - (*s)->base_gpa));
}

static bool leaf_allows(const struct hart *h, uint64_t pte, enum access access, uint64_t priv)
{
    if (pte & PTE_U) {
        if (priv == PRIV_S && (access == ACCESS_FETCH || !(h->r.mstatus & MSTATUS_SUM)))
            return false;
    } else if (priv == PRIV_U) {
        return false;
    }
    switch (access) {
    case ACCESS_READ:
        return pte & PTE_R || (h->r.mstatus & MSTATUS_MXR && pte & PTE_X);
    case ACCESS_WRITE:
        return pte & PTE_W;
    default:
        return pte & PTE_X;
    }
}

/* Set A, and D for a store; false: another hart changed the entry meanwhile. */
static bool update_leaf(const struct guestmem_slot *s, uint64_t pa, _Atomic uint64_t *host,
                        uint64_t pte, uint64_t bits)
{
    if (!atomic_compare_exchange_strong(host, &pte, pte | bits))
        return false;
    ferry_ram_mark_dirty(s->region, (pa - s->base_gpa) / FERRY_PAGE_BYTES);
    return true;
}

int walk_page_table(struct hart *h, uint64_t va, enum access access, uint64_t priv,
                    struct walked *ret)
{
    unsigned levels = h->r.satp >> SATP_MODE_SHIFT == SATP_SV48 ? 4 : 3;
    unsigned va_bits = PAGE_BITS + LEVEL_BITS * levels;
    uint64_t bits = access == ACCESS_WRITE ? PTE_A | PTE_D : PTE_A;
    uint64_t table, pte, pa, in_page;
    const struct guestmem_slot *s;
    _Atomic uint64_t *host;
    unsigned level, shift;

    /* The upper bits all repeat the highest that is translated. */
    if ((uint64_t)((int64_t)(va << (64 - va_bits)) >> (64 - va_bits)) != va)
        return page_fault[access];
again:
    table = (h->r.satp & SATP_PPN) << PAGE_BITS;
    for (level = levels;; table = PTE_PPN(pte) << PAGE_BITS) {
        if (level-- == 0)
            return page_fault[access];
        shift = PAGE_BITS + LEVEL_BITS * level;
        pa = table + (va >> shift & ((1u << LEVEL_BITS) - 1)) * sizeof(pte);
        host = pte_host(h, pa, &s);
        if (!host)
            return access_fault[access];
        pte = atomic_load_explicit(host, memory_order_acquire);
        if (!(pte & PTE_V) || pte & PTE_RESERVED || (pte & (PTE_R | PTE_W)) == PTE_W)
            return page_fault[access];
        if (pte & (PTE_R | PTE_X))
            break;
        if (pte & (PTE_A | PTE_D | PTE_U))
            return page_fault[access];
    }
    in_page = va & ((UINT64_C(1) << shift) - 1);
    if (!leaf_allows(h, pte, access, priv))
        return page_fault[access];
    if ((PTE_PPN(pte) << PAGE_BITS) & ((UINT64_C(1) << shift) - 1))
        return page_fault[access];
    if ((pte & bits) != bits) {
        if (s->readonly || pmp_check(h, pa, sizeof(pte), ACCESS_WRITE, PRIV_S) != PMP_ALLOWED)
            return access_fault[access];
        if (!update_leaf(s, pa, host, pte, bits))
            goto again;
    }
    ret->pa = PTE_PPN(pte) << PAGE_BITS | in_page;
    ret->page_bits = shift;
    return 0;
}
