/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The connection to the other process: frames over lib/chan/unixfd. The only part of the handover
 * that touches the socket. One thread; nothing blocks.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ferry/err.h>

#include "base/budget.h"
#include "lib/live/frame.h"

struct live_peer {
    int fd; /* owned */
    struct frame_in in;
    struct frame_out out;
    bool gone;      /* nothing more will be received */
    bool out_ended; /* nothing more can be sent; what the peer sent before may still come */
};

/* Takes *fd on success. peer is zeroed memory. */
int peer_open(struct live_peer *peer, int *fd, struct ferry_err *err) FERRY_MUST_CHECK;
void peer_close(struct live_peer *peer);

/* Send what is queued and can be sent now. */
int peer_send(struct live_peer *peer, struct ferry_err *err) FERRY_MUST_CHECK;
/*
 * 1 and a frame (a loan until the next call), 0 if none is complete now, or -errno. What it reads
 * is taken from turn; 0 also when that is spent.
 */
int peer_receive(struct live_peer *peer, struct frame *ret, struct budget *turn,
                 struct ferry_err *err) FERRY_MUST_CHECK;

/* What to poll(2) for. */
short peer_events(const struct live_peer *peer);
