/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/live/frame.h"

#include <errno.h>
#include <string.h>

#include "base/be.h"
#include "base/err.h"
#include "base/own.h"

/* One recv; a frame's header and, for all but HELLO and STATE, its payload fit. */
#define FRAME_ROOM_BYTES 4096u

/* A longer payload is refused when the header arrives. */
static const struct {
    const char *name;
    uint32_t max_bytes;
    uint32_t max_fds;
} frame_limits[LIVE_TYPE_MAX + 1] = {
    [LIVE_TYPE_HELLO] = {"HELLO", LIVE_DESCRIPTION_MAX_BYTES + LIVE_REGIONS_MAX * 264 + 512,
                         LIVE_REGIONS_MAX + 1},
    [LIVE_TYPE_READY] = {"READY", 2 + 256, 0},
    [LIVE_TYPE_REFUSE] = {"REFUSE", 6 + LIVE_TEXT_MAX_BYTES, 0},
    [LIVE_TYPE_FDS] = {"FDS", 2 + LIVE_FDS_MAX * 257, LIVE_FDS_PER_FRAME},
    [LIVE_TYPE_STATE] = {"STATE", LIVE_STATE_MAX_BYTES, 0},
    [LIVE_TYPE_LOADED] = {"LOADED", 0, 0},
    [LIVE_TYPE_COMMIT] = {"COMMIT", 0, 0},
    [LIVE_TYPE_RUNNING] = {"RUNNING", 42 + LIVE_ENTRIES_MAX * 273, 0},
    [LIVE_TYPE_ABORT] = {"ABORT", 6 + LIVE_TEXT_MAX_BYTES, 0},
    [LIVE_TYPE_SOON] = {"SOON", 0, 0},
    [LIVE_TYPE_EXTRAS] = {"EXTRAS", 2 + LIVE_EXTRAS_MAX * 257, LIVE_FDS_PER_FRAME},
};

static void frame_in_release(struct frame_in *in)
{
    for (size_t i = 0; i < in->consumed_fds; i++)
        own_close_fd(&in->fds[i]);
    in->fd_count -= in->consumed_fds;
    memmove(in->fds, in->fds + in->consumed_fds, in->fd_count * sizeof(in->fds[0]));
    in->consumed_fds = 0;
    buf_consume(&in->buf, in->consumed_bytes);
    in->consumed_bytes = 0;
}

void frame_in_free(struct frame_in *in)
{
    frame_in_release(in);
    for (size_t i = 0; i < in->fd_count; i++)
        own_close_fd(&in->fds[i]);
    in->fd_count = 0;
    buf_free(&in->buf);
}

uint8_t *frame_in_room(struct frame_in *in, size_t *n)
{
    size_t have, room = FRAME_ROOM_BYTES;
    uint8_t *at;

    frame_in_release(in);
    have = in->buf.len_bytes;
    if (have >= LIVE_FRAME_HEADER_BYTES) {
        size_t want = LIVE_FRAME_HEADER_BYTES + (size_t)be32_load(in->buf.data + 4);

        /* frame_in_next has checked it before. Memory grows with what arrives, by doubling. */
        if (want > have + room)
            room = want - have < have + LIVE_STATE_ROOM_BYTES ? want - have
                                                              : have + LIVE_STATE_ROOM_BYTES;
    } else if (in->buf.cap_bytes > have + room) {
        room = in->buf.cap_bytes - have;
    }
    at = buf_extend(&in->buf, room);
    in->buf.len_bytes = have;
    in->buf.failed = 0;
    *n = room;
    return at;
}

int frame_in_fed(struct frame_in *in, size_t n, const int *fds, size_t fd_count,
                 struct ferry_err *err)
{
    in->buf.len_bytes += n;
    if (fd_count > FRAME_FDS_PENDING_MAX - in->fd_count) {
        for (size_t i = 0; i < fd_count; i++) {
            int fd = fds[i];

            own_close_fd(&fd);
        }
        return err_set(err, EPROTO, "more than %u file descriptors arrived at once",
                       FRAME_FDS_PENDING_MAX);
    }
    for (size_t i = 0; i < fd_count; i++)
        in->fds[in->fd_count++] = fds[i];
    return 0;
}

static int frame_in_check_header(uint32_t type, uint32_t length, uint32_t fd_count,
                                 struct ferry_err *err)
{
    if (type == 0 || type > LIVE_TYPE_MAX)
        return err_set(err, EPROTO, "a frame of unknown type %u arrived: not a ferry handover?",
                       type);
    if (length > frame_limits[type].max_bytes)
        return err_set(err, EPROTO, "a %s frame says it has %u bytes, the limit is %u",
                       frame_limits[type].name, length, frame_limits[type].max_bytes);
    if (fd_count > frame_limits[type].max_fds)
        return err_set(err, EPROTO, "a %s frame says it has %u file descriptors, the limit is %u",
                       frame_limits[type].name, fd_count, frame_limits[type].max_fds);
    return 0;
}

int frame_in_next(struct frame_in *in, struct frame *ret, struct ferry_err *err)
{
    uint32_t type, length, fd_count;
    int r;

    frame_in_release(in);
    if (in->buf.len_bytes < LIVE_FRAME_HEADER_BYTES)
        return 0;
    type = be32_load(in->buf.data);
    length = be32_load(in->buf.data + 4);
    fd_count = be32_load(in->buf.data + 8);
    r = frame_in_check_header(type, length, fd_count, err);
    if (r < 0)
        return r;
    if (in->buf.len_bytes - LIVE_FRAME_HEADER_BYTES < length)
        return 0;
    /* fds come with the first byte: all that will come for this frame are here. */
    if (in->fd_count < fd_count)
        return err_set(err, EPROTO, "a %s frame came with %zu of its %u file descriptors",
                       frame_limits[type].name, in->fd_count, fd_count);
    if (in->fd_count > fd_count && in->buf.len_bytes == LIVE_FRAME_HEADER_BYTES + length)
        return err_set(err, EPROTO, "a %s frame came with %zu file descriptors instead of %u",
                       frame_limits[type].name, in->fd_count, fd_count);
    in->consumed_bytes = LIVE_FRAME_HEADER_BYTES + length;
    in->consumed_fds = fd_count;
    *ret = (struct frame){.type = (enum live_type)type,
                          .payload = rd_make(in->buf.data + LIVE_FRAME_HEADER_BYTES, length),
                          .fds = in->fds,
                          .fd_count = fd_count};
    return 1;
}

size_t frame_in_surplus_fds(const struct frame_in *in)
{
    return in->fd_count - in->consumed_fds;
}

/* Without the memory a frame is slower, or fails later with its own sentence. */
static void frame_reserve(struct buf *buf, size_t n)
{
    size_t have = buf->len_bytes;
    volatile uint8_t *at = buf_extend(buf, n);

    for (size_t i = 0; at && i < n; i += 4096)
        at[i] = 0;
    buf->len_bytes = have;
    buf->failed = 0;
}

void frame_in_reserve(struct frame_in *in, size_t n)
{
    frame_reserve(&in->buf, n);
}

void frame_out_free(struct frame_out *out)
{
    buf_free(&out->buf);
    out->fd_count = 0;
    out->batch_count = 0;
}

void frame_out_reserve(struct frame_out *out, size_t n)
{
    frame_reserve(&out->buf, n);
}

void frame_out_begin(struct frame_out *out, enum live_type type)
{
    out->frame_at = out->buf.len_bytes;
    buf_be32(&out->buf, type);
    buf_zeros(&out->buf, 8);
    if (out->batch_count == sizeof(out->batches) / sizeof(out->batches[0])) {
        out->failed = E2BIG;
        return;
    }
    out->batches[out->batch_count] =
        (struct frame_out_batch){.at_bytes = out->frame_at, .first = out->fd_count};
}

void frame_out_fd(struct frame_out *out, int fd)
{
    if (out->failed)
        return;
    if (out->fd_count == sizeof(out->fds) / sizeof(out->fds[0]) ||
        out->batches[out->batch_count].count == LIVE_FDS_PER_FRAME) {
        out->failed = E2BIG;
        return;
    }
    out->fds[out->fd_count++] = fd;
    out->batches[out->batch_count].count++;
}

void frame_out_end(struct frame_out *out)
{
    size_t fd_count, length;

    if (out->failed || out->buf.failed) {
        out->failed = out->failed ? out->failed : out->buf.failed;
        return;
    }
    fd_count = out->batches[out->batch_count].count;
    length = out->buf.len_bytes - out->frame_at - LIVE_FRAME_HEADER_BYTES;
    if (length > frame_limits[be32_load(out->buf.data + out->frame_at)].max_bytes) {
        out->failed = EFBIG;
        return;
    }
    buf_set_be32(&out->buf, out->frame_at + 4, (uint32_t)length);
    buf_set_be32(&out->buf, out->frame_at + 8, (uint32_t)fd_count);
    out->batch_count += fd_count > 0;
}

int frame_out_check(const struct frame_out *out, struct ferry_err *err)
{
    const uint8_t *header;

    if (!out->failed)
        return 0;
    header = out->buf.data ? out->buf.data + out->frame_at : NULL;
    return err_set(err, out->failed, "cannot build the %s frame: %s",
                   header && be32_load(header) <= LIVE_TYPE_MAX
                       ? frame_limits[be32_load(header)].name
                       : "next",
                   out->failed == E2BIG   ? "too many file descriptors"
                   : out->failed == EFBIG ? "more bytes than the protocol allows"
                                          : strerror(out->failed));
}

size_t frame_out_pending(const struct frame_out *out, const uint8_t **data, const int **fds,
                         size_t *fd_count)
{
    size_t end = out->buf.len_bytes, next = out->batches_sent;

    *fds = NULL;
    *fd_count = 0;
    if (next < out->batch_count && out->batches[next].at_bytes == out->sent_bytes) {
        *fds = out->fds + out->batches[next].first;
        *fd_count = out->batches[next].count;
        next++;
    }
    if (next < out->batch_count)
        end = out->batches[next].at_bytes;
    *data = out->buf.data ? out->buf.data + out->sent_bytes : NULL;
    return end - out->sent_bytes;
}

void frame_out_sent(struct frame_out *out, size_t n)
{
    if (n && out->batches_sent < out->batch_count &&
        out->batches[out->batches_sent].at_bytes == out->sent_bytes)
        out->batches_sent++;
    out->sent_bytes += n;
    if (out->sent_bytes == out->buf.len_bytes)
        frame_out_drop(out);
}

bool frame_out_idle(const struct frame_out *out)
{
    return out->sent_bytes == out->buf.len_bytes;
}

void frame_out_drop(struct frame_out *out)
{
    buf_reset(&out->buf);
    out->sent_bytes = 0;
    out->fd_count = 0;
    out->batch_count = 0;
    out->batches_sent = 0;
}
