/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/supervisor/supervisor_renew.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/own.h"
#include "base/same_file.h"
#include "vmm/process/title.h"
#include "vmm/supervisor/supervisor.h"
#include "vmm/supervisor/supervisor_internal.h"
#include "vmm/supervisor/supervisor_state.h"

/* It reads some hundred bytes; a loaded machine may let it wait. */
#define ASKED_NS (INT64_C(30) * 1000000000)

extern char **environ;

/* As people know it. */
static const char *name_of(int binary, char ret[PATH_MAX])
{
    char path[32];
    ssize_t n;

    snprintf(path, sizeof(path), "/proc/self/fd/%d", binary);
    n = readlink(path, ret, PATH_MAX - 1);
    ret[n > 0 ? n : 0] = '\0';
    return ret;
}

static void say_that_it_stays(int binary, const char *why)
{
    char name[PATH_MAX];

    log_warn("the guest runs in %s now, but the supervisor (process %d) stays the program that it "
             "was: %s",
             name_of(binary, name), (int)getpid(), why);
}

/* Who has the guest. NULL: an update is under way, what it said has not been heard, or it runs
 * beneath something that is no VMM. */
static const struct child *find_guest(const struct supervisor *s)
{
    const struct child *vmm = NULL;

    for (size_t i = 0; i < SUPERVISOR_CHILDREN; i++) {
        if (!s->children[i].is_vmm)
            continue;
        if (vmm)
            return NULL;
        vmm = &s->children[i];
    }
    return vmm && vmm->has_guest && child_is_ferry(vmm) ? vmm : NULL;
}

/* -1: it is this one, or one that was asked in vain. */
static int open_other_program(const struct supervisor *s, const struct child *vmm)
{
    struct stat own, other;
    OWN_FD int fd = -1;
    char path[32];

    snprintf(path, sizeof(path), "/proc/%d/exe", (int)vmm->pid);
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &other) < 0 || stat("/proc/self/exe", &own) < 0 ||
        same_file(&own, &other) || same_file(&s->renewal.refused, &other))
        return -1;
    return take_fd(&fd);
}

static void execute(const struct supervisor *s, int binary, int state, bool only_asked)
{
    char program[TITLE_BYTES], command[] = "supervise", check[] = "--check", number[16];
    char *const argv[] = {program, command, number, only_asked ? check : NULL, NULL};

    title_text(program, *s->name ? s->name : NULL, "supervisor");
    snprintf(number, sizeof(number), "%d", state);
    if (fcntl(state, F_SETFD, 0) == 0)
        fexecve(binary, argv, environ);
}

static int start_asking(struct supervisor *s, struct ferry_err *err)
{
    struct child *c = child_find(s, 0);
    OWN_FD int state = -1;
    pid_t pid;
    int rc = c ? supervisor_save(s, &state, err)
               : err_set(err, EBUSY, "too many things are under way for this VM");

    if (rc < 0)
        return rc;
    pid = fork();
    if (pid < 0)
        return err_sys(err, errno, "cannot start a process");
    if (pid == 0) {
        supervisor_child_begin(s, false);
        /* What is no ferry may take the words for the name of a file: there is none of it here. */
        if (chdir("/") < 0)
            _exit(1);
        execute(s, s->renewal.binary, state, true);
        fprintf(stderr, "ferry: %s\n", strerror(errno));
        _exit(127);
    }
    *c = (struct child){.pid = pid,
                        .is_asked = true,
                        .until_ns = clock_monotonic_ns() + ASKED_NS,
                        .channel = -1,
                        .mail = -1};
    return 0;
}

void supervisor_renew_begin(struct supervisor *s)
{
    const struct child *vmm = s->renewal.binary < 0 ? find_guest(s) : NULL;
    struct ferry_err err;

    if (!vmm)
        return;
    s->renewal.due = false;
    s->renewal.binary = open_other_program(s, vmm);
    if (s->renewal.binary < 0 || start_asking(s, &err) == 0)
        return;
    say_that_it_stays(s->renewal.binary, err.text);
    own_close_fd(&s->renewal.binary);
}

/* Returns on failure only. */
static void become_the_other(struct supervisor *s, int binary, struct ferry_err *err)
{
    OWN_FD int state = -1;

    if (supervisor_save(s, &state, err) < 0)
        return;
    lease_end(s);
    children_set_inheritable(s, true);
    execute(s, binary, state, false);
    (void)err_sys(err, errno, "it cannot be executed");
    children_set_inheritable(s, false);
}

void supervisor_renew_end(struct supervisor *s)
{
    OWN_FD int binary = take_fd(&s->renewal.binary);
    int answer = s->renewal.answer;
    struct ferry_err err;

    s->renewal.answered = false;
    if (WIFEXITED(answer) && !WEXITSTATUS(answer))
        become_the_other(s, binary, &err);
    else if (WIFEXITED(answer))
        err_set(&err, ENOTSUP,
                "that program cannot take its place (asked, it ended with status %d: a ferry from "
                "before supervisors could be updated?)",
                WEXITSTATUS(answer));
    else
        err_set(&err, ENOTSUP, "that program cannot take its place (asked, it was ended by: %s)",
                strsignal(WTERMSIG(answer)));
    say_that_it_stays(binary, err.text);
    (void)!fstat(binary, &s->renewal.refused);
}
