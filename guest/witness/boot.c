// SPDX-License-Identifier: Apache-2.0
/* The duties of init: file systems, drivers, a shell on request, and the end. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "witness.h"

void boot_mount(void)
{
    /* The shell and /dev/vda need these; a failure shows where they are used. */
    mount("dev", "/dev", "devtmpfs", MS_NOSUID, NULL);
    mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
    /* The console is ours, not the shell's: the end of a session throws away what a tty still
     * holds. */
    setsid();
    ioctl(STDIN_FILENO, TIOCSCTTY, 1);
}

static bool put(const char *path, const char *text)
{
    FILE *file = fopen(path, "we");
    bool done = file && fputs(text, file) >= 0;

    if (file && fclose(file) != 0)
        done = false;
    return done;
}

void boot_mount_sys(void)
{
    if (access("/sys/kernel", F_OK) < 0)
        mount("sysfs", "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
}

/*
 * Linux runs what is not real-time for 50 ms of each second, whatever a real-time thread wants:
 * since 6.12 by a fair server for each hart, which only debugfs can switch off. To a thread that
 * measures gaps it looks like a machine that stood still.
 */
void boot_let_realtime_run(unsigned int harts)
{
    char path[80];

    put("/proc/sys/kernel/sched_rt_runtime_us", "-1");
    if (access("/sys/kernel/debug/sched", F_OK) < 0) {
        boot_mount_sys();
        mount("debugfs", "/sys/kernel/debug", "debugfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
    }
    for (unsigned int hart = 0; hart < harts; hart++) {
        snprintf(path, sizeof(path), "/sys/kernel/debug/sched/fair_server/cpu%u/runtime", hart);
        if (!put(path, "0") && access(path, F_OK) == 0)
            say("witness: %s cannot be set: gaps of up to 50 ms may be the guest's own", path);
    }
}

static void load(const char *folder, const char *file)
{
    char path[160];
    int fd;

    snprintf(path, sizeof(path), "%s/%s", folder, file);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || (syscall(SYS_finit_module, fd, "", 0) < 0 && errno != EEXIST))
        say("witness: cannot load %s: %s", path, strerror(errno));
    if (fd >= 0)
        close(fd);
}

/* The builder has put the files that are wanted at boot into an order that can be loaded. */
void boot_load_modules(void)
{
    struct utsname kernel;
    char folder[sizeof(kernel.release) + 16];
    char path[sizeof(folder) + 8];
    char name[64];
    FILE *list;

    uname(&kernel);
    snprintf(folder, sizeof(folder), "/lib/modules/%s", kernel.release);
    snprintf(path, sizeof(path), "%s/boot", folder);
    list = fopen(path, "re");
    if (!list) {
        say("witness: no drivers for this kernel: %s: %s", path, strerror(errno));
        return;
    }
    while (fscanf(list, "%63s", name) == 1)
        load(folder, name);
    fclose(list);
}

void boot_leave(int how)
{
    sync();
    reboot(how);
    for (;;)
        pause();
}

/* Ctrl-C is for the group of this process. */
static void set_foreground(void)
{
    signal(SIGTTOU, SIG_IGN);
    setpgid(0, 0);
    tcsetpgrp(STDIN_FILENO, getpid());
    signal(SIGTTOU, SIG_DFL);
}

void boot_shell(const char *command)
{
    char *text = strdup(command);
    char *arguments[] = {(char[]){"sh"}, *command ? (char[]){"-c"} : NULL, text, NULL};
    char *const environment[] = {(char[]){"PATH=/bin:/sbin:/usr/bin"}, (char[]){"HOME=/"},
                                 (char[]){"TERM=linux"}, (char[]){"PS1=guest# "}, NULL};
    struct termios before, tio;
    pid_t shell;

    /* Not earlier: during the boot the kernel would only ask for modules that are not there. */
    put("/proc/sys/kernel/modprobe", "/bin/modprobe");
    tcgetattr(STDIN_FILENO, &before);
    tio = before;
    tio.c_lflag |= ECHO;
    tcsetattr(STDIN_FILENO, TCSANOW, &tio);
    shell = fork();
    if (shell == 0) {
        set_foreground();
        execve("/bin/sh", arguments, environment);
        _exit(127);
    }
    /* Orphans of the shell are ours as well. */
    for (pid_t ended = 0; shell > 0 && ended != shell;) {
        ended = waitpid(-1, NULL, 0);
        if (ended < 0 && errno != EINTR)
            break;
    }
    set_foreground();
    tcsetattr(STDIN_FILENO, TCSANOW, &before);
    free(text);
}

void boot_for_a_person(void)
{
    struct utsname kernel;

    uname(&kernel);
    say("\nThis is ferry's guest: Debian's Linux %s and busybox, in memory. Here is a shell,\n"
        "without a login; its end ('exit') powers the machine off. Nothing writes to a disk "
        "unless\n"
        "you do. 'witness' on the kernel command line makes it check itself instead.\n",
        kernel.release);
    boot_shell("");
    say("The machine powers off.");
    boot_leave(RB_POWER_OFF);
}
