/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/main/words.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/err.h"
#include "base/own.h"
#include "vmm/main/rundir.h"
#include "vmm/main/supervisor.h"

static int option(int fd, int name)
{
    int value = -1;
    socklen_t n = sizeof(value);

    return getsockopt(fd, SOL_SOCKET, name, &value, &n) < 0 ? -1 : value;
}

/* Sockets are bound beside their path and renamed (vmm/backend/unix_socket.c). */
static void drop_suffix(char *path)
{
    size_t n = strlen(path);

    if (n > 4 && !strcmp(path + n - 4, ".new"))
        path[n - 4] = '\0';
}

/* In the directory that only VMs' control sockets are in? */
static bool is_control_socket(const char *path)
{
    char any[RUNDIR_PATH_BYTES];
    struct ferry_err err;
    const char *name = strrchr(path, '/');
    size_t dir;

    if (!name || rundir_file(any, "x", ".sock", &err) < 0)
        return false;
    dir = (size_t)(strrchr(any, '/') - any);
    return dir == (size_t)(name - path) && !strncmp(path, any, dir);
}

/* The name of the VMM's end is that of the socket which accepted it. A connection that the VMM made
 * itself, to a server that repeats what a guest sends, has none, or another. */
static int check_place(int fd, const struct supervisor_policy *policy, struct ferry_err *err)
{
    struct sockaddr_un name = {0};
    socklen_t n = sizeof(name);
    char path[sizeof(name.sun_path) + 1];

    if (option(fd, SO_DOMAIN) != AF_UNIX || option(fd, SO_TYPE) != SOCK_STREAM ||
        getsockname(fd, (struct sockaddr *)&name, &n) < 0)
        return err_set(err, EPERM,
                       "an operator's words are taken from a client of a UNIX socket only; "
                       "-sandbox on,spawn=allow takes the VMM's word");
    snprintf(path, sizeof(path), "%.*s", (int)sizeof(name.sun_path), name.sun_path);
    drop_suffix(path);
    for (size_t i = 0; i < policy->monitor_count; i++)
        if (!strcmp(path, policy->monitors[i]))
            return 0;
    if (is_control_socket(path))
        return 0;
    return err_set(err, EPERM, "no monitor of this VM that the supervisor knows of listens on '%s'",
                   path);
}

static pid_t parent_of(pid_t pid)
{
    char path[32], text[512];
    OWN_FD int fd = -1;
    const char *behind;
    ssize_t n;
    int parent;

    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
    if (n <= 0)
        return 0;
    text[n] = '\0';
    /* "PID (NAME) STATE PARENT", and the name may be anything. */
    behind = strrchr(text, ')');
    return behind && sscanf(behind, ") %*c %d", &parent) == 1 ? parent : 0;
}

static int check_speaker(int fd, struct ferry_err *err)
{
    struct ucred who = {0};
    socklen_t n = sizeof(who);

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &n) < 0 || who.pid <= 0)
        return err_set(err, EPERM, "the kernel does not say who the client is");
    if (who.uid != 0 && who.uid != geteuid())
        return err_set(err, EPERM,
                       "the client is of user %u; only user %u, who runs this VM, and root can "
                       "give this command",
                       (unsigned)who.uid, (unsigned)geteuid());
    /* Our parent is the supervisor; so is that of its VMMs. */
    if (parent_of(who.pid) == getppid())
        return err_set(err, EPERM, "the client is a process of this VM itself");
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
    if (!rc && (size_t)n < bytes)
        rc = err_set(err, EBADMSG, "%zu bytes of a command were announced, %zd came", bytes, n);
    if (!rc)
        *ret = TAKE_PTR(words);
    return rc;
}
