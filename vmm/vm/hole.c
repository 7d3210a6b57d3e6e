/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/vm/hole.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mail.h"
#include "base/own.h"
#include "vmm/machine/loop.h"
#include "vmm/supervisor/supervisor_channel.h"
#include "vmm/supervisor/supervisor_link.h"
#include "vmm/vm/vm_internal.h"

static void say(const char *who, const char *what, long result)
{
    char line[256];
    int n = snprintf(line, sizeof(line), "hole: %s: %s: %s\n", who, what,
                     result < 0 ? strerror(errno) : "done");

    (void)!write(STDERR_FILENO, line, (size_t)n);
}

/* Past libc, which may do something else than it is asked for. */
static void try_system(const char *who, const char *victim, const char *mark)
{
    /* Where it is not refused it must not succeed, or the rest would not be tried. */
    char *const argv[] = {NULL};
    struct rlimit more = {4096, 4096};
    const struct sched_param first = {.sched_priority = 1};
    char word[16];
    long pid;
    struct iovec local = {word, sizeof(word)}, remote = {(void *)(uintptr_t)word, sizeof(word)};

    say(who, "read a file", syscall(SYS_openat, AT_FDCWD, "/etc/passwd", O_RDONLY));
    say(who, "make a file", syscall(SYS_openat, AT_FDCWD, mark, O_WRONLY | O_CREAT, 0600));
    say(who, "look into /proc", syscall(SYS_openat, AT_FDCWD, "/proc/self/environ", O_RDONLY));
    say(who, "remove a file", syscall(SYS_unlinkat, AT_FDCWD, victim, 0));
    say(who, "rename a file", syscall(SYS_renameat2, AT_FDCWD, victim, AT_FDCWD, mark, 0));
    say(who, "open a socket", syscall(SYS_socket, AF_INET, SOCK_STREAM, 0));
    say(who, "open a UNIX socket", syscall(SYS_socket, AF_UNIX, SOCK_STREAM, 0));
    pid = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    if (pid == 0)
        _exit(0);
    say(who, "make a process", pid);
    say(who, "make a process by clone3", syscall(SYS_clone3, NULL, 0));
    say(who, "execute a program", syscall(SYS_execve, "/nonexistent", argv, NULL));
    say(who, "trace the supervisor", ptrace(PTRACE_SEIZE, getppid(), NULL, NULL));
    say(who, "read the supervisor", process_vm_readv(getppid(), &local, 1, &remote, 1, 0));
    say(who, "signal the supervisor", syscall(SYS_kill, getppid(), 0));
    say(who, "type on a terminal", ioctl(STDIN_FILENO, TIOCSTI, "x"));
    say(who, "make memory executable",
        (long)(intptr_t)mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
                             MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    say(who, "raise a limit", syscall(SYS_prlimit64, 0, RLIMIT_CORE, &more, NULL));
    say(who, "come before everybody", syscall(SYS_sched_setscheduler, 0, SCHED_FIFO, &first));
    say(who, "mount", mount("none", "/nonexistent", "tmpfs", 0, NULL));
    say(who, "become root again", syscall(SYS_setuid, 0));
}

static void try_connect(const char *who)
{
    OWN_FD int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const struct sockaddr_in name = {
        .sin_family = AF_INET, .sin_port = htons(1), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

    say(who, "connect", connect(fd, (const struct sockaddr *)&name, sizeof(name)));
}

void hole_described(void)
{
    char *const argv[] = {NULL};
    const char *who = "builder";

    say(who, "read a file", syscall(SYS_openat, AT_FDCWD, "/etc/passwd", O_RDONLY));
    say(who, "make a file", syscall(SYS_openat, AT_FDCWD, "/tmp", O_WRONLY | O_TMPFILE, 0600));
    say(who, "look into /proc", syscall(SYS_openat, AT_FDCWD, "/proc/self/environ", O_RDONLY));
    say(who, "execute a program", syscall(SYS_execve, "/nonexistent", argv, NULL));
    say(who, "signal the supervisor", syscall(SYS_kill, getppid(), 0));
    try_connect(who);
    fprintf(stderr, "hole: over\n");
}

/* --- What the supervisor is asked for --- */

#define EXEC "{\"execute\":\"migrate\",\"arguments\":{\"uri\":\"exec:touch %s\"}}"

static void hear(const char *what, int mail)
{
    struct pollfd p = {.fd = mail, .events = POLLIN};
    struct ferry_err err = {0};
    struct mail m;
    int rc = 0;

    do {
        (void)!poll(&p, 1, -1);
        rc = mail_recv(mail, &m, &err);
        if (!rc)
            mail_free(&m);
    } while (!rc && m.kind == MAIL_HEARD);
    fprintf(stderr, "hole: main: %s: %s\n", what, rc < 0 ? err.text : "done");
}

static void ask(struct vm *vm, const char *what, const char *words, int client)
{
    OWN_FD int mail = -1;
    struct ferry_err err;

    if (supervisor_link_ask(vm_supervisor(vm), words, client, strlen(words), &mail, &err) < 0)
        fprintf(stderr, "hole: main: %s: %s\n", what, err.text);
    else
        hear(what, mail);
}

/* A file that must not be there afterwards, beside the VM's disk. */
static void mark_of(const struct vm *vm, char *ret, size_t n)
{
    const struct vm_config *c = vm_config(vm);

    snprintf(ret, n, "%s.hole", c->drive_count ? c->drives[0].path : "/tmp/ferry");
}

/* An operator's words that no operator said. */
static void ask_in_disguise(struct vm *vm)
{
    char words[512], mark[256];
    int pair[2];

    mark_of(vm, mark, sizeof(mark));
    snprintf(words, sizeof(words), EXEC, mark);
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
        say("main", "make a pair of sockets", -1);
        return;
    }
    (void)!write(pair[1], words, strlen(words));
    ask(vm, "a command through a socket of its own", words, pair[0]);
    close(pair[0]);
    close(pair[1]);
    if (pipe2(pair, O_CLOEXEC) < 0)
        return;
    (void)!write(pair[1], words, strlen(words));
    ask(vm, "a command through a pipe", words, pair[0]);
    close(pair[0]);
    close(pair[1]);
}

static void try_main(void *arg)
{
    struct vm *vm = arg;
    const struct vm_config *c = vm_config(vm);
    char words[512], mark[256];

    mark_of(vm, mark, sizeof(mark));
    snprintf(words, sizeof(words), EXEC, mark);
    try_system("main", c->drive_count ? c->drives[0].path : mark, mark);
    ask(vm, "start a program",
        "{\"execute\":\"ferry-update\",\"arguments\":{\"binary\":\"/bin/true\"}}", -1);
    ask(vm, "run a command", words, -1);
    ask(vm, "connect", "{\"execute\":\"migrate\",\"arguments\":{\"uri\":\"tcp:127.0.0.1:1\"}}", -1);
    ask(vm, "open a file",
        "{\"execute\":\"migrate-incoming\",\"arguments\":{\"uri\":\"file:/etc/passwd\"}}", -1);
    ask(vm, "connect to a peer that is none", SUPERVISOR_CONNECT "/run/systemd/private", -1);
    ask_in_disguise(vm);
    fprintf(stderr, "hole: over\n");
    vm_exit(vm, 0);
}

void hole_open(struct vm *vm)
{
    const struct vm_config *c = vm_config(vm);
    char mark[256];

    mark_of(vm, mark, sizeof(mark));
    try_system("hart", c->drive_count ? c->drives[0].path : mark, mark);
    if (loop_post(vm_loop(vm), try_main, vm) < 0)
        vm_request_shutdown(vm, SHUTDOWN_CAUSE_HOST_SIGNAL, 1);
}
