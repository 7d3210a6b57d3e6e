/* SPDX-License-Identifier: Apache-2.0 */
/* Each role in a process of its own: nothing of it can be taken back. */
#include "tests/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "vmm/sandbox/parts.h"

/* Says what it found wrong by its exit status; 0: nothing. */
typedef int inside_fn(void);

static int run(inside_fn *fn)
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        struct ferry_err err;

        _exit(sandbox_begin(&err) < 0 ? 100 : fn());
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static bool enter(enum sandbox_role role)
{
    struct ferry_err err;

    if (sandbox_enter(role, NULL, 0, &err) == 0)
        return true;
    fprintf(stderr, "%s\n", err.text);
    return false;
}

static bool refuses(long result)
{
    return result < 0 && (errno == EPERM || errno == EACCES);
}

static int inside_begin(void)
{
    struct rlimit core;

    getrlimit(RLIMIT_CORE, &core);
    if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
        return 1;
    return core.rlim_max == 0 ? 0 : 2;
}

static int inside_hart(void)
{
    int fds[2];

    if (pipe(fds) < 0 || !enter(SANDBOX_HART))
        return 1;
#ifndef SANDBOX_SANITIZED
    if (!refuses(syscall(SYS_openat, AT_FDCWD, "/dev/null", O_RDONLY)))
        return 2;
#endif
    if (!refuses(syscall(SYS_socket, AF_UNIX, SOCK_STREAM, 0)))
        return 3;
    if (!refuses(syscall(SYS_memfd_create, "x", 0)))
        return 4;
    if (!refuses(syscall(SYS_epoll_create1, 0)))
        return 5;
    /* What it is for still works, after any number of refusals. */
    if (write(fds[1], "x", 1) != 1)
        return 6;
    return 0;
}

static int inside_block(void)
{
    int fd = (int)syscall(SYS_memfd_create, "x", 0);

    if (!enter(SANDBOX_BLOCK))
        return 1;
    if (pwrite(fd, "x", 1, 5) != 1 || fdatasync(fd) < 0)
        return 2;
    return refuses(syscall(SYS_sendto, fd, "x", 1, 0, NULL, 0)) ? 0 : 3;
}

static void *thread_of_main(void *arg)
{
    /* One that inherits a role can take a smaller one. */
    return enter(SANDBOX_HART) && refuses(syscall(SYS_epoll_create1, 0)) ? arg : NULL;
}

static int inside_main_role(void)
{
    pthread_t thread;
    void *ret;
    int fd;

    if (!enter(SANDBOX_MAIN))
        return 1;
    if (landlock_version() && !refuses(open("/dev/null", O_RDONLY)))
        return 2;
    if (!refuses(syscall(SYS_execve, "/bin/true", NULL, NULL)))
        return 3;
#ifndef SANDBOX_SANITIZED
    if (!refuses(fork()))
        return 4;
    if (mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED)
        return 5;
#endif
    fd = (int)syscall(SYS_memfd_create, "x", MFD_CLOEXEC);
    if (fd < 0 || ftruncate(fd, 4096) < 0)
        return 6;
    if (pthread_create(&thread, NULL, thread_of_main, &fd) || pthread_join(thread, &ret) || !ret)
        return 7;
    return 0;
}

/* Both filters count, in either order; so does what each can reach. */
static int inside_builder(void)
{
    const struct sandbox_path paths[] = {{"/etc/hostname", SANDBOX_READ}};
    struct open_how how = {.flags = O_RDONLY, .resolve = RESOLVE_BENEATH};
    int etc = open("/etc", O_PATH);
    struct ferry_err err;

    if (sandbox_enter(SANDBOX_BUILDER, paths, 1, &err) < 0)
        return 1;
    if (open("/etc/hostname", O_RDONLY) < 0 || socket(AF_UNIX, SOCK_STREAM, 0) < 0)
        return 2;
    /* Beneath what was opened before, too. */
    if (syscall(SYS_openat2, etc, "hostname", &how, sizeof(how)) < 0)
        return 6;
    if (landlock_version() && (!refuses(syscall(SYS_openat2, etc, "passwd", &how, sizeof(how))) ||
                               !refuses(open("/etc/passwd", O_RDONLY))))
        return 7;
    if (!refuses(syscall(SYS_execve, "/bin/true", NULL, NULL)))
        return 3;
    if (!enter(SANDBOX_MAIN))
        return 4;
    if (landlock_version() && !refuses(open("/etc/hostname", O_RDONLY)))
        return 8;
    return refuses(syscall(SYS_socket, AF_UNIX, SOCK_STREAM, 0)) ? 0 : 5;
}

static int inside_paths(void)
{
    const struct sandbox_path paths[] = {
        {"/tmp", SANDBOX_WRITE}, {"/etc/hostname", SANDBOX_READ}, {"/dev/shm", SANDBOX_SOCKETS}};
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    struct ferry_err err;
    char path[64];

    snprintf(path, sizeof(path), "/tmp/ferry-sandbox-%d", (int)getpid());
    int socket_fd = socket(AF_UNIX, SOCK_STREAM, 0);

    snprintf(name.sun_path, sizeof(name.sun_path), "/dev/shm/ferry-sandbox-%d", (int)getpid());
    if (sandbox_enter(SANDBOX_BUILDER, paths, 3, &err) < 0)
        return 1;
    if (open(path, O_RDWR | O_CREAT | O_EXCL, 0600) < 0 || unlink(path) < 0)
        return 2;
    if (open("/etc/hostname", O_RDONLY) < 0)
        return 3;
    if (!refuses(open("/etc/hostname", O_WRONLY)))
        return 4;
    if (bind(socket_fd, (struct sockaddr *)&name, sizeof(name)) < 0 || unlink(name.sun_path) < 0)
        return 6;
    if (!refuses(open(name.sun_path, O_RDWR | O_CREAT, 0600)))
        return 7;
    return refuses(open("/etc/passwd", O_RDONLY)) ? 0 : 5;
}

static int inside_no_path(void)
{
    const struct sandbox_path paths[] = {{"/nonexistent", SANDBOX_READ}};
    struct ferry_err err;

    if (sandbox_enter(SANDBOX_MAIN, paths, 1, &err) != -ENOENT)
        return 1;
    return strstr(err.text, "/nonexistent") ? 0 : 2;
}

#define ROLE(name)                               \
    static void name(void **state)               \
    {                                            \
        assert_int_equal(run(inside_##name), 0); \
    }
ROLE(begin)
ROLE(hart)
ROLE(block)
ROLE(main_role)
ROLE(builder)
#undef ROLE

static void paths(void **state)
{
    if (!landlock_version())
        skip();
    assert_int_equal(run(inside_paths), 0);
    assert_int_equal(run(inside_no_path), 0);
}

/* A call in two rules of one role, of which one has a condition, is a table that lies. */
static void rules_do_not_contradict(void **state)
{
#ifdef SANDBOX_SANITIZED
    skip(); /* its rules are on top of the others */
#endif
    for (size_t i = 0; i < sandbox_rule_count; i++)
        for (size_t j = 0; j < i; j++) {
            const struct sandbox_rule *a = &sandbox_rules[i], *b = &sandbox_rules[j];

            if (a->call != b->call || a->call < 0 || !(a->roles & b->roles) || a->when == b->when)
                continue;
            /* The builder's are wider than the main thread's, on purpose. */
            assert_int_equal((a->roles & b->roles) & ~SANDBOX_BIT(SANDBOX_BUILDER), 0);
        }
}

/* Threads that the main one makes when it is locked in have what both roles allow. */
static void the_main_thread_has_all_roles(void **state)
{
    for (size_t i = 0; i < sandbox_rule_count; i++)
        if (sandbox_rules[i].roles & (SANDBOX_BIT(SANDBOX_HART) | SANDBOX_BIT(SANDBOX_BLOCK)))
            assert_true(sandbox_rules[i].roles & SANDBOX_BIT(SANDBOX_MAIN));
}

static void nobody_has_what_leads_out(void **state)
{
    static const int never[] = {
        SYS_execve,      SYS_execveat,       SYS_kill,           SYS_process_vm_writev,
        SYS_mount,       SYS_unshare,        SYS_setns,          SYS_bpf,
        SYS_userfaultfd, SYS_io_uring_setup, SYS_pidfd_getfd,    SYS_keyctl,
        SYS_setuid,      SYS_chroot,         SYS_perf_event_open};

    for (size_t i = 0; i < sandbox_rule_count; i++)
        for (size_t j = 0; j < sizeof(never) / sizeof(never[0]); j++)
            assert_int_not_equal(sandbox_rules[i].call, never[j]);
    /* Only who has a folder open has a use for it. */
    for (size_t i = 0; i < sandbox_rule_count; i++)
        if (sandbox_rules[i].call == SYS_openat2)
            assert_int_equal(sandbox_rules[i].roles, SANDBOX_BIT(SANDBOX_BUILDER));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(begin),
        cmocka_unit_test(hart),
        cmocka_unit_test(block),
        cmocka_unit_test(main_role),
        cmocka_unit_test(builder),
        cmocka_unit_test(paths),
        cmocka_unit_test(rules_do_not_contradict),
        cmocka_unit_test(nobody_has_what_leads_out),
        cmocka_unit_test(the_main_thread_has_all_roles),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
