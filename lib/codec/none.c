/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/codec/none.h"

#include <errno.h>
#include <string.h>

#include "base/err.h"

/* There is nothing to keep between packets. */
static int none_new(void **ret, struct ferry_err *err)
{
    *ret = NULL;
    return 0;
}

static int none_compressor_new(void **ret, int level, struct ferry_err *err)
{
    return none_new(ret, err);
}

static void none_free(void *p)
{
}

static int none_compress(void *c, const uint8_t *const *pages, size_t count, uint8_t *out,
                         struct ferry_err *err)
{
    for (size_t i = 0; i < count; i++)
        memcpy(out + i * WIRE_PAGE_BYTES, pages[i], WIRE_PAGE_BYTES);
    return (int)(count * WIRE_PAGE_BYTES);
}

static int none_decompress(void *d, const uint8_t *data, size_t n, uint8_t *const *pages,
                           size_t count, struct ferry_err *err)
{
    if (n != count * WIRE_PAGE_BYTES)
        return err_set(err, EINVAL, "%zu bytes are not %zu pages", n, count);
    for (size_t i = 0; i < count; i++)
        memcpy(pages[i], data + i * WIRE_PAGE_BYTES, WIRE_PAGE_BYTES);
    return 0;
}

const struct codec_ops codec_none = {
    .name = "none",
    .method = WIRE_METHOD_NONE,
    .plain = true,
    .compressor_new = none_compressor_new,
    .compressor_free = none_free,
    .compress = none_compress,
    .decompressor_new = none_new,
    .decompressor_free = none_free,
    .decompress = none_decompress,
};
