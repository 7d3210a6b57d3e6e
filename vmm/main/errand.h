/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One thing that a VMM asks its supervisor for, done in a process of its own (supervisor.h).
 *
 * What is done is what an operator said: a QMP command that needs the host (migrate,
 * migrate-incoming, ferry-update, ferry-migrate-check, ferry-snapshot, and HMP's migrate). The VMM
 * leaves the command's words unread in the operator's connection and passes that on; they are read
 * here, so they came from a peer of ours and not from the guest, and are used up. A VMM's own word
 * counts only where the operator said so at the start (-sandbox on,spawn=allow).
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

struct supervisor_policy;

/* One byte on the channel: what the process there is. Numbers of a format: they never change. */
enum {
    ERRAND_IS_VMM = 'v',    /* it becomes a VMM */
    ERRAND_HAS_GUEST = 'g', /* a VMM: the guest is here now; until then its end is not the VM's */
    ERRAND_TIDIES = 't',    /* it sees that the asker hangs up, and has something to put in order */
};

/* In the process that does it, whose end closes everything: loans. */
struct errand {
    int mail;             /* the asker hears here (base/mail.h) */
    int client;           /* the operator's connection; -1 = the words are in `words` */
    int channel;          /* to the supervisor; a VMM that is started keeps it */
    uint32_t words_bytes; /* so many are to be read from the client */
    const char *words;
    pid_t from; /* the VMM that asks, a child of the supervisor */
    const struct supervisor_policy *policy;
};

/* Blocks for as long as it takes; ends the process, or makes it another program. */
void errand_do(struct errand *e) __attribute__((noreturn));
