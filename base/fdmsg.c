/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fdmsg.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

union control {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(FDMSG_MAX * sizeof(int))];
};

ssize_t fdmsg_send(int fd, const struct iovec *iov, size_t iov_count, const int *fds,
                   size_t fd_count)
{
    union control control;
    /* sendmsg only reads them. */
    struct msghdr msg = {.msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = iov_count};
    ssize_t sent;

    if (fd_count > FDMSG_MAX)
        return -E2BIG;
    if (fd_count) {
        msg.msg_control = control.bytes;
        msg.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
        memset(control.bytes, 0, msg.msg_controllen);
        control.align.cmsg_level = SOL_SOCKET;
        control.align.cmsg_type = SCM_RIGHTS;
        control.align.cmsg_len = CMSG_LEN(fd_count * sizeof(int));
        memcpy(CMSG_DATA(&control.align), fds, fd_count * sizeof(int));
    }
    do {
        sent = sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
    } while (sent < 0 && errno == EINTR);
    return sent < 0 ? -errno : sent;
}

/* What is beyond max, as the alignment of the control buffer can let one more in, is closed. */
static size_t fdmsg_collect(struct msghdr *msg, int *fds, size_t max)
{
    size_t count = 0;

    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
        size_t n;

        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < n; i++) {
            int fd;

            memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
            if (count < max)
                fds[count++] = fd;
            else
                close(fd);
        }
    }
    return count;
}

ssize_t fdmsg_recv(int fd, void *data, size_t n, int *fds, size_t max, size_t *count, bool *lost)
{
    union control control;
    struct iovec iov = {.iov_base = data, .iov_len = n};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = control.bytes,
                         .msg_controllen = CMSG_SPACE(max * sizeof(int))};
    ssize_t got;

    *count = 0;
    *lost = false;
    do {
        got = recvmsg(fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    } while (got < 0 && errno == EINTR);
    if (got < 0)
        return -errno;
    *count = fdmsg_collect(&msg, fds, max);
    *lost = (msg.msg_flags & MSG_CTRUNC) != 0;
    return got;
}
