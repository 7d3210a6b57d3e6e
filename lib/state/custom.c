/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a custom field writes to and reads from. The two opaque types of the public header are the
 * buffer and the cursor of base/buf.h under other names: neither is ever defined.
 */
#include <ferry/state.h>

#include "base/buf.h"

static struct buf *out_buf(struct ferry_out *out)
{
    return (struct buf *)out;
}

void ferry_out_put(struct ferry_out *out, const void *data, size_t n)
{
    buf_put(out_buf(out), data, n);
}

void ferry_out_u8(struct ferry_out *out, uint8_t v)
{
    buf_u8(out_buf(out), v);
}

void ferry_out_be16(struct ferry_out *out, uint16_t v)
{
    buf_be16(out_buf(out), v);
}

void ferry_out_be32(struct ferry_out *out, uint32_t v)
{
    buf_be32(out_buf(out), v);
}

void ferry_out_be64(struct ferry_out *out, uint64_t v)
{
    buf_be64(out_buf(out), v);
}

const uint8_t *ferry_in_take(struct ferry_in *in, size_t n)
{
    return rd_take((struct rd *)in, n);
}
