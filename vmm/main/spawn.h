/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Processes of one VM. The first process of a VM, the one somebody waits for (a shell, a
 * supervisor), must not end while the guest runs on in a target that it started; so after its
 * first handover it becomes a waiter: it executes `ferry wait`, keeps its pid, adopts every later
 * target when that one's parent ends (PR_SET_CHILD_SUBREAPER), forwards SIGTERM, SIGINT and SIGHUP
 * to them and ends with the exit status of the last.
 */
#pragma once

#include <sys/types.h>

#include <ferry/err.h>

/* The path of the running program. */
#define SPAWN_SELF "/proc/self/exe"

/*
 * Start `binary receive --supervised fd:3`, with socket_fd as its fd 3. Returns its pid.
 * binary: NULL = the running one.
 */
int spawn_target(pid_t *ret, const char *binary, int socket_fd,
                 struct ferry_err *err) FERRY_MUST_CHECK;
/* Replace this process by a waiter of that binary (NULL = this one). Returns only on failure. */
void spawn_become_waiter(const char *binary);
/* `ferry wait`: the waiter. Returns the exit status to end with. */
int spawn_wait(void);
