/* SPDX-License-Identifier: Apache-2.0 */
/* What a file descriptor is, asked where somebody else says that it is a socket of some kind. */
#pragma once

#include <sys/socket.h>

/* Of SOL_SOCKET: SO_DOMAIN, SO_TYPE, SO_ACCEPTCONN. -1: it is no socket. */
static inline int socket_option(int fd, int name)
{
    int value = -1;
    socklen_t n = sizeof(value);

    return getsockopt(fd, SOL_SOCKET, name, &value, &n) < 0 ? -1 : value;
}
