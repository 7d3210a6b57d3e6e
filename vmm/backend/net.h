/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host's end of a network card: where frames go to and come from (a TAP, or a stream socket
 * to passt or another VMM).
 *
 *   create: copies the description, opens nothing
 *   open (fresh start) or adopt (its part's op, handover): the fd is there
 *   resume (its part's op): frames flow, until pause
 *
 * Everything is called with the machine lock held, from any thread, unless said otherwise; so are
 * the client's callbacks, which come on the main thread. Nothing blocks. A frame begins with
 * vnet_hdr_bytes of struct virtio_net_hdr if that is not 0.
 *
 * Part "netdev/<id>". Its section exists only while a frame is cut in two by the pause: bytes of a
 * frame that has not fully arrived (or that the guest has no room for), and the rest of one that
 * was not fully sent.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include <ferry/err.h>
#include <ferry/part.h>

#include "vmm/machine/config.h"
#include "vmm/machine/lock.h"
#include "vmm/machine/loop.h"

/* Whoever opens a TAP opens this. */
#define NET_TAP_PATH "/dev/net/tun"

/* The largest frame with its header: a 64 KiB segment, Ethernet, VLAN, and a virtio_net_hdr. */
#define NET_FRAME_BYTES_MAX (65536u + 64u)

/* Segmentation and checksums the other side can leave to us (bits of net_set_offloads). */
enum net_offload {
    NET_OFFLOAD_CSUM = 1 << 0,
    NET_OFFLOAD_TSO4 = 1 << 1,
    NET_OFFLOAD_TSO6 = 1 << 2,
    NET_OFFLOAD_ECN = 1 << 3,
    NET_OFFLOAD_UFO = 1 << 4,
};

/* The card. Members may be NULL. */
struct net_client_ops {
    void (*readable)(void *client); /* net_peek() may have a frame */
    void (*writable)(void *client); /* net_send() may be tried again */
    void (*link)(void *client, bool up);
};

struct net;

/* loop and lock are loans for its life. */
int net_new(struct net **ret, const struct config_netdev *config, struct loop *loop,
            struct machine_lock *lock, struct ferry_err *err) FERRY_MUST_CHECK;
/* Fresh start; main thread, lock not held. Keeps an inherited fd of the description. */
int net_open(struct net *n, struct ferry_err *err) FERRY_MUST_CHECK;
/* Main thread, lock not held; NULL is fine. */
void net_free(struct net *n);
struct ferry_part net_part(struct net *n);
const char *net_id(const struct net *n);

/* One client for its life, before open or adopt. */
void net_set_client(struct net *n, const struct net_client_ops *ops, void *client);

/* What the backend can do with a virtio_net_hdr; known from create on. */
bool net_has_vnet_hdr(const struct net *n);
/* 0, 10 or 12 bytes of header in each frame, and what of it frames to the guest may use. */
void net_set_vnet_hdr(struct net *n, unsigned vnet_hdr_bytes, unsigned offloads);
/* The card was reset: a frame that was peeked and not popped has a header that is not its any more.
 */
void net_forget(struct net *n);
bool net_link_up(const struct net *n);

/*
 * 0: sent, or lost as on a wire (link down, too long). -EAGAIN: not now; writable() will come.
 */
int net_send(struct net *n, const struct iovec *iov, size_t iov_count);
/*
 * The next frame, valid until net_pop() or unlock, or NULL: none now. Then, and after net_stall(),
 * readable() will come when that has changed.
 */
const uint8_t *net_peek(struct net *n, size_t *ret_bytes);
void net_pop(struct net *n);
/* The guest has no room: do not watch the fd until net_want(). */
void net_stall(struct net *n);
void net_want(struct net *n);
