/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside vmm/backend: a kind of net backend, and what all of them share. net.c has the threads'
 * part (when to read, when to write, who wakes whom), net_part.c what moves; a kind reads and
 * writes.
 *
 * Under the machine lock, except create, open, adopt and free (main thread, nothing runs yet).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/backend/bell.h"
#include "vmm/backend/net.h"
#include "vmm/backend/redial.h"

/* Bytes read ahead: at least a frame and the length before it. */
#define NET_RX_BYTES (128u << 10)
#define NET_TX_BYTES (NET_FRAME_BYTES_MAX + 4u)

struct net_type {
    enum config_netdev_type config;
    const char *name;
    bool vnet_hdr; /* its frames have a virtio_net_hdr */
    int (*open)(struct net *n, struct ferry_err *err);
    /* what: the name behind the "/". Takes *fd on success. */
    int (*adopt)(struct net *n, const char *what, int *fd, struct ferry_err *err);
    const char *fd_names[2]; /* of net.fd and net.listen_fd; NULL: has none */
    void (*set_vnet_hdr)(struct net *n, unsigned bytes, unsigned offloads); /* may be NULL */
    /*
     * The first whole frame in n->rx from n->rx_at on, or NULL. With `fill`, read more if there is
     * none: until there is, or the fd has no more, or one turn of the loop is over.
     */
    const uint8_t *(*peek)(struct net *n, bool fill, size_t *ret_bytes);
    void (*pop)(struct net *n);
    /* 0, or -EAGAIN. What was not sent of a frame that was begun is left in n->tx. */
    int (*send)(struct net *n, const struct iovec *iov, size_t iov_count);
    int (*flush)(struct net *n); /* n->tx; 0 when it is empty, or -EAGAIN */
};

struct net {
    const struct net_type *type;
    char *id;
    char *idstr; /* "netdev/<id>" */
    char *ifname;
    char *path;
    /* Inherited. Only open() may touch it: at a handover target the number means something else. */
    int config_fd;
    bool server;
    struct loop *loop;
    struct machine_lock *lock;
    const struct net_client_ops *client_ops;
    void *client;

    int fd;        /* owned; -1: not attached, or no connection */
    int listen_fd; /* owned; -1: none */
    struct loop_watch *watch;
    struct acceptor *acceptor; /* of listen_fd */
    struct bell *bell;
    struct net_host host;
    uint32_t reconnect_ms;
    struct redial *redial; /* NULL: what is lost stays lost */
    bool told_connected;   /* what net_host.peer heard last */
    int64_t since_ns;
    bool running; /* between resume and pause */
    bool resumed; /* and the card does not know yet */
    bool link_up;
    bool link_off;   /* by an operator; saved state */
    bool stalled;    /* the guest has no room */
    bool want_write; /* a send was refused, or n->tx is not empty */
    bool lost;       /* the connection: the main thread has to close it */
    char lost_reason[100];
    unsigned vnet_hdr_bytes;
    unsigned offloads;

    /* Saved state: normally both are empty. rx_at is 0 then. */
    uint32_t rx_at;
    uint32_t rx_bytes; /* end of what was read */
    uint32_t tx_at;
    uint32_t tx_bytes;
    uint8_t rx[NET_RX_BYTES];
    uint8_t tx[NET_TX_BYTES];
};

extern const struct net_type net_tap_type;
extern const struct net_type net_stream_type;

/* The connection is gone; any thread that holds the lock. */
void net_lose(struct net *n, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Main thread, lock held: n->fd is there, or is not any more. */
int net_watch(struct net *n, struct ferry_err *err) FERRY_MUST_CHECK;
/* The same, for whoever has changed what is waited for, or what makes the link. */
void net_update_watch(struct net *n);
void net_update_link(struct net *n);
/* Whatever way the fd came, it is non-blocking then and not for children. -1: nothing to do. */
int net_prepare_fd(int fd, struct ferry_err *err) FERRY_MUST_CHECK;
