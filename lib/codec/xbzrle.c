/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/codec/xbzrle.h"

#include <errno.h>
#include <string.h>

#include "base/err.h"

/* Two lengths and as much as a run between them costs: shorter kept runs are cheaper sent anew. */
#define KEPT_MIN_BYTES 3u

/* The end of what is equal from `at` on. */
static size_t skip_equal(const uint8_t *old, const uint8_t *now, size_t at)
{
    uint64_t a, b;

    for (; at + sizeof(a) <= XBZRLE_PAGE_BYTES; at += sizeof(a)) {
        memcpy(&a, old + at, sizeof(a));
        memcpy(&b, now + at, sizeof(b));
        if (a != b)
            break;
    }
    while (at < XBZRLE_PAGE_BYTES && old[at] == now[at])
        at++;
    return at;
}

/* The end of a run of new bytes that begins at `at`: where enough is equal again. */
static size_t skip_new(const uint8_t *old, const uint8_t *now, size_t at)
{
    size_t equal_bytes = 0;

    for (; at < XBZRLE_PAGE_BYTES && equal_bytes < KEPT_MIN_BYTES; at++)
        equal_bytes = old[at] == now[at] ? equal_bytes + 1 : 0;
    return at - equal_bytes;
}

static size_t put_length(uint8_t *out, size_t n)
{
    if (n < 0x80) {
        out[0] = (uint8_t)n;
        return 1;
    }
    out[0] = (uint8_t)(n & 0x7f) | 0x80;
    out[1] = (uint8_t)(n >> 7);
    return 2;
}

int xbzrle_encode(const uint8_t old[static XBZRLE_PAGE_BYTES],
                  const uint8_t now[static XBZRLE_PAGE_BYTES], uint8_t *out, size_t cap)
{
    size_t at = 0, used = 0;

    for (;;) {
        uint8_t head[4];
        size_t begin = skip_equal(old, now, at), end, head_bytes;

        if (begin == XBZRLE_PAGE_BYTES)
            return (int)used;
        end = skip_new(old, now, begin);
        head_bytes = put_length(head, begin - at);
        head_bytes += put_length(head + head_bytes, end - begin);
        if (used + head_bytes + (end - begin) >= cap)
            return -ENOSPC;
        memcpy(out + used, head, head_bytes);
        memcpy(out + used + head_bytes, now + begin, end - begin);
        used += head_bytes + (end - begin);
        at = end;
    }
}

/* 1 if there was a length, 0 if the delta ends in it or it has more than two bytes. */
static int get_length(const uint8_t *delta, size_t n, size_t *at, size_t *ret)
{
    if (*at == n)
        return 0;
    *ret = delta[(*at)++];
    if (*ret < 0x80)
        return 1;
    if (*at == n || delta[*at] >= 0x80)
        return 0;
    *ret = (*ret & 0x7f) | (size_t)delta[(*at)++] << 7;
    return 1;
}

int xbzrle_decode(const uint8_t *delta, size_t n, uint8_t page[static XBZRLE_PAGE_BYTES],
                  struct ferry_err *err)
{
    size_t at = 0, to = 0, kept, fresh;

    if (n == 0)
        return err_set(err, EINVAL, "an empty delta");
    while (at < n) {
        size_t begin = at;

        if (!get_length(delta, n, &at, &kept) || !get_length(delta, n, &at, &fresh))
            return err_set(err, EINVAL, "a delta of %zu bytes has no two lengths at byte %zu", n,
                           begin);
        if ((kept == 0 && begin != 0) || fresh == 0)
            return err_set(err, EINVAL, "a delta keeps %zu and replaces %zu bytes at byte %zu",
                           kept, fresh, begin);
        if (kept > XBZRLE_PAGE_BYTES - to || fresh > XBZRLE_PAGE_BYTES - to - kept)
            return err_set(err, EINVAL,
                           "a delta keeps %zu and replaces %zu bytes from byte %zu of a page of %u",
                           kept, fresh, to, XBZRLE_PAGE_BYTES);
        if (fresh > n - at)
            return err_set(err, EINVAL, "a delta replaces %zu bytes and has only %zu left", fresh,
                           n - at);
        memcpy(page + to + kept, delta + at, fresh);
        at += fresh;
        to += kept + fresh;
    }
    return 0;
}
