/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What surrounds the start of a VM: -daemonize, -pidfile and -D. It begins in the process that was
 * called and ends in its first VMM:
 *
 *   called ──fork (-daemonize)── supervisor ──execve── VMM
 *   waits   <------------------------------------------ is up, or ends: by its status
 *
 * Until the VM is up its errors go to the standard error of who called, whatever -D says; from then
 * on what VMM and supervisor say goes to the file, or with -daemonize alone nowhere. The VMM
 * inherits the file descriptors for that (supervisor_link.h). Nothing else that is started in
 * between has them, and when there is a VMM the supervisor has none of them either, so nothing of
 * it is waited for.
 */
#pragma once

#include <stdbool.h>

#include <ferry/err.h>
#include <ferry/part.h>

#include "vmm/machine/config.h"

struct supervisor_link;

struct startup {
    int ready;   /* owned: a byte says that the VM is up; -1: nobody waits */
    int log;     /* owned: for standard error then; -1: it stays */
    int null;    /* owned, of a VMM: for standard input and output then; -1: they stay */
    int pidfile; /* owned: its lock; -1 */
};

extern const struct startup startup_none;

/*
 * In the process that was called, before there is a supervisor. Returns in the one that is to
 * become it; with -daemonize the called one ends here, with the status of how the VM came up.
 */
int startup_begin(struct startup *ret, const struct vm_config *c,
                  struct ferry_err *err) FERRY_MUST_CHECK;
/* The supervisor has started its first VMM: the next ones have nothing of this, and what it says
 * from now on goes to the log. */
void startup_forget(struct startup *s);
/* The pid file, if it is this process's. NULL: none. */
void startup_remove_pidfile(const char *path);

/* In a VMM: what it inherited. */
void startup_take(struct startup *s, struct supervisor_link *l);
/* All that can fail has not. */
void startup_is_up(struct startup *s);
void startup_end(struct startup *s);
/* The lock of the pid file goes with the guest, to a target that knows of it. */
struct ferry_part startup_part(struct startup *s);
