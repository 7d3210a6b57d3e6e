/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A multifd channel. Input: one byte that chooses the codec, then packets. A head that is taken
 * must name pages inside of their block; its data are unpacked into just these pages.
 */
#include <string.h>

#include "fuzz/fuzz.h"
#include "lib/codec/codec.h"
#include "lib/wire/multifd.h"

#define RAM_BYTES 0x800000u

static struct ram_block block = {
    .name = "riscv_virt_board.ram", .used_bytes = RAM_BYTES, .listed = true};
static const struct ram_blocks blocks = {.at = &block, .count = 1};

/* All pages go to one: what is tested is that no other byte is written. */
static int unpack(const struct codec_ops *codec, void *d, const struct multifd_packet *p,
                  const uint8_t *data)
{
    uint8_t *page = malloc(WIRE_PAGE_BYTES), *exact = malloc(p->data_bytes);
    uint8_t *pages[WIRE_MULTIFD_PAGES];
    struct ferry_err err = {0};
    int r;

    FUZZ_CHECK(page && exact, "no memory");
    memcpy(exact, data, p->data_bytes);
    for (uint32_t i = 0; i < p->normal_count; i++)
        pages[i] = page;
    r = codec->decompress(d, exact, p->data_bytes, pages, p->normal_count, &err);
    FUZZ_CHECK(r == 0 || err.text[0], "refused without a word");
    free(page);
    free(exact);
    return r;
}

/* How many bytes the packet took; 0: it is not all there, or refused. */
static size_t one_packet(const struct codec_ops *codec, void *d, const uint8_t *data, size_t n)
{
    struct multifd_packet p = {0};
    struct ferry_err err = {0}, early = {0};
    int r = multifd_get_head(data, n < 12 ? n : 12, codec->method, &blocks, &p, &early);
    bool refused_early = r < 0;

    r = multifd_get_head(data, n, codec->method, &blocks, &p, &err);
    FUZZ_CHECK(!refused_early || r < 0, "refused by its beginning, taken as a whole");
    if (r <= 0)
        return 0;
    FUZZ_CHECK(p.normal_count + p.zero_count <= WIRE_MULTIFD_PAGES, "too many pages");
    FUZZ_CHECK(p.data_bytes <= WIRE_MULTIFD_DATA_MAX_BYTES, "too much data");
    for (uint32_t i = 0; i < p.normal_count + p.zero_count; i++)
        FUZZ_CHECK(p.offsets[i] <= RAM_BYTES - WIRE_PAGE_BYTES &&
                       p.offsets[i] % WIRE_PAGE_BYTES == 0,
                   "a page outside of its block");
    if (n - MULTIFD_HEAD_BYTES < p.data_bytes)
        return 0;
    if (p.normal_count != 0 && unpack(codec, d, &p, data + MULTIFD_HEAD_BYTES) < 0)
        return 0;
    return MULTIFD_HEAD_BYTES + p.data_bytes;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    const struct codec_ops *codec;
    struct ferry_err err = {0};
    void *d = NULL;
    size_t at = 1, took;

    if (n == 0)
        return 0;
    codec = codec_types[data[0] % 3];
    FUZZ_CHECK(codec->decompressor_new(&d, &err) == 0, err.text);
    do {
        took = one_packet(codec, d, data + at, n - at);
        at += took;
    } while (took != 0);
    codec->decompressor_free(d);
    return 0;
}
