/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest physical memory: which addresses are RAM or ROM, and host access to them.
 *
 * Built before any hart runs, constant afterwards, so every thread may look things up. Device DMA
 * goes through here and nowhere else: this is where the pages it writes are marked dirty. The
 * software CPU keeps the host pointers of guestmem_find() in its TLB and marks by itself.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include <ferry/err.h>
#include <ferry/ram.h>

#define GUESTMEM_SLOTS_MAX 8

struct guestmem_slot {
    uint64_t base_gpa;
    uint64_t size_bytes;
    uint8_t *host;                   /* base_gpa's byte */
    struct ferry_ram_region *region; /* base_gpa is its offset 0 */
    bool readonly;                   /* ROM: guest stores are dropped, not faults */
};

struct guestmem {
    struct guestmem_slot slots[GUESTMEM_SLOTS_MAX];
    size_t slot_count;
};

int guestmem_add(struct guestmem *m, uint64_t base_gpa, struct ferry_ram_region *region,
                 bool readonly, struct ferry_err *err) FERRY_MUST_CHECK;

/* A slot with a byte of this range, ends included, or NULL. */
const struct guestmem_slot *guestmem_overlap(const struct guestmem *m, uint64_t first_gpa,
                                             uint64_t last_gpa);

/* The slot that holds gpa, or NULL. */
static inline const struct guestmem_slot *guestmem_find(const struct guestmem *m, uint64_t gpa)
{
    for (size_t i = 0; i < m->slot_count; i++) {
        const struct guestmem_slot *s = &m->slots[i];

        if (gpa - s->base_gpa < s->size_bytes)
            return s;
    }
    return NULL;
}

/* Copy; -EFAULT unless the whole range is RAM (ROM counts for reading); then nothing is copied. */
int guestmem_read(const struct guestmem *m, uint64_t gpa, void *dst, size_t n) FERRY_MUST_CHECK;
int guestmem_write(const struct guestmem *m, uint64_t gpa, const void *src,
                   size_t n) FERRY_MUST_CHECK;
/*
 * The host memory of a range inside one slot, for I/O without a copy; NULL if it is not. With
 * `write` (the host will store there) the range must be RAM, and the caller calls
 * guestmem_mark_dirty() after the last store and before it tells the guest.
 */
void *guestmem_ptr(const struct guestmem *m, uint64_t gpa, size_t n, bool write);
void guestmem_mark_dirty(const struct guestmem *m, uint64_t gpa, size_t n);
/*
 * Whole pages of RAM that the guest does without: they read as zeroes from now on, and take no
 * memory of the host until they are touched. -EFAULT: not inside one slot; -errno: the host keeps
 * them, as it does where its pages are larger (hugetlbfs).
 */
int guestmem_discard(const struct guestmem *m, uint64_t gpa, uint64_t n);
