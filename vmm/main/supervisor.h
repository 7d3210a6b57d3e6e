/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The supervisor: the process of a VM that was started first, which somebody waits for. It has no
 * memory of the guest and no file descriptor that the guest can reach. It
 *
 *   starts the VMM, and each later one that a live update replaces it by;
 *   forwards SIGTERM, SIGINT and SIGHUP to them, and stops and goes on with them at a terminal;
 *   adopts a VMM that they leave (PR_SET_CHILD_SUBREAPER), and ends as the last VMM ended;
 *   does what a VMM in its sandbox may not: starts processes, connects, listens, opens (errand.h).
 *
 * A VMM asks over its channel, one message for each thing it wants (a socket of SOCK_SEQPACKET):
 *
 *     0  u32  bytes of the operator's words, 0 = the words are in this message
 *     4  text: the words, a QMP command as JSON, if they are
 *
 * with the file descriptors: the mail (base/mail.h) for the answers, and the client's connection
 * from which the words are to be read. One byte without any is what a process says of itself
 * (errand.h): it asks for nothing. The VMM is believed nothing: it may belong to the guest. A
 * supervisor lives as long as its VM, through any number of updates, so this format only grows.
 *
 * Killed, it takes nothing with it: the VMM runs on, and says what it cannot do any more.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <ferry/err.h>

#include "vmm/machine/config.h"

/* A message of the channel. */
#define SUPERVISOR_HEAD_BYTES  4u
#define SUPERVISOR_WORDS_BYTES 16384u
/* What one VM can have under way at once, updates and connections together. */
#define SUPERVISOR_CHILDREN    64u

struct command;

/* What the operator said about the sandbox at the start. The VMM is told, and cannot change it. */
struct supervisor_policy {
    bool sandbox;       /* the VMM locks itself in */
    bool spawn;         /* its own word counts for an operator's */
    bool only_loopback; /* what listens for it by TCP other hosts cannot reach */
    /* Sockets of monitors where an operator may speak, besides those of the runtime directory.
     * Loans. Only the supervisor knows them. */
    const char *monitors[CONFIG_MONITORS_MAX];
    size_t monitor_count;
};

/* Loans what it needs of c. */
void supervisor_policy_from(struct supervisor_policy *ret, const struct vm_config *c);
/* Text for ENVIRONMENT_SUPERVISOR: ":on", ":on,spawn", ":off". */
const char *supervisor_policy_text(const struct supervisor_policy *p);
int supervisor_policy_parse(struct supervisor_policy *ret, const char *text,
                            struct ferry_err *err) FERRY_MUST_CHECK;

/* Whether this process was started by one. */
bool supervisor_is_there(void);
/*
 * Become the supervisor of a VMM: this program again, with this command. Returns the exit status to
 * end with, or does not return: it ends by the signal that ended the VMM.
 */
int supervisor_run(const struct command *self, int argc, char *const argv[],
                   const struct supervisor_policy *policy);
/* The same for processes that are there already: `ferry wait`. */
int supervisor_wait(void);
