/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The supervisor: the process of a VM that was started first, which somebody waits for. It has no
 * memory of the guest and no file descriptor that the guest can reach. It
 *
 *   starts the VMM, and each later one that a live update replaces it by;
 *   forwards SIGTERM, SIGINT and SIGHUP to them, and stops and goes on with them at a terminal;
 *   adopts a VMM that they leave (PR_SET_CHILD_SUBREAPER), and ends as the last VMM ended;
 *   follows them when an update brings another program: it executes that, too, in its own place;
 *   does what a VMM in its sandbox may not: starts processes, connects, listens, opens (errand.h);
 *   keeps the place where a guest is waited for (incoming.h), and starts the VMM anew when that has
 *   refused what came.
 *
 * How it is asked is supervisor_channel.h, what it may be asked for supervisor_policy.h.
 *
 * Killed, it takes its VM with it, as if that had been sent SIGTERM: whoever has the process id
 * that was started has the VM.
 */
#pragma once

#include <stdbool.h>

#include "vmm/supervisor/supervisor_policy.h"

struct command;
struct incoming;
struct startup;

/* Whether this process was started by one. */
bool supervisor_is_there(void);
/*
 * Become the supervisor of a VMM: this program again, with this command. Returns the exit status to
 * end with, or does not return: it ends by the signal that ended the VMM. incoming: where its guest
 * comes from; closed when that is there. again: a VMM that refused what came there is followed by
 * another. startup: for the first one; closed. NULL: nobody waits for it.
 */
int supervisor_run(const struct command *self, int argc, char *const argv[],
                   const struct supervisor_policy *policy, struct incoming *incoming, bool again,
                   struct startup *startup);
/* The same for processes that are there already: `ferry wait`. */
int supervisor_wait(void);
/*
 * Go on as the supervisor that executed this program in its place; state: its memfd, closed.
 * only_asked: 0 if it could, and no more.
 */
int supervisor_resume(const struct command *self, int state, bool only_asked);
