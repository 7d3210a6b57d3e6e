/* SPDX-License-Identifier: Apache-2.0 */
/*
 * XBZRLE: a page as what changed in it since the peer got it last. Transformation only.
 *
 *     delta := { kept run, new run }...    what follows the last run is kept
 *     kept run := length                   0 only at the very beginning
 *     new run  := length, that many bytes  length >= 1
 *     length := one byte < 0x80, or two: low 7 bits | 0x80, then the rest, < 0x80
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <ferry/err.h>

#define XBZRLE_PAGE_BYTES 4096u

/*
 * Writes the delta from old to now (a copy that nobody changes) and returns its length: 0 if they
 * are equal, -ENOSPC if it has cap or more bytes, so that with cap XBZRLE_PAGE_BYTES it is worth
 * sending.
 */
int xbzrle_encode(const uint8_t old[static XBZRLE_PAGE_BYTES],
                  const uint8_t now[static XBZRLE_PAGE_BYTES], uint8_t *out, size_t cap);

/* Apply a delta to the page in place. Refused deltas may have changed some of it. */
int xbzrle_decode(const uint8_t *delta, size_t n, uint8_t page[static XBZRLE_PAGE_BYTES],
                  struct ferry_err *err) FERRY_MUST_CHECK;
