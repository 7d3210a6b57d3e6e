/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MMIO: which addresses are which device's registers.
 *
 * Regions are added before any hart runs. bus_read/bus_write are called by hart threads; they take
 * the machine lock around the device's handler. An address nobody owns, a size the region does not
 * accept or a misaligned access is -EFAULT: the hart raises an access fault.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <ferry/err.h>

#include "vmm/machine/lock.h"

#define BUS_REGIONS_MAX 64

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

struct bus_region {
    const char *name;
    uint64_t base_gpa;
    uint64_t size_bytes;
    unsigned access_sizes; /* OR of the sizes accepted: 4, 4|8, 1|2|4|8 */
    const struct bus_ops *ops;
    void *dev;
};

struct bus {
    struct machine_lock *lock;
    struct bus_region regions[BUS_REGIONS_MAX]; /* sorted by address */
    size_t region_count;
};

/* Refuses an overlap, naming both. Copies *region; its name is a loan. */
int bus_add(struct bus *b, const struct bus_region *region, struct ferry_err *err) FERRY_MUST_CHECK;
int bus_read(struct bus *b, uint64_t gpa, unsigned size_bytes, uint64_t *ret) FERRY_MUST_CHECK;
int bus_write(struct bus *b, uint64_t gpa, unsigned size_bytes, uint64_t value) FERRY_MUST_CHECK;
