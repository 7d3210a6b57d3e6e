/* SPDX-License-Identifier: Apache-2.0 */
/*
 * After a stop: who asked for it wants to copy an image, or to take a snapshot of what is below it,
 * and has to know when the host has done what the guest had asked for. A disk that hangs is not
 * waited for longer than an operator is. Main thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <ferry/err.h>

#include "vmm/machine/loop.h"

/* Within what `stop` may take. */
#define SETTLE_PATIENCE_NS INT64_C(500000000)

struct board;
struct settle;

int settle_new(struct settle **ret, struct loop *loop, struct board *board,
               struct ferry_err *err) FERRY_MUST_CHECK;
/* Those that still wait are not called. NULL is fine. */
void settle_free(struct settle *s);
/*
 * true: fn() is called once, when no disk request is in flight, or after SETTLE_PATIENCE_NS. false:
 * none is, or there is no memory to wait.
 */
bool settle_await(struct settle *s, loop_fn *fn, void *arg) FERRY_MUST_CHECK;
