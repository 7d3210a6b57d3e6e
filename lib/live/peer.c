/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/live/peer.h"

#include <errno.h>
#include <poll.h>

#include "base/err.h"
#include "base/own.h"
#include "lib/chan/unixfd.h"

/* The STATE of a large machine in flight, so that the source need not wait for the target. */
#define PEER_ROOM_BYTES (1u << 20)

int peer_open(struct live_peer *peer, int *fd, struct ferry_err *err)
{
    int r = unixfd_prepare(*fd, PEER_ROOM_BYTES, err);

    peer->fd = -1;
    if (r < 0)
        return r;
    peer->fd = take_fd(fd);
    return 0;
}

void peer_close(struct live_peer *peer)
{
    own_close_fd(&peer->fd);
    frame_in_free(&peer->in);
    frame_out_free(&peer->out);
}

int peer_send(struct live_peer *peer, struct ferry_err *err)
{
    const uint8_t *data;
    const int *fds;
    size_t n, fd_count;
    ssize_t sent;
    int r = frame_out_check(&peer->out, err);

    if (r < 0)
        return r;
    while ((n = frame_out_pending(&peer->out, &data, &fds, &fd_count)) > 0) {
        sent = peer->out_ended ? -EPIPE : unixfd_send(peer->fd, data, n, fds, fd_count, err);
        if (sent == -EAGAIN)
            return 0;
        if (sent == -EPIPE) {
            peer->out_ended = true;
            frame_out_drop(&peer->out);
            return 0;
        }
        if (sent < 0)
            return (int)sent;
        frame_out_sent(&peer->out, (size_t)sent);
    }
    return 0;
}

int peer_receive(struct live_peer *peer, struct frame *ret, struct budget *turn,
                 struct ferry_err *err)
{
    for (;;) {
        int fds[UNIXFD_BATCH_MAX], r = frame_in_next(&peer->in, ret, err);
        size_t room, fd_count = 0;
        uint8_t *at;
        ssize_t got;

        if (r != 0 || peer->gone || turn->left == 0)
            return r;
        at = frame_in_room(&peer->in, &room);
        if (!at)
            return err_set(err, ENOMEM, "no memory for what the other process sends");
        got = unixfd_recv(peer->fd, at, room, fds, &fd_count, err);
        if (got == -EAGAIN) {
            /* The reading half of the peer is gone: nothing can come of this any more. */
            peer->gone = peer->out_ended;
            return 0;
        }
        if (got < 0)
            return (int)got;
        if (got == 0)
            peer->gone = true;
        budget_take(turn, (uint64_t)got);
        r = frame_in_fed(&peer->in, (size_t)got, fds, fd_count, err);
        if (r < 0)
            return r;
    }
}

short peer_events(const struct live_peer *peer)
{
    if (peer->fd < 0 || peer->gone)
        return 0;
    return (short)(POLLIN | (frame_out_idle(&peer->out) ? 0 : POLLOUT));
}
