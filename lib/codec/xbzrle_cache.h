/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pages as the peer has them: a source's reference copies for xbzrle.h, as many as were given
 * room. A key has one place; two that share it displace each other, though not in one round. One
 * owner, one thread.
 *
 * Each page that is sent in any other way while it is in here (plain, or as zero) must be updated
 * here, or the peer's next delta is applied to something else.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <ferry/err.h>

#include "lib/codec/xbzrle.h"

struct xbzrle_cache;

/* Rounded down to a power of two of pages; at least one page. All memory is taken here. */
int xbzrle_cache_new(struct xbzrle_cache **ret, uint64_t size_bytes,
                     struct ferry_err *err) FERRY_MUST_CHECK;
void xbzrle_cache_free(struct xbzrle_cache *c);

/* key: any number that stands for one page of one block. NULL if it is not here. */
uint8_t *xbzrle_cache_find(struct xbzrle_cache *c, uint64_t key, uint64_t round);
/*
 * Keep a copy of page; replaces what was there unless that was used in this round or the one
 * before. 0, or -EAGAIN if it was not kept.
 */
int xbzrle_cache_put(struct xbzrle_cache *c, uint64_t key, uint64_t round,
                     const uint8_t page[static XBZRLE_PAGE_BYTES]);
