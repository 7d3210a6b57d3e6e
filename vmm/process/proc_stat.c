/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/process/proc_stat.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/own.h"
#include "vmm/process/by_pid.h"

/* Since the host was started, as starttime is counted. */
static int64_t seconds_of(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return now.tv_sec;
}

bool proc_stat_read(pid_t pid, struct proc_stat *ret)
{
    unsigned long long start_ticks;
    char path[32], text[1024];
    const char *fields;
    OWN_FD int fd = -1;
    int parent;
    ssize_t n;

    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
    if (n <= 0)
        return false;
    text[n] = '\0';
    /* The name in parentheses is anybody's, and may have some in it. */
    fields = strrchr(text, ')');
    if (!fields || sscanf(fields,
                          ") %c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d "
                          "%*d %*d %llu",
                          &ret->state, &parent, &start_ticks) != 3)
        return false;
    ret->parent = parent;
    ret->age_s = seconds_of(CLOCK_BOOTTIME) - (int64_t)start_ticks / sysconf(_SC_CLK_TCK);
    ret->started_utc_s = seconds_of(CLOCK_REALTIME) - ret->age_s;
    return true;
}

pid_t proc_stat_supervisor(pid_t vmm)
{
    char socket[RUNDIR_PATH_BYTES], pid[16];
    struct proc_stat child;
    struct ferry_err ignored;

    if (!proc_stat_read(vmm, &child))
        return 0;
    snprintf(pid, sizeof(pid), "%d", (int)child.parent);
    return by_pid_socket(socket, pid, &ignored) == 0 ? child.parent : 0;
}
