/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bell: any thread rings, the loop's thread calls fn soon, once for any number of rings.
 *
 * Unlike loop_post() it allocates nothing when rung, and freeing it takes back what is pending, so
 * that its owner can go at any time. Made and freed on the loop's thread.
 */
#pragma once

#include <ferry/err.h>

#include "vmm/machine/loop.h"

struct bell;

/* fn runs without the machine lock. */
int bell_new(struct bell **ret, struct loop *loop, loop_fn *fn, void *arg,
             struct ferry_err *err) FERRY_MUST_CHECK;
void bell_ring(struct bell *b);
void bell_free(struct bell *b);
