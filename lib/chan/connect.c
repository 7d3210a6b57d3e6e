/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/chan/connect.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "base/own.h"
#include "lib/chan/mail.h"
#include "lib/chan/resolve.h"
#include "lib/chan/socket.h"

struct chan_connect {
    const struct ferry_address *address;
    struct resolve *resolve; /* while the name is looked up */
    struct addrinfo *found;
    const struct addrinfo *next;
    int fd; /* being connected */
    struct ferry_err err;
};

int chan_connect_new(struct chan_connect **ret, struct ferry_address *a, struct ferry_err *err)
{
    struct chan_connect *c = calloc(1, sizeof(*c));
    int r = 0;

    if (!c)
        return err_set(err, ENOMEM, "no memory for a connection");
    c->address = a;
    c->fd = -1;
    if (a->mail >= 0)
        r = chan_mail_ask(a, err);
    else if (a->type->kind == FERRY_ADDRESS_TCP)
        r = resolve_start(&c->resolve, a->host, a->port, false, err);
    if (r < 0) {
        free(c);
        return r;
    }
    *ret = c;
    return 0;
}

void chan_connect_free(struct chan_connect *c)
{
    if (!c)
        return;
    resolve_leave(c->resolve);
    if (c->found)
        freeaddrinfo(c->found);
    own_close_fd(&c->fd);
    free(c);
}

int chan_connect_fd(const struct chan_connect *c)
{
    if (c->address->mail >= 0)
        return c->address->mail;
    return c->resolve ? resolve_fd(c->resolve) : c->fd;
}

short chan_connect_events(const struct chan_connect *c)
{
    return c->resolve || c->address->mail >= 0 ? POLLIN : POLLOUT;
}

/* Without its scheme, as QEMU says it. */
static const char *connect_place(const struct chan_connect *c)
{
    return strchr(ferry_address_text(c->address), ':') + 1;
}

static void connect_failed(struct chan_connect *c, int errnum)
{
    err_set(&c->err, errnum, "Failed to connect to '%s': %s%s", connect_place(c), strerror(errnum),
            errnum == ECONNREFUSED || errnum == ENOENT
                ? "; nobody listens there: start the target first"
                : "");
    own_close_fd(&c->fd);
}

static int connect_begin(struct chan_connect *c, const struct sockaddr *name, socklen_t n)
{
    own_close_fd(&c->fd);
    c->fd = socket(name->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (c->fd < 0)
        return err_sys(&c->err, errno, "cannot make a socket");
    if (connect(c->fd, name, n) == 0 || errno == EINPROGRESS)
        return 0;
    connect_failed(c, errno);
    return -c->err.errnum;
}

/* The next address of the list that can be tried; the last failure's sentence otherwise. */
static int connect_next(struct chan_connect *c)
{
    int r = c->err.errnum ? -c->err.errnum : -EHOSTUNREACH;

    while (c->next) {
        const struct addrinfo *ai = c->next;

        c->next = ai->ai_next;
        r = connect_begin(c, ai->ai_addr, ai->ai_addrlen);
        if (r == 0)
            return 0;
    }
    return r;
}

static int connect_unix(struct chan_connect *c)
{
    struct sockaddr_un name;
    socklen_t n;
    int r = socket_unix_name(c->address, &name, &n, &c->err);

    return r < 0 ? r : connect_begin(c, (const struct sockaddr *)&name, n);
}

static int connect_look(struct chan_connect *c)
{
    struct pollfd p = {.fd = c->fd, .events = POLLOUT};
    socklen_t n = sizeof(int);
    int failure = 0;

    if (poll(&p, 1, 0) <= 0)
        return 0;
    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &failure, &n) < 0)
        failure = errno;
    if (!failure)
        return 1;
    connect_failed(c, failure);
    return connect_next(c);
}

int chan_connect_step(struct chan_connect *c, struct ferry_chan **ret, struct ferry_err *err)
{
    int r;

    if (c->address->mail >= 0) {
        r = chan_mail_take(c->address, ret, err);
        return r == -EAGAIN ? 0 : r < 0 ? r : 1;
    }
    if (c->resolve) {
        r = resolve_result(c->resolve, &c->found, err);
        if (r == -EAGAIN)
            return 0;
        resolve_leave(TAKE_PTR(c->resolve));
        if (r < 0)
            return r;
        c->next = c->found;
        r = connect_next(c);
    } else if (c->fd < 0) {
        r = connect_unix(c);
    } else {
        r = 0;
    }
    if (r == 0)
        r = connect_look(c);
    if (r < 0) {
        *err = c->err;
        return r;
    }
    if (r == 0)
        return 0;
    r = chan_new(ret, &c->fd, ferry_address_text(c->address), err);
    if (r < 0)
        return r;
    (*ret)->traits.many = true;
    return 1;
}
