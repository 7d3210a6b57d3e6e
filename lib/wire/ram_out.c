/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/wire/ram_out.h"

#include <string.h>

#include "base/be.h"

void ram_out_init(struct ram_out *out, const struct ram_blocks *blocks)
{
    out->blocks = blocks;
    ram_out_forget(out);
}

void ram_out_forget(struct ram_out *out)
{
    out->last = out->blocks->count;
}

/* Offset, flags and, unless it is the last one, the block. */
static size_t put_place(struct ram_out *out, uint8_t *head, size_t block, uint64_t offset_bytes,
                        uint64_t flag)
{
    size_t n;

    if (block == out->last) {
        be64_store(head, offset_bytes | flag | WIRE_RAM_CONTINUE);
        return 8;
    }
    n = strlen(out->blocks->at[block].name);
    be64_store(head, offset_bytes | flag);
    head[8] = (uint8_t)n;
    memcpy(head + 9, out->blocks->at[block].name, n);
    out->last = block;
    return 9 + n;
}

size_t ram_out_page(struct ram_out *out, uint8_t head[static RAM_HEAD_MAX_BYTES], size_t block,
                    uint64_t offset_bytes)
{
    return put_place(out, head, block, offset_bytes, WIRE_RAM_PAGE);
}

size_t ram_out_zero(struct ram_out *out, uint8_t head[static RAM_HEAD_MAX_BYTES], size_t block,
                    uint64_t offset_bytes)
{
    size_t n = put_place(out, head, block, offset_bytes, WIRE_RAM_ZERO);

    head[n] = 0;
    return n + 1;
}

size_t ram_out_xbzrle(struct ram_out *out, uint8_t head[static RAM_HEAD_MAX_BYTES], size_t block,
                      uint64_t offset_bytes, uint16_t delta_bytes)
{
    size_t n = put_place(out, head, block, offset_bytes, WIRE_RAM_XBZRLE);

    head[n] = WIRE_RAM_XBZRLE_ENCODING;
    be16_store(head + n + 1, delta_bytes);
    return n + 3;
}

size_t ram_out_flush(uint8_t head[static RAM_HEAD_MAX_BYTES])
{
    be64_store(head, WIRE_RAM_MULTIFD_FLUSH);
    return 8;
}

size_t ram_out_eos(uint8_t head[static RAM_HEAD_MAX_BYTES])
{
    be64_store(head, WIRE_RAM_EOS);
    return 8;
}

void ram_put_total(struct buf *out, const struct ram_blocks *blocks)
{
    buf_be64(out, ram_total_bytes(blocks) | WIRE_RAM_MEM_SIZE);
}

void ram_put_entry(struct buf *out, const struct ram_rules *rules, const struct ram_block *b)
{
    buf_u8(out, (uint8_t)strlen(b->name));
    buf_str(out, b->name);
    buf_be64(out, b->used_bytes);
    if (ram_entry_has_page_size(rules, b))
        buf_be64(out, b->host_page_bytes);
    if (rules->ignore_shared)
        buf_be64(out, b->gpa);
}

void ram_put_list(struct buf *out, const struct ram_rules *rules, const struct ram_blocks *blocks)
{
    ram_put_total(out, blocks);
    for (size_t i = 0; i < blocks->count; i++)
        ram_put_entry(out, rules, &blocks->at[i]);
}
