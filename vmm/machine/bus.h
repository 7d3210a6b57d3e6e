/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bus: which addresses are which device's registers, in one address space. Memory as a hart sees
 * it is one, I/O ports are another.
 *
 * bus_read/bus_write are called by hart threads; they take the machine lock around the device's
 * handler. An address nobody owns, a size the region does not accept or a misaligned access is
 * -EFAULT: the hart raises an access fault.
 *
 * Regions come, move and go with the machine lock held, while harts run (before any does, the lock
 * is not needed). A handler has the lock, and may move its own region. Harts need not be stopped,
 * and hold nothing of it: the software CPU keeps RAM and ROM in its TLBs, and asks here for
 * everything else each time.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <ferry/err.h>

#include "vmm/machine/guestmem.h"
#include "vmm/machine/lock.h"

#define BUS_REGIONS_MAX 2048

struct bus_ops {
    /*
     * offset is naturally aligned to size_bytes (1, 2, 4, 8). 0, or -EFAULT for an access fault.
     * write only: -EAGAIN, not yet: what it asks for has begun and must be over before the hart
     * goes on. The hart makes the same access again; meanwhile it takes interrupts and can be
     * stopped, as it has not executed the instruction.
     */
    int (*read)(void *dev, uint64_t offset, unsigned size_bytes, uint64_t *ret);
    int (*write)(void *dev, uint64_t offset, unsigned size_bytes, uint64_t value);
};

/* The device's. While it is on a bus it stays where it is in memory, and only the bus changes it.
 */
struct bus_region {
    const char *name;
    uint64_t base;
    uint64_t size_bytes;
    unsigned access_sizes; /* OR of the sizes accepted: 4, 4|8, 1|2|4|8 */
    const struct bus_ops *ops;
    void *dev;
};

struct bus {
    const char *name;
    uint64_t last;
    struct machine_lock *lock;
    const struct guestmem *mem;
    size_t region_count;
    struct {
        uint64_t base;                   /* the region's, where a search finds it at once */
        const struct bus_region *region; /* a loan */
    } regions[BUS_REGIONS_MAX];          /* sorted by address */
};

/*
 * Nothing on it; the name ("memory") is what refusals call it, last its last address, mem the RAM
 * and ROM that is there besides (NULL: none). Loans.
 */
void bus_init(struct bus *b, const char *name, uint64_t last, struct machine_lock *lock,
              const struct guestmem *mem);

/*
 * To region->base. Refuses an overlap, naming both, and what does not fit. Registers where memory
 * is would never be reached: harts and DMA look there first.
 */
int bus_add(struct bus *b, struct bus_region *region, struct ferry_err *err) FERRY_MUST_CHECK;
/* Of a region on the bus; refuses as bus_add(), and then it stays where it was. */
int bus_move(struct bus *b, struct bus_region *region, uint64_t base,
             struct ferry_err *err) FERRY_MUST_CHECK;
/*
 * No hart is in a handler of it, but for one that calls this, and none will be: a hart that waits
 * for the lock finds nobody there. So its device may be freed. Fine if it is not on the bus.
 */
void bus_remove(struct bus *b, const struct bus_region *region);

int bus_read(struct bus *b, uint64_t address, unsigned size_bytes, uint64_t *ret) FERRY_MUST_CHECK;
int bus_write(struct bus *b, uint64_t address, unsigned size_bytes,
              uint64_t value) FERRY_MUST_CHECK;

/*
 * A window: a region of one bus behind which is another, of the same machine lock. What nobody
 * answers there is no access fault: it reads as all ones, and what is written is dropped. So a PCI
 * host shows its memory and its I/O ports to harts.
 */
struct bus_window {
    const struct bus *to;
    uint64_t first; /* address there of the window's offset 0 */
};

/* Of a region whose dev is a struct bus_window. */
extern const struct bus_ops bus_window_ops;
