/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/backend/tcp_socket.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "base/err.h"
#include "base/own.h"
#include "base/socket_option.h"

#define BACKLOG 4

int tcp_listen_loopback(uint16_t port, int *ret_fd, struct ferry_err *err)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    OWN_FD int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int on = 1;

    if (fd < 0)
        return err_sys(err, errno, "making a TCP socket");
    /* Else a port rests for a minute after its last client. Clients inherit the other. */
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0)
        return err_sys(err, errno, "setting up a TCP socket");
    if (bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, BACKLOG) < 0)
        return err_sys(err, errno, "listening on 127.0.0.1:%u", port);
    *ret_fd = take_fd(&fd);
    return 0;
}

int tcp_verify(int fd, bool listens, struct ferry_err *err)
{
    if (socket_option(fd, SO_DOMAIN) != AF_INET || socket_option(fd, SO_TYPE) != SOCK_STREAM)
        return err_set(err, EINVAL, "the file descriptor is no TCP socket");
    if (socket_option(fd, SO_ACCEPTCONN) != listens)
        return err_set(err, EINVAL, "the TCP socket %s", listens ? "does not listen" : "listens");
    return 0;
}
