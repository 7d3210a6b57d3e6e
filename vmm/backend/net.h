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
 * was not fully sent; or while an operator has taken the link down.
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

/* For who opens it for another process; *ret_fd is the caller's. May block. */
int net_tap_open(const char *ifname, int *ret_fd, struct ferry_err *err) FERRY_MUST_CHECK;

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

/* What a netdev needs of the VM. Both on the main thread, without the machine lock. */
struct net_host {
    /* Connect again to the peer of this netdev; *ret_mail: where the answer comes (base/mail.h). */
    int (*connect)(void *arg, const char *id, int *ret_mail, struct ferry_err *err);
    /* A stream's peer is there now, or is not any more. */
    void (*peer)(void *arg, const struct net *n, bool connected);
    void *arg;
};

/* What there is to say of one. Loans of its own. */
struct net_status {
    const char *id;
    const char *type;  /* QEMU's: "tap", "stream" */
    const char *where; /* the path of a socket, the name of a TAP; NULL: not known */
    bool server;
    bool connected;
    bool link_up;          /* as the guest sees it */
    bool link_off;         /* an operator took it down */
    uint32_t reconnect_ms; /* 0: what is lost stays lost */
    int64_t since_ns;      /* CLOCK_MONOTONIC: (not) connected since; 0: before this process */
};

/* loop and lock are loans for its life. */
int net_new(struct net **ret, const struct config_netdev *config, struct loop *loop,
            struct machine_lock *lock, struct ferry_err *err) FERRY_MUST_CHECK;
/* Before open or adopt; copied. Without one nothing is connected again. */
void net_set_host(struct net *n, const struct net_host *host);
/* Fresh start; main thread, lock not held. Keeps an inherited fd of the description. */
int net_open(struct net *n, struct ferry_err *err) FERRY_MUST_CHECK;
/*
 * Instead of open: another process opened what this one may not. A TAP, the connection of a stream,
 * or, of a server, what listens. Takes *fd on success, if it is what it should be.
 */
int net_open_with(struct net *n, int *fd, struct ferry_err *err) FERRY_MUST_CHECK;
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
/* For the guest: somebody is connected, and no operator took it down. */
bool net_link_up(const struct net *n);
/* QEMU's set_link: down, frames are lost both ways until up. Main thread, lock not held. */
void net_set_link(struct net *n, bool up);
/* The guest has gone elsewhere with its network: the peer is free for it there, if it can be had
 * again here. Main thread, lock not held. */
void net_let_go(struct net *n);
/* Main thread, lock not held. */
void net_status(const struct net *n, struct net_status *ret);

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
/* The guest has no room: nothing is read until net_want(). */
void net_stall(struct net *n);
void net_want(struct net *n);
