/* SPDX-License-Identifier: Apache-2.0 */
/* How bytes move between a chardev's fds and its frontend, and what the loop watches for that. */
#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fdmsg.h"
#include "base/local_socket.h"
#include "base/log.h"
#include "base/nospace.h"
#include "base/own.h"
#include "vmm/backend/chardev_type.h"
#include "vmm/backend/writer.h"

/* --- Bytes --- */

static void chardev_say_losses(struct chardev *c)
{
    int out, log;

    pthread_mutex_lock(&c->lock);
    out = c->writer ? writer_take_loss(c->writer) : loss_take(&c->loss);
    log = c->log ? writer_take_loss(c->log) : 0;
    pthread_mutex_unlock(&c->lock);
    if (out)
        log_warn("chardev \"%s\": %s: what is written to it is lost%s", chardev_id(c),
                 strerror(out), is_nospace(out) ? " until there is room" : "");
    if (log)
        log_warn("chardev \"%s\": its logfile: %s: what it should hold is lost%s", chardev_id(c),
                 strerror(log), is_nospace(log) ? " until there is room" : "");
}

static void chardev_posted(void *arg)
{
    struct chardev *c = arg;

    pthread_mutex_lock(&c->lock);
    c->kicked = false;
    pthread_mutex_unlock(&c->lock);
    chardev_say_losses(c);
    if (!c->freed)
        chardev_update(c);
    chardev_release(c);
}

void chardev_kick(struct chardev *c)
{
    if (c->kicked)
        return;
    c->kicked = loop_post(c->loop, chardev_posted, c) == 0;
    if (c->kicked)
        c->refs++;
}

void chardev_unkick(struct chardev *c)
{
    pthread_mutex_lock(&c->lock);
    /* Its own turn runs it all the same, and then that gives its reference back. */
    if (c->kicked && loop_unpost(c->loop, chardev_posted, c)) {
        c->kicked = false;
        c->refs--;
    }
    pthread_mutex_unlock(&c->lock);
}

void chardev_input_ready(struct chardev *c)
{
    pthread_mutex_lock(&c->lock);
    chardev_kick(c);
    pthread_mutex_unlock(&c->lock);
}

/* Under c->lock. The writer is made by the loop's thread, when it is first needed. */
static size_t chardev_put(struct chardev *c, const void *data, size_t n)
{
    size_t taken = c->writer && !c->quiesced ? writer_put(c->writer, data, n) : 0;

    if (taken < n) {
        c->want_writable = true;
        chardev_kick(c);
    }
    return taken;
}

/*
 * Under c->lock. How much of n bytes the logfile has room for: what is not logged is not written,
 * so that neither has what the other has not.
 */
static size_t chardev_log_room(struct chardev *c, size_t n)
{
    size_t room = n;

    if (c->log_fd >= 0)
        room = c->log && !c->quiesced ? writer_room(c->log) : 0;
    if (room >= n)
        return n;
    c->want_writable = true;
    chardev_kick(c);
    return room;
}

size_t chardev_write(struct chardev *c, const void *data, size_t n)
{
    const uint8_t *at = data;
    size_t taken = 0;

    if (c->type->write)
        return c->type->write(c, data, n);
    pthread_mutex_lock(&c->lock);
    n = chardev_log_room(c, n);
    if (c->out_fd < 0 || c->broken) {
        taken = n;
    } else if (c->out_is_file) {
        taken = chardev_put(c, data, n);
        n = taken;
    }
    while (taken < n) {
        ssize_t r = c->out_is_socket
                        ? send(c->out_fd, at + taken, n - taken, MSG_NOSIGNAL | MSG_DONTWAIT)
                        : write(c->out_fd, at + taken, n - taken);

        if (r > 0) {
            taken += (size_t)r;
            loss_end(&c->loss);
        } else if (r < 0 && errno == EINTR) {
            continue;
        } else if (r < 0 && errno == EAGAIN) {
            c->want_writable = true;
            chardev_kick(c);
            break;
        } else if (r < 0 && is_nospace(errno)) {
            taken = n; /* a full disk is no reason to stop the guest, nor to give up for ever */
            if (loss_begin(&c->loss, errno))
                chardev_kick(c);
        } else {
            /* Nobody is left to read the rest. */
            c->broken = true;
            chardev_kick(c);
            taken = n;
        }
    }
    if (c->log)
        (void)writer_put(c->log, data, taken);
    pthread_mutex_unlock(&c->lock);
    return taken;
}

static void chardev_hangup(struct chardev *c)
{
    chardev_drop_fds(c);
    if (c->type->hangup)
        c->type->hangup(c);
    chardev_tell(c, CHARDEV_CLOSED);
    /* Who waits for room to write would wait for ever: now it is told that writes are dropped. */
    chardev_input_ready(c);
}

static size_t chardev_room(struct chardev *c)
{
    if (!c->running || !c->frontend || !c->frontend->can_receive || c->in_fd < 0 || c->input_over)
        return 0;
    return c->frontend->can_receive(c->frontend_arg);
}

static void chardev_end_of_input(struct chardev *c)
{
    c->input_over = true;
    /* A serial line's socket client that sends no more is gone, as far as a console goes; its
     * type closes it and listens for the next. */
    if (c->type->hangup)
        chardev_hangup(c);
    else
        chardev_tell(c, CHARDEV_CLOSED);
}

/* As read(2), and what fds come along are the frontend's; -errno. */
static ssize_t chardev_read_with_fds(struct chardev *c, uint8_t *data, size_t n)
{
    int fds[CHARDEV_FDS_MAX];
    size_t count;
    bool lost; /* closed by the kernel: whoever expected more than came is told so */
    ssize_t got = fdmsg_recv(c->in_fd, data, n, fds, CHARDEV_FDS_MAX, &count, &lost);

    if (count > 0)
        c->frontend->receive_fds(c->frontend_arg, fds, count);
    return got;
}

static ssize_t chardev_read_bytes(struct chardev *c, uint8_t *data, size_t n)
{
    ssize_t got;

    if (c->in_is_socket && c->frontend->look) {
        got = recv(c->in_fd, data, n, MSG_PEEK | MSG_DONTWAIT);
        if (got > 0)
            n = c->frontend->look(c->frontend_arg, data, (size_t)got);
        if (n == 0)
            return -EAGAIN;
    }
    /* Whoever has sent fds to one that has no use for them loses them: read(2) closes them. */
    if (c->in_is_socket && c->frontend->receive_fds)
        return chardev_read_with_fds(c, data, n);
    got = read(c->in_fd, data, n);
    return got < 0 ? -errno : got;
}

int chardev_input_socket(const struct chardev *c)
{
    return c->in_is_socket ? c->in_fd : -1;
}

static void chardev_read(struct chardev *c)
{
    uint8_t data[CHARDEV_READ_BYTES];
    size_t room = chardev_room(c);
    ssize_t n;

    if (room == 0)
        return;
    n = chardev_read_bytes(c, data, room < sizeof(data) ? room : sizeof(data));
    if (n == -EINTR || n == -EAGAIN)
        return;
    if (n <= 0) {
        chardev_end_of_input(c);
        return;
    }
    if (c->type->filter)
        n = (ssize_t)c->type->filter(c, data, (size_t)n);
    if (n > 0 && c->frontend && c->frontend->receive)
        c->frontend->receive(c->frontend_arg, data, (size_t)n);
}

static void chardev_writable(struct chardev *c)
{
    pthread_mutex_lock(&c->lock);
    c->want_writable = false;
    pthread_mutex_unlock(&c->lock);
    if (c->frontend && c->frontend->writable)
        c->frontend->writable(c->frontend_arg);
}

/* Paused, it takes no event any more, and is not to be woken by the same one again and again. */
static bool chardev_is_paused(struct chardev *c)
{
    if (!c->running)
        chardev_unwatch(c);
    return !c->running;
}

static void chardev_in_event(void *arg, short revents)
{
    struct chardev *c = arg;

    if (chardev_is_paused(c))
        return;
    chardev_hold(c);
    if (revents & POLLOUT)
        chardev_writable(c);
    if (revents & (POLLIN | POLLERR) && !c->freed)
        chardev_read(c);
    if (!c->freed)
        chardev_update(c);
    chardev_release(c);
}

static void chardev_out_event(void *arg, short revents)
{
    struct chardev *c = arg;

    if (chardev_is_paused(c))
        return;
    chardev_hold(c);
    chardev_writable(c);
    if (!c->freed)
        chardev_update(c);
    chardev_release(c);
}

/* --- What to watch --- */

/* -EPERM: the kernel cannot watch this kind of file, which is always ready. */
static int chardev_watch(struct chardev *c, struct loop_watch **watch, int fd, short events,
                         loop_watch_fn *fn)
{
    struct ferry_err err = {0};

    if (*watch)
        loop_watch_set(*watch, events);
    else if (events)
        return loop_watch_new(watch, c->loop, fd, events, fn, c, &err);
    return 0;
}

bool chardev_is_written(struct chardev *c)
{
    return (!c->writer || writer_is_idle(c->writer)) && (!c->log || writer_is_idle(c->log));
}

static void chardev_drained(struct chardev *c)
{
    if (!c->drain_wanted || !chardev_is_written(c))
        return;
    c->drain_wanted = false;
    if (c->drained)
        c->drained(c->arg);
}

/* The writer has written what it had, or has room again, or failed. */
static void chardev_written(void *arg)
{
    struct chardev *c = arg;

    chardev_say_losses(c);
    if (writer_has_failed(c->writer)) {
        pthread_mutex_lock(&c->lock);
        c->broken = true;
        pthread_mutex_unlock(&c->lock);
    }
    chardev_drained(c);
    chardev_update(c);
}

/* The same of the logfile: what cannot be written to it is lost, and the rest goes on. */
static void chardev_logged(void *arg)
{
    struct chardev *c = arg;

    chardev_say_losses(c);
    chardev_drained(c);
    chardev_update(c);
}

/* Under no lock. False: there will be no log. */
static bool chardev_make_log(struct chardev *c)
{
    struct writer *log = NULL;
    struct ferry_err err;

    if (c->log || c->log_fd < 0)
        return true;
    if (writer_new(&log, c->loop, c->log_fd, chardev_logged, c, &err) < 0) {
        log_error("chardev \"%s\": its logfile is not written: %s", chardev_id(c), err.text);
        pthread_mutex_lock(&c->lock);
        own_close_fd(&c->log_fd);
        pthread_mutex_unlock(&c->lock);
        return false;
    }
    pthread_mutex_lock(&c->lock);
    c->log = log;
    pthread_mutex_unlock(&c->lock);
    return true;
}

static void chardev_update_writer(struct chardev *c, int out_fd, bool want_writable)
{
    struct writer *writer = NULL;
    struct ferry_err err;
    bool broken;

    if (!want_writable)
        return;
    if (!c->writer) {
        broken = writer_new(&writer, c->loop, out_fd, chardev_written, c, &err) < 0;
        if (broken)
            log_error("chardev \"%s\": its output is lost: %s", chardev_id(c), err.text);
        pthread_mutex_lock(&c->lock);
        c->writer = writer;
        c->broken = broken;
        pthread_mutex_unlock(&c->lock);
        if (broken) {
            chardev_input_ready(c);
            return;
        }
    }
    if (!c->quiesced && writer_has_room(c->writer))
        chardev_writable(c);
}

static void chardev_update_out(struct chardev *c, int out_fd, bool want_writable)
{
    if (c->out_is_file) {
        chardev_update_writer(c, out_fd, want_writable);
        return;
    }
    if (out_fd >= 0 && chardev_watch(c, &c->out_watch, out_fd, want_writable ? POLLOUT : 0,
                                     chardev_out_event) == 0)
        return;
    if (want_writable)
        chardev_writable(c);
}

static void chardev_update_in(struct chardev *c, short events)
{
    if (c->in_fd < 0)
        return;
    if (!c->always_readable &&
        chardev_watch(c, &c->in_watch, c->in_fd, events, chardev_in_event) == -EPERM)
        c->always_readable = true;
    if (!c->always_readable || !(events & POLLIN))
        return;
    chardev_read(c);
    if (!c->freed && chardev_room(c) > 0)
        chardev_input_ready(c);
}

static void chardev_update_fds(struct chardev *c)
{
    bool want_writable, broken;
    short in_events;
    int out_fd;

    pthread_mutex_lock(&c->lock);
    broken = c->broken;
    pthread_mutex_unlock(&c->lock);
    if (broken) {
        chardev_hangup(c);
        return; /* which has asked for another update */
    }
    if (!c->told_open && c->out_fd >= 0 && c->frontend) {
        c->told_open = true;
        chardev_tell(c, CHARDEV_OPENED);
    }
    in_events = chardev_room(c) > 0 ? POLLIN : 0;
    if (c->freed)
        return;
    pthread_mutex_lock(&c->lock);
    want_writable = c->want_writable;
    out_fd = c->out_fd;
    pthread_mutex_unlock(&c->lock);
    /* Room in the logfile comes first, and is said by its writer. */
    if (want_writable && chardev_make_log(c) && c->log && (c->quiesced || !writer_has_room(c->log)))
        want_writable = false;
    if (c->in_fd >= 0 && c->in_fd == out_fd)
        in_events = (short)(in_events | (want_writable ? POLLOUT : 0));
    else
        chardev_update_out(c, out_fd, want_writable);
    if (!c->freed)
        chardev_update_in(c, in_events);
}

void chardev_update(struct chardev *c)
{
    chardev_hold(c);
    if (c->type->update)
        c->type->update(c);
    if (!c->freed && c->running)
        chardev_update_fds(c);
    chardev_release(c);
}

void chardev_use_fds(struct chardev *c, int in_fd, int out_fd)
{
    struct stat st;

    c->in_fd = in_fd;
    c->in_is_socket = in_fd >= 0 && fstat(in_fd, &st) == 0 && S_ISSOCK(st.st_mode);
    c->input_over = false;
    c->always_readable = false;
    pthread_mutex_lock(&c->lock);
    c->out_fd = out_fd;
    c->out_is_socket = out_fd >= 0 && fstat(out_fd, &st) == 0 && S_ISSOCK(st.st_mode);
    c->out_is_file = out_fd >= 0 && fstat(out_fd, &st) == 0 && S_ISREG(st.st_mode);
    c->broken = false;
    pthread_mutex_unlock(&c->lock);
}

void chardev_unwatch(struct chardev *c)
{
    loop_watch_free(c->in_watch);
    loop_watch_free(c->out_watch);
    c->in_watch = c->out_watch = NULL;
}

void chardev_end(struct chardev *c)
{
    pthread_mutex_lock(&c->lock);
    if (c->writer)
        writer_end(c->writer);
    if (c->log)
        writer_end(c->log);
    pthread_mutex_unlock(&c->lock);
}

void chardev_drop_fds(struct chardev *c)
{
    struct writer *writer;

    chardev_unwatch(c);
    c->in_fd = -1;
    c->told_open = false;
    /* No write is under way on the old fd once the lock is had: the type may close it. */
    pthread_mutex_lock(&c->lock);
    c->out_fd = -1;
    c->broken = false;
    writer = TAKE_PTR(c->writer);
    pthread_mutex_unlock(&c->lock);
    writer_free(writer);
}

/* --- Who is connected --- */

pid_t chardev_peer_pid(struct chardev *c)
{
    return c->in_fd >= 0 && c->in_is_socket ? local_socket_peer_pid(c->in_fd) : 0;
}

int chardev_disconnect(struct chardev *c, struct ferry_err *err)
{
    bool connected;

    pthread_mutex_lock(&c->lock);
    connected = c->type->hangup && c->in_is_socket && c->out_fd >= 0;
    if (connected) {
        c->broken = true; /* as if it had gone by itself */
        chardev_kick(c);
    }
    pthread_mutex_unlock(&c->lock);
    return connected ? 0
                     : err_set(err, ENOTCONN, "Nobody is connected to chardev '%s'", chardev_id(c));
}
