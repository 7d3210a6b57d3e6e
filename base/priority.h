/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The calling thread's place among those that wait for a processor, for the parts of a move: what
 * is prepared and taken down runs below everything else, the pause above it. What the host does
 * not grant is left out, so nothing here fails. Each thread sets itself only: a sandbox can allow
 * that without a say over other processes. Who is real-time by its operator's word (chrt(1)) stays
 * what it is. Any thread; sched(7) has the rules.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

enum priority_grant {
    PRIORITY_REFUSED = 0,
    PRIORITY_SLICE,    /* short turns, which come sooner: allowed to everybody since Linux 6.12 */
    PRIORITY_NICE,     /* nice -20: RLIMIT_NICE or CAP_SYS_NICE */
    PRIORITY_REALTIME, /* SCHED_FIFO, the lowest of it: RLIMIT_RTPRIO or CAP_SYS_NICE */
};

/* Real-time, and not by what is below: that takes the lowest place there is, SCHED_FIFO 1. tid 0:
 * the caller. */
bool priority_is_operators(pid_t tid);
/* Its nice value, to come back to; 0 for a real-time thread. */
int priority_nice(void);
/* Before everybody else's, as far as it may. Returns what it got. */
enum priority_grant priority_urgent(void);
/* An ordinary thread with this nice value. */
void priority_normal(int nice);
/*
 * Only what nobody else wants. Who may not leave that place again (RLIMIT_NICE) takes short turns
 * instead, so that who wakes meanwhile does not wait long. Kept over execve(2).
 */
void priority_below(void);
/* The same for a thread that only has to end: it needs no way back. */
void priority_last(void);
