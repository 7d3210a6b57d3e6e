/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A target's channels with pages besides the main one (format and epochs: lib/wire/multifd.h).
 * Each has a thread that receives, decompresses and writes to guest RAM, or without threads who
 * calls multifd_in_step(). The receiver of the main channel meets them at its marks.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "lib/chan/chan.h"
#include "lib/codec/codec.h"
#include "lib/migrate/guest.h"
#include "lib/migrate/multifd_lane.h"
#include "lib/wire/multifd.h"

struct multifd_in;

struct multifd_in_params {
    const struct guest_ram *guest; /* loan */
    unsigned channels;
    const struct codec_ops *codec;
    bool thread;
    uint8_t uuid[WIRE_UUID_BYTES];
};

int multifd_in_new(struct multifd_in **ret, const struct multifd_in_params *params,
                   struct ferry_err *err) FERRY_MUST_CHECK;
void multifd_in_free(struct multifd_in *m);
/* Called on a lane's thread when a mark may be passed or something failed. */
void multifd_in_wake(struct multifd_in *m, void (*wake)(void *arg), void *arg);
/* The next channel, in any order: takes *chan on success. */
int multifd_in_attach(struct multifd_in *m, struct ferry_chan **chan,
                      struct ferry_err *err) FERRY_MUST_CHECK;
/* Or why a channel failed; `wake` is called when one does. */
int multifd_in_check(struct multifd_in *m, struct ferry_err *err) FERRY_MUST_CHECK;
/* The main channel stands at a mark: 1: passed, 0: ask again after `wake`, or the failure. */
int multifd_in_mark(struct multifd_in *m, struct ferry_err *err) FERRY_MUST_CHECK;
/* How many have said which they are. */
unsigned multifd_in_greeted(struct multifd_in *m);
/* RAM has ended: refused if anything is missing or came behind it. Nothing is received any more. */
int multifd_in_end(struct multifd_in *m, struct ferry_err *err) FERRY_MUST_CHECK;
void multifd_in_step(struct multifd_in *m);
struct multifd_totals multifd_in_totals(const struct multifd_in *m);
