/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/chan/chan.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/sockios.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mail.h"
#include "base/own.h"
#include "base/thread.h"
#include "lib/chan/draft.h"
#include "lib/chan/mail.h"
#include "lib/chan/socket.h"

int chan_new(struct ferry_chan **ret, int *fd, const char *name, struct ferry_err *err)
{
    struct ferry_chan *c;
    struct stat st;
    int flags;

    if (fstat(*fd, &st) < 0)
        return err_sys(err, errno, "%s: fd %d", name, *fd);
    flags = fcntl(*fd, F_GETFL);
    if (flags < 0 || fcntl(*fd, F_SETFD, FD_CLOEXEC) < 0 ||
        (!S_ISREG(st.st_mode) && fcntl(*fd, F_SETFL, flags | O_NONBLOCK) < 0))
        return err_sys(err, errno, "%s: cannot prepare fd %d", name, *fd);
    c = calloc(1, sizeof(*c));
    if (!c || !(c->name = strdup(name))) {
        free(c);
        return err_set(err, ENOMEM, "no memory for a channel");
    }
    c->fd = take_fd(fd);
    c->pidfd = c->direct_fd = c->mail = -1;
    c->socket = S_ISSOCK(st.st_mode);
    c->traits.both_ways = c->socket;
    c->traits.seekable = S_ISREG(st.st_mode);
    if (c->socket)
        socket_tune(c->fd);
    *ret = c;
    return 0;
}

int ferry_chan_from_fd(struct ferry_chan **ret, int *fd, struct ferry_err *err)
{
    struct stat st;
    bool socket = fstat(*fd, &st) == 0 && S_ISSOCK(st.st_mode);

    return chan_new(ret, fd, socket ? "the connection" : "the file descriptor", err);
}

int ferry_chan_pair(struct ferry_chan *ret[2], struct ferry_err *err)
{
    struct ferry_chan *c[2] = {0};
    OWN_FD int a = -1;
    OWN_FD int b = -1;
    int fds[2];
    int r;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
        return err_sys(err, errno, "cannot make a pair of sockets");
    a = fds[0];
    b = fds[1];
    r = chan_new(&c[0], &a, "the other end of the pair", err);
    if (r == 0)
        r = chan_new(&c[1], &b, "the other end of the pair", err);
    if (r < 0) {
        ferry_chan_free(c[0]);
        return r;
    }
    memcpy(ret, c, sizeof(c));
    return 0;
}

static void *chan_wait_for(void *pidfd)
{
    OWN_FD int fd = (int)(intptr_t)pidfd;
    siginfo_t info;

    (void)!waitid(P_PIDFD, (id_t)fd, &info, WEXITED);
    return NULL;
}

/*
 * A command that lost its stream has nothing more to do, nor has what it started; it must not stay
 * a zombie. Even a killed one ends only when the kernel lets it (a file server that is gone): a
 * thread waits for that.
 */
static void chan_bury(struct ferry_chan *c)
{
    pthread_t thread;

    /* If the leader is not there to be killed, somebody else has waited for it, and its number may
     * be another group's by now. */
    if (syscall(SYS_pidfd_send_signal, c->pidfd, SIGKILL, NULL, 0) == 0)
        kill(-c->pid, SIGKILL);
    if (thread_start(&thread, "ferry-burial", chan_wait_for, (void *)(intptr_t)c->pidfd) == 0) {
        pthread_detach(thread);
        c->pidfd = -1; /* the thread's */
    }
    own_close_fd(&c->pidfd);
}

void ferry_chan_free(struct ferry_chan *c)
{
    if (!c)
        return;
    own_close_fd(&c->fd);
    own_close_fd(&c->direct_fd);
    if (c->pidfd >= 0)
        chan_bury(c);
    own_close_fd(&c->mail); /* who started the command ends it, who made the file removes it */
    draft_free(c->draft);
    free(c->name);
    free(c);
}

/* A pipe whose reader is gone raises a signal, which is not for the program to see. */
static ssize_t chan_write_quietly(int fd, const struct iovec *iov, int n)
{
    const struct timespec now = {0};
    sigset_t pipe_set, before, pending;
    ssize_t r;
    int saved_errno;

    sigemptyset(&pipe_set);
    sigaddset(&pipe_set, SIGPIPE);
    sigpending(&pending);
    pthread_sigmask(SIG_BLOCK, &pipe_set, &before);
    r = writev(fd, iov, n);
    saved_errno = errno;
    if (r < 0 && errno == EPIPE && !sigismember(&pending, SIGPIPE))
        while (sigtimedwait(&pipe_set, NULL, &now) < 0 && errno == EINTR)
            continue;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = saved_errno;
    return r;
}

static int chan_judge(const struct ferry_chan *c, bool exited, int status, struct ferry_err *err)
{
    if (!exited)
        return err_set(err, EPIPE, "%s: the command was ended by signal %d", c->name, status);
    if (status != 0)
        return err_set(err, EPIPE, "%s: the command ended with status %d", c->name, status);
    return 0;
}

static int chan_reap(struct ferry_chan *c, struct ferry_err *err)
{
    siginfo_t info = {0};

    if (waitid(P_PIDFD, (id_t)c->pidfd, &info, WEXITED | WNOHANG) < 0)
        return err_sys(err, errno, "%s: cannot wait for the command", c->name);
    if (info.si_pid == 0)
        return -EAGAIN;
    own_close_fd(&c->pidfd);
    return chan_judge(c, info.si_code == CLD_EXITED, info.si_status, err);
}

/* The same where another process started it. */
static int chan_hear(struct ferry_chan *c, struct ferry_err *err)
{
    struct mail m;
    int r = mail_recv(c->mail, &m, err);

    if (r == -EAGAIN)
        return r;
    own_close_fd(&c->mail);
    if (r < 0)
        return err_prefix(err, "%s: waiting for the command's end", c->name);
    mail_free(&m);
    if (m.kind != MAIL_ENDED)
        return err_set(err, EPROTO, "%s: the command's end was expected, another message came",
                       c->name);
    return chan_judge(c, WIFEXITED(m.value),
                      WIFEXITED(m.value) ? WEXITSTATUS(m.value) : WTERMSIG(m.value), err);
}

/* Has the process that made the file given it its name? */
static int file_hear(struct ferry_chan *c, struct ferry_err *err)
{
    struct mail m;
    int r = mail_recv(c->mail, &m, err);

    if (r == -EAGAIN)
        return r;
    own_close_fd(&c->mail);
    if (r < 0)
        return r;
    mail_free(&m);
    if (m.kind != MAIL_KEPT)
        return err_set(err, EPROTO, "%s: it was written, but who should give it its name has ended",
                       c->name);
    return 0;
}

/* What was sent has no reader any more. Of a command the end says why, if it is known already. */
static int chan_lost(struct ferry_chan *c, struct ferry_err *err)
{
    int r;

    if (c->pidfd < 0 && c->mail < 0)
        return err_set(err, EPIPE, "%s: the peer closed the connection", c->name);
    r = c->mail >= 0 ? chan_hear(c, err) : chan_reap(c, err);
    if (r < 0 && r != -EAGAIN)
        return r;
    return err_set(err, EPIPE,
                   "%s: the command stopped reading before it had everything (did it fail?)",
                   c->name);
}

ssize_t chan_send(struct ferry_chan *c, const struct iovec *iov, size_t n, struct ferry_err *err)
{
    ssize_t r;

    if (n > IOV_MAX)
        n = IOV_MAX;
    do {
        if (c->socket) {
            /* sendmsg only reads them. */
            struct msghdr msg = {.msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = n};

            r = sendmsg(c->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
        } else {
            r = chan_write_quietly(c->fd, iov, (int)n);
        }
    } while (r < 0 && errno == EINTR);
    if (r >= 0) {
        c->sent_bytes += (uint64_t)r;
        return r;
    }
    if (errno == EAGAIN)
        return -EAGAIN;
    if (errno == EPIPE || errno == ECONNRESET)
        return chan_lost(c, err);
    return err_sys(err, errno, "%s: cannot write", c->name);
}

int chan_fd(const struct ferry_chan *c)
{
    return c->input_over ? chan_finish_fd(c) : c->fd;
}

/* Whoever reads less than there should be wants to know why: a command's end is a part of what it
 * says. It may close its output some time before. */
static int chan_command_end(struct ferry_chan *c, struct ferry_err *err)
{
    c->input_over = true;
    if (c->pidfd < 0 && c->mail < 0)
        return 0;
    return c->mail >= 0 ? chan_hear(c, err) : chan_reap(c, err);
}

ssize_t chan_recv(struct ferry_chan *c, void *data, size_t n, struct ferry_err *err)
{
    ssize_t r;

    if (c->input_over)
        return chan_command_end(c, err);
    do {
        r = c->socket ? recv(c->fd, data, n, MSG_DONTWAIT) : read(c->fd, data, n);
    } while (r < 0 && errno == EINTR);
    if (r == 0 && (c->pidfd >= 0 || c->mail >= 0))
        return chan_command_end(c, err);
    if (r >= 0) {
        c->received_bytes += (uint64_t)r;
        return r;
    }
    if (errno == EAGAIN)
        return -EAGAIN;
    if (errno == ECONNRESET || errno == EPIPE)
        return 0;
    return err_sys(err, errno, "%s: cannot read", c->name);
}

int chan_cut_short(const struct ferry_chan *c, struct ferry_err *err)
{
    if (c->traits.both_ways)
        return err_set(err, ECONNRESET,
                       "%s: the source closed the connection before all of the guest had come "
                       "(has it failed, or was the move cancelled there?)",
                       c->name);
    return err_set(err, ECONNRESET, "%s ends too early, after %" PRIu64 " bytes", c->name,
                   c->received_bytes);
}

int chan_peek(struct ferry_chan *c, void *data, size_t n, struct ferry_err *err)
{
    struct pollfd end = {.fd = c->fd, .events = POLLRDHUP};
    /* First, so that nothing comes in between. */
    bool ended = poll(&end, 1, 0) == 1;
    ssize_t r = recv(c->fd, data, n, MSG_PEEK | MSG_DONTWAIT);

    if (r == (ssize_t)n)
        return 0;
    if (r == 0 || (r > 0 && ended))
        return err_set(err, ECONNRESET, "%s: the peer closed the connection", c->name);
    if (r > 0 || errno == EAGAIN || errno == EINTR)
        return -EAGAIN;
    return err_sys(err, errno, "%s: cannot read", c->name);
}

uint64_t chan_queued_bytes(const struct ferry_chan *c)
{
    int n = 0;

    return c->socket && ioctl(c->fd, SIOCOUTQ, &n) == 0 && n > 0 ? (uint64_t)n : 0;
}

static int file_finish(struct ferry_chan *c, struct ferry_err *err)
{
    const char keep = CHAN_MAIL_KEEP;

    if (c->mail >= 0) {
        if (!c->finishing && send(c->mail, &keep, 1, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
            return err_sys(err, errno, "%s: nobody is left who can give it its name", c->name);
        c->finishing = true;
        return file_hear(c, err);
    }
    return c->draft ? draft_keep(c->draft, err) : 0;
}

int chan_sync(struct ferry_chan *c, struct ferry_err *err)
{
    if (!c->traits.seekable || c->finishing || fsync(c->fd) == 0)
        return 0;
    return err_sys(err, errno, "%s: cannot write to the disk", c->name);
}

int chan_finish(struct ferry_chan *c, struct ferry_err *err)
{
    if (c->traits.seekable)
        return file_finish(c, err);
    if (c->pidfd < 0 && c->mail < 0)
        return 0;
    if (!c->finishing) {
        c->finishing = true;
        own_close_fd(&c->fd); /* the command sees the end */
    }
    return c->mail >= 0 ? chan_hear(c, err) : chan_reap(c, err);
}

int chan_finish_fd(const struct ferry_chan *c)
{
    return c->mail >= 0 ? c->mail : c->pidfd;
}

void chan_shutdown(struct ferry_chan *c)
{
    if (c->socket)
        shutdown(c->fd, SHUT_RDWR);
}

void chan_shutdown_write(struct ferry_chan *c)
{
    if (c->socket)
        shutdown(c->fd, SHUT_WR);
}
