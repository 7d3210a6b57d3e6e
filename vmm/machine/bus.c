/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/machine/bus.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "base/err.h"

void bus_init(struct bus *b, const char *name, uint64_t last, struct machine_lock *lock,
              const struct guestmem *mem)
{
    memset(b, 0, sizeof(*b));
    b->name = name;
    b->last = last;
    b->lock = lock;
    b->mem = mem;
}

/* --- Changes: the machine lock is held ------------------------------------------------------- */

static uint64_t last_of(const struct bus_region *r, uint64_t base)
{
    return base + (r->size_bytes - 1);
}

/* May the region be at this address? Itself it does not overlap. */
static int bus_check(const struct bus *b, const struct bus_region *region, uint64_t base,
                     struct ferry_err *err)
{
    const struct guestmem_slot *slot;

    if (region->size_bytes == 0 || base > b->last || region->size_bytes - 1 > b->last - base)
        return err_set(err, ERANGE,
                       "registers of \"%s\", %" PRIu64 " bytes, do not fit at 0x%" PRIx64
                       " of %s, which ends at 0x%" PRIx64,
                       region->name, region->size_bytes, base, b->name, b->last);
    for (size_t i = 0; i < b->region_count; i++) {
        const struct bus_region *r = b->regions[i].region;

        if (r != region && base <= last_of(r, r->base) && r->base <= last_of(region, base))
            return err_set(err, EEXIST,
                           "registers of \"%s\" at 0x%" PRIx64
                           " of %s overlap \"%s\" at 0x%" PRIx64,
                           region->name, base, b->name, r->name, r->base);
    }
    slot = b->mem ? guestmem_overlap(b->mem, base, last_of(region, base)) : NULL;
    if (slot)
        return err_set(err, EEXIST,
                       "registers of \"%s\" at 0x%" PRIx64 " of %s overlap \"%s\" at 0x%" PRIx64,
                       region->name, base, b->name, ferry_ram_name(slot->region), slot->base_gpa);
    return 0;
}

static void bus_put(struct bus *b, struct bus_region *region)
{
    size_t at = b->region_count++;

    for (; at > 0 && b->regions[at - 1].base > region->base; at--)
        b->regions[at] = b->regions[at - 1];
    b->regions[at].base = region->base;
    b->regions[at].region = region;
}

/* false: it is not there. */
static bool bus_take(struct bus *b, const struct bus_region *region)
{
    size_t at = 0;

    while (at < b->region_count && b->regions[at].region != region)
        at++;
    if (at == b->region_count)
        return false;
    b->region_count--;
    memmove(&b->regions[at], &b->regions[at + 1], (b->region_count - at) * sizeof(b->regions[0]));
    return true;
}

int bus_add(struct bus *b, struct bus_region *region, struct ferry_err *err)
{
    int rc = bus_check(b, region, region->base, err);

    if (rc)
        return rc;
    if (b->region_count == BUS_REGIONS_MAX)
        return err_set(err, ENOSPC, "registers of \"%s\" are one more than the %d that %s can have",
                       region->name, BUS_REGIONS_MAX, b->name);
    bus_put(b, region);
    return 0;
}

int bus_move(struct bus *b, struct bus_region *region, uint64_t base, struct ferry_err *err)
{
    int rc = bus_check(b, region, base, err);

    if (rc)
        return rc;
    if (!bus_take(b, region))
        return err_set(err, ENOENT, "registers of \"%s\" are nowhere in %s, and cannot move",
                       region->name, b->name);
    region->base = base;
    bus_put(b, region);
    return 0;
}

void bus_remove(struct bus *b, const struct bus_region *region)
{
    (void)bus_take(b, region);
}

/* --- Accesses -------------------------------------------------------------------------------- */

/*
 * The region that accepts such an access, or NULL. No branch of the search depends on addresses:
 * what a guest picks teaches branch prediction nothing, and harts may be waiting for the lock.
 */
static const struct bus_region *bus_find(const struct bus *b, uint64_t address, unsigned size_bytes)
{
    size_t at = 0, n = b->region_count;
    const struct bus_region *r;
    uint64_t offset;

    if (n == 0)
        return NULL;
    /* The last one that begins at or below the address; the first if none does. */
    while (n > 1) {
        size_t half = n / 2;

        at += b->regions[at + half].base <= address ? half : 0;
        n -= half;
    }
    r = b->regions[at].region;
    offset = address - r->base;
    if (!(r->access_sizes & size_bytes) || (offset & (size_bytes - 1)) != 0)
        return NULL;
    if (offset >= r->size_bytes || r->size_bytes - offset < size_bytes)
        return NULL;
    return r;
}

static int read_locked(const struct bus *b, uint64_t address, unsigned size_bytes, uint64_t *ret)
{
    const struct bus_region *r = bus_find(b, address, size_bytes);

    return r ? r->ops->read(r->dev, address - r->base, size_bytes, ret) : -EFAULT;
}

static int write_locked(const struct bus *b, uint64_t address, unsigned size_bytes, uint64_t value)
{
    const struct bus_region *r = bus_find(b, address, size_bytes);

    return r ? r->ops->write(r->dev, address - r->base, size_bytes, value) : -EFAULT;
}

int bus_read(struct bus *b, uint64_t address, unsigned size_bytes, uint64_t *ret)
{
    uint64_t value = 0;
    int rc;

    machine_lock(b->lock);
    rc = read_locked(b, address, size_bytes, &value);
    machine_unlock(b->lock);
    if (rc == 0)
        *ret = value;
    return rc;
}

int bus_write(struct bus *b, uint64_t address, unsigned size_bytes, uint64_t value)
{
    int rc;

    if (size_bytes < sizeof(value))
        value &= (UINT64_C(1) << (size_bytes * 8)) - 1;
    machine_lock(b->lock);
    rc = write_locked(b, address, size_bytes, value);
    machine_unlock(b->lock);
    return rc;
}

/* --- Windows --------------------------------------------------------------------------------- */

static int window_read(void *dev, uint64_t offset, unsigned size_bytes, uint64_t *ret)
{
    const struct bus_window *w = dev;

    if (read_locked(w->to, w->first + offset, size_bytes, ret))
        *ret = UINT64_MAX >> (64 - 8 * size_bytes);
    return 0;
}

static int window_write(void *dev, uint64_t offset, unsigned size_bytes, uint64_t value)
{
    const struct bus_window *w = dev;
    int rc = write_locked(w->to, w->first + offset, size_bytes, value);

    return rc == -EAGAIN ? rc : 0;
}

const struct bus_ops bus_window_ops = {.read = window_read, .write = window_write};
