/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames of the handover protocol (lib/live/format.h): bytes and fds in, frames out, and back.
 *
 * Pure: no socket is touched here, a driver moves bytes and fds between a struct frame_out, a
 * socket and a struct frame_in. One owner, one thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ferry/err.h>

#include "base/buf.h"
#include "lib/live/format.h"

/* More than these cannot belong to any legal sequence of frames. */
#define FRAME_FDS_PENDING_MAX (LIVE_FDS_MAX + LIVE_FDS_PER_FRAME)

struct frame {
    enum live_type type;
    struct rd payload; /* a loan, until the next frame_in_ call */
    int *fds;          /* a loan like payload; take what is wanted, the rest is closed */
    size_t fd_count;
};

struct frame_in {
    struct buf buf;
    size_t consumed_bytes; /* of the frame that is on loan */
    size_t consumed_fds;
    int fds[FRAME_FDS_PENDING_MAX]; /* owned, arrival order */
    size_t fd_count;
};

void frame_in_free(struct frame_in *in);
/* Room for at least one byte, more where a frame is under way; *n of it. NULL: no memory. */
uint8_t *frame_in_room(struct frame_in *in, size_t *n);
/* n bytes were put there and fd_count fds came with them; takes the fds, also on failure. */
int frame_in_fed(struct frame_in *in, size_t n, const int *fds, size_t fd_count,
                 struct ferry_err *err) FERRY_MUST_CHECK;
/* 1 and the next frame, 0 if it is not complete, or -EPROTO. */
int frame_in_next(struct frame_in *in, struct frame *ret, struct ferry_err *err) FERRY_MUST_CHECK;
/* fds that arrived with no frame up to the one on loan. */
size_t frame_in_surplus_fds(const struct frame_in *in);
/* Get and touch the memory that the next frames will need. */
void frame_in_reserve(struct frame_in *in, size_t n);

struct frame_out_batch {
    size_t at_bytes; /* the fds go with this byte of buf */
    size_t first, count;
};

struct frame_out {
    struct buf buf;
    size_t sent_bytes;
    size_t frame_at;                              /* of the frame that is being written */
    int fds[LIVE_FDS_MAX + LIVE_REGIONS_MAX + 1]; /* loans */
    size_t fd_count;
    struct frame_out_batch batches[LIVE_FDS_MAX / LIVE_FDS_PER_FRAME + 4];
    size_t batch_count;
    size_t batches_sent;
    int failed; /* 0, or the positive errno of the first failure; like buf.failed */
};

void frame_out_free(struct frame_out *out);
/* Get and touch the memory that the next frames will need. */
void frame_out_reserve(struct frame_out *out, size_t n);
/* Between begin and end, write the payload to out->buf and name its fds. */
void frame_out_begin(struct frame_out *out, enum live_type type);
void frame_out_fd(struct frame_out *out, int fd);
void frame_out_end(struct frame_out *out);
/* -errno if a frame since the last check did not fit; then nothing of `out` may be sent. */
int frame_out_check(const struct frame_out *out, struct ferry_err *err) FERRY_MUST_CHECK;

/* What to send next: bytes, and the fds that go with the first of them. 0 bytes: all sent. */
size_t frame_out_pending(const struct frame_out *out, const uint8_t **data, const int **fds,
                         size_t *fd_count);
void frame_out_sent(struct frame_out *out, size_t n);
bool frame_out_idle(const struct frame_out *out);
/* The peer is gone. */
void frame_out_drop(struct frame_out *out);
