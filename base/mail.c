/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mail.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fdmsg.h"
#include "base/own.h"

struct head {
    uint32_t kind;
    int32_t value;
};

int mail_pair(int ret[2], struct ferry_err *err)
{
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ret) < 0)
        return err_sys(err, errno, "cannot make a pair of sockets");
    return 0;
}

int mail_send(int fd, enum mail_kind kind, int value, const char *text, const int *fds,
              size_t fd_count)
{
    struct head head = {.kind = (uint32_t)kind, .value = value};
    /* sendmsg only reads them. */
    struct iovec iov[] = {{&head, sizeof(head)},
                          {(char *)(uintptr_t)text, strnlen(text, MAIL_TEXT_BYTES - 1)}};
    ssize_t sent = fdmsg_send(fd, iov, 2, fds, fd_count);

    return sent < 0 ? (int)sent : 0;
}

void mail_refuse(int fd, const struct ferry_err *err)
{
    (void)!mail_send(fd, MAIL_REFUSED, err->errnum ? err->errnum : EIO, err->text, NULL, 0);
}

static int refusal(const struct mail *m, struct ferry_err *err)
{
    int errnum = m->value > 0 && m->value < 4096 ? m->value : EIO;

    return err_set(err, errnum, "%s", m->text);
}

int mail_recv(int fd, struct mail *ret, struct ferry_err *err)
{
    struct mail m = {.fds = {-1, -1}};
    char data[sizeof(struct head) + MAIL_TEXT_BYTES - 1];
    struct head head;
    size_t count;
    bool lost;
    ssize_t n = fdmsg_recv(fd, data, sizeof(data), m.fds, MAIL_FDS_MAX, &count, &lost);

    if (n == -EAGAIN)
        return -EAGAIN;
    if (n == 0 || n == -ECONNRESET)
        return err_set(err, EPIPE, "the process that was to open it has ended without a word");
    if (n < 0)
        return err_sys(err, (int)-n, "cannot hear from the process that was to open it");
    if (n >= (ssize_t)sizeof(head)) {
        memcpy(&head, data, sizeof(head));
        m.kind = (enum mail_kind)head.kind;
        m.value = head.value;
        memcpy(m.text, data + sizeof(head), (size_t)n - sizeof(head));
    }
    if (m.kind == MAIL_REFUSED) {
        mail_free(&m);
        return refusal(&m, err);
    }
    if (lost || m.kind < MAIL_OPENED || m.kind > MAIL_KEPT) {
        mail_free(&m);
        return lost ? err_set(err, EMFILE, "no room for more open files (ulimit -n)")
                    : err_set(err, EPROTO,
                              "a message of kind %d came from the process that was to open "
                              "it: another version of ferry?",
                              (int)m.kind);
    }
    *ret = m;
    return 0;
}

void mail_free(struct mail *m)
{
    for (size_t i = 0; i < MAIL_FDS_MAX; i++)
        own_close_fd(&m->fds[i]);
}
