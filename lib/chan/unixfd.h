/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes and file descriptors over a connected UNIX stream socket. Knows no message format.
 *
 * Nothing blocks: -EAGAIN means poll(2) for it. A peer that is gone is 0 from recv and -EPIPE from
 * send, whatever of the kernel's several ways of saying so was used; what the peer sent before it
 * went is still received. The fd is the caller's; one thread at a time.
 */
#pragma once

#include <stddef.h>
#include <sys/types.h>

#include <ferry/err.h>

#include "base/fdmsg.h"

#define UNIXFD_BATCH_MAX FDMSG_MAX

/*
 * Check that fd is a connected UNIX stream socket whose peer runs as this user or as root (guest
 * memory will be handed to it), make it non-blocking and close-on-exec, and ask for room for
 * buffer_bytes in flight; less room makes it slower, nothing else.
 */
int unixfd_prepare(int fd, size_t buffer_bytes, struct ferry_err *err) FERRY_MUST_CHECK;

/* At least one byte; fds (loans, at most UNIXFD_BATCH_MAX) arrive with the first. Returns the
 * number of bytes sent, of which there may be fewer; the fds went if it is not an error. */
ssize_t unixfd_send(int fd, const void *data, size_t n, const int *fds, size_t fd_count,
                    struct ferry_err *err) FERRY_MUST_CHECK;

/*
 * Returns the number of bytes, 0 at the end. fds has room for UNIXFD_BATCH_MAX; *fd_count of them
 * arrived (close-on-exec) and are the caller's. If some were lost because this process may have no
 * more open files: -EMFILE, and none is left open.
 */
ssize_t unixfd_recv(int fd, void *data, size_t n, int *fds, size_t *fd_count,
                    struct ferry_err *err) FERRY_MUST_CHECK;
