/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/machine/guestmem.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>

#include "base/err.h"
#include "base/num.h"

const struct guestmem_slot *guestmem_overlap(const struct guestmem *m, uint64_t first_gpa,
                                             uint64_t last_gpa)
{
    for (size_t i = 0; i < m->slot_count; i++) {
        const struct guestmem_slot *s = &m->slots[i];

        if (first_gpa <= s->base_gpa + (s->size_bytes - 1) && s->base_gpa <= last_gpa)
            return s;
    }
    return NULL;
}

int guestmem_add(struct guestmem *m, uint64_t base_gpa, struct ferry_ram_region *region,
                 bool readonly, struct ferry_err *err)
{
    uint64_t size_bytes = ferry_ram_size_bytes(region), end_gpa;
    const struct guestmem_slot *s;

    if (num_add(base_gpa, size_bytes, &end_gpa))
        return err_set(err, ERANGE, "memory \"%s\" of %" PRIu64 " bytes does not fit at 0x%" PRIx64,
                       ferry_ram_name(region), size_bytes, base_gpa);
    s = guestmem_overlap(m, base_gpa, end_gpa - 1);
    if (s)
        return err_set(err, EEXIST, "memory \"%s\" at 0x%" PRIx64 " overlaps \"%s\" at 0x%" PRIx64,
                       ferry_ram_name(region), base_gpa, ferry_ram_name(s->region), s->base_gpa);
    if (m->slot_count == GUESTMEM_SLOTS_MAX)
        return err_set(err, ENOSPC, "memory \"%s\" is one more than the %d a machine can have",
                       ferry_ram_name(region), GUESTMEM_SLOTS_MAX);
    m->slots[m->slot_count++] = (struct guestmem_slot){
        .base_gpa = base_gpa,
        .size_bytes = size_bytes,
        .host = ferry_ram_host(region),
        .region = region,
        .readonly = readonly,
    };
    return 0;
}

/* How many of n bytes at gpa lie in the slot that holds gpa; 0 = none, or not allowed. */
static size_t guestmem_run(const struct guestmem *m, uint64_t gpa, size_t n, bool write,
                           const struct guestmem_slot **ret)
{
    const struct guestmem_slot *s = guestmem_find(m, gpa);

    if (!s || (write && s->readonly))
        return 0;
    *ret = s;
    return num_min(n, s->size_bytes - (gpa - s->base_gpa));
}

static int guestmem_check(const struct guestmem *m, uint64_t gpa, size_t n, bool write)
{
    while (n > 0) {
        const struct guestmem_slot *s;
        size_t run = guestmem_run(m, gpa, n, write, &s);

        if (run == 0)
            return -EFAULT;
        gpa += run;
        n -= run;
    }
    return 0;
}

int guestmem_read(const struct guestmem *m, uint64_t gpa, void *dst, size_t n)
{
    uint8_t *to = dst;

    if (guestmem_check(m, gpa, n, false))
        return -EFAULT;
    while (n > 0) {
        const struct guestmem_slot *s = NULL;
        size_t run = guestmem_run(m, gpa, n, false, &s);

        memcpy(to, s->host + (gpa - s->base_gpa), run);
        gpa += run;
        to += run;
        n -= run;
    }
    return 0;
}

int guestmem_write(const struct guestmem *m, uint64_t gpa, const void *src, size_t n)
{
    const uint8_t *from = src;

    if (guestmem_check(m, gpa, n, true))
        return -EFAULT;
    while (n > 0) {
        const struct guestmem_slot *s = NULL;
        size_t run = guestmem_run(m, gpa, n, true, &s);

        memcpy(s->host + (gpa - s->base_gpa), from, run);
        guestmem_mark_dirty(m, gpa, run);
        gpa += run;
        from += run;
        n -= run;
    }
    return 0;
}

void *guestmem_ptr(const struct guestmem *m, uint64_t gpa, size_t n, bool write)
{
    const struct guestmem_slot *s = NULL;

    if (n == 0 || guestmem_run(m, gpa, n, write, &s) != n)
        return NULL;
    return s->host + (gpa - s->base_gpa);
}

void guestmem_mark_dirty(const struct guestmem *m, uint64_t gpa, size_t n)
{
    while (n > 0) {
        const struct guestmem_slot *s = NULL;
        size_t run = guestmem_run(m, gpa, n, false, &s);
        uint64_t first, last;

        if (run == 0)
            return;
        first = (gpa - s->base_gpa) / FERRY_PAGE_BYTES;
        last = (gpa - s->base_gpa + run - 1) / FERRY_PAGE_BYTES;
        for (uint64_t page = first; page <= last; page++)
            ferry_ram_mark_dirty(s->region, page);
        gpa += run;
        n -= run;
    }
}

int guestmem_discard(const struct guestmem *m, uint64_t gpa, uint64_t n)
{
    void *host = guestmem_ptr(m, gpa, n, true);

    if (!host)
        return -EFAULT;
    if (madvise(host, n, MADV_REMOVE) < 0)
        return -errno;
    guestmem_mark_dirty(m, gpa, n);
    return 0;
}
