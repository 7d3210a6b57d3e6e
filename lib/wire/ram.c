/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/wire/ram.h"

#include <errno.h>
#include <string.h>

#include "base/err.h"

static uint64_t ordinary_page_bytes(const struct ram_rules *rules)
{
    return rules->ordinary_page_bytes > WIRE_PAGE_BYTES ? rules->ordinary_page_bytes
                                                        : WIRE_PAGE_BYTES;
}

static int check_block(const struct ram_block *b, struct ferry_err *err)
{
    size_t n = strlen(b->name);

    if (n == 0 || n > WIRE_TEXT8_MAX_BYTES)
        return err_set(err, EINVAL, "a RAM block's name has %zu bytes, not 1 to %u", n,
                       WIRE_TEXT8_MAX_BYTES);
    if (b->used_bytes % WIRE_PAGE_BYTES != 0 || b->max_bytes % WIRE_PAGE_BYTES != 0)
        return err_set(err, EINVAL,
                       "RAM block \"%.64s\" is not made of whole pages: 0x%llx bytes, at most "
                       "0x%llx",
                       b->name, (unsigned long long)b->used_bytes,
                       (unsigned long long)b->max_bytes);
    return 0;
}

int ram_check_rules(const struct ram_rules *rules, const struct ram_blocks *blocks,
                    struct ferry_err *err)
{
    uint64_t total_bytes = 0;
    int r;

    if (rules->mapped_ram && rules->ignore_shared)
        return err_set(err, EINVAL,
                       "mapped-ram and x-ignore-shared do not go together: switch one off");
    if (rules->mapped_ram && (rules->xbzrle || rules->postcopy))
        return err_set(err, EINVAL, "mapped-ram goes with neither xbzrle nor postcopy-ram");
    if (rules->multifd && (rules->xbzrle || rules->postcopy))
        return err_set(err, EINVAL, "multifd goes with neither xbzrle nor postcopy-ram");
    if (blocks->count > WIRE_RAM_BLOCKS_MAX)
        return err_set(err, EINVAL, "%zu RAM blocks are more than %u", blocks->count,
                       WIRE_RAM_BLOCKS_MAX);
    for (size_t i = 0; i < blocks->count; i++) {
        r = check_block(&blocks->at[i], err);
        if (r < 0)
            return r;
        if (__builtin_add_overflow(total_bytes, blocks->at[i].used_bytes, &total_bytes))
            return err_set(err, EOVERFLOW, "the lengths of all RAM blocks overflow");
    }
    return 0;
}

int ram_find(const struct ram_blocks *blocks, const void *name, size_t n)
{
    for (size_t i = 0; i < blocks->count; i++) {
        if (strlen(blocks->at[i].name) == n && memcmp(blocks->at[i].name, name, n) == 0)
            return (int)i;
    }
    return -ENOENT;
}

int ram_check_page(const struct ram_block *b, uint64_t offset_bytes, struct ferry_err *err)
{
    unsigned long long offset = offset_bytes, used = b->used_bytes;

    if (!b->listed)
        return err_set(err, EINVAL,
                       "a page at 0x%llx of RAM block \"%.64s\", which was not in the block list",
                       offset, b->name);
    if (b->ignored)
        return err_set(err, EINVAL,
                       "a page at 0x%llx of RAM block \"%.64s\", which x-ignore-shared leaves "
                       "where it is",
                       offset, b->name);
    if (offset_bytes % WIRE_PAGE_BYTES != 0)
        return err_set(err, EINVAL,
                       "a page at 0x%llx of RAM block \"%.64s\": not a multiple of 0x%x", offset,
                       b->name, WIRE_PAGE_BYTES);
    /* Written so that nothing can wrap, whatever the block's length. */
    if (offset_bytes >= b->used_bytes || b->used_bytes - offset_bytes < WIRE_PAGE_BYTES)
        return err_set(err, EINVAL,
                       "a page at 0x%llx of RAM block \"%.64s\", which has only 0x%llx bytes",
                       offset, b->name, used);
    return 0;
}

uint64_t ram_total_bytes(const struct ram_blocks *blocks)
{
    uint64_t total_bytes = 0;

    for (size_t i = 0; i < blocks->count; i++)
        total_bytes += blocks->at[i].used_bytes;
    return total_bytes;
}

bool ram_entry_has_page_size(const struct ram_rules *rules, const struct ram_block *b)
{
    return rules->postcopy && b->host_page_bytes != 0 &&
           b->host_page_bytes != ordinary_page_bytes(rules);
}
