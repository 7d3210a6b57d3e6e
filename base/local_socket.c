/* SPDX-License-Identifier: Apache-2.0 */
#include "base/local_socket.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"

int local_socket_name(struct sockaddr_un *ret, const char *path, struct ferry_err *err)
{
    size_t n = strlen(path);

    *ret = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (n == 0 || n >= sizeof(ret->sun_path))
        return err_set(err, EINVAL, "UNIX socket path '%.120s' has %zu bytes, it needs 1 to %zu",
                       path, n, sizeof(ret->sun_path) - 1);
    memcpy(ret->sun_path, path, n);
    return 0;
}

int local_socket_bind(int fd, const struct sockaddr *name, socklen_t n)
{
    /* Linux makes the path with the socket's own mode, less the umask. */
    if (fchmod(fd, S_IRUSR | S_IWUSR) < 0 || bind(fd, name, n) < 0)
        return -errno;
    return 0;
}

int local_socket_check_peer(int fd, const char *what, struct ferry_err *err)
{
    struct ucred peer;
    socklen_t n = sizeof(peer);

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) < 0)
        return err_sys(err, errno, "cannot tell who is at the other end of fd %d", fd);
    if (peer.uid != geteuid() && peer.uid != 0)
        return err_set(err, EPERM,
                       "the other end of the socket runs as user %u, this process as %u: %s only "
                       "the same user or root",
                       (unsigned)peer.uid, (unsigned)geteuid(), what);
    return 0;
}

pid_t local_socket_peer_pid(int fd)
{
    struct ucred peer;
    socklen_t n = sizeof(peer);

    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) < 0 ? 0 : peer.pid;
}
