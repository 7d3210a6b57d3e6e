/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/main/spawn.h"

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"

#define TARGET_FD 3

extern char **environ;

int spawn_target(pid_t *ret, const char *binary, int socket_fd, struct ferry_err *err)
{
    char program[] = "ferry", receive[] = "receive", supervised[] = "--supervised", uri[] = "fd:3";
    char *const argv[] = {program, receive, supervised, uri, NULL};
    const char *path = binary ? binary : SPAWN_SELF;
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    sigset_t none;
    int rc;

    /* Later targets are children of children: they come to us when their parents end. */
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    posix_spawn_file_actions_init(&actions);
    /* dup2 onto itself keeps CLOEXEC in older libcs, so the source is never TARGET_FD: see below.
     */
    posix_spawn_file_actions_adddup2(&actions, socket_fd, TARGET_FD);
    posix_spawnattr_init(&attr);
    sigemptyset(&none);
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
    rc = posix_spawn(ret, path, &actions, &attr, argv, environ);
    posix_spawnattr_destroy(&attr);
    posix_spawn_file_actions_destroy(&actions);
    if (rc)
        return err_sys(err, rc, "cannot start %s", binary ? binary : "the running binary again");
    return 0;
}

void spawn_become_waiter(const char *binary)
{
    char program[] = "ferry", wait[] = "wait";
    char *const argv[] = {program, wait, NULL};

    execv(binary ? binary : SPAWN_SELF, argv);
}

static void forward(int signum)
{
    char path[64];
    FILE *f;
    int pid;

    snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
    f = fopen(path, "re");
    if (!f)
        return;
    while (fscanf(f, "%d", &pid) == 1)
        kill(pid, signum);
    fclose(f);
}

int spawn_wait(void)
{
    sigset_t set;
    int last = 0;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set, NULL);
    for (;;) {
        int status, signum;
        pid_t pid;

        while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
            last = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
        if (pid < 0 && errno == ECHILD)
            return last;
        if (sigwait(&set, &signum) == 0 && signum != SIGCHLD)
            forward(signum);
    }
}
