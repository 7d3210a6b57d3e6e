/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One recvmsg(2) of bytes with the file descriptors that came along. Any thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* The kernel refuses more in one sendmsg(2). */
#define FDMSG_MAX 253

/*
 * As read(2), non-blocking, but EINTR is not seen: the number of bytes, 0 at the end, or -errno.
 * fds has room for max (at most FDMSG_MAX); *count of them arrived, close-on-exec, and are the
 * caller's. *lost: there were more, which the kernel has closed, since there was no room in fds or
 * the process may have no more open files.
 */
ssize_t fdmsg_recv(int fd, void *data, size_t n, int *fds, size_t max, size_t *count, bool *lost);
