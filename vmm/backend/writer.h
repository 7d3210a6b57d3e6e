/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Output to what poll(2) cannot wait for: a regular file, whose write(2) takes as long as its disk
 * or server takes, for ever if that is gone. A thread writes; who has bytes puts them into a small
 * buffer and never waits.
 *
 * Made and freed on the loop's thread; the rest is for any thread, with any lock held.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <ferry/err.h>

#include "vmm/machine/loop.h"

#define WRITER_BYTES    (64u << 10)
/* How long an end waits for the rest to be written: within what `quit` may take. */
#define WRITER_GRACE_NS INT64_C(500000000)

struct writer;

/*
 * Writes to a duplicate of fd. changed() is called from the loop, without any lock, when there is
 * room again after a short put, when all is written, when writing failed and when something is
 * lost.
 */
int writer_new(struct writer **ret, struct loop *loop, int fd, loop_fn *changed, void *arg,
               struct ferry_err *err) FERRY_MUST_CHECK;
/* How many of n bytes were taken. All, and they are lost, once writing has failed. */
size_t writer_put(struct writer *w, const void *data, size_t n);
bool writer_has_room(struct writer *w);
/* How much could be put. If it is less than all, changed() follows. */
size_t writer_room(struct writer *w);
bool writer_is_idle(struct writer *w); /* everything that was put is written */
/* For good: there is nobody to write to. A full disk is not: what comes while it is full is lost.
 */
bool writer_has_failed(struct writer *w);
/* The errno for which something was lost, once in an episode (loss.h); 0: nothing to tell of. That
 * there is, changed() says. */
int writer_take_loss(struct writer *w);
/* Nothing more is put; the rest is written. Does not wait: who ends several ends all, then frees.
 */
void writer_end(struct writer *w);
/* Waits until WRITER_GRACE_NS after the end was asked for; what is not written by then is lost, if
 * it is not under way. */
void writer_free(struct writer *w);
