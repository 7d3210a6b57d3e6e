/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A gzip file (RFC 1952) piece by piece: what is in it goes to a function, which says how much
 * there may be. Any thread; one at a time.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ferry/err.h>

struct gunzip;

/* A negative errno ends it. */
typedef int gunzip_take_fn(void *arg, const uint8_t *data, size_t n, struct ferry_err *err);

/* Does a file begin like one? */
bool gunzip_is_for(const uint8_t *data, size_t n);

int gunzip_new(struct gunzip **ret, gunzip_take_fn *take, void *arg,
               struct ferry_err *err) FERRY_MUST_CHECK;
void gunzip_free(struct gunzip *g);
void gunzip_freep(struct gunzip **g);
/* What follows the end is ignored, as gzip ignores padding. */
int gunzip_feed(struct gunzip *g, const uint8_t *data, size_t n,
                struct ferry_err *err) FERRY_MUST_CHECK;
/* No more comes: was it whole? */
int gunzip_end(const struct gunzip *g, struct ferry_err *err) FERRY_MUST_CHECK;
