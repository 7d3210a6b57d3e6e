/* SPDX-License-Identifier: Apache-2.0 */
/* TCP and UNIX sockets: their addresses. connect.c and listener.c open them. */
#pragma once

#include <sys/socket.h>

#include "lib/chan/chan.h"

extern const struct chan_type chan_tcp;
extern const struct chan_type chan_unix;

/* The socket address of a UNIX address. */
int socket_unix_name(const struct ferry_address *a, struct sockaddr_un *ret, socklen_t *n,
                     struct ferry_err *err) FERRY_MUST_CHECK;
/* "tcp:[::1]:4444"; text has room for 300 bytes. */
void socket_text(char *text, size_t n, const struct sockaddr_storage *name);
/* For a stream of large writes with small answers. */
void socket_tune(int fd);
