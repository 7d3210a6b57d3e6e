/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/migrate/guest.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/err.h"

static void guest_find_backed(const struct guest_ram *g, size_t i)
{
    int fd = ferry_ram_fd(g->regions[i]);
    uint64_t pages = guest_ram_pages(g, i);
    off_t at = 0;

    for (;;) {
        off_t data = lseek(fd, at, SEEK_DATA);
        off_t end;
        uint64_t first, past;

        if (data < 0 && errno == ENXIO)
            return;
        end = data < 0 ? -1 : lseek(fd, data, SEEK_HOLE);
        /* Who cannot tell gets everything looked at. */
        first = end < 0 ? 0 : (uint64_t)data / WIRE_PAGE_BYTES;
        past = end < 0 ? pages : ((uint64_t)end + WIRE_PAGE_BYTES - 1) / WIRE_PAGE_BYTES;
        for (uint64_t page = first; page < past && page < pages; page++)
            guest_bit_set(g->backed[i], page);
        if (end < 0 || past >= pages)
            return;
        at = end;
    }
}

void guest_ram_find_backed(struct guest_ram *g)
{
    for (size_t i = 0; i < g->blocks.count; i++)
        if (!g->at[i].ignored)
            guest_find_backed(g, i);
}

int guest_ram_init(struct guest_ram *g, struct ferry_ram *ram, bool ignore_shared,
                   struct ferry_err *err)
{
    struct ferry_ram_region *region;

    g->ram = ram;
    g->blocks.at = g->at;
    for (size_t i = 0; (region = ferry_ram_at(ram, i)); i++) {
        size_t words = (size_t)((ferry_ram_size_bytes(region) / WIRE_PAGE_BYTES + 63) / 64);

        if (i == WIRE_RAM_BLOCKS_MAX)
            return err_set(err, E2BIG, "the machine has more than %u regions of RAM",
                           WIRE_RAM_BLOCKS_MAX);
        g->regions[i] = region;
        g->at[i].name = ferry_ram_name(region);
        g->at[i].used_bytes = ferry_ram_size_bytes(region);
        g->at[i].gpa = ferry_ram_gpa(region);
        g->at[i].ignored = ignore_shared && ferry_ram_is_file(region);
        g->blocks.count = i + 1;
        g->pending[i] = calloc(words, sizeof(uint64_t));
        g->backed[i] = calloc(words, sizeof(uint64_t));
        if (!g->pending[i] || !g->backed[i])
            return err_set(err, ENOMEM, "no memory for the dirty pages of '%s'", g->at[i].name);
    }
    return 0;
}

int guest_ram_check_ours(const struct guest_ram *g, struct ferry_err *err)
{
    for (size_t i = 0; i < g->blocks.count; i++)
        if (!g->at[i].ignored && ferry_ram_fd(g->regions[i]) >= 0 &&
            !ferry_ram_is_ours(g->regions[i]))
            return err_set(err, EBUSY,
                           "RAM '%s' is in a file that somebody else has mapped: switch "
                           "x-ignore-shared on, on both sides, or give this side another file",
                           g->at[i].name);
    return 0;
}

void guest_ram_free(struct guest_ram *g)
{
    for (size_t i = 0; i < g->blocks.count; i++) {
        free(g->pending[i]);
        free(g->backed[i]);
    }
    *g = (struct guest_ram){0};
}

uint8_t *guest_ram_page(const struct guest_ram *g, size_t block, uint64_t offset_bytes)
{
    if (block >= g->blocks.count || offset_bytes % WIRE_PAGE_BYTES ||
        offset_bytes / WIRE_PAGE_BYTES >= guest_ram_pages(g, block))
        return NULL;
    return ferry_ram_host(g->regions[block]) + offset_bytes;
}

uint64_t guest_ram_all(struct guest_ram *g)
{
    uint64_t count = 0;

    for (size_t i = 0; i < g->blocks.count; i++) {
        uint64_t pages = g->at[i].ignored ? 0 : guest_ram_pages(g, i);

        for (uint64_t page = 0; page < pages; page++)
            guest_bit_set(g->pending[i], page);
        count += pages;
    }
    return count;
}

uint64_t guest_ram_harvest(struct guest_ram *g)
{
    uint64_t count = 0;

    ferry_ram_harvest_begin(g->ram);
    for (size_t i = 0; i < g->blocks.count; i++) {
        size_t words = (size_t)((guest_ram_pages(g, i) + 63) / 64);

        if (g->at[i].ignored)
            continue;
        count += ferry_ram_harvest(g->regions[i], g->pending[i]);
        for (size_t w = 0; w < words; w++)
            g->backed[i][w] |= g->pending[i][w];
    }
    return count;
}

uint64_t guest_bit_next(const uint64_t *bits, uint64_t page, uint64_t pages)
{
    while (page < pages) {
        uint64_t word = bits[page / 64] >> (page % 64);

        if (word) {
            page += (uint64_t)__builtin_ctzll(word);
            return page < pages ? page : pages;
        }
        page = (page / 64 + 1) * 64;
    }
    return pages;
}
