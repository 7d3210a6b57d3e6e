/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of lib/mem share: the layout of struct ferry_ram. For lib/mem only.
 *
 * Thread: everything belongs to the VM's thread, except `logging` and the words of `live`, which
 * any writer of guest RAM touches (dirty.c).
 */
#pragma once

#include <stdatomic.h>
#include <sys/types.h>

#include <ferry/ram.h>

/* A block's name travels behind one length byte. */
#define RAM_NAME_MAX_BYTES 255

struct ferry_ram_region {
    char name[RAM_NAME_MAX_BYTES + 1];
    uint64_t size_bytes;
    uint64_t gpa;
    int fd;    /* owned */
    bool file; /* that the user named; else a memfd */
    bool ours; /* nobody else had the file */
    dev_t dev;
    ino_t ino;
    uint8_t *host;
    void *reserved; /* the mapping with its guard pages */
    size_t reserved_bytes;

    atomic_bool logging;
    /* Allocated at the first log start and kept until the region goes: a writer on another
     * thread may still be between its test of `logging` and its store. */
    _Atomic uint64_t *live;
    uint64_t *taken; /* harvested from `live`, not yet fetched */
};

struct ram_flush_source {
    ferry_ram_flush_fn *fn;
    void *opaque;
};

struct ferry_ram {
    struct ferry_ram_region **regions; /* stable handles, in the order they were added */
    size_t region_count;
    struct ram_flush_source *flush_sources;
    size_t flush_source_count;
    bool logging;
    size_t prefault_region; /* cursor of ferry_ram_prefault */
    uint64_t prefault_bytes;
};

static inline uint64_t ram_pages(const struct ferry_ram_region *region)
{
    return region->size_bytes / FERRY_PAGE_BYTES;
}

/* Enters pages that exist in the page tables, so that the first touch takes no fault. */
int ram_enter_pages(uint8_t *from, uint64_t bytes);

static inline size_t ram_words(const struct ferry_ram_region *region)
{
    return (ram_pages(region) + 63) / 64;
}
