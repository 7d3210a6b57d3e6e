/* SPDX-License-Identifier: Apache-2.0 */
/*
 * UNIX sockets that are for one user: who may connect, and who did.
 *
 * Whoever talks to a monitor or hands a guest over can do whatever this process can, so it has to
 * be the same user, or root. The mode of the path keeps others out; the check is for paths whose
 * mode somebody has changed, and for sockets that this process did not make.
 */
#pragma once

#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>

#include <ferry/err.h>

/* The address of a socket at a path; 0, or -EINVAL and a sentence if it has no room for that. */
int local_socket_name(struct sockaddr_un *ret, const char *path,
                      struct ferry_err *err) FERRY_MUST_CHECK;

/*
 * bind(2) of an UNIX socket to a path, which gets mode 0600 whatever the umask is: the process's
 * umask is of all its threads and is left alone. -errno.
 */
int local_socket_bind(int fd, const struct sockaddr *name, socklen_t n) FERRY_MUST_CHECK;

/*
 * 0 if the other end of a connected UNIX socket is of this process's effective user or root, else
 * -EPERM and a sentence. what: "this monitor serves", ends in "only the same user or root".
 */
int local_socket_check_peer(int fd, const char *what, struct ferry_err *err) FERRY_MUST_CHECK;

/* Which process connected that UNIX socket, when it did; 0: of no process that is known here. */
pid_t local_socket_peer_pid(int fd);
