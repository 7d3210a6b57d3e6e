/* SPDX-License-Identifier: Apache-2.0 */
/* What lies on the host under the names of a VM. */
#include <fcntl.h>
#include <sys/stat.h>

#include "base/own.h"
#include "vmm/backend/unix_socket.h"
#include "vmm/process/rundir.h"
#include "vmm/supervisor/startup.h"
#include "vmm/supervisor/supervisor_internal.h"

/*
 * Connected to through /proc it leads to whoever listens, also when its name is gone. It opens
 * nothing and can say nothing, so that of the guest's a supervisor still has no descriptor.
 */
void supervisor_hold_control(struct supervisor *s)
{
    char path[RUNDIR_PATH_BYTES];
    struct ferry_err err;
    OWN_FD int fd = -1;
    struct stat st;

    if (!rundir_is_name(s->name) || rundir_file(path, s->name, ".sock", &err) < 0)
        return;
    fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    /* What was held is of the same VM, and may be all that there is. */
    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISSOCK(st.st_mode))
        return;
    own_close_fd(&s->control);
    s->control = take_fd(&fd);
}

/* Its VMMs may not, in their sandbox. What somebody uses stays: the guest may be in a process that
 * took it over from elsewhere. */
void supervisor_tidy_up(const struct supervisor *s)
{
    struct ferry_err err;

    if (rundir_is_name(s->name))
        rundir_sweep(s->name);
    for (size_t i = 0; i < s->policy.socket_count; i++)
        (void)!unix_remove_stale(s->policy.sockets[i], &err);
    startup_remove_pidfile(s->policy.pidfile);
}
