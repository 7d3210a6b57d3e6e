/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/accel/riscv64/walk.h"

#include "vmm/accel/riscv64/pmp.h"

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

struct leaf {
    uint64_t pte, pa; /* the entry, and where it lies */
    const struct guestmem_slot *slot;
    _Atomic uint64_t *host;
    unsigned shift;
};

/* 0, or the exception code. */
static inline int find_leaf(const struct hart *h, uint64_t va, enum access access, struct leaf *l)
{
    unsigned levels = h->r.satp >> SATP_MODE_SHIFT == SATP_SV48 ? 4 : 3;
    unsigned va_bits = PAGE_BITS + LEVEL_BITS * levels;
    uint64_t table = (h->r.satp & SATP_PPN) << PAGE_BITS;

    /* The upper bits all repeat the highest that is translated. */
    if ((uint64_t)((int64_t)(va << (64 - va_bits)) >> (64 - va_bits)) != va)
        return page_fault[access];
    for (unsigned level = levels;; table = PTE_PPN(l->pte) << PAGE_BITS) {
        if (level-- == 0)
            return page_fault[access];
        l->shift = PAGE_BITS + LEVEL_BITS * level;
        l->pa = table + (va >> l->shift & ((1u << LEVEL_BITS) - 1)) * sizeof(l->pte);
        l->host = pte_host(h, l->pa, &l->slot);
        if (!l->host)
            return access_fault[access];
        l->pte = atomic_load_explicit(l->host, memory_order_acquire);
        if (!(l->pte & PTE_V) || l->pte & PTE_RESERVED || (l->pte & (PTE_R | PTE_W)) == PTE_W)
            return page_fault[access];
        if (l->pte & (PTE_R | PTE_X))
            return 0;
        if (l->pte & (PTE_A | PTE_D | PTE_U))
            return page_fault[access];
    }
}

static inline bool leaf_is_aligned(const struct leaf *l)
{
    return !((PTE_PPN(l->pte) << PAGE_BITS) & ((UINT64_C(1) << l->shift) - 1));
}

static inline void leaf_place(const struct leaf *l, uint64_t va, struct walked *ret)
{
    ret->pa = PTE_PPN(l->pte) << PAGE_BITS | (va & ((UINT64_C(1) << l->shift) - 1));
    ret->page_bits = l->shift;
}

int walk_page_table(struct hart *h, uint64_t va, enum access access, uint64_t priv,
                    struct walked *ret)
{
    uint64_t bits = access == ACCESS_WRITE ? PTE_A | PTE_D : PTE_A;
    struct leaf l;
    int cause;

    do {
        cause = find_leaf(h, va, access, &l);
        if (cause)
            return cause;
        if (!leaf_allows(h, l.pte, access, priv) || !leaf_is_aligned(&l))
            return page_fault[access];
        if ((l.pte & bits) == bits)
            break;
        if (l.slot->readonly ||
            pmp_check(h, l.pa, sizeof(l.pte), ACCESS_WRITE, PRIV_S) != PMP_ALLOWED)
            return access_fault[access];
    } while (!update_leaf(l.slot, l.pa, l.host, l.pte, bits));
    leaf_place(&l, va, ret);
    return 0;
}

int walk_look(const struct hart *h, uint64_t va, struct walked *ret)
{
    struct leaf l;
    int cause = find_leaf(h, va, ACCESS_READ, &l);

    if (cause || !leaf_is_aligned(&l))
        return cause ? cause : page_fault[ACCESS_READ];
    leaf_place(&l, va, ret);
    return 0;
}
