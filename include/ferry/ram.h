/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest RAM: named regions, each a memfd or a file that the user named, mapped shared, so that it
 * can always be handed over.
 *
 * Pages are addressed by (region, page number). Regions are added and freed on the thread that
 * owns the VM, before any hart runs; marking pages dirty is for any thread.
 *
 * Dirty log. Off, it costs nothing. On, every writer of guest RAM marks the pages it writes: the
 * software CPU when it enters a page in its write TLB, device DMA through vmm/machine/guestmem.
 * A harvest swaps the bitmap and then tells every flush source to forget its permissions to write
 * without marking (drop write TLB entries); a store that raced with the swap is in the next
 * harvest, never lost.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include <ferry/err.h>

#define FERRY_PAGE_BYTES 4096u

struct ferry_ram;        /* opaque: all regions of one VM */
struct ferry_ram_region; /* opaque: one region */

FERRY_API int ferry_ram_new(struct ferry_ram **ret, struct ferry_err *err) FERRY_MUST_CHECK;
/* Unmaps and closes; NULL is fine. No hart or device may run. */
FERRY_API void ferry_ram_free(struct ferry_ram *ram);

/*
 * A new zeroed region. name: the RAM block's name in the stream, at most 255 bytes, unique;
 * size_bytes: a multiple of the page size, not 0.
 */
FERRY_API int ferry_ram_add(struct ferry_ram *ram, const char *name, uint64_t size_bytes,
                            struct ferry_ram_region **ret, struct ferry_err *err) FERRY_MUST_CHECK;
/*
 * The same in a file that somebody else can map, too: a regular file, open for reading and writing,
 * empty (then it gets that length) or long enough. Nobody may make it shorter. Takes *fd on
 * success. A lock on the file lets the next one who opens it know (ferry_ram_is_ours).
 */
FERRY_API int ferry_ram_add_file(struct ferry_ram *ram, const char *name, uint64_t size_bytes,
                                 int *fd, struct ferry_ram_region **ret,
                                 struct ferry_err *err) FERRY_MUST_CHECK;
/*
 * The same in two steps, for a VM that is built before anything of the host is opened. Until it has
 * its file nobody may touch the memory: that would end the process. Takes *fd on success.
 */
FERRY_API int ferry_ram_expect_file(struct ferry_ram *ram, const char *name, uint64_t size_bytes,
                                    struct ferry_ram_region **ret,
                                    struct ferry_err *err) FERRY_MUST_CHECK;
FERRY_API int ferry_ram_give_file(struct ferry_ram *ram, struct ferry_ram_region *region, int *fd,
                                  struct ferry_err *err) FERRY_MUST_CHECK;
/*
 * The same from a memfd that arrived: verified (a writable memfd of just this size, sealed against
 * resizing, not yet a region of ram) and mapped. Takes *fd on success, leaves it on failure.
 */
FERRY_API int ferry_ram_adopt(struct ferry_ram *ram, const char *name, uint64_t size_bytes, int *fd,
                              struct ferry_ram_region **ret,
                              struct ferry_err *err) FERRY_MUST_CHECK;
/*
 * Enter allocated pages in this process's page tables, so that the first touch takes no fault;
 * holes stay holes. Works through all regions, looking at budget_bytes per call at most (about two
 * milliseconds per 16 MiB). Returns 1 if there is more to do, 0 at the end, or a negative errno.
 */
FERRY_API int ferry_ram_prefault(struct ferry_ram *ram, uint64_t budget_bytes,
                                 struct ferry_err *err) FERRY_MUST_CHECK;
/*
 * The contents of whole pages from first_page on, which must be inside of the region; meant for
 * pages that nobody has touched. Changes iov. Any thread.
 */
FERRY_API int ferry_ram_fill(struct ferry_ram_region *region, uint64_t first_page,
                             struct iovec *iov, size_t count,
                             struct ferry_err *err) FERRY_MUST_CHECK;
FERRY_API struct ferry_ram_region *ferry_ram_find(const struct ferry_ram *ram, const char *name);
/* Regions in the order they were added; NULL past the end. */
FERRY_API struct ferry_ram_region *ferry_ram_at(const struct ferry_ram *ram, size_t index);

/* It is a file's memory (ferry_ram_add_file). */
FERRY_API bool ferry_ram_is_file(const struct ferry_ram_region *region);
/* False: it is a file's memory, which somebody else (whose guest may run) had mapped before. */
FERRY_API bool ferry_ram_is_ours(const struct ferry_ram_region *region);
/* Where the guest sees it; 0 until it was said. */
FERRY_API void ferry_ram_set_gpa(struct ferry_ram_region *region, uint64_t gpa);
FERRY_API uint64_t ferry_ram_gpa(const struct ferry_ram_region *region);

FERRY_API const char *ferry_ram_name(const struct ferry_ram_region *region);
FERRY_API uint64_t ferry_ram_size_bytes(const struct ferry_ram_region *region);
/* The mapping; valid until ferry_ram_free. */
FERRY_API uint8_t *ferry_ram_host(const struct ferry_ram_region *region);
/* A loan. */
FERRY_API int ferry_ram_fd(const struct ferry_ram_region *region);

/* Called on the harvesting thread; returns when no writer uses an old permission any more. */
typedef void ferry_ram_flush_fn(void *opaque);
FERRY_API int ferry_ram_add_flush_source(struct ferry_ram *ram, ferry_ram_flush_fn *fn,
                                         void *opaque, struct ferry_err *err) FERRY_MUST_CHECK;
/* Starting marks nothing dirty and flushes the sources, so that every later store is seen. */
FERRY_API int ferry_ram_log_start(struct ferry_ram *ram, struct ferry_err *err) FERRY_MUST_CHECK;
FERRY_API void ferry_ram_log_stop(struct ferry_ram *ram);

/*
 * For writers, any thread. page < size / FERRY_PAGE_BYTES. Does nothing while the log is off. A
 * writer that has a flush source marks before it keeps a permission to store without marking; any
 * other writer (device DMA) marks after the store, else a harvest in between loses it.
 */
FERRY_API void ferry_ram_mark_dirty(struct ferry_ram_region *region, uint64_t page);

/*
 * Move the dirty pages of a region to bitmap (bit i of word i/64 = page i; the caller's array of
 * (pages + 63) / 64 words, whose set bits stay set) and clear them here. Returns the number of
 * pages that were newly set in bitmap. Flushes are run once for all regions by
 * ferry_ram_harvest_begin, which must be called first.
 */
FERRY_API void ferry_ram_harvest_begin(struct ferry_ram *ram);
FERRY_API uint64_t ferry_ram_harvest(struct ferry_ram_region *region, uint64_t *bitmap);
