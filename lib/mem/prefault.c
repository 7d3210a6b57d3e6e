/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Entering the allocated pages of guest RAM in this process's page tables before the guest runs.
 *
 * Only pages that exist are entered: a hole stays a hole, so an 8 GiB guest that uses 300 MiB
 * costs 300 MiB. The caller gives a budget per call and serves its monitor in between.
 */
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include <ferry/ram.h>

#include "base/err.h"
#include "base/num.h"
#include "lib/mem/ram.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif

/* An extent may be one page: bounds the system calls of one call, whatever the budget. */
#define PREFAULT_EXTENTS_MAX 256

/*
 * Reading is enough: a shared mapping of shmem has no write notification, so the kernel enters the
 * page writable at once, and for reads it enters its neighbours with it (measured: 73 ms per GiB,
 * 221 ms with MADV_POPULATE_WRITE; in both cases the first store takes no fault).
 */
static int prefault_extent(uint8_t *from, uint64_t bytes)
{
    if (madvise(from, bytes, MADV_POPULATE_READ) == 0)
        return 0;
    if (errno != EINVAL)
        return -errno;
    /* A kernel before 5.14. */
    for (uint64_t i = 0; i < bytes; i += FERRY_PAGE_BYTES)
        (void)*(volatile uint8_t *)(from + i);
    return 0;
}

/* The next allocated extent at or after the cursor; 0 = none in this region. */
static uint64_t prefault_next_extent(const struct ferry_ram_region *region, uint64_t *from)
{
    off_t data = lseek(region->fd, (off_t)*from, SEEK_DATA), hole;

    if (data < 0 && errno == ENXIO)
        return 0;
    /* A file system that cannot say: then everything is data. */
    if (data < 0)
        data = (off_t)*from;
    hole = lseek(region->fd, data, SEEK_HOLE);
    if (hole <= data || (uint64_t)hole > region->size_bytes)
        hole = (off_t)region->size_bytes;
    *from = num_align_down((uint64_t)data, FERRY_PAGE_BYTES);
    return num_align_up((uint64_t)hole, FERRY_PAGE_BYTES) - *from;
}

int ferry_ram_prefault(struct ferry_ram *ram, uint64_t budget_bytes, struct ferry_err *err)
{
    int extents = 0;

    while (ram->prefault_region < ram->region_count) {
        struct ferry_ram_region *region = ram->regions[ram->prefault_region];
        uint64_t from = ram->prefault_bytes, bytes = 0;
        int r;

        if (from < region->size_bytes)
            bytes = prefault_next_extent(region, &from);
        if (!bytes) {
            ram->prefault_region++;
            ram->prefault_bytes = 0;
            continue;
        }
        if (!budget_bytes || extents++ == PREFAULT_EXTENTS_MAX) {
            ram->prefault_bytes = from;
            return 1;
        }
        bytes = num_min(bytes, num_align_up(budget_bytes, FERRY_PAGE_BYTES));
        r = prefault_extent(region->host + from, bytes);
        if (r < 0)
            return err_sys(err, -r, "RAM \"%s\": cannot enter pages in the page tables",
                           region->name);
        ram->prefault_bytes = from + bytes;
        budget_bytes -= num_min(bytes, budget_bytes);
    }
    return 0;
}
