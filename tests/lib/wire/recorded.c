/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit.h"

#include "tests/lib/wire/recorded.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/buf.h"

struct channel channel_open(const char *file, uint32_t seed)
{
    struct buf all = {0};
    char path[512];
    gzFile gz;
    int n;

    snprintf(path, sizeof(path), "%s/streams/%s.gz", TEST_DATA_DIR, file);
    gz = gzopen(path, "rb");
    if (!gz)
        fail_msg("cannot open %s", path);
    do {
        uint8_t *to = buf_extend(&all, 1u << 20);

        assert_non_null(to);
        n = gzread(gz, to, 1u << 20);
        assert_true(n >= 0);
        all.len_bytes -= (1u << 20) - (size_t)n;
    } while (n > 0);
    gzclose(gz);
    return (struct channel){.data = all.data,
                            .len_bytes = all.len_bytes,
                            .random = seed * 2654435761u + 1,
                            .most_bytes = seed ? seed * 97 % 6000 + 1 : UINT32_MAX};
}

void channel_close(struct channel *c)
{
    free(c->data);
    *c = (struct channel){0};
}

size_t channel_read(struct channel *c, void *to, size_t n)
{
    size_t left = c->len_bytes - c->pos_bytes;

    c->random = c->random * 1664525u + 1013904223u;
    if (n > left)
        n = left;
    if (c->most_bytes != UINT32_MAX && n > 1u + (c->random >> 8) % c->most_bytes)
        n = 1u + (c->random >> 8) % c->most_bytes;
    if (n != 0)
        memcpy(to, c->data + c->pos_bytes, n);
    c->pos_bytes += n;
    return n;
}

void channel_read_all(struct channel *c, void *to, size_t n)
{
    for (size_t done = 0, got; done < n; done += got) {
        got = channel_read(c, (uint8_t *)to + done, n - done);
        if (got == 0)
            fail_msg("the channel ends %zu bytes too early", n - done);
    }
}

bool channel_ended(const struct channel *c)
{
    return c->pos_bytes == c->len_bytes;
}

void recorded_ram_init(struct recorded_ram *ram)
{
    static const struct ram_block blocks[RECORDED_BLOCKS] = {
        {.name = "virt.flash0", .used_bytes = 0x2000000},
        {.name = "virt.flash1", .used_bytes = 0x2000000},
        {.name = "riscv_virt_board.ram", .used_bytes = 0x800000},
        {.name = "/rom@etc/acpi/tables", .used_bytes = 0x20000, .max_bytes = 0x200000},
        {.name = "/rom@etc/table-loader", .used_bytes = 0x1000, .max_bytes = 0x10000},
        {.name = "riscv_virt_board.mrom", .used_bytes = 0xf000},
        {.name = "/rom@etc/acpi/rsdp", .used_bytes = 0x1000},
    };

    for (size_t i = 0; i < RECORDED_BLOCKS; i++) {
        ram->at[i] = blocks[i];
        ram->host[i] = calloc(1, blocks[i].used_bytes);
        assert_non_null(ram->host[i]);
    }
    ram->blocks = (struct ram_blocks){.at = ram->at, .count = RECORDED_BLOCKS};
}

void recorded_ram_free(struct recorded_ram *ram)
{
    for (size_t i = 0; i < RECORDED_BLOCKS; i++)
        free(ram->host[i]);
}

uint8_t *recorded_page(struct recorded_ram *ram, size_t block, uint64_t offset_bytes)
{
    assert_true(block < RECORDED_BLOCKS);
    assert_true(offset_bytes + WIRE_PAGE_BYTES <= ram->at[block].used_bytes);
    return ram->host[block] + offset_bytes;
}

void recorded_ram_compare(const struct recorded_ram *ram, const char *file)
{
    struct channel want = channel_open(file, 0);
    const uint8_t *have = ram->host[RECORDED_RAM];

    assert_int_equal(want.len_bytes, ram->at[RECORDED_RAM].used_bytes);
    for (size_t i = 0; i < want.len_bytes; i += WIRE_PAGE_BYTES) {
        if (memcmp(have + i, want.data + i, WIRE_PAGE_BYTES) != 0)
            fail_msg("%s: the page at 0x%zx differs", file, i);
    }
    channel_close(&want);
}
