/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/machine/bus.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/err.h"
#include "base/num.h"

int bus_add(struct bus *b, const struct bus_region *region, struct ferry_err *err)
{
    uint64_t end_gpa;
    size_t at = 0;

    if (region->size_bytes == 0 || num_add(region->base_gpa, region->size_bytes, &end_gpa))
        return err_set(err, ERANGE, "registers of \"%s\" do not fit at 0x%" PRIx64, region->name,
                       region->base_gpa);
    if (b->region_count == BUS_REGIONS_MAX)
        return err_set(err, ENOSPC, "device \"%s\" is one more than the %d a bus can have",
                       region->name, BUS_REGIONS_MAX);
    for (size_t i = 0; i < b->region_count; i++) {
        const struct bus_region *r = &b->regions[i];

        if (region->base_gpa < r->base_gpa + r->size_bytes && r->base_gpa < end_gpa)
            return err_set(err, EEXIST,
                           "registers of \"%s\" at 0x%" PRIx64 " overlap \"%s\" at 0x%" PRIx64,
                           region->name, region->base_gpa, r->name, r->base_gpa);
        if (r->base_gpa < region->base_gpa)
            at = i + 1;
    }
    memmove(&b->regions[at + 1], &b->regions[at], (b->region_count - at) * sizeof(b->regions[0]));
    b->regions[at] = *region;
    b->region_count++;
    return 0;
}

/* The region that accepts such an access, or NULL. */
static const struct bus_region *bus_find(const struct bus *b, uint64_t gpa, unsigned size_bytes)
{
    size_t low = 0, high = b->region_count;
    const struct bus_region *r;

    /* The last region that begins at or below gpa. */
    while (low < high) {
        size_t mid = (low + high) / 2;

        if (b->regions[mid].base_gpa <= gpa)
            low = mid + 1;
        else
            high = mid;
    }
    if (low == 0)
        return NULL;
    r = &b->regions[low - 1];
    if (!(r->access_sizes & size_bytes) || (gpa - r->base_gpa) % size_bytes != 0)
        return NULL;
    if (gpa - r->base_gpa >= r->size_bytes || r->size_bytes - (gpa - r->base_gpa) < size_bytes)
        return NULL;
    return r;
}

int bus_read(struct bus *b, uint64_t gpa, unsigned size_bytes, uint64_t *ret)
{
    const struct bus_region *r = bus_find(b, gpa, size_bytes);
    uint64_t value = 0;
    int rc;

    if (!r)
        return -EFAULT;
    machine_lock(b->lock);
    rc = r->ops->read(r->dev, gpa - r->base_gpa, size_bytes, &value);
    machine_unlock(b->lock);
    if (rc == 0)
        *ret = value;
    return rc;
}

int bus_write(struct bus *b, uint64_t gpa, unsigned size_bytes, uint64_t value)
{
    const struct bus_region *r = bus_find(b, gpa, size_bytes);
    int rc;

    if (!r)
        return -EFAULT;
    if (size_bytes < sizeof(value))
        value &= (UINT64_C(1) << (size_bytes * 8)) - 1;
    machine_lock(b->lock);
    rc = r->ops->write(r->dev, gpa - r->base_gpa, size_bytes, value);
    machine_unlock(b->lock);
    return rc;
}
