/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A source's channels with pages besides the main one (format: lib/wire/multifd.h). The sender
 * deals out packets; each channel has a thread that looks for zeros, compresses and sends, or
 * without threads who calls multifd_out_step().
 *
 *     attach every channel; multifd_out_sync() before the first page; then as often as needed
 *     multifd_out_room() ? multifd_out_pages() : wait for `wake`
 *     multifd_out_sync(), and wait until it is idle, before the mark on the main channel
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "lib/chan/chan.h"
#include "lib/codec/codec.h"
#include "lib/migrate/guest.h"
#include "lib/migrate/multifd_lane.h"
#include "lib/wire/multifd.h"

struct multifd_out;

struct multifd_out_params {
    const struct guest_ram *guest; /* loan */
    unsigned channels;
    const struct codec_ops *codec;
    int level;
    bool look_for_zeros; /* else every page travels */
    bool thread;
    uint8_t uuid[WIRE_UUID_BYTES];
};

int multifd_out_new(struct multifd_out **ret, const struct multifd_out_params *params,
                    struct ferry_err *err) FERRY_MUST_CHECK;
void multifd_out_free(struct multifd_out *m);
/* Called on a lane's thread when there is room again, it is idle, or it has failed. Set it before
 * the first attach. */
void multifd_out_wake(struct multifd_out *m, void (*wake)(void *arg), void *arg);
/* The next channel: takes *chan on success, says hello on it. */
int multifd_out_attach(struct multifd_out *m, struct ferry_chan **chan,
                       struct ferry_err *err) FERRY_MUST_CHECK;
bool multifd_out_complete(const struct multifd_out *m);

bool multifd_out_room(struct multifd_out *m);
/* 1 to WIRE_MULTIFD_PAGES pages of a block; only when there is room. */
void multifd_out_pages(struct multifd_out *m, size_t block, const uint64_t *offsets_bytes,
                       size_t n);
/* Only when it is idle. */
void multifd_out_sync(struct multifd_out *m);
/* 1: nothing is queued, 0: something is, or the failure. */
int multifd_out_idle(struct multifd_out *m, struct ferry_err *err) FERRY_MUST_CHECK;
void multifd_out_step(struct multifd_out *m);
/* 0: there are no more. */
int multifd_out_thread_id(const struct multifd_out *m, size_t index);

/* The peer takes nothing on one of them. */
bool multifd_out_blocked(const struct multifd_out *m);
/* Sent, and not taken yet. */
uint64_t multifd_out_queued_bytes(const struct multifd_out *m);
struct multifd_totals multifd_out_totals(const struct multifd_out *m);
