/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/chan/unixfd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fdmsg.h"
#include "base/local_socket.h"
#include "base/socket_option.h"

int unixfd_prepare(int fd, size_t buffer_bytes, struct ferry_err *err)
{
    struct sockaddr_un addr;
    socklen_t addr_len = sizeof(addr);
    int flags, room = (int)buffer_bytes;

    if (getpeername(fd, (struct sockaddr *)&addr, &addr_len) < 0)
        return err_sys(err, errno, "fd %d is not a connected socket", fd);
    if (addr.sun_family != AF_UNIX || socket_option(fd, SO_TYPE) != SOCK_STREAM)
        return err_set(err, EPROTOTYPE,
                       "fd %d is not a UNIX stream socket, and only that carries file descriptors",
                       fd);
    flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ||
        fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
        return err_sys(err, errno, "cannot set the flags of fd %d", fd);
    /* The first goes beyond net.core.wmem_max and needs a capability. */
    if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof(room)) < 0)
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
    return local_socket_check_peer(fd, "a guest is handed over between", err);
}

ssize_t unixfd_send(int fd, const void *data, size_t n, const int *fds, size_t fd_count,
                    struct ferry_err *err)
{
    const struct iovec iov = {.iov_base = (void *)(uintptr_t)data, .iov_len = n};
    ssize_t sent = fdmsg_send(fd, &iov, 1, fds, fd_count);

    if (sent >= 0)
        return sent;
    if (sent == -EAGAIN)
        return -EAGAIN;
    if (sent == -E2BIG)
        return err_set(err, E2BIG, "%zu file descriptors in one batch, the kernel takes %d",
                       fd_count, UNIXFD_BATCH_MAX);
    if (sent == -ECONNRESET || sent == -EPIPE || sent == -ENOTCONN)
        return err_set(err, EPIPE, "the other process closed the connection");
    return err_sys(err, (int)-sent, "cannot send %zu bytes and %zu file descriptors", n, fd_count);
}

ssize_t unixfd_recv(int fd, void *data, size_t n, int *fds, size_t *fd_count, struct ferry_err *err)
{
    struct rlimit limit = {0};
    bool lost;
    ssize_t got = fdmsg_recv(fd, data, n, fds, UNIXFD_BATCH_MAX, fd_count, &lost);

    if (got == -EAGAIN)
        return got;
    if (got == -ECONNRESET)
        return 0;
    if (got < 0)
        return err_sys(err, (int)-got, "cannot receive");
    if (!lost)
        return got;
    for (size_t i = 0; i < *fd_count; i++)
        close(fds[i]);
    *fd_count = 0;
    getrlimit(RLIMIT_NOFILE, &limit);
    return err_set(err, EMFILE,
                   "file descriptors were lost on arrival: this process may open only %llu files; "
                   "raise its limit (ulimit -n)",
                   (unsigned long long)limit.rlim_cur);
}
