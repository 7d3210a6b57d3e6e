/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which role may call what. docs/sandbox.md gives the reasons by group; a call that stands here for
 * nobody is refused to everybody. The main thread has what every other role has: in the target of
 * an update it makes their threads when it has locked itself in, and they have what both allow.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <sched.h>
#include <seccomp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "vmm/sandbox/parts.h"

#define HART    SANDBOX_BIT(SANDBOX_HART)
#define BLOCK   SANDBOX_BIT(SANDBOX_BLOCK)
#define BUILDER SANDBOX_BIT(SANDBOX_BUILDER)
#define MAIN    (SANDBOX_BIT(SANDBOX_MAIN) | BUILDER)
#define ALL     (MAIN | HART | BLOCK)

#define YES(roles_, name)                                         \
    {                                                             \
        .call = SCMP_SYS(name), .roles = (roles_), .when = ALWAYS \
    }
#define FAILS(roles_, name, with)                                                    \
    {                                                                                \
        .call = SCMP_SYS(name), .roles = (roles_), .when = ANSWERS, .answer = (with) \
    }
#define IF(roles_, name, nth, is)                                                       \
    {                                                                                   \
        .call = SCMP_SYS(name), .roles = (roles_), .when = IF_EQUAL, .argument = (nth), \
        .value = (is)                                                                   \
    }
#define IF_BITS(roles_, name, nth, of, is)                                               \
    {                                                                                    \
        .call = SCMP_SYS(name), .roles = (roles_), .when = IF_MASKED, .argument = (nth), \
        .mask = (of), .value = (is)                                                      \
    }

/* clang-format off */
const struct sandbox_rule sandbox_rules[] = {
    /* To be a thread: locks, memory, time, its end. */
    YES(ALL, futex), YES(ALL, sched_yield), YES(ALL, rt_sigreturn), YES(ALL, rt_sigprocmask),
    YES(ALL, restart_syscall), YES(ALL, gettid), YES(ALL, getpid), YES(ALL, exit), YES(ALL, exit_group),
    YES(ALL, brk), YES(ALL, munmap), YES(ALL, mremap), YES(ALL, madvise), YES(ALL, membarrier),
    IF_BITS(ALL, mmap, 2, 4 /* PROT_EXEC */, 0), IF_BITS(ALL, mprotect, 2, 4, 0),
    YES(ALL, clock_gettime), YES(ALL, clock_nanosleep), YES(ALL, nanosleep), YES(ALL, getrandom),
    YES(ALL, sched_getaffinity), YES(ALL, rseq), YES(ALL, set_robust_list), YES(ALL, getcpu),
    IF(ALL, sched_setscheduler, 0, 0), IF(ALL, sched_setattr, 0, 0), IF(ALL, sched_getattr, 0, 0), /* itself */
    IF(ALL, prctl, 0, PR_GET_NAME), IF(ALL, prctl, 0, PR_SET_NAME), IF(ALL, prctl, 0, PR_SET_TIMERSLACK),
    IF(ALL, prctl, 0, 0x53564d41 /* PR_SET_VMA: malloc names its arenas */),

    /* Bytes, of what is open. A hart's devices write, wake the loop by an eventfd, and take what a
     * network backend has. */
    YES(ALL, read), YES(ALL, write), YES(ALL, close),
    YES(MAIN | HART, readv), YES(MAIN | HART, writev), YES(MAIN | HART, recvfrom), YES(MAIN | HART, sendto),
    YES(MAIN | HART, recvmsg), YES(MAIN | HART, sendmsg), YES(MAIN | HART, poll), YES(MAIN | HART, ppoll),
    YES(MAIN | BLOCK, pread64), YES(MAIN | BLOCK, pwrite64), YES(MAIN | BLOCK, preadv),
    YES(MAIN | BLOCK, pwritev), YES(MAIN | BLOCK, preadv2), YES(MAIN | BLOCK, pwritev2),
    YES(MAIN | BLOCK, fdatasync), YES(MAIN | BLOCK, fsync), YES(MAIN | BLOCK, fallocate),
    YES(MAIN | BLOCK, sync_file_range), YES(MAIN, fadvise64),
    YES(MAIN | HART | BLOCK, fstat), YES(MAIN | HART | BLOCK, lseek), YES(MAIN, ftruncate), YES(MAIN | HART, fcntl),

    /* Devices of the host. Not TIOCSTI, which types for whoever owns the terminal, nor TUNSETIFF. */
    IF(MAIN, ioctl, 1, TCGETS), IF(MAIN, ioctl, 1, TCSETS), IF(MAIN, ioctl, 1, TCSETSW), IF(MAIN, ioctl, 1, TCSETSF),
    IF(MAIN, ioctl, 1, TIOCGPTN),
    IF(MAIN, ioctl, 1, FIONREAD), IF(MAIN, ioctl, 1, FIONBIO), IF(MAIN, ioctl, 1, SIOCOUTQ),
    IF(MAIN, ioctl, 1, TUNGETFEATURES), IF(MAIN, ioctl, 1, TUNGETIFF),
    IF(MAIN | HART, ioctl, 1, TUNGETVNETHDRSZ), IF(MAIN | HART, ioctl, 1, TUNSETVNETHDRSZ),
    IF(MAIN | HART, ioctl, 1, TUNSETOFFLOAD),
    IF(MAIN | BLOCK, ioctl, 1, BLKGETSIZE64), IF(MAIN | BLOCK, ioctl, 1, BLKSSZGET),
    IF(MAIN | BLOCK, ioctl, 1, BLKDISCARD), IF(MAIN | BLOCK, ioctl, 1, BLKZEROOUT),

    /* The loop. */
    YES(MAIN, epoll_create1), YES(MAIN, epoll_ctl), YES(MAIN, epoll_pwait), YES(MAIN, eventfd2),
#ifdef __NR_epoll_wait
    YES(MAIN, epoll_wait),
#endif
    YES(MAIN, timerfd_create), YES(MAIN | HART, timerfd_settime), YES(MAIN, pipe2), YES(MAIN, dup), YES(MAIN, dup3),
    YES(MAIN, rt_sigtimedwait), YES(MAIN, rt_sigpending), YES(MAIN, rt_sigaction), YES(MAIN, sigaltstack),

    /* Monitors, consoles, migrations: who connects is accepted; to connect is the supervisor's. */
    YES(MAIN, accept4), YES(MAIN, getsockopt), YES(MAIN, setsockopt), YES(MAIN, getsockname),
    YES(MAIN, getpeername), YES(MAIN, shutdown), IF(MAIN, socketpair, 0, AF_UNIX),

    /* Guest memory, and the files whose names Landlock judges (it has none that it would not). */
    YES(MAIN, memfd_create), YES(MAIN, openat), YES(MAIN, newfstatat), YES(MAIN, statx), YES(MAIN, readlinkat),
    YES(MAIN, unlinkat), YES(MAIN, faccessat), YES(MAIN, faccessat2), YES(MAIN, getdents64), YES(MAIN, mincore),
    YES(MAIN, fstatfs), YES(MAIN, statfs), YES(MAIN, close_range),
#ifdef __NR_open
    YES(MAIN, open), YES(MAIN, stat), YES(MAIN, lstat), YES(MAIN, readlink), YES(MAIN, unlink), YES(MAIN, access),
    YES(MAIN, dup2), YES(MAIN, pipe),
#endif
    YES(MAIN, getcwd),

    /* Threads of a migration. clone3 takes its flags from memory, where no filter can look: libc
     * then uses clone, and that can make threads only. */
    IF_BITS(MAIN, clone, 0, CLONE_THREAD, CLONE_THREAD), FAILS(ALL, clone3, ENOSYS),
    YES(MAIN, sched_setaffinity), YES(MAIN, sched_getparam), YES(MAIN, sched_getscheduler),
    IF(ALL, prlimit64, 2, 0 /* to look only */),

    /* For threads that give up more than the one which made them. */
    YES(MAIN, capset), YES(MAIN, seccomp), IF(MAIN, prctl, 0, PR_SET_NO_NEW_PRIVS),
    IF(MAIN, prctl, 0, PR_GET_SECCOMP),

    YES(MAIN, getuid), YES(MAIN, geteuid), YES(MAIN, getgid), YES(MAIN, getegid), YES(MAIN, getppid),
    YES(MAIN, uname), YES(MAIN, sysinfo), YES(MAIN, getrusage), YES(MAIN, times),

    /* A machine under construction: what its description names is opened, then it is locked in. */
    YES(BUILDER, socket), YES(BUILDER, bind), YES(BUILDER, listen), YES(BUILDER, connect), YES(BUILDER, ioctl),
    YES(BUILDER, openat2 /* beneath a directory that was given */), YES(BUILDER, fchmod),
    YES(BUILDER, flock /* has somebody locked a console's file? */),
    YES(BUILDER, umask), YES(BUILDER, renameat), YES(BUILDER, renameat2), YES(BUILDER, mkdirat),
#ifdef __NR_open
    YES(BUILDER, rename), YES(BUILDER, mkdir), YES(BUILDER, chmod),
#endif
    YES(BUILDER, prctl),
    YES(BUILDER, landlock_create_ruleset), YES(BUILDER, landlock_add_rule), YES(BUILDER, landlock_restrict_self),

#ifdef SANDBOX_SANITIZED
    /* What looks for faults looks everywhere, and at its end it makes a process that traces. */
    YES(ALL, sigaltstack), YES(ALL, mmap), YES(ALL, mprotect), YES(ALL, clone), YES(ALL, ptrace), YES(ALL, wait4),
    YES(ALL, prctl), YES(ALL, openat), YES(ALL, readlink), YES(ALL, rt_sigaction), YES(ALL, rt_tgsigqueueinfo),
    YES(ALL, getdents64), YES(ALL, tgkill), YES(ALL, personality), YES(ALL, pipe), YES(ALL, dup2), YES(ALL, poll),
    YES(ALL, prlimit64), YES(ALL, stat), YES(ALL, newfstatat), YES(ALL, sched_getaffinity), YES(ALL, getppid),
    YES(ALL, fcntl), YES(ALL, lseek), YES(ALL, open), YES(ALL, access), YES(ALL, readlinkat), YES(ALL, fstat),
#endif
};
/* clang-format on */

const size_t sandbox_rule_count = sizeof(sandbox_rules) / sizeof(sandbox_rules[0]);

#define NAME(name)            \
    {                         \
        SCMP_SYS(name), #name \
    }

const char *sandbox_call_name(int call)
{
    static const struct {
        int call;
        const char *name;
    } names[] = {
        NAME(execve),
        NAME(execveat),
        NAME(fork),
        NAME(vfork),
        NAME(clone),
        NAME(open),
        NAME(openat),
        NAME(openat2),
        NAME(creat),
        NAME(unlink),
        NAME(unlinkat),
        NAME(rename),
        NAME(mkdir),
        NAME(socket),
        NAME(socketpair),
        NAME(connect),
        NAME(bind),
        NAME(listen),
        NAME(accept),
        NAME(accept4),
        NAME(kill),
        NAME(tkill),
        NAME(tgkill),
        NAME(ptrace),
        NAME(ioctl),
        NAME(mount),
        NAME(unshare),
        NAME(setns),
        NAME(bpf),
        NAME(prctl),
        NAME(mmap),
        NAME(mprotect),
        NAME(setuid),
        NAME(chmod),
        NAME(fcntl),
        NAME(io_uring_setup),
        NAME(process_vm_readv),
        NAME(process_vm_writev),
        NAME(pidfd_getfd),
        NAME(stat),
        NAME(newfstatat),
        NAME(readlink),
        NAME(fstat),
        NAME(lseek),
        NAME(poll),
    };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (names[i].call == call)
            return names[i].name;
    return NULL;
}
