/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A VM is found by its name in the runtime directory, or by the process id that was started: when
 * somebody has removed the directory (logind does, when a user has logged out) the socket beneath
 * is still listened on, and the supervisor keeps a way to it open (supervisor_names.c).
 */
#pragma once

#include <ferry/err.h>

#include "vmm/process/rundir.h"

/* text: a process id. *ret: where its VM's control socket can be connected to. -ENOENT: it is no
 * supervisor of yours, or text is no number. */
int by_pid_socket(char ret[RUNDIR_PATH_BYTES], const char *text,
                  struct ferry_err *err) FERRY_MUST_CHECK;
