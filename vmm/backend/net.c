/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who does what: a hart thread sends (net_send) and says that the guest has made room (net_want);
 * both may need the watch changed, which only the main thread can, so they ring the bell. The main
 * thread reads, sends what had to wait, and accepts and ends connections.
 */
#include "vmm/backend/net.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/err.h"
#include "base/log.h"
#include "base/own.h"
#include "vmm/backend/acceptor.h"
#include "vmm/backend/net_type.h"

static const struct net_type *const net_types[] = {&net_tap_type, &net_stream_type};

/* --- The watch. Main thread, lock held. --- */

static void update_watch(struct net *n)
{
    short events = 0;

    if (n->running && !n->lost) {
        events |= n->stalled ? 0 : POLLIN;
        events |= n->want_write ? POLLOUT : 0;
    }
    if (n->watch)
        loop_watch_set(n->watch, events);
    if (n->acceptor)
        acceptor_set(n->acceptor, n->running && n->fd < 0);
}

void net_set_link(struct net *n, bool up)
{
    if (n->link_up == up)
        return;
    n->link_up = up;
    if (n->client_ops && n->client_ops->link)
        n->client_ops->link(n->client, up);
}

/* The other side is gone. A server waits for the next one. */
static void disconnect(struct net *n)
{
    log_warn("netdev \"%s\": %s; its link is down%s", n->id, n->lost_reason,
             n->server ? " until somebody connects" : "");
    loop_watch_free(n->watch);
    n->watch = NULL;
    own_close_fd(&n->fd);
    n->rx_at = n->rx_bytes = n->tx_at = n->tx_bytes = 0;
    n->lost = n->want_write = n->stalled = false;
    net_set_link(n, false);
    /* What waits in the ring is lost on the way like the rest. */
    if (n->client_ops && n->client_ops->writable)
        n->client_ops->writable(n->client);
}

static void receive(struct net *n)
{
    size_t bytes;

    if (n->stalled || !n->running || n->lost)
        return;
    if (n->client_ops && n->client_ops->readable)
        n->client_ops->readable(n->client);
    /* It stopped after a turn: the fd does not say what was read ahead. */
    if (!n->stalled && n->running && n->type->peek(n, false, &bytes))
        bell_ring(n->bell);
}

static void transmit(struct net *n)
{
    if (!n->want_write || !n->running || n->lost)
        return;
    if (n->type->flush(n) == -EAGAIN)
        return;
    n->want_write = false;
    if (n->client_ops && n->client_ops->writable)
        n->client_ops->writable(n->client);
}

static void settle(struct net *n)
{
    if (n->lost)
        disconnect(n);
    update_watch(n);
}

static void net_event(void *arg, short revents)
{
    struct net *n = arg;

    machine_lock(n->lock);
    if (revents & ~POLLIN)
        transmit(n);
    if (revents & ~POLLOUT)
        receive(n);
    settle(n);
    machine_unlock(n->lock);
}

static void net_rung(void *arg)
{
    struct net *n = arg;

    machine_lock(n->lock);
    if (n->fd >= 0)
        receive(n);
    if (n->resumed && n->running) {
        n->resumed = false;
        if (n->client_ops && n->client_ops->writable)
            n->client_ops->writable(n->client);
    }
    settle(n);
    machine_unlock(n->lock);
}

static void net_accepted(void *arg, int *fd)
{
    struct net *n = arg;
    struct ferry_err err;

    machine_lock(n->lock);
    n->fd = take_fd(fd);
    if (net_watch(n, &err) < 0) {
        log_warn("netdev \"%s\": %s", n->id, err.text);
        own_close_fd(&n->fd);
    }
    if (n->fd >= 0)
        net_set_link(n, true);
    update_watch(n);
    machine_unlock(n->lock);
}

static const struct acceptor_ops net_acceptor_ops = {.accepted = net_accepted};

int net_watch(struct net *n, struct ferry_err *err)
{
    if (n->listen_fd >= 0 && !n->acceptor) {
        int rc = acceptor_new(&n->acceptor, n->loop, n->listen_fd, &net_acceptor_ops, n, err);

        if (rc)
            return rc;
    }
    if (n->fd >= 0 && !n->watch)
        return loop_watch_new(&n->watch, n->loop, n->fd, 0, net_event, n, err);
    return 0;
}

void net_lose(struct net *n, const char *fmt, ...)
{
    va_list ap;

    if (n->lost)
        return;
    n->lost = true;
    va_start(ap, fmt);
    vsnprintf(n->lost_reason, sizeof(n->lost_reason), fmt, ap);
    va_end(ap);
    bell_ring(n->bell);
}

/* --- For the card --- */

int net_send(struct net *n, const struct iovec *iov, size_t iov_count)
{
    int rc;

    if (!n->running)
        return -EAGAIN; /* resume looks at the ring again */
    if (n->fd < 0 || n->lost)
        return 0;
    rc = n->tx_bytes > 0 ? n->type->flush(n) : 0;
    if (rc == 0)
        rc = n->type->send(n, iov, iov_count);
    if ((rc == -EAGAIN || n->tx_bytes > 0) && !n->want_write) {
        n->want_write = true;
        bell_ring(n->bell);
    }
    return rc == -EAGAIN ? -EAGAIN : 0;
}

const uint8_t *net_peek(struct net *n, size_t *ret_bytes)
{
    if (!n->running || n->fd < 0 || n->lost)
        return NULL;
    return n->type->peek(n, true, ret_bytes);
}

void net_pop(struct net *n)
{
    n->type->pop(n);
}

void net_stall(struct net *n)
{
    n->stalled = true;
}

void net_want(struct net *n)
{
    if (!n->stalled)
        return;
    n->stalled = false;
    bell_ring(n->bell);
}

bool net_has_vnet_hdr(const struct net *n)
{
    return n->type->vnet_hdr;
}

void net_set_vnet_hdr(struct net *n, unsigned vnet_hdr_bytes, unsigned offloads)
{
    n->vnet_hdr_bytes = vnet_hdr_bytes;
    n->offloads = offloads;
    if (n->type->set_vnet_hdr && n->fd >= 0)
        n->type->set_vnet_hdr(n, vnet_hdr_bytes, offloads);
}

void net_forget(struct net *n)
{
    if (n->type->vnet_hdr)
        n->rx_bytes = 0;
}

bool net_link_up(const struct net *n)
{
    return n->link_up;
}

void net_set_client(struct net *n, const struct net_client_ops *ops, void *client)
{
    n->client_ops = ops;
    n->client = client;
}

const char *net_id(const struct net *n)
{
    return n->id;
}

/* --- Life --- */

static char *copy_text(const char *text)
{
    return text ? strdup(text) : NULL;
}

static void net_freep(struct net **n)
{
    net_free(*n);
}

void net_free(struct net *n)
{
    if (!n)
        return;
    loop_watch_free(n->watch);
    acceptor_free(n->acceptor);
    bell_free(n->bell);
    own_close_fd(&n->fd);
    own_close_fd(&n->listen_fd);
    free(n->id);
    free(n->idstr);
    free(n->ifname);
    free(n->path);
    free(n);
}

int net_new(struct net **ret, const struct config_netdev *config, struct loop *loop,
            struct machine_lock *lock, struct ferry_err *err)
{
    OWN(net_freep) struct net *n = NULL;
    int rc;

    if (strlen(config->id) + sizeof("/stream") > FERRY_FD_NAME_BYTES)
        return err_set(err, ENAMETOOLONG, "netdev id \"%.80s\" is longer than %zu bytes",
                       config->id, FERRY_FD_NAME_BYTES - sizeof("/stream"));
    n = calloc(1, sizeof(*n));
    if (!n)
        return err_set(err, ENOMEM, "no memory for netdev \"%s\"", config->id);
    n->fd = n->listen_fd = n->config_fd = -1;
    for (size_t i = 0; i < sizeof(net_types) / sizeof(net_types[0]); i++) {
        if (net_types[i]->config == config->type)
            n->type = net_types[i];
    }
    if (!n->type)
        return err_set(err, EINVAL, "netdev \"%s\" has an unknown type", config->id);
    n->server = config->server;
    n->loop = loop;
    n->lock = lock;
    n->id = strdup(config->id);
    n->ifname = copy_text(config->ifname);
    n->path = copy_text(config->path);
    if (!n->id || (config->ifname && !n->ifname) || (config->path && !n->path) ||
        asprintf(&n->idstr, "netdev/%s", config->id) < 0) {
        n->idstr = NULL;
        return err_set(err, ENOMEM, "no memory for netdev \"%s\"", config->id);
    }
    rc = bell_new(&n->bell, loop, net_rung, n, err);
    if (rc)
        return rc;
    n->config_fd = config->type == CONFIG_NETDEV_TAP ? config->fd : -1;
    *ret = TAKE_PTR(n);
    return 0;
}

/* Whatever way the fd came, it is non-blocking and not for children. */
static int prepare_fd(int fd, struct ferry_err *err)
{
    int flags = fd < 0 ? 0 : fcntl(fd, F_GETFL);

    if (fd < 0 || ((flags & O_NONBLOCK) && (fcntl(fd, F_GETFD) & FD_CLOEXEC)))
        return 0;
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ||
        fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
        return err_sys(err, errno, "preparing its fd");
    return 0;
}

int net_open(struct net *n, struct ferry_err *err)
{
    int rc = n->type->open(n, err);

    if (rc == 0)
        rc = prepare_fd(n->fd, err);
    if (rc == 0)
        rc = net_watch(n, err);
    if (rc) {
        err_prefix(err, "netdev \"%s\"", n->id);
        return rc;
    }
    n->link_up = n->fd >= 0;
    return 0;
}

/* --- As a part --- */

static void net_pause(void *obj)
{
    struct net *n = obj;

    machine_lock(n->lock);
    n->running = false;
    update_watch(n);
    machine_unlock(n->lock);
}

static void net_resume(void *obj)
{
    struct net *n = obj;

    machine_lock(n->lock);
    n->running = true;
    n->stalled = false;
    n->want_write = n->tx_bytes > 0;
    net_set_link(n, n->fd >= 0);
    update_watch(n);
    /* Frames that were read or refused before the pause; when the card is resumed, too. */
    n->resumed = true;
    bell_ring(n->bell);
    machine_unlock(n->lock);
}

static int net_fd_at(void *obj, size_t index, struct ferry_named_fd *ret)
{
    const struct net *n = obj;
    size_t count = 1 + (n->server && n->type->fd_names[1]);

    if (index >= count)
        return -ENOENT;
    snprintf(ret->name, sizeof(ret->name), "%s/%s", n->id, n->type->fd_names[index]);
    ret->fd = index == 0 ? n->fd : n->listen_fd;
    return 0;
}

static int net_adopt(void *obj, const char *name, int *fd, struct ferry_err *err)
{
    struct net *n = obj;
    struct ferry_named_fd ours;
    int rc;

    for (size_t i = 0; net_fd_at(n, i, &ours) == 0; i++) {
        if (strcmp(name, ours.name) || ours.fd >= 0)
            continue;
        rc = n->type->adopt(n, n->type->fd_names[i], fd, err);
        if (rc == 0)
            rc = prepare_fd(i == 0 ? n->fd : n->listen_fd, err);
        if (rc == 0)
            rc = net_watch(n, err);
        if (rc)
            err_prefix(err, "netdev \"%s\"", n->id);
        n->link_up = n->fd >= 0;
        return rc;
    }
    return err_set(err, EINVAL, "netdev \"%s\" does not expect an fd \"%s\"", n->id, name);
}

static const struct ferry_part_ops net_part_ops = {
    .pause = net_pause,
    .resume = net_resume,
    .fd_at = net_fd_at,
    .adopt = net_adopt,
};

/* --- Saved state --- */

static void net_pre_save(void *obj)
{
    struct net *n = obj;

    memmove(n->rx, n->rx + n->rx_at, n->rx_bytes - n->rx_at);
    n->rx_bytes -= n->rx_at;
    n->rx_at = 0;
    memmove(n->tx, n->tx + n->tx_at, n->tx_bytes - n->tx_at);
    n->tx_bytes -= n->tx_at;
    n->tx_at = 0;
}

static void net_post_load(void *obj)
{
    struct net *n = obj;

    n->rx_at = n->tx_at = 0;
}

static bool net_needed(const void *obj)
{
    const struct net *n = obj;

    return n->rx_bytes > n->rx_at || n->tx_bytes > n->tx_at;
}

static const struct ferry_field net_fields[] = {
    FERRY_U32(struct net, rx_bytes),
    FERRY_VBYTES(struct net, rx, rx_bytes),
    FERRY_U32(struct net, tx_bytes),
    FERRY_VBYTES(struct net, tx, tx_bytes),
};
static const struct ferry_table net_table = {
    .name = "netdev",
    .version = 1,
    .minimum_version = 1,
    .needed = net_needed,
    .pre_save = net_pre_save,
    .post_load = net_post_load,
    FERRY_FIELDS(net_fields),
};

struct ferry_part net_part(struct net *n)
{
    return (struct ferry_part){
        .idstr = n->idstr,
        .table = &net_table,
        .ops = &net_part_ops,
        .obj = n,
        .obj_bytes = sizeof(*n),
    };
}
