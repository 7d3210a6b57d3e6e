/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the host knows of a VM's processes (proc_pid_stat(5)): nothing is asked of the VM, which may
 * not answer. For commands and errands, not for a VMM: it reads files of other processes.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct proc_stat {
    char state; /* 'R', 'S', 'T' = stopped, 'Z' = ended and not waited for, ... */
    pid_t parent;
    int64_t age_s;         /* since it was started, suspended time included */
    int64_t started_utc_s; /* by the wall clock of now */
};

/* false: there is no such process, or this user may not know. */
bool proc_stat_read(pid_t pid, struct proc_stat *ret);
/* The supervisor of that VMM: its parent, if that is a VM's first process of yours (by_pid.h); 0.
 */
pid_t proc_stat_supervisor(pid_t vmm);
