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

#include "base/budget.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/own.h"
#include "vmm/backend/acceptor.h"
#include "vmm/backend/net_type.h"
#include "vmm/backend/unix_socket.h"

static const struct net_type *const net_types[] = {&net_tap_type, &net_stream_type};

/* --- The watch. Main thread, lock held. --- */

int net_prepare_fd(int fd, struct ferry_err *err)
{
    int flags = fd < 0 ? 0 : fcntl(fd, F_GETFL);

    if (fd < 0 || ((flags & O_NONBLOCK) && (fcntl(fd, F_GETFD) & FD_CLOEXEC)))
        return 0;
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ||
        fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
        return err_sys(err, errno, "preparing its fd");
    return 0;
}

void net_update_watch(struct net *n)
{
    short events = 0;

    if (n->running && !n->lost) {
        /* Where nothing is read, nothing says that the peer has gone. */
        events |= n->stalled && !n->link_off ? POLLRDHUP : POLLIN;
        events |= n->want_write ? POLLOUT : 0;
    }
    if (n->watch)
        loop_watch_set(n->watch, events);
    if (n->acceptor)
        acceptor_set(n->acceptor, n->running && n->fd < 0);
}

void net_update_link(struct net *n)
{
    bool up = n->fd >= 0 && !n->link_off;

    if (n->link_up == up)
        return;
    n->link_up = up;
    if (n->client_ops && n->client_ops->link)
        n->client_ops->link(n->client, up);
}

/* What is cut of a frame is of no use to another peer. */
static void close_peer(struct net *n)
{
    loop_watch_free(TAKE_PTR(n->watch));
    own_close_fd(&n->fd);
    n->since_ns = clock_monotonic_ns();
    n->rx_at = n->rx_bytes = n->tx_at = n->tx_bytes = 0;
    n->lost = n->want_write = n->stalled = false;
    net_update_link(n);
}

/* The other side is gone. A server waits for the next one, a client connects again if it may. */
static void disconnect(struct net *n)
{
    log_warn("netdev \"%s\": %s; its link is down%s", n->id, n->lost_reason,
             n->server   ? " until somebody connects"
             : n->redial ? " until it is connected again"
                         : "");
    close_peer(n);
    if (n->redial && n->running)
        redial_start(n->redial);
    /* What waits in the ring is lost on the way like the rest. */
    if (n->client_ops && n->client_ops->writable)
        n->client_ops->writable(n->client);
}

/* A link that is down loses what comes, so that the peer need not wait. */
static void drop(struct net *n)
{
    struct budget turn = budget_turn();
    size_t bytes;

    while (!n->lost && !budget_spent(&turn) && n->type->peek(n, true, &bytes)) {
        budget_take(&turn, bytes);
        n->type->pop(n);
    }
}

static void receive(struct net *n)
{
    size_t bytes;

    if ((n->stalled && !n->link_off) || !n->running || n->lost)
        return;
    if (n->link_off)
        drop(n);
    else if (n->client_ops && n->client_ops->readable)
        n->client_ops->readable(n->client);
    /* It stopped after a turn: the fd does not say what was read ahead. */
    if ((!n->stalled || n->link_off) && n->running && n->type->peek(n, false, &bytes))
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

/* What it sent at last has no room in the guest, and is lost with it. */
static void hung_up(struct net *n)
{
    if (n->stalled && !n->link_off && n->running)
        net_lose(n, "the other side has closed the connection");
}

static void settle(struct net *n)
{
    if (n->lost)
        disconnect(n);
    net_update_watch(n);
}

/* Whoever hears of it may ask for more: without the lock. */
static void tell_peer(struct net *n)
{
    bool connected = n->fd >= 0;

    if (connected == n->told_connected)
        return;
    n->told_connected = connected;
    if (n->host.peer && n->type == &net_stream_type)
        n->host.peer(n->host.arg, n, connected);
}

static void net_event(void *arg, short revents)
{
    struct net *n = arg;

    machine_lock(n->lock);
    if (revents & POLLRDHUP)
        hung_up(n);
    if (revents & ~POLLIN)
        transmit(n);
    if (revents & ~POLLOUT)
        receive(n);
    settle(n);
    machine_unlock(n->lock);
    tell_peer(n);
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
    tell_peer(n);
}

/* Somebody is at the other end from now on; takes *fd. Lock held. */
static int attach_peer(struct net *n, int *fd, struct ferry_err *err)
{
    int rc;

    n->fd = take_fd(fd);
    rc = net_watch(n, err);
    if (rc < 0) {
        own_close_fd(&n->fd);
        return rc;
    }
    n->since_ns = clock_monotonic_ns();
    net_update_link(n);
    net_update_watch(n);
    return 0;
}

static void net_accepted(void *arg, int *fd)
{
    struct net *n = arg;
    struct ferry_err err;
    int rc;

    machine_lock(n->lock);
    rc = attach_peer(n, fd, &err);
    if (rc < 0) {
        log_warn("netdev \"%s\": %s", n->id, err.text);
        net_update_watch(n);
    }
    machine_unlock(n->lock);
    tell_peer(n);
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
    if (n->fd < 0 || n->lost || n->link_off)
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
    if (!n->running || n->fd < 0 || n->lost || n->link_off)
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

void net_set_link(struct net *n, bool up)
{
    machine_lock(n->lock);
    n->link_off = !up;
    net_update_link(n);
    net_update_watch(n);
    /* What was read ahead is lost like what follows; or the card looks again. */
    bell_ring(n->bell);
    machine_unlock(n->lock);
}

void net_status(const struct net *n, struct net_status *ret)
{
    machine_lock(n->lock);
    *ret = (struct net_status){
        .id = n->id,
        .type = n->type->name,
        .where = n->path ? n->path : n->ifname,
        .server = n->server,
        .connected = n->fd >= 0,
        .link_up = n->link_up,
        .link_off = n->link_off,
        .reconnect_ms = n->reconnect_ms,
        .since_ns = n->since_ns,
    };
    machine_unlock(n->lock);
}

const char *net_id(const struct net *n)
{
    return n->id;
}

/* --- Connecting again --- */

static int redial_ask(void *arg, int *ret_mail, struct ferry_err *err)
{
    struct net *n = arg;

    return n->host.connect(n->host.arg, n->id, ret_mail, err);
}

static void redial_refused(void *arg, const struct ferry_err *err)
{
    struct net *n = arg;

    log_warn("netdev \"%s\": %s; it is tried again every %u ms", n->id, err->text, n->reconnect_ms);
}

static int redial_connected(void *arg, int *fd, struct ferry_err *err)
{
    struct net *n = arg;
    int rc = unix_verify(*fd, false, err);

    if (!rc)
        rc = net_prepare_fd(*fd, err);
    if (rc < 0)
        return rc;
    machine_lock(n->lock);
    rc = attach_peer(n, fd, err);
    machine_unlock(n->lock);
    if (!rc)
        tell_peer(n);
    return rc;
}

void net_set_host(struct net *n, const struct net_host *host)
{
    n->host = *host;
}

static int make_redial(struct net *n, struct ferry_err *err)
{
    const struct redial_params params = {
        .loop = n->loop,
        .wait_ms = n->reconnect_ms,
        .ask = redial_ask,
        .connected = redial_connected,
        .refused = redial_refused,
        .arg = n,
    };

    return n->reconnect_ms ? redial_new(&n->redial, &params, err) : 0;
}

void net_let_go(struct net *n)
{
    machine_lock(n->lock);
    if (n->redial && n->fd >= 0)
        close_peer(n);
    machine_unlock(n->lock);
    tell_peer(n);
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
    redial_free(n->redial);
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
    n->reconnect_ms = config->reconnect_ms;
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
    rc = make_redial(n, err);
    if (rc)
        return rc;
    n->config_fd = config->type == CONFIG_NETDEV_TAP ? config->fd : -1;
    *ret = TAKE_PTR(n);
    return 0;
}

int net_open(struct net *n, struct ferry_err *err)
{
    int rc = n->type->open(n, err);

    if (rc == 0)
        rc = net_prepare_fd(n->fd, err);
    if (rc == 0)
        rc = net_watch(n, err);
    if (rc) {
        err_prefix(err, "netdev \"%s\"", n->id);
        return rc;
    }
    n->told_connected = n->fd >= 0;
    n->since_ns = clock_monotonic_ns();
    n->link_up = n->fd >= 0 && !n->link_off;
    return 0;
}
