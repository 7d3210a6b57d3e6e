/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes over a UNIX socket with file descriptors that go along: one sendmsg(2) or recvmsg(2), which
 * does not block. Any thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

/* The kernel refuses more in one sendmsg(2). */
#define FDMSG_MAX 253

/* As writev(2), but EINTR is not seen, and -errno. fds are loans, at most FDMSG_MAX, else -E2BIG.
 */
ssize_t fdmsg_send(int fd, const struct iovec *iov, size_t iov_count, const int *fds,
                   size_t fd_count);
/*
 * As read(2), non-blocking, but EINTR is not seen: the number of bytes, 0 at the end, or -errno.
 * fds has room for max (at most FDMSG_MAX); *count of them arrived, close-on-exec, and are the
 * caller's. *lost: there were more, which the kernel has closed, since there was no room in fds or
 * the process may have no more open files.
 */
ssize_t fdmsg_recv(int fd, void *data, size_t n, int *fds, size_t max, size_t *count, bool *lost);
