/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/codec/xbzrle_cache.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/own.h"

struct slot {
    bool full;
    uint64_t key;
    uint64_t round; /* of its last use */
};

struct xbzrle_cache {
    size_t mask; /* slots - 1 */
    struct slot *slots;
    uint8_t *pages;
};

static void xbzrle_cache_freep(struct xbzrle_cache **c)
{
    xbzrle_cache_free(*c);
}

int xbzrle_cache_new(struct xbzrle_cache **ret, uint64_t size_bytes, struct ferry_err *err)
{
    OWN(xbzrle_cache_freep) struct xbzrle_cache *c = calloc(1, sizeof(*c));
    size_t slots = 1;

    while (slots <= SIZE_MAX / XBZRLE_PAGE_BYTES / 4 &&
           (uint64_t)slots * 2 * XBZRLE_PAGE_BYTES <= size_bytes)
        slots *= 2;
    if (c) {
        c->mask = slots - 1;
        c->slots = calloc(slots, sizeof(*c->slots));
        c->pages = calloc(slots, XBZRLE_PAGE_BYTES);
    }
    if (!c || !c->slots || !c->pages)
        return err_set(err, ENOMEM, "no memory for an xbzrle cache of %llu bytes",
                       (unsigned long long)size_bytes);
    *ret = TAKE_PTR(c);
    return 0;
}

void xbzrle_cache_free(struct xbzrle_cache *c)
{
    if (!c)
        return;
    free(c->slots);
    free(c->pages);
    free(c);
}

/* Neighbouring pages get neighbouring places: a small working set does not displace itself. */
static size_t slot_of(const struct xbzrle_cache *c, uint64_t key)
{
    return (size_t)key & c->mask;
}

uint8_t *xbzrle_cache_find(struct xbzrle_cache *c, uint64_t key, uint64_t round)
{
    size_t i = slot_of(c, key);

    if (!c->slots[i].full || c->slots[i].key != key)
        return NULL;
    c->slots[i].round = round;
    return c->pages + i * XBZRLE_PAGE_BYTES;
}

int xbzrle_cache_put(struct xbzrle_cache *c, uint64_t key, uint64_t round,
                     const uint8_t page[static XBZRLE_PAGE_BYTES])
{
    size_t i = slot_of(c, key);
    struct slot *s = &c->slots[i];

    if (s->full && s->key != key && round - s->round < 2)
        return -EAGAIN;
    *s = (struct slot){.full = true, .key = key, .round = round};
    memcpy(c->pages + i * XBZRLE_PAGE_BYTES, page, XBZRLE_PAGE_BYTES);
    return 0;
}
