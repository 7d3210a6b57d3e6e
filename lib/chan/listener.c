/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/chan/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/local_socket.h"
#include "base/own.h"
#include "base/socket_option.h"
#include "lib/chan/mail.h"
#include "lib/chan/resolve.h"
#include "lib/chan/socket.h"

#define LISTENER_BACKLOG 256

struct ferry_listener {
    int fd;                  /* owned; -1 if there is just `one`, or a name is still looked up */
    struct resolve *resolve; /* while it is */
    bool loopback;           /* other hosts shall not reach it */
    struct ferry_address *asked; /* another process listens for us; to it we are gone without */
    bool awaited;                /* and has not said that it does */
    struct ferry_chan *one;
    char *text;
    char *unix_path; /* to remove */
    dev_t dev;
    ino_t ino;
};

static bool is_loopback(const struct sockaddr *name)
{
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)name;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)name;

    if (name->sa_family == AF_INET)
        return ntohl(v4->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
    return name->sa_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
}

/* One address of several that other hosts reach is one too many. */
static int listener_check_reach(const struct ferry_listener *l, const struct addrinfo *found,
                                struct ferry_err *err)
{
    for (const struct addrinfo *ai = found; ai && l->loopback; ai = ai->ai_next)
        if (!is_loopback(ai->ai_addr))
            return err_set(err, EREMOTE, "other hosts can reach %s", l->text);
    return 0;
}

static int listener_bind(struct ferry_listener *l, const struct sockaddr *name, socklen_t n)
{
    OWN_FD int fd = socket(name->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int on = 1, r;

    if (fd < 0)
        return -errno;
    if (name->sa_family != AF_UNIX && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0)
        return -errno;
    r = name->sa_family == AF_UNIX ? local_socket_bind(fd, name, n)
        : bind(fd, name, n) < 0    ? -errno
                                   : 0;
    if (r < 0)
        return r;
    if (listen(fd, LISTENER_BACKLOG) < 0)
        return -errno;
    l->fd = take_fd(&fd);
    return 0;
}

/* The other process has listened, or opened the one channel there will be. -EAGAIN: not yet. */
static int listener_heard(struct ferry_listener *l, struct ferry_err *err)
{
    bool listens =
        l->asked->type->kind == FERRY_ADDRESS_TCP || l->asked->type->kind == FERRY_ADDRESS_UNIX;
    int r;

    if (!listens) {
        r = chan_mail_take(l->asked, &l->one, err);
        if (r != -EAGAIN)
            ferry_address_free(TAKE_PTR(l->asked));
    } else {
        OWN_MEM char *text = NULL;

        r = chan_mail_take_fd(l->asked, &l->fd, &text, err);
        if (!r) {
            free(l->text);
            l->text = TAKE_PTR(text);
        }
    }
    l->awaited = r == -EAGAIN;
    return r;
}

static int listener_ask(struct ferry_listener *l, const struct ferry_address *a,
                        struct ferry_err *err)
{
    int r;

    l->asked = address_copy(a, err);
    if (!l->asked)
        return -ENOMEM;
    l->text = strdup(a->text);
    l->awaited = true;
    if (!l->text)
        return err_set(err, ENOMEM, "no memory for a listener");
    /* A refusal that is there already is for whoever calls now. */
    r = listener_heard(l, err);
    return r == -EAGAIN ? 0 : r;
}

/* The name is looked up: listen. -EAGAIN: it is not. */
static int listener_found(struct ferry_listener *l, struct ferry_err *err)
{
    struct sockaddr_storage name = {0};
    socklen_t n = sizeof(name);
    struct addrinfo *found = NULL;
    char text[300];
    int r;

    if (l->awaited)
        return listener_heard(l, err);
    r = resolve_result(l->resolve, &found, err);
    if (r == -EAGAIN)
        return r;
    resolve_leave(TAKE_PTR(l->resolve));
    if (r < 0)
        return r;
    r = listener_check_reach(l, found, err);
    if (r < 0) {
        freeaddrinfo(found);
        return r;
    }
    r = -EADDRNOTAVAIL;
    for (const struct addrinfo *ai = found; ai && l->fd < 0; ai = ai->ai_next)
        r = listener_bind(l, ai->ai_addr, ai->ai_addrlen);
    freeaddrinfo(found);
    if (r < 0)
        return err_sys(err, -r, "cannot listen on %s", l->text);
    if (getsockname(l->fd, (struct sockaddr *)&name, &n) < 0)
        return err_sys(err, errno, "cannot listen on %s", l->text);
    socket_text(text, sizeof(text), &name);
    free(l->text);
    l->text = strdup(text);
    return l->text ? 0 : err_set(err, ENOMEM, "no memory for a listener");
}

static int listener_tcp(struct ferry_listener *l, const struct ferry_address *a,
                        struct ferry_err *err)
{
    int r;

    l->loopback = a->loopback;
    l->text = strdup(a->text);
    if (!l->text)
        return err_set(err, ENOMEM, "no memory for a listener");
    r = resolve_start(&l->resolve, a->host, a->port, true, err);
    if (r == 0)
        r = listener_found(l, err);
    return r == -EAGAIN ? 0 : r;
}

static int listener_unix(struct ferry_listener *l, const struct ferry_address *a,
                         struct ferry_err *err)
{
    struct sockaddr_un name;
    struct stat st;
    socklen_t n;
    int r = socket_unix_name(a, &name, &n, err);

    if (r < 0)
        return r;
    r = listener_bind(l, (const struct sockaddr *)&name, n);
    /* As QEMU does: the socket of one who is gone is in nobody's way. */
    if (r == -EADDRINUSE && lstat(a->path, &st) == 0 && S_ISSOCK(st.st_mode)) {
        OWN_FD int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        if (probe >= 0 && connect(probe, (const struct sockaddr *)&name, n) < 0 &&
            errno == ECONNREFUSED && unlink(a->path) == 0)
            r = listener_bind(l, (const struct sockaddr *)&name, n);
    }
    if (r < 0)
        return err_sys(err, -r, "cannot listen on %s", a->text);
    if (lstat(a->path, &st) == 0) {
        l->dev = st.st_dev;
        l->ino = st.st_ino;
        l->unix_path = strdup(a->path);
    }
    l->text = strdup(a->text);
    return l->text && l->unix_path ? 0 : err_set(err, ENOMEM, "no memory for a listener");
}

/* An fd may be a socket that listens already. */
static int listener_fd_kind(struct ferry_listener *l, const struct ferry_address *a,
                            struct ferry_err *err)
{
    if (socket_option(a->fd, SO_ACCEPTCONN) > 0) {
        l->fd = fcntl(a->fd, F_DUPFD_CLOEXEC, 3);
        if (l->fd < 0 || fcntl(l->fd, F_SETFL, O_NONBLOCK) < 0)
            return err_sys(err, errno, "%s", a->text);
    }
    return 0;
}

static int listener_open(struct ferry_listener *l, const struct ferry_address *a,
                         struct ferry_err *err)
{
    int r = 0;

    if (a->type->kind == FERRY_ADDRESS_TCP)
        return listener_tcp(l, a, err);
    if (a->type->kind == FERRY_ADDRESS_UNIX)
        return listener_unix(l, a, err);
    if (a->type->kind == FERRY_ADDRESS_FD)
        r = listener_fd_kind(l, a, err);
    if (r == 0 && l->fd < 0)
        r = a->type->open(a, false, &l->one, err);
    if (r == 0 && !(l->text = strdup(a->text)))
        r = err_set(err, ENOMEM, "no memory for a listener");
    return r;
}

int ferry_listener_new(struct ferry_listener **ret, const struct ferry_address *a,
                       struct ferry_err *err)
{
    struct ferry_listener *l = calloc(1, sizeof(*l));
    int r;

    if (!l)
        return err_set(err, ENOMEM, "no memory for a listener");
    l->fd = -1;
    r = a->mail >= 0 ? listener_ask(l, a, err) : listener_open(l, a, err);
    if (r < 0) {
        ferry_listener_free(l);
        return r;
    }
    *ret = l;
    return 0;
}

void ferry_listener_free(struct ferry_listener *l)
{
    struct stat st;

    if (!l)
        return;
    own_close_fd(&l->fd);
    resolve_leave(l->resolve);
    if (l->unix_path && lstat(l->unix_path, &st) == 0 && st.st_dev == l->dev && st.st_ino == l->ino)
        unlink(l->unix_path);
    ferry_chan_free(l->one);
    ferry_address_free(l->asked);
    free(l->unix_path);
    free(l->text);
    free(l);
}

bool ferry_listener_is_ready(const struct ferry_listener *l)
{
    return !l->resolve && !l->awaited;
}

const char *ferry_listener_text(const struct ferry_listener *l)
{
    return l->text;
}

int listener_fd(const struct ferry_listener *l)
{
    if (l->awaited)
        return l->asked->mail;
    return l->resolve ? resolve_fd(l->resolve) : l->fd;
}

int listener_accept(struct ferry_listener *l, struct ferry_chan **ret, struct ferry_err *err)
{
    struct sockaddr_storage name = {0};
    socklen_t n = sizeof(name);
    OWN_FD int fd = -1;
    char text[300];
    int r;

    if (!ferry_listener_is_ready(l)) {
        r = listener_found(l, err);
        return r == -EAGAIN ? 0 : r;
    }
    if (l->fd < 0) {
        if (!l->one)
            return 0;
        *ret = TAKE_PTR(l->one);
        return 1;
    }
    fd = accept4(l->fd, (struct sockaddr *)&name, &n, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0 && (errno == EAGAIN || errno == ECONNABORTED || errno == EINTR))
        return 0;
    if (fd < 0)
        return err_sys(err, errno, "cannot accept a connection on %s", l->text);
    if (name.ss_family == AF_UNIX)
        r = chan_new(ret, &fd, l->text, err);
    else {
        socket_text(text, sizeof(text), &name);
        r = chan_new(ret, &fd, text, err);
    }
    if (r < 0)
        return r;
    (*ret)->traits.many = true;
    return 1;
}
