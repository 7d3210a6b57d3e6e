/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/supervisor/words.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/err.h"
#include "base/local_socket.h"
#include "base/own.h"
#include "base/socket_option.h"
#include "vmm/process/proc_stat.h"
#include "vmm/process/rundir.h"
#include "vmm/supervisor/supervisor_channel.h"
#include "vmm/supervisor/supervisor_policy.h"

/* Sockets are bound beside their path and renamed (vmm/backend/unix_socket.c). */
static void drop_suffix(char *path)
{
    size_t n = strlen(path);

    if (n > 4 && !strcmp(path + n - 4, ".new"))
        path[n - 4] = '\0';
}

/* The name of the VMM's end is that of the socket which accepted it. A connection that the VMM made
 * itself, to a server that repeats what a guest sends, has none, or another. */
static int check_place(int fd, const struct supervisor_policy *policy, struct ferry_err *err)
{
    struct sockaddr_un name = {0};
    socklen_t n = sizeof(name);
    char path[sizeof(name.sun_path) + 1];

    if (socket_option(fd, SO_DOMAIN) != AF_UNIX || socket_option(fd, SO_TYPE) != SOCK_STREAM ||
        getsockname(fd, (struct sockaddr *)&name, &n) < 0)
        return err_set(err, EPERM,
                       "what reaches out of the VM's sandbox is done on the word of a client of a "
                       "UNIX socket only: use 'ferry migrate' or 'ferry update', or run the VM "
                       "with -sandbox on,spawn=allow");
    snprintf(path, sizeof(path), "%.*s", (int)sizeof(name.sun_path), name.sun_path);
    drop_suffix(path);
    for (size_t i = 0; i < policy->monitor_count; i++)
        if (!strcmp(path, policy->monitors[i]))
            return 0;
    if (rundir_has_control_socket(path))
        return 0;
    return err_set(err, EPERM, "no monitor of this VM that the supervisor knows of listens on '%s'",
                   path);
}

static int check_speaker(int fd, struct ferry_err *err)
{
    pid_t who = local_socket_peer_pid(fd);
    struct proc_stat stat;
    int rc = local_socket_check_peer(fd, "a supervisor hears", err);

    if (rc < 0)
        return rc;
    if (who <= 0)
        return err_set(err, EPERM,
                       "the client runs in another PID namespace (a container's), so it cannot be "
                       "told from a process of this VM; give the command in the VM's own, or run "
                       "the VM with -sandbox on,spawn=allow");
    /* Our parent is the supervisor; so is that of its VMMs. */
    if (proc_stat_read(who, &stat) && stat.parent == getppid())
        return err_set(err, EPERM, "the client is a process of this VM itself");
    return 0;
}

/* They may have waited: whoever has given up since does not expect that they are followed. */
static int check_presence(int fd, struct ferry_err *err)
{
    struct pollfd p = {.fd = fd};

    if (poll(&p, 1, 0) >= 0 && p.revents & (POLLHUP | POLLERR))
        return err_set(err, ECONNRESET, "the client that gave the command has left");
    return 0;
}

int words_read(int fd, size_t bytes, const struct supervisor_policy *policy, char **ret,
               struct ferry_err *err)
{
    OWN_MEM char *words = NULL;
    ssize_t n;
    int rc;

    if (bytes == 0 || bytes > SUPERVISOR_WORDS_BYTES)
        return err_set(err, EMSGSIZE, "a command of %zu bytes was announced; 1 to %u are read",
                       bytes, SUPERVISOR_WORDS_BYTES);
    words = calloc(1, bytes + 1);
    if (!words)
        return err_set(err, ENOMEM, "out of memory");
    n = recv(fd, words, bytes, MSG_DONTWAIT);
    if (n < 0)
        return err_sys(err, errno, "cannot read the operator's words");
    rc = check_place(fd, policy, err);
    if (!rc)
        rc = check_speaker(fd, err);
    if (!rc)
        rc = check_presence(fd, err);
    if (!rc && (size_t)n < bytes)
        rc = err_set(err, EBADMSG, "%zu bytes of a command were announced, %zd came", bytes, n);
    if (!rc)
        *ret = TAKE_PTR(words);
    return rc;
}
