/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Entering the allocated pages of guest RAM in this process's page tables before the guest runs.
 *
 * Only pages that exist are entered: a hole stays a hole, so an 8 GiB guest that uses 300 MiB
 * costs 300 MiB. The caller gives a budget per call and serves its monitor in between.
 */
#include <errno.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <unistd.h>

#include <ferry/ram.h>

#include "base/err.h"
#include "base/num.h"
#include "lib/mem/ram.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif

/* Looked at in one piece: an answer of a byte per page, on the stack. */
#define PREFAULT_CHUNK_PAGES 4096u
/* An extent may be one page: bounds the system calls of one call, whatever the budget. */
#define PREFAULT_EXTENTS_MAX 256u

/*
 * Reading is enough: a shared mapping of shmem has no write notification, so the kernel enters the
 * page writable at once, and for reads it enters its neighbours with it (measured: 73 ms per GiB,
 * 221 ms with MADV_POPULATE_WRITE; in both cases the first store takes no fault).
 */
int ram_enter_pages(uint8_t *from, uint64_t bytes)
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

/*
 * The next allocated page at or after the cursor; false = none in this region. SEEK_HOLE is not
 * asked where the extent ends: in a guest without holes it looks at every page up to the end of
 * RAM, each time (measured: 130 ms per call with 8 GiB).
 */
static bool prefault_next(const struct ferry_ram_region *region, uint64_t *from)
{
    off_t data = lseek(region->fd, (off_t)*from, SEEK_DATA);

    if (data < 0 && errno == ENXIO)
        return false;
    /* A file system that cannot say: then anything may be data. */
    if (data >= 0)
        *from = num_align_down((uint64_t)data, FERRY_PAGE_BYTES);
    return *from < region->size_bytes;
}

/*
 * Enter what is present of the pages in [*from, *from + pages), at most PREFAULT_CHUNK_PAGES, in at
 * most *extents extents, and move *from behind them.
 */
static int prefault_chunk(const struct ferry_ram_region *region, uint64_t *from, size_t pages,
                          unsigned *extents)
{
    unsigned char present[PREFAULT_CHUNK_PAGES];
    uint8_t *host = region->host + *from;
    size_t at = 0;

    if (mincore(host, pages * FERRY_PAGE_BYTES, present) < 0)
        return -errno;
    while (at<pages && * extents> 0) {
        size_t end;
        int r;

        while (at < pages && !(present[at] & 1))
            at++;
        for (end = at; end < pages && present[end] & 1;)
            end++;
        if (end == at)
            break;
        r = ram_enter_pages(host + at * FERRY_PAGE_BYTES, (end - at) * FERRY_PAGE_BYTES);
        if (r < 0)
            return r;
        at = end;
        --*extents;
    }
    *from += at * FERRY_PAGE_BYTES;
    return 0;
}

int ferry_ram_prefault(struct ferry_ram *ram, uint64_t budget_bytes, struct ferry_err *err)
{
    uint64_t budget_pages = num_align_up(budget_bytes, FERRY_PAGE_BYTES) / FERRY_PAGE_BYTES;
    unsigned extents = PREFAULT_EXTENTS_MAX;

    while (ram->prefault_region < ram->region_count) {
        struct ferry_ram_region *region = ram->regions[ram->prefault_region];
        uint64_t from = ram->prefault_bytes;
        size_t pages;
        int r;

        if (!prefault_next(region, &from)) {
            ram->prefault_region++;
            ram->prefault_bytes = 0;
            continue;
        }
        if (!budget_pages || !extents) {
            ram->prefault_bytes = from;
            return 1;
        }
        pages = num_min((region->size_bytes - from) / FERRY_PAGE_BYTES,
                        num_min(budget_pages, PREFAULT_CHUNK_PAGES));
        r = prefault_chunk(region, &from, pages, &extents);
        if (r < 0)
            return err_sys(err, -r, "RAM \"%s\": cannot enter pages in the page tables",
                           region->name);
        ram->prefault_bytes = from;
        budget_pages -= pages;
    }
    return 0;
}
