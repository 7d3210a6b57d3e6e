/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The processes of a VM that does not answer: found and ended without asking it. What the VM says
 * of itself, in the file of its name, is believed only if the supervisor that has its control
 * socket is the parent: a guest that owns its VMM can write anybody's process id there.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include <ferry/err.h>

struct vm_processes {
    pid_t vmm;
    pid_t supervisor;
    bool stopped; /* the VMM, by SIGSTOP or a debugger */
};

int vm_processes_find(const char *name, struct vm_processes *ret,
                      struct ferry_err *err) FERRY_MUST_CHECK;
/*
 * SIGKILL to every VMM of that supervisor, also the target of an update under way, which else might
 * get the guest. The supervisor then ends as it does when a VMM was killed; stopped, it is woken.
 */
int vm_processes_kill(const struct vm_processes *p, struct ferry_err *err) FERRY_MUST_CHECK;
