/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/board/gunzip.h"

#include <errno.h>
#include <stdlib.h>
#include <zlib.h>

#include "base/err.h"
#include "base/own.h"

#define OUT_BYTES  (256u << 10)
#define GZIP_WBITS (15 + 16) /* the largest window, and a gzip header around it */

struct gunzip {
    gunzip_take_fn *take;
    void *arg;
    z_stream z;
    bool begun, ended;
    uint8_t out[OUT_BYTES];
};

bool gunzip_is_for(const uint8_t *data, size_t n)
{
    return n >= 3 && data[0] == 0x1f && data[1] == 0x8b && data[2] == Z_DEFLATED;
}

int gunzip_new(struct gunzip **ret, gunzip_take_fn *take, void *arg, struct ferry_err *err)
{
    OWN(gunzip_freep) struct gunzip *g = calloc(1, sizeof(*g));

    if (!g || inflateInit2(&g->z, GZIP_WBITS) != Z_OK)
        return err_set(err, ENOMEM, "no memory to unpack a file");
    g->begun = true;
    g->take = take;
    g->arg = arg;
    *ret = TAKE_PTR(g);
    return 0;
}

void gunzip_free(struct gunzip *g)
{
    if (!g)
        return;
    if (g->begun)
        inflateEnd(&g->z);
    free(g);
}

void gunzip_freep(struct gunzip **g)
{
    gunzip_free(*g);
}

int gunzip_feed(struct gunzip *g, const uint8_t *data, size_t n, struct ferry_err *err)
{
    g->z.next_in = (uint8_t *)(uintptr_t)data;
    g->z.avail_in = (unsigned)n;
    while (!g->ended) {
        int result, rc;

        g->z.next_out = g->out;
        g->z.avail_out = sizeof(g->out);
        result = inflate(&g->z, Z_NO_FLUSH);
        if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR)
            return err_set(err, EBADMSG, "its gzip data is damaged (%s)",
                           g->z.msg ? g->z.msg : "no memory");
        rc = g->take(g->arg, g->out, sizeof(g->out) - g->z.avail_out, err);
        if (rc < 0)
            return rc;
        g->ended = result == Z_STREAM_END;
        /* Room was left: all that came is used up. */
        if (g->z.avail_out > 0)
            break;
    }
    return 0;
}

int gunzip_end(const struct gunzip *g, struct ferry_err *err)
{
    return g->ended ? 0 : err_set(err, EBADMSG, "its gzip data ends too early");
}
