/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/wire/mapped.h"

#include <errno.h>

#include "base/be.h"
#include "base/err.h"
#include "base/num.h"

/* What a file offset can be. */
#define FILE_MAX_BYTES ((uint64_t)INT64_MAX)

int mapped_layout(struct mapped_header *ret, uint64_t header_offset_bytes, uint64_t used_bytes,
                  struct ferry_err *err)
{
    struct mapped_header h = {.version = WIRE_MAPPED_VERSION, .page_bytes = WIRE_PAGE_BYTES};

    if (header_offset_bytes > FILE_MAX_BYTES / 4 || used_bytes > FILE_MAX_BYTES / 4)
        return err_set(err, EFBIG, "a block of 0x%llx bytes at 0x%llx of a file is too large",
                       (unsigned long long)used_bytes, (unsigned long long)header_offset_bytes);
    h.bitmap_offset_bytes = header_offset_bytes + MAPPED_HEADER_BYTES;
    h.pages_offset_bytes = num_align_up(h.bitmap_offset_bytes + mapped_bitmap_bytes(used_bytes),
                                        WIRE_MAPPED_ALIGN_BYTES);
    *ret = h;
    return 0;
}

void mapped_put_header(struct buf *out, const struct mapped_header *h)
{
    buf_be32(out, h->version);
    buf_be64(out, h->page_bytes);
    buf_be64(out, h->bitmap_offset_bytes);
    buf_be64(out, h->pages_offset_bytes);
}

struct mapped_header mapped_get_header(struct rd *r)
{
    struct mapped_header h;

    h.version = rd_be32(r);
    h.page_bytes = rd_be64(r);
    h.bitmap_offset_bytes = rd_be64(r);
    h.pages_offset_bytes = rd_be64(r);
    return h;
}

int mapped_check_header(const struct mapped_header *h, const char *block, struct ferry_err *err)
{
    if (h->version != WIRE_MAPPED_VERSION)
        return err_set(err, EINVAL, "RAM block \"%.64s\": mapped-ram version %u, only %u is known",
                       block, h->version, WIRE_MAPPED_VERSION);
    if (h->page_bytes != WIRE_PAGE_BYTES)
        return err_set(err, EINVAL,
                       "RAM block \"%.64s\" is mapped in pages of 0x%llx bytes, not 0x%x", block,
                       (unsigned long long)h->page_bytes, WIRE_PAGE_BYTES);
    if (h->pages_offset_bytes % WIRE_PAGE_BYTES != 0)
        return err_set(err, EINVAL,
                       "RAM block \"%.64s\": its pages begin at 0x%llx of the file, not at a "
                       "multiple of 0x%x",
                       block, (unsigned long long)h->pages_offset_bytes, WIRE_PAGE_BYTES);
    return 0;
}

int mapped_check_place(const struct mapped_header *h, const char *block, uint64_t used_bytes,
                       uint64_t position_bytes, uint64_t file_bytes, struct ferry_err *err)
{
    unsigned long long bitmap = h->bitmap_offset_bytes, pages = h->pages_offset_bytes;
    uint64_t bitmap_end, pages_end;

    if (num_add(h->bitmap_offset_bytes, mapped_bitmap_bytes(used_bytes), &bitmap_end) < 0 ||
        num_add(h->pages_offset_bytes, used_bytes, &pages_end) < 0)
        return err_set(err, EINVAL,
                       "RAM block \"%.64s\": bitmap at 0x%llx and pages at 0x%llx of the file "
                       "overflow",
                       block, bitmap, pages);
    if (h->bitmap_offset_bytes < position_bytes)
        return err_set(err, EINVAL,
                       "RAM block \"%.64s\": its bitmap at 0x%llx of the file overlaps what comes "
                       "before 0x%llx",
                       block, bitmap, (unsigned long long)position_bytes);
    if (h->pages_offset_bytes < bitmap_end)
        return err_set(err, EINVAL,
                       "RAM block \"%.64s\": its pages at 0x%llx of the file overlap its bitmap, "
                       "which ends at 0x%llx",
                       block, pages, (unsigned long long)bitmap_end);
    if (pages_end > file_bytes)
        return err_set(err, EINVAL,
                       "RAM block \"%.64s\": its pages end at 0x%llx, but the file has only "
                       "0x%llx bytes; it was cut",
                       block, (unsigned long long)pages_end, (unsigned long long)file_bytes);
    return 0;
}

int mapped_check_bitmap(const uint8_t *bitmap, size_t n, const char *block, uint64_t used_bytes,
                        struct ferry_err *err)
{
    uint64_t pages = used_bytes / WIRE_PAGE_BYTES, first;

    if (n != mapped_bitmap_bytes(used_bytes))
        return err_set(err, EINVAL, "RAM block \"%.64s\": a bitmap of %zu bytes, not %llu", block,
                       n, (unsigned long long)mapped_bitmap_bytes(used_bytes));
    if (mapped_next_run(bitmap, n, pages, 1, &first) != 0)
        return err_set(err, EINVAL,
                       "RAM block \"%.64s\": the bitmap has page %llu, but there are only %llu",
                       block, (unsigned long long)first, (unsigned long long)pages);
    return 0;
}

void mapped_set(uint8_t *bitmap, uint64_t page)
{
    __atomic_fetch_or(&bitmap[page / 8], (uint8_t)(1u << page % 8), __ATOMIC_RELAXED);
}

void mapped_clear(uint8_t *bitmap, uint64_t page)
{
    __atomic_fetch_and(&bitmap[page / 8], (uint8_t) ~(1u << page % 8), __ATOMIC_RELAXED);
}

/* The first bit at or after `from` that differs from those of skip (0 or ~0); limit if none. */
static uint64_t next_bit(const uint8_t *bitmap, uint64_t limit, uint64_t from, uint64_t skip)
{
    while (from < limit) {
        uint64_t word = (le64_load(bitmap + from / 64 * 8) ^ skip) >> from % 64;

        if (word != 0)
            return num_min(from + (uint64_t)__builtin_ctzll(word), limit);
        from = (from / 64 + 1) * 64;
    }
    return limit;
}

uint64_t mapped_next_run(const uint8_t *bitmap, size_t n, uint64_t from, uint64_t max_pages,
                         uint64_t *first)
{
    uint64_t limit = (uint64_t)n * 8, begin = next_bit(bitmap, limit, from, 0);
    uint64_t end = next_bit(bitmap, limit, begin, ~(uint64_t)0);

    if (begin == limit)
        return 0;
    *first = begin;
    return num_min(end - begin, max_pages);
}
