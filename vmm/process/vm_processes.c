/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/process/vm_processes.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/stat.h>

#include "base/err.h"
#include "base/own.h"
#include "base/same_file.h"
#include "vmm/process/by_pid.h"
#include "vmm/process/proc_stat.h"
#include "vmm/process/rundir.h"

/* Does that process keep the way to the control socket of this name? */
static bool supervises(pid_t pid, const char *name)
{
    char path[RUNDIR_PATH_BYTES], held[RUNDIR_PATH_BYTES], number[16];
    struct stat there, theirs;
    struct ferry_err ignored;

    snprintf(number, sizeof(number), "%d", (int)pid);
    return rundir_find(path, name, ".sock", &ignored) == 0 && stat(path, &there) == 0 &&
           by_pid_socket(held, number, &ignored) == 0 && stat(held, &theirs) == 0 &&
           same_file(&there, &theirs);
}

int vm_processes_find(const char *name, struct vm_processes *ret, struct ferry_err *err)
{
    struct proc_stat stat;
    int rc = rundir_holder(name, &ret->vmm, err);

    if (rc < 0)
        return rc;
    if (!proc_stat_read(ret->vmm, &stat) || !supervises(stat.parent, name))
        return err_set(err, ESRCH, "process %d, which VM '%s' says it is, is none of its",
                       (int)ret->vmm, name);
    ret->supervisor = stat.parent;
    ret->stopped = stat.state == 'T' || stat.state == 't';
    return 0;
}

/* A process id may be somebody else's by now: the parent is looked at when it cannot change hands.
 */
static int kill_child(pid_t pid, pid_t parent, struct ferry_err *err)
{
    OWN_FD int fd = pidfd_open(pid, 0);
    struct proc_stat stat;

    if (fd < 0 || !proc_stat_read(pid, &stat) || stat.parent != parent)
        return 0; /* it has gone */
    if (pidfd_send_signal(fd, SIGKILL, NULL, 0) < 0 && errno != ESRCH)
        return err_sys(err, errno, "cannot kill process %d", (int)pid);
    return 0;
}

int vm_processes_kill(const struct vm_processes *p, struct ferry_err *err)
{
    char path[64];
    int pid, rc = 0;
    FILE *children;

    snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)p->supervisor,
             (int)p->supervisor);
    children = fopen(path, "re");
    if (!children)
        return err_sys(err, errno, "%s", path);
    while (!rc && fscanf(children, "%d", &pid) == 1)
        rc = kill_child(pid, p->supervisor, err);
    fclose(children);
    if (!rc)
        kill(p->supervisor, SIGCONT);
    return rc;
}
