/* SPDX-License-Identifier: Apache-2.0 */
/* What opens addresses for another process (<ferry/chan.h>, base/mail.h): mail.c is the asker. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mail.h"
#include "base/own.h"
#include "lib/chan/connect.h"
#include "lib/chan/draft.h"
#include "lib/chan/exec.h"
#include "lib/chan/listener.h"
#include "lib/chan/mail.h"
#include "lib/chan/place.h"

/* As many as one migration can use: the main channel and those with pages. */
#define SERVE_CONNECTIONS_MAX 256

/* For an event of fd; false: the asker has hung up, or there is no use in waiting. */
static bool wait_for(int fd, short events, int mail)
{
    struct pollfd p[2] = {{.fd = mail}, {.fd = fd, .events = events}};

    if (fd == mail)
        p[0].events = events;
    while (poll(p, fd == mail ? 1 : 2, -1) < 0)
        if (errno != EINTR)
            return false;
    return !(p[0].revents & (POLLHUP | POLLERR));
}

static bool send_channel(int mail, const struct ferry_chan *c)
{
    int fds[MAIL_FDS_MAX] = {c->fd, c->direct_fd};

    return mail_send(mail, MAIL_OPENED, c->draft ? CHAN_MAIL_DRAFT : 0, c->name, fds,
                     c->direct_fd >= 0 ? 2 : 1) == 0;
}

/* One connection: false when nobody wants to hear of it any more. */
static bool connect_once(struct ferry_address *a, int mail)
{
    struct chan_connect *connect = NULL;
    struct ferry_chan *chan = NULL;
    struct ferry_err err;
    int r = chan_connect_new(&connect, a, &err);
    bool wanted = true;

    while (r == 0 && wanted) {
        r = chan_connect_step(connect, &chan, &err);
        if (r == 0)
            wanted = wait_for(chan_connect_fd(connect), chan_connect_events(connect), mail);
    }
    if (r > 0)
        wanted = send_channel(mail, chan);
    else if (r < 0)
        mail_refuse(mail, &err);
    ferry_chan_free(chan);
    chan_connect_free(connect);
    return wanted;
}

static void serve_connections(struct ferry_address *a, int mail)
{
    char word;

    for (unsigned i = 0; i < SERVE_CONNECTIONS_MAX; i++) {
        if (!connect_once(a, mail) || !wait_for(mail, POLLIN, mail))
            return;
        if (recv(mail, &word, 1, MSG_DONTWAIT) < 0 && errno != EAGAIN)
            return;
    }
}

static void serve_listener(const struct ferry_address *a, int mail)
{
    struct ferry_listener *l = NULL;
    struct ferry_err err;
    int r = ferry_listener_new(&l, a, &err);

    while (r == 0 && !ferry_listener_is_ready(l)) {
        struct ferry_chan *none = NULL;

        if (!wait_for(listener_fd(l), POLLIN, mail))
            break;
        r = listener_accept(l, &none, &err);
    }
    if (r < 0) {
        mail_refuse(mail, &err);
    } else if (ferry_listener_is_ready(l)) {
        int fd = listener_fd(l);

        /* Its path is removed when the asker has no more use for it. */
        if (mail_send(mail, MAIL_OPENED, 0, ferry_listener_text(l), &fd, 1) == 0)
            (void)wait_for(-1, 0, mail);
    }
    ferry_listener_free(l);
}

/* The asker may not rename anything. Hung up before it asks: it has failed, or was called off. */
static void serve_draft(struct draft *d, int mail)
{
    struct ferry_err err;
    char word;

    do {
        if (!wait_for(mail, POLLIN, mail))
            return;
    } while (recv(mail, &word, 1, MSG_DONTWAIT) != 1 || word != CHAN_MAIL_KEEP);
    if (draft_keep(d, &err) < 0)
        mail_refuse(mail, &err);
    else
        (void)!mail_send(mail, MAIL_KEPT, 0, "", NULL, 0);
}

static void serve_file(const struct ferry_address *a, bool out, int mail)
{
    struct ferry_chan *chan = NULL, *direct = NULL;
    struct ferry_err err, ignored;
    int r = a->type->open(a, out, &chan, &err);

    if (r < 0) {
        mail_refuse(mail, &err);
        return;
    }
    /* In a sandbox it cannot be opened once more. Where direct I/O is not possible, that is said
     * by whoever wants it. */
    if (chan->traits.seekable && chan->direct_fd < 0 &&
        chan_open_direct(&direct, chan, &ignored) == 0)
        chan->direct_fd = take_fd(&direct->fd);
    if (send_channel(mail, chan) && chan->draft)
        serve_draft(chan->draft, mail);
    ferry_chan_free(direct);
    ferry_chan_free(chan);
}

void ferry_address_serve(const struct ferry_address *a, bool out, int mail)
{
    struct ferry_err err;
    struct ferry_address *copy;

    switch (a->type->kind) {
    case FERRY_ADDRESS_TCP:
    case FERRY_ADDRESS_UNIX:
        if (!out) {
            serve_listener(a, mail);
            return;
        }
        copy = address_copy(a, &err);
        if (copy)
            serve_connections(copy, mail);
        else
            mail_refuse(mail, &err);
        ferry_address_free(copy);
        return;
    case FERRY_ADDRESS_FILE:
        serve_file(a, out, mail);
        return;
    case FERRY_ADDRESS_EXEC:
        if (exec_become(a, out, mail, &err) < 0)
            mail_refuse(mail, &err);
        return;
    case FERRY_ADDRESS_FD:
        err_set(&err, EINVAL, "%s: a file descriptor is of the process that has it", a->text);
        mail_refuse(mail, &err);
        return;
    }
}
