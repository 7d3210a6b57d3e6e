/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/backend/unix_socket.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/err.h"
#include "base/local_socket.h"
#include "base/own.h"
#include "base/socket_option.h"

#define LISTEN_BACKLOG 16

static int make(const char *path, struct sockaddr_un *addr, int *ret_fd, struct ferry_err *err)
{
    int rc = local_socket_name(addr, path, err);
    int fd;

    if (rc < 0)
        return rc;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return err_sys(err, errno, "creating a UNIX socket");
    *ret_fd = fd;
    return 0;
}

int unix_connect(const char *path, int *ret_fd, struct ferry_err *err)
{
    struct sockaddr_un addr;
    OWN_FD int fd = -1;
    int rc = make(path, &addr, &fd, err);

    if (rc)
        return rc;
    if (connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0)
        return err_sys(err, errno, "Failed to connect to '%s'", path);
    *ret_fd = take_fd(&fd);
    return 0;
}

/* The socket of a process that ended makes room; that of a living one is not taken away. */
int unix_remove_stale(const char *path, struct ferry_err *err)
{
    OWN_FD int probe = -1;
    struct sockaddr_un addr;
    struct stat st;
    int rc;

    if (lstat(path, &st) < 0)
        return 0;
    if (!S_ISSOCK(st.st_mode))
        return err_set(err, EEXIST, "'%s' exists and is not a socket", path);
    rc = make(path, &addr, &probe, err);
    if (rc)
        return rc;
    /* EAGAIN: somebody listens and is behind. */
    if (connect(probe, (const struct sockaddr *)&addr, sizeof(addr)) == 0 || errno == EAGAIN)
        return err_set(err, EADDRINUSE,
                       "Failed to bind socket to '%s': another process listens there; end it or "
                       "choose another path",
                       path);
    unlink(path);
    return 0;
}

/* Another name beside path, as long as there is room for one: path itself else. */
static int name_aside(struct sockaddr_un *addr, const char *path, struct ferry_err *err)
{
    if (strlen(path) + sizeof(".new") > sizeof(addr->sun_path))
        return 0;
    snprintf(addr->sun_path, sizeof(addr->sun_path), "%s.new", path);
    return unix_remove_stale(addr->sun_path, err);
}

int unix_listen(const char *path, int *ret_fd, struct ferry_err *err)
{
    struct sockaddr_un addr;
    OWN_FD int fd = -1;
    int rc = make(path, &addr, &fd, err);

    if (rc == 0)
        rc = unix_remove_stale(path, err);
    /* Under another name first: whoever sees the path can connect. */
    if (rc == 0)
        rc = name_aside(&addr, path, err);
    if (rc)
        return rc;
    rc = local_socket_bind(fd, (const struct sockaddr *)&addr, sizeof(addr));
    if (rc < 0)
        return err_sys(err, -rc, "Failed to bind socket to '%s'", path);
    if (listen(fd, LISTEN_BACKLOG) < 0 || rename(addr.sun_path, path) < 0) {
        rc = err_sys(err, errno, "Failed to listen on '%s'", path);
        unlink(addr.sun_path);
        return rc;
    }
    *ret_fd = take_fd(&fd);
    return 0;
}

int unix_verify(int fd, bool listens, struct ferry_err *err)
{
    if (socket_option(fd, SO_DOMAIN) != AF_UNIX || socket_option(fd, SO_TYPE) != SOCK_STREAM)
        return err_set(err, EINVAL, "is not a UNIX stream socket");
    if (socket_option(fd, SO_ACCEPTCONN) != listens)
        return err_set(err, EINVAL, listens ? "is not listening" : "is listening");
    return 0;
}
