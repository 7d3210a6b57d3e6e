/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames over a UNIX stream socket, each behind its length in 32 bits, big endian: QEMU's
 * "-netdev stream", which passt speaks, too. A read or write may end anywhere in a frame; the
 * cut bytes are kept in n->rx and n->tx, which are saved state.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/be.h"
#include "base/budget.h"
#include "base/err.h"
#include "base/log.h"
#include "base/num.h"
#include "base/own.h"
#include "vmm/backend/net_type.h"
#include "vmm/backend/unix_socket.h"

#define LENGTH_BYTES 4u
#define IOV_AT_ONCE  1024u /* IOV_MAX */

static int stream_open(struct net *n, struct ferry_err *err)
{
    int rc;

    if (!n->path)
        return err_set(err, EINVAL, "a stream needs addr.path=, the path of a UNIX socket");
    if (n->server)
        return unix_listen(n->path, &n->listen_fd, err);
    rc = unix_connect(n->path, &n->fd, err);
    if (rc < 0 && n->reconnect_ms) {
        log_warn("netdev \"%s\": %s; its link is down until somebody answers there", n->id,
                 err->text);
        return 0;
    }
    if (rc == -ENOENT || rc == -ECONNREFUSED)
        return err_set(err, -rc,
                       "nobody listens on \"%s\": start passt (or the other VMM) before this one",
                       n->path);
    return rc;
}

static int stream_adopt(struct net *n, const char *what, int *fd, struct ferry_err *err)
{
    bool listens = strcmp(what, "listen") == 0;
    int rc = unix_verify(*fd, listens, err);

    if (rc) {
        err_prefix(err, "fd \"%s\"", what);
        return rc;
    }
    *(listens ? &n->listen_fd : &n->fd) = take_fd(fd);
    return 0;
}

/* --- From the socket --- */

/* A whole frame at rx_at, NULL if there is none yet; -1 in *ret_bytes if there can never be. */
static const uint8_t *first_frame(struct net *n, size_t *ret_bytes)
{
    while (n->rx_bytes - n->rx_at >= LENGTH_BYTES) {
        uint32_t bytes = be32_load(n->rx + n->rx_at);

        if (bytes > NET_FRAME_BYTES_MAX) {
            net_lose(n, "a frame of %u bytes came, longer than the %u there can be", bytes,
                     NET_FRAME_BYTES_MAX);
            return NULL;
        }
        if (bytes > n->rx_bytes - n->rx_at - LENGTH_BYTES)
            return NULL;
        if (bytes > 0) {
            *ret_bytes = bytes;
            return n->rx + n->rx_at + LENGTH_BYTES;
        }
        n->rx_at += LENGTH_BYTES; /* nothing in it */
    }
    return NULL;
}

/* 1: there is more now, 0: not. */
static int read_ahead(struct net *n)
{
    ssize_t r;

    memmove(n->rx, n->rx + n->rx_at, n->rx_bytes - n->rx_at);
    n->rx_bytes -= n->rx_at;
    n->rx_at = 0;
    /* There is room: NET_RX_BYTES is more than the longest frame that is not whole yet. */
    do
        r = recv(n->fd, n->rx + n->rx_bytes, NET_RX_BYTES - n->rx_bytes, MSG_DONTWAIT);
    while (r < 0 && errno == EINTR);
    if (r > 0) {
        n->rx_bytes += (uint32_t)r;
        return 1;
    }
    if (r == 0)
        net_lose(n, "the other side has closed the connection");
    else if (errno != EAGAIN)
        net_lose(n, "receiving: %s", strerror(errno));
    return 0;
}

static const uint8_t *stream_peek(struct net *n, bool fill, size_t *ret_bytes)
{
    const uint8_t *frame = first_frame(n, ret_bytes);
    struct budget turn;

    if (frame || !fill)
        return frame;
    /* Frames without a byte in them can come without end. */
    turn = budget_turn();
    while (!frame && !n->lost && !budget_spent(&turn) && read_ahead(n)) {
        budget_take(&turn, n->rx_bytes);
        frame = first_frame(n, ret_bytes);
    }
    return frame;
}

static void stream_pop(struct net *n)
{
    n->rx_at += LENGTH_BYTES + be32_load(n->rx + n->rx_at);
    if (n->rx_at == n->rx_bytes)
        n->rx_at = n->rx_bytes = 0;
}

/* --- To the socket --- */

static int stream_flush(struct net *n)
{
    while (n->tx_at < n->tx_bytes) {
        ssize_t r =
            send(n->fd, n->tx + n->tx_at, n->tx_bytes - n->tx_at, MSG_DONTWAIT | MSG_NOSIGNAL);

        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0 && errno == EAGAIN)
            return -EAGAIN;
        if (r < 0) {
            net_lose(n, "sending: %s", strerror(errno));
            break;
        }
        n->tx_at += (uint32_t)r;
    }
    n->tx_at = n->tx_bytes = 0;
    return 0;
}

/* Keep what is behind the first `sent` bytes of a frame. */
static void keep_rest(struct net *n, const struct iovec *iov, size_t count, size_t sent)
{
    n->tx_at = n->tx_bytes = 0;
    for (size_t i = 0; i < count; i++) {
        size_t skip = num_min(sent, iov[i].iov_len);

        memcpy(n->tx + n->tx_bytes, (const uint8_t *)iov[i].iov_base + skip, iov[i].iov_len - skip);
        n->tx_bytes += (uint32_t)(iov[i].iov_len - skip);
        sent -= skip;
    }
}

static int stream_send(struct net *n, const struct iovec *iov, size_t iov_count)
{
    struct iovec parts[IOV_AT_ONCE];
    struct msghdr msg = {.msg_iov = parts, .msg_iovlen = iov_count + 1};
    uint8_t length[LENGTH_BYTES];
    size_t bytes = 0;
    ssize_t r;

    if (iov_count >= IOV_AT_ONCE)
        return 0; /* too many parts: lost */
    for (size_t i = 0; i < iov_count; i++) {
        bytes += iov[i].iov_len;
        parts[i + 1] = iov[i];
        if (bytes > NET_FRAME_BYTES_MAX)
            return 0;
    }
    be32_store(length, (uint32_t)bytes);
    parts[0] = (struct iovec){.iov_base = length, .iov_len = LENGTH_BYTES};
    do
        r = sendmsg(n->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (r < 0 && errno == EINTR);
    if (r < 0 && errno == EAGAIN)
        return -EAGAIN;
    if (r < 0)
        net_lose(n, "sending: %s", strerror(errno));
    else if ((size_t)r < bytes + LENGTH_BYTES)
        keep_rest(n, parts, iov_count + 1, (size_t)r);
    return 0;
}

const struct net_type net_stream_type = {
    .config = CONFIG_NETDEV_STREAM,
    .name = "stream",
    .open = stream_open,
    .adopt = stream_adopt,
    .fd_names = {"stream", "listen"},
    .peek = stream_peek,
    .pop = stream_pop,
    .send = stream_send,
    .flush = stream_flush,
};
