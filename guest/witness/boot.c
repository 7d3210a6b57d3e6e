// SPDX-License-Identifier: Apache-2.0
/* The duties of init: file systems, drivers, a shell on request, and the end. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
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

void boot_shell(void)
{
    char *const arguments[] = {(char[]){"sh"}, NULL};
    char *const environment[] = {(char[]){"PATH=/bin:/sbin:/usr/bin"}, (char[]){"HOME=/"},
                                 (char[]){"TERM=linux"}, (char[]){"PS1=guest# "}, NULL};
    struct termios before, tio;
    FILE *modprobe = fopen("/proc/sys/kernel/modprobe", "we");
    pid_t shell;

    /* Not earlier: during the boot the kernel would only ask for modules that are not there. */
    if (modprobe) {
        fputs("/bin/modprobe", modprobe);
        fclose(modprobe);
    }

    tcgetattr(STDIN_FILENO, &before);
    tio = before;
    tio.c_lflag |= ECHO;
    tcsetattr(STDIN_FILENO, TCSANOW, &tio);
    shell = fork();
    if (shell == 0) {
        /* A session with a controlling terminal of its own, or Ctrl-C would reach nobody. */
        int console = open("/dev/ttyS0", O_RDWR);

        setsid();
        if (console >= 0 && ioctl(console, TIOCSCTTY, 1) == 0)
            for (int fd = 0; fd < 3; fd++)
                dup2(console, fd);
        execve("/bin/sh", arguments, environment);
        _exit(127);
    }
    /* Orphans of the shell are ours as well. */
    for (pid_t ended = 0; shell > 0 && ended != shell;) {
        ended = waitpid(-1, NULL, 0);
        if (ended < 0 && errno != EINTR)
            break;
    }
    tcsetattr(STDIN_FILENO, TCSANOW, &before);
    say("witness: shell ended");
}
