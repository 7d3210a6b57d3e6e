/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/chan/exec.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mail.h"
#include "base/own.h"

extern char **environ;

static int exec_fill(struct ferry_address *a, const char *const *argv, const char *shown,
                     struct ferry_err *err)
{
    size_t n = 0, bytes = 0;

    while (argv[n]) {
        bytes += strlen(argv[n]);
        n++;
    }
    if (n == 0 || argv[0][0] == '\0')
        return err_set(err, EINVAL, "the address has no command (expected exec:COMMAND)");
    if (n > ADDRESS_ARGS_MAX || bytes > ADDRESS_TEXT_MAX_BYTES)
        return err_set(err, E2BIG, "the command has %zu arguments of %zu bytes: too much", n,
                       bytes);
    a->argv = calloc(n + 1, sizeof(*a->argv));
    for (size_t i = 0; a->argv && i < n; i++) {
        a->argv[i] = strdup(argv[i]);
        if (!a->argv[i])
            return err_set(err, ENOMEM, "no memory for an address");
    }
    if (!a->argv)
        return err_set(err, ENOMEM, "no memory for an address");
    return address_describe(a, err, "exec:%s", shown);
}

static int exec_parse(struct ferry_address *a, const char *rest, struct ferry_err *err)
{
    const char *const argv[] = {"/bin/sh", "-c", rest, NULL};

    if (rest[0] == '\0')
        return err_set(err, EINVAL, "the address has no command (expected exec:COMMAND)");
    return exec_fill(a, argv, rest, err);
}

/*
 * The command leads a session of its own: a shell's children end with it (chan_bury()). It has no
 * terminal then, so what would ask for a password fails instead of being stopped for ever.
 */
static int exec_spawn(const struct ferry_address *a, int theirs, bool out, pid_t *pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    sigset_t none, all;
    int r;

    sigemptyset(&none);
    sigfillset(&all);
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attr);
    posix_spawn_file_actions_adddup2(&actions, theirs, out ? STDIN_FILENO : STDOUT_FILENO);
    /* The other one is perhaps the guest's console, or a monitor. */
    posix_spawn_file_actions_addopen(&actions, out ? STDOUT_FILENO : STDIN_FILENO, "/dev/null",
                                     O_RDWR, 0);
    posix_spawnattr_setflags(&attr,
                             POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setsigdefault(&attr, &all);
    r = posix_spawn(pid, a->argv[0], &actions, &attr, a->argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attr);
    return r;
}

static int exec_open(const struct ferry_address *a, bool out, struct ferry_chan **ret,
                     struct ferry_err *err)
{
    OWN_FD int ours = -1;
    OWN_FD int theirs = -1;
    int fds[2];
    pid_t pid;
    int r;

    if (pipe2(fds, O_CLOEXEC) < 0)
        return err_sys(err, errno, "cannot make a pipe to '%s'", a->text);
    ours = fds[out ? 1 : 0];
    theirs = fds[out ? 0 : 1];
    r = exec_spawn(a, theirs, out, &pid);
    if (r)
        return err_sys(err, r, "cannot run '%s'", a->argv[0]);
    r = chan_new(ret, &ours, a->text, err);
    if (r < 0) {
        kill(-pid, SIGKILL);
        return r;
    }
    (*ret)->pid = pid;
    (*ret)->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    if ((*ret)->pidfd < 0)
        return err_sys(err, errno, "%s: cannot watch the command", a->text);
    fcntl((*ret)->pidfd, F_SETFD, FD_CLOEXEC);
    return 0;
}

int exec_become(const struct ferry_address *a, bool out, int mail, struct ferry_err *err)
{
    OWN_FD int asker = -1;
    OWN_FD int ours = -1;
    OWN_FD int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    int fds[2], r;

    if (pipe2(fds, O_CLOEXEC) < 0)
        return err_sys(err, errno, "cannot make a pipe to '%s'", a->text);
    asker = fds[out ? 1 : 0];
    ours = fds[out ? 0 : 1];
    if (access(a->argv[0], X_OK) < 0)
        return err_sys(err, errno, "cannot run '%s'", a->argv[0]);
    if (dup2(ours, out ? STDIN_FILENO : STDOUT_FILENO) < 0 ||
        dup2(null, out ? STDOUT_FILENO : STDIN_FILENO) < 0)
        return err_sys(err, errno, "cannot run '%s'", a->argv[0]);
    (void)setsid(); /* as exec_spawn(); who started this process ends what it leads */
    r = mail_send(mail, MAIL_OPENED, 0, a->text, &asker, 1);
    if (r < 0)
        return err_sys(err, -r, "'%s': nobody asks for it any more", a->text);
    execve(a->argv[0], a->argv, environ);
    /* The asker hears of the status, as of a command that a shell does not find. */
    _exit(127);
}

const struct chan_type chan_exec = {
    .kind = FERRY_ADDRESS_EXEC, .scheme = "exec:", .parse = exec_parse, .open = exec_open};

int ferry_address_exec(struct ferry_address **ret, const char *const *argv, struct ferry_err *err)
{
    OWN(ferry_address_freep) struct ferry_address *a = address_new(&chan_exec, err);
    int r;

    if (!a)
        return -ENOMEM;
    r = exec_fill(a, argv, argv[0] ? argv[0] : "", err);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(a);
    return 0;
}
