/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stream socket, UNIX or (to listen on this host only) TCP: connects once, or listens and serves
 * one client at a time; those that wait stay in the kernel's backlog. A frontend with accept() gets
 * every client at once.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/local_socket.h"
#include "base/log.h"
#include "base/own.h"
#include "base/same_file.h"
#include "vmm/backend/acceptor.h"
#include "vmm/backend/chardev_type.h"
#include "vmm/backend/tcp_socket.h"
#include "vmm/backend/unix_socket.h"

struct chardev_socket {
    struct chardev base;
    int listen_fd; /* owned; -1 = none */
    int client_fd; /* owned; -1 = none */
    struct acceptor *acceptor;
    struct stat path_stat; /* what the path led to: is it still ours to remove? */
    bool path_known;       /* path_stat is set */
};

static int socket_create(struct chardev *c, struct ferry_err *err)
{
    struct chardev_socket *s = (struct chardev_socket *)c;

    s->listen_fd = s->client_fd = -1;
    return 0;
}

static int socket_open(struct chardev *c, struct ferry_err *err)
{
    struct chardev_socket *s = (struct chardev_socket *)c;
    int rc;

    if (c->config->tcp)
        return tcp_listen_loopback(c->config->port, &s->listen_fd, err);
    if (!c->config->server) {
        rc = unix_connect(c->config->path, &s->client_fd, err);
        /* Whoever left it out sees nothing but a file that is not there. */
        if (rc == -ENOENT || rc == -ECONNREFUSED)
            return err_set(err, -rc,
                           "Failed to connect to '%s': nobody listens there; with "
                           "server=on,wait=off this VM does",
                           c->config->path);
        return rc;
    }
    rc = unix_listen(c->config->path, &s->listen_fd, err);
    if (rc < 0)
        return rc;
    s->path_known = lstat(c->config->path, &s->path_stat) == 0;
    c->awaits_client = c->config->wait;
    if (c->awaits_client)
        log_warn("chardev \"%s\" waits for a client on '%s' (wait=on) before the machine starts",
                 c->config->id, c->config->path);
    return 0;
}

static int socket_fd_at(struct chardev *c, size_t index, const char **what, int *fd)
{
    struct chardev_socket *s = (struct chardev_socket *)c;

    if (!c->config->server)
        index++;
    if (index > 1)
        return -ENOENT;
    *what = index == 0 ? "listen" : "client";
    *fd = index == 0 ? s->listen_fd : s->client_fd;
    return 0;
}

static int socket_adopt(struct chardev *c, const char *what, int *fd, struct ferry_err *err)
{
    struct chardev_socket *s = (struct chardev_socket *)c;
    bool listener = strcmp(what, "listen") == 0;
    int *slot = listener ? &s->listen_fd : &s->client_fd;
    int rc;

    if ((!listener && strcmp(what, "client") != 0) || (listener && !c->config->server) ||
        *slot >= 0)
        return err_set(err, EINVAL,
                       "a socket chardev has the fds \"listen\" (server=on) and "
                       "\"client\", once each");
    rc = c->config->tcp ? tcp_verify(*fd, listener, err) : unix_verify(*fd, listener, err);
    if (rc < 0)
        return rc;
    *slot = take_fd(fd);
    return 0;
}

static bool socket_may_serve(const struct chardev *c, int fd)
{
    struct ferry_err err;

    /* A TCP client has no user that the kernel knows; it is on this host. */
    if (!c->frontend->same_user || c->config->tcp ||
        local_socket_check_peer(fd, "its monitor serves", &err) == 0)
        return true;
    log_warn("chardev \"%s\": %s", chardev_id(c), err.text);
    return false;
}

static void socket_accepted(void *arg, int *fd)
{
    struct chardev *c = arg;
    struct chardev_socket *s = arg;
    struct chardev *client;
    struct ferry_err err;

    if (c->frontend && !socket_may_serve(c, *fd))
        return;
    if (!c->frontend || !c->frontend->accept) {
        s->client_fd = take_fd(fd);
        chardev_use_fds(c, s->client_fd, s->client_fd);
        chardev_update(c);
    } else if (chardev_new_client(&client, c->loop, fd, &err) == 0) {
        c->frontend->accept(c->frontend_arg, client);
    }
    if (!c->awaits_client)
        return;
    c->awaits_client = false;
    if (c->client_came)
        c->client_came(c->arg);
}

/* Whoever connects while it is paused is for the one that resumes. */
static bool socket_wanted(void *arg)
{
    return ((const struct chardev *)arg)->running;
}

static const struct acceptor_ops socket_acceptor_ops = {.accepted = socket_accepted,
                                                        .wanted = socket_wanted};

static void socket_update(struct chardev *c)
{
    struct chardev_socket *s = (struct chardev_socket *)c;
    bool listening =
        c->running && (c->frontend || c->awaits_client) && s->listen_fd >= 0 && s->client_fd < 0;
    struct ferry_err err;

    /* Of a socket that arrived, only now: not while the guest stands still. */
    if (c->running && s->listen_fd >= 0 && !s->path_known && !c->config->tcp)
        s->path_known = lstat(c->config->path, &s->path_stat) == 0;
    if (listening && !s->acceptor &&
        acceptor_new(&s->acceptor, c->loop, s->listen_fd, &socket_acceptor_ops, c, &err) < 0)
        log_error("chardev \"%s\": no client can connect: %s", c->config->id, err.text);
    if (s->acceptor)
        acceptor_set(s->acceptor, listening);
}

static void socket_start(struct chardev *c)
{
    struct chardev_socket *s = (struct chardev_socket *)c;

    if (c->out_fd < 0 && s->client_fd >= 0)
        chardev_use_fds(c, s->client_fd, s->client_fd);
}

static void socket_hangup(struct chardev *c)
{
    own_close_fd(&((struct chardev_socket *)c)->client_fd);
}

static void socket_destroy(struct chardev *c)
{
    struct chardev_socket *s = (struct chardev_socket *)c;
    struct stat st;

    acceptor_free(TAKE_PTR(s->acceptor));
    own_close_fd(&s->client_fd);
    if (s->listen_fd >= 0 && !c->handed && s->path_known && lstat(c->config->path, &st) == 0 &&
        same_file(&st, &s->path_stat))
        unlink(c->config->path);
    own_close_fd(&s->listen_fd);
}

static void socket_filename(const struct chardev *c, char *ret, size_t n)
{
    const struct chardev_socket *s = (const struct chardev_socket *)c;
    /* Clients that were given away are not ours to count. */
    bool idle = s->client_fd < 0 && !(c->frontend && c->frontend->accept);

    if (c->config->tcp)
        snprintf(ret, n, "%stcp:127.0.0.1:%u,server=on", idle ? "disconnected:" : "",
                 c->config->port);
    else
        snprintf(ret, n, "%sunix:%s%s", idle ? "disconnected:" : "", c->config->path,
                 c->config->server ? ",server=on" : "");
}

const struct chardev_type chardev_socket_type = {
    .name = "socket",
    .config_type = CONFIG_CHARDEV_SOCKET,
    .size_bytes = sizeof(struct chardev_socket),
    .create = socket_create,
    .open = socket_open,
    .fd_at = socket_fd_at,
    .adopt = socket_adopt,
    .start = socket_start,
    .update = socket_update,
    .hangup = socket_hangup,
    .destroy = socket_destroy,
    .filename = socket_filename,
};
