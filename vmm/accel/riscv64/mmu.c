/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/accel/riscv64/mmu.h"

#include <errno.h>
#include <string.h>

#include "vmm/accel/riscv64/block.h"
#include "vmm/accel/riscv64/pmp.h"
#include "vmm/accel/riscv64/walk.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "the guest's memory is accessed in the host's byte order");

/* --- Translation ----------------------------------------------------------------------------- */

/* Where an access goes: host memory, or else a device's register. */
struct place {
    uint64_t pa;
    uint8_t *host; /* NULL: not RAM or ROM */
    const struct guestmem_slot *slot;
    bool page; /* the whole page may be accessed like this */
};

static int fault(struct hart *h, uint64_t cause, uint64_t va)
{
    h->trap = (struct trap){.cause = cause, .tval = va};
    return -1;
}

static uint64_t access_fault(enum access access)
{
    static const uint8_t causes[] = {[ACCESS_READ] = CAUSE_LOAD_ACCESS,
                                     [ACCESS_WRITE] = CAUSE_STORE_ACCESS,
                                     [ACCESS_FETCH] = CAUSE_FETCH_ACCESS};

    return causes[access];
}

/* The privilege that counts for an access: MPRV lends M-mode's loads and stores another. */
static uint64_t access_priv(const struct hart *h, enum access access)
{
    if (access != ACCESS_FETCH && h->r.mstatus & MSTATUS_MPRV && h->r.priv == PRIV_M)
        return (h->r.mstatus & MSTATUS_MPP) >> MSTATUS_MPP_S;
    return h->r.priv;
}

/* Grow the set of addresses whose superpages may be in the TLBs. */
static void note_large_page(struct hart *h, uint64_t va, unsigned page_bits)
{
    struct large_pages *large = &h->large[va >> 63];
    uint64_t mask = ~UINT64_C(0) << page_bits;

    if (large->mask) {
        mask &= large->mask;
        while ((large->base ^ va) & mask)
            mask <<= 1;
    }
    large->mask = mask;
    large->base = va & mask;
}

/* [va, va + size_bytes) lies in one page. */
static int place_find(struct hart *h, uint64_t va, unsigned size_bytes, enum access access,
                      struct place *ret)
{
    uint64_t priv = access_priv(h, access), pa = va;
    enum pmp_verdict verdict;

    if (priv != PRIV_M && h->r.satp >> SATP_MODE_SHIFT != 0) {
        struct walked walked;
        int cause = walk_page_table(h, va, access, priv, &walked);

        if (cause)
            return fault(h, (uint64_t)cause, va);
        if (walked.page_bits > PAGE_BITS)
            note_large_page(h, va, walked.page_bits);
        pa = walked.pa;
    }
    verdict = pmp_check(h, pa & ~(PAGE_BYTES - 1), PAGE_BYTES, access, priv);
    ret->page = verdict == PMP_ALLOWED;
    if (verdict == PMP_MIXED)
        verdict = pmp_check(h, pa, size_bytes, access, priv);
    if (verdict != PMP_ALLOWED)
        return fault(h, access_fault(access), va);
    ret->pa = pa;
    ret->slot = guestmem_find(h->mem, pa);
    ret->host = ret->slot ? ret->slot->host + (pa - ret->slot->base_gpa) : NULL;
    return 0;
}

static void mark_dirty(const struct place *p)
{
    ferry_ram_mark_dirty(p->slot->region, (p->pa - p->slot->base_gpa) / FERRY_PAGE_BYTES);
}

static void fill(struct hart *h, struct tlb_entry *e, uint64_t va, const struct place *p)
{
    uint64_t page = va & ~(PAGE_BYTES - 1);

    h->filled = true;
    *e = (struct tlb_entry){.tag = page, .addend = (uint64_t)(uintptr_t)p->host - va};
}

/* Translate for data, and remember it in the TLB if that is right for the whole page. */
static int data_place(struct hart *h, uint64_t va, unsigned size_bytes, enum access access,
                      struct place *ret)
{
    struct tlb *tlb = &h->tlbs[h->tlb_mode];

    if (place_find(h, va, size_bytes, access, ret))
        return -1;
    if (!ret->host)
        return 0;
    if (access == ACCESS_WRITE) {
        if (ret->slot->readonly)
            return 0;
        /* Before the permission to store without asking. */
        mark_dirty(ret);
        if (ret->page)
            fill(h, &tlb->write[tlb_index(va)], va, ret);
    } else if (ret->page) {
        fill(h, &tlb->read[tlb_index(va)], va, ret);
    }
    return 0;
}

/* --- Loads and stores ------------------------------------------------------------------------ */

/* How many bytes of an access lie in its first page. */
static unsigned first_part(uint64_t va, unsigned size_bytes)
{
    uint64_t room = PAGE_BYTES - PAGE_OFFSET(va);

    return room < size_bytes ? (unsigned)room : size_bytes;
}

static int load_device(struct hart *h, uint64_t va, unsigned size_bytes, const struct place *p)
{
    if (p->pa % size_bytes != 0 || bus_read(h->bus, p->pa, size_bytes, &h->value))
        return fault(h, CAUSE_LOAD_ACCESS, va);
    return 0;
}

/* Memory that other harts store to meanwhile is read once and whole where the guest may expect it.
 */
static uint64_t load_host(const uint8_t *host, unsigned size_bytes)
{
    uint64_t value = 0;

    if ((uintptr_t)host % size_bytes == 0) {
        switch (size_bytes) {
        case 2:
            return __atomic_load_n((const uint16_t *)(const void *)host, __ATOMIC_RELAXED);
        case 4:
            return __atomic_load_n((const uint32_t *)(const void *)host, __ATOMIC_RELAXED);
        case 8:
            return __atomic_load_n((const uint64_t *)(const void *)host, __ATOMIC_RELAXED);
        default:
            break;
        }
    }
    memcpy(&value, host, size_bytes);
    return value;
}

static void store_host(uint8_t *host, unsigned size_bytes, uint64_t value)
{
    if ((uintptr_t)host % size_bytes == 0) {
        switch (size_bytes) {
        case 2:
            __atomic_store_n((uint16_t *)(void *)host, (uint16_t)value, __ATOMIC_RELAXED);
            return;
        case 4:
            __atomic_store_n((uint32_t *)(void *)host, (uint32_t)value, __ATOMIC_RELAXED);
            return;
        case 8:
            __atomic_store_n((uint64_t *)(void *)host, value, __ATOMIC_RELAXED);
            return;
        default:
            break;
        }
    }
    memcpy(host, &value, size_bytes);
}

/* Across a page end: both parts are allowed before either is done. */
static int load_across(struct hart *h, uint64_t va, unsigned size_bytes)
{
    unsigned first = first_part(va, size_bytes);
    struct place low, high;

    if (data_place(h, va, first, ACCESS_READ, &low) ||
        data_place(h, va + first, size_bytes - first, ACCESS_READ, &high))
        return -1;
    if (!low.host)
        return fault(h, CAUSE_LOAD_ACCESS, va);
    if (!high.host)
        return fault(h, CAUSE_LOAD_ACCESS, va + first);
    h->value = load_host(low.host, first) | load_host(high.host, size_bytes - first) << (8 * first);
    return 0;
}

int mmu_load(struct hart *h, uint64_t va, unsigned size_bytes)
{
    struct place p;

    if (first_part(va, size_bytes) != size_bytes)
        return load_across(h, va, size_bytes);
    if (data_place(h, va, size_bytes, ACCESS_READ, &p))
        return -1;
    if (!p.host)
        return load_device(h, va, size_bytes, &p);
    h->value = load_host(p.host, size_bytes);
    return 0;
}

static int store_across(struct hart *h, uint64_t va, unsigned size_bytes, uint64_t value)
{
    unsigned first = first_part(va, size_bytes);
    struct place low, high;

    if (data_place(h, va, first, ACCESS_WRITE, &low) ||
        data_place(h, va + first, size_bytes - first, ACCESS_WRITE, &high))
        return -1;
    if (!low.host)
        return fault(h, CAUSE_STORE_ACCESS, va);
    if (!high.host)
        return fault(h, CAUSE_STORE_ACCESS, va + first);
    if (!low.slot->readonly)
        store_host(low.host, first, value);
    if (!high.slot->readonly)
        store_host(high.host, size_bytes - first, value >> (8 * first));
    return 0;
}

static int store_device(struct hart *h, uint64_t va, unsigned size_bytes, uint64_t value,
                        const struct place *p)
{
    int rc = p->pa % size_bytes != 0 ? -EFAULT : bus_write(h->bus, p->pa, size_bytes, value);

    if (rc == -EAGAIN) {
        h->stalled = true;
        return -1;
    }
    return rc ? fault(h, CAUSE_STORE_ACCESS, va) : 0;
}

int mmu_store(struct hart *h, uint64_t va, unsigned size_bytes, uint64_t value)
{
    struct place p;

    if (first_part(va, size_bytes) != size_bytes)
        return store_across(h, va, size_bytes, value);
    if (data_place(h, va, size_bytes, ACCESS_WRITE, &p))
        return -1;
    if (p.host) {
        if (!p.slot->readonly)
            store_host(p.host, size_bytes, value);
        return 0;
    }
    return store_device(h, va, size_bytes, value, &p);
}

int mmu_atomic(struct hart *h, uint64_t va, unsigned size_bytes, enum access access)
{
    struct place p;

    if (va % size_bytes != 0)
        return fault(h, access == ACCESS_READ ? CAUSE_LOAD_MISALIGNED : CAUSE_STORE_MISALIGNED, va);
    if (data_place(h, va, size_bytes, access, &p))
        return -1;
    if (!p.host || (access == ACCESS_WRITE && p.slot->readonly))
        return fault(h, access_fault(access), va);
    h->atomic = p.host;
    return 0;
}

/* --- Fetching -------------------------------------------------------------------------------- */

int mmu_fetch(struct hart *h, uint64_t va, struct fetched *ret)
{
    struct tlb_entry *e = &h->fetch[va >> PAGE_BITS & (TLB_FETCH_ENTRIES - 1)];
    struct place p;

    if (e->tag == (va & ~(PAGE_BYTES - 1))) {
        *ret = (struct fetched){.host = (const uint8_t *)(uintptr_t)(va + e->addend),
                                .cacheable = true};
        return 0;
    }
    if (place_find(h, va, 2, ACCESS_FETCH, &p))
        return -1;
    if (!p.host)
        return fault(h, CAUSE_FETCH_ACCESS, va);
    if (p.page)
        fill(h, e, va, &p);
    *ret = (struct fetched){.host = p.host, .cacheable = p.page};
    return 0;
}

/* --- When things change ---------------------------------------------------------------------- */

void mmu_update_mode(struct hart *h)
{
    unsigned index = hart_mode_index(h->r.priv);
    uint64_t priv = access_priv(h, ACCESS_READ);

    h->jump = h->jumps[index];
    h->fetch = h->fetches[index];
    if (priv == PRIV_M)
        h->tlb_mode = TLB_M;
    else if (priv == PRIV_U)
        h->tlb_mode = TLB_U;
    else
        h->tlb_mode = h->r.mstatus & MSTATUS_SUM ? TLB_SUM : TLB_S;
    h->tlb = &h->tlbs[h->tlb_mode];
}

void mmu_flush(struct hart *h)
{
    /* U, S and S with SUM stand first; M-mode does not go through page tables. */
    memset(h->tlbs, 0xff, sizeof(h->tlbs[0]) * TLB_M);
    memset(h->fetches, 0xff, sizeof(h->fetches[0]) * 2);
    memset(h->large, 0, sizeof(h->large));
    block_forget_jumps(h, PRIV_U);
    block_forget_jumps(h, PRIV_S);
}

static void drop(struct tlb_entry *e, uint64_t page)
{
    if (e->tag == page)
        e->tag = ~UINT64_C(0);
}

void mmu_flush_page(struct hart *h, uint64_t va)
{
    const struct large_pages *large = &h->large[va >> 63];
    uint64_t page = va & ~(PAGE_BYTES - 1);

    if (large->mask && (va & large->mask) == large->base) {
        mmu_flush(h);
        return;
    }
    for (unsigned mode = 0; mode < TLB_M; mode++) {
        drop(&h->tlbs[mode].read[tlb_index(va)], page);
        drop(&h->tlbs[mode].write[tlb_index(va)], page);
    }
    for (unsigned mode = 0; mode < 2; mode++)
        drop(&h->fetches[mode][va >> PAGE_BITS & (TLB_FETCH_ENTRIES - 1)], page);
    block_forget_page(h, page);
}

void mmu_flush_all(struct hart *h)
{
    /* A hart that state is loaded into has not run: 60 KB less to write while the guest waits. */
    if (!h->filled)
        return;
    h->filled = false;
    mmu_flush(h);
    memset(&h->tlbs[TLB_M], 0xff, sizeof(h->tlbs[TLB_M]));
    memset(h->fetches, 0xff, sizeof(h->fetches));
    block_forget_jumps(h, PRIV_M);
}

void mmu_flush_write(struct hart *h)
{
    for (unsigned mode = 0; mode < TLB_MODES; mode++)
        memset(h->tlbs[mode].write, 0xff, sizeof(h->tlbs[mode].write));
}
