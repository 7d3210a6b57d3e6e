/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames over a stream socket. Input: how many bytes arrive at once, how often the guest has no
 * room, how long the frames are that it sends, how many bytes the peer reads at once; then what the
 * peer sends. The card gets just the frames that are in it up to one that cannot be, and the peer
 * just those that the card sent, whole and in order.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/be.h"
#include "base/buf.h"
#include "fuzz/fuzz.h"
#include "vmm/backend/net.h"
#include "vmm/backend/net_type.h"

#define HEAD_BYTES   4u
#define SENT_FRAMES  6u
#define LENGTH_BYTES 4u

struct side {
    struct loop *loop;
    struct machine_lock lock;
    struct net *net;
    int peer;
    struct buf frames;   /* to the card, each behind its length */
    struct buf sent;     /* from the card, the same */
    struct buf received; /* by the peer */
};

static void take_frames(struct side *s, unsigned at_once)
{
    const uint8_t *frame;
    size_t bytes;

    machine_lock(&s->lock);
    net_want(s->net);
    for (unsigned i = 0; (frame = net_peek(s->net, &bytes)); i++) {
        if (i == at_once) {
            net_stall(s->net);
            break;
        }
        buf_be32(&s->frames, (uint32_t)bytes);
        buf_put(&s->frames, frame, bytes);
        net_pop(s->net);
    }
    machine_unlock(&s->lock);
}

static void peer_reads(struct side *s, size_t at_most)
{
    uint8_t piece[4096];
    ssize_t r =
        recv(s->peer, piece, at_most < sizeof(piece) ? at_most : sizeof(piece), MSG_DONTWAIT);

    if (r > 0)
        buf_put(&s->received, piece, (size_t)r);
}

/* One that the socket has no room for is not sent; the card would keep it. */
static void card_sends(struct side *s, unsigned number, size_t bytes)
{
    static uint8_t frame[NET_FRAME_BYTES_MAX];
    struct iovec parts[2] = {{frame, bytes / 3}, {frame + bytes / 3, bytes - bytes / 3}};
    int rc;

    memset(frame, (int)number + 1, bytes);
    machine_lock(&s->lock);
    rc = s->net->lost ? -EAGAIN : net_send(s->net, parts, 2);
    machine_unlock(&s->lock);
    FUZZ_CHECK(rc == 0 || rc == -EAGAIN, "sends or does not");
    if (rc)
        return;
    buf_be32(&s->sent, (uint32_t)bytes);
    buf_put(&s->sent, frame, bytes);
}

/* What is left of a frame that was begun goes before the next one. */
static void check_sent(struct side *s)
{
    for (unsigned i = 0;; i++) {
        for (size_t before = SIZE_MAX; before != s->received.len_bytes;) {
            before = s->received.len_bytes;
            peer_reads(s, SIZE_MAX);
        }
        if (s->net->lost || s->received.len_bytes == s->sent.len_bytes)
            break;
        FUZZ_CHECK(i < 256, "a frame that was begun never ends");
        card_sends(s, SENT_FRAMES + i, 14);
    }
    FUZZ_CHECK(s->received.len_bytes <= s->sent.len_bytes, "more than was sent");
    FUZZ_CHECK(!s->received.len_bytes ||
                   !memcmp(s->received.data, s->sent.data, s->received.len_bytes),
               "frames are cut or mixed");
}

static struct buf wanted_frames(const uint8_t *data, size_t n)
{
    struct buf frames = {0};

    while (n >= LENGTH_BYTES) {
        uint32_t bytes = be32_load(data);

        if (bytes > NET_FRAME_BYTES_MAX || bytes > n - LENGTH_BYTES)
            break;
        if (bytes)
            buf_put(&frames, data, LENGTH_BYTES + bytes);
        data += LENGTH_BYTES + bytes;
        n -= LENGTH_BYTES + bytes;
    }
    return frames;
}

static void begin(struct side *s)
{
    char id[] = "n", path[] = "/nonexistent";
    struct config_netdev config = {.id = id, .type = CONFIG_NETDEV_STREAM, .path = path};
    struct ferry_part part;
    struct ferry_err err = {0};
    int ends[2], small = 4096;

    FUZZ_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) == 0,
               "no sockets");
    setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
    s->peer = ends[1];
    machine_lock_init(&s->lock);
    FUZZ_CHECK(loop_new(&s->loop, &err) == 0, err.text);
    FUZZ_CHECK(net_new(&s->net, &config, s->loop, &s->lock, &err) == 0, err.text);
    part = net_part(s->net);
    FUZZ_CHECK(part.ops->adopt(part.obj, "n/stream", &ends[0], &err) == 0, err.text);
    part.ops->resume(part.obj);
}

static void end(struct side *s)
{
    net_free(s->net);
    loop_free(s->loop);
    machine_lock_destroy(&s->lock);
    close(s->peer);
    buf_free(&s->frames);
    buf_free(&s->sent);
    buf_free(&s->received);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct side s = {0};
    struct buf wanted;
    size_t piece;
    unsigned number = 0;

    if (n < HEAD_BYTES)
        return 0;
    begin(&s);
    piece = (size_t)data[0] * data[0] + 1;
    for (size_t at = HEAD_BYTES; at < n; at += piece) {
        size_t bytes = n - at < piece ? n - at : piece;

        if (send(s.peer, data + at, bytes, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)bytes)
            break; /* more than a socket takes: not for this */
        take_frames(&s, data[1] ? data[1] : UINT32_MAX);
        if (number < SENT_FRAMES)
            card_sends(&s, number++, 1 + (size_t)data[2] * 257 % NET_FRAME_BYTES_MAX);
        peer_reads(&s, (size_t)data[3] + 1);
    }
    for (int i = 0; i < 512; i++)
        take_frames(&s, UINT32_MAX);
    wanted = wanted_frames(data + HEAD_BYTES, n - HEAD_BYTES);
    FUZZ_CHECK(s.frames.len_bytes == wanted.len_bytes &&
                   (!wanted.len_bytes || !memcmp(s.frames.data, wanted.data, wanted.len_bytes)),
               "other frames than were sent");
    check_sent(&s);
    buf_free(&wanted);
    end(&s);
    return 0;
}
