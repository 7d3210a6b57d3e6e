/* SPDX-License-Identifier: Apache-2.0 */
/* A link of /proc: the program of a process, an open file (proc_pid_exe(5), proc_pid_fd(5)). */
#pragma once

#include <limits.h>
#include <stdbool.h>

/*
 * The file that it leads to, where that was opened; deleted: another one is there now, or none.
 * 0, or -errno: there is no such link, or this user may not know.
 */
int proc_link(const char *link, char path[static PATH_MAX], bool *deleted);
