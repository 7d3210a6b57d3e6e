/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One thing that a VMM asks its supervisor for, done in a process of its own (supervisor.h).
 *
 * What is done is what an operator said: a QMP command that needs the host (migrate,
 * migrate-incoming, ferry-update, ferry-migrate-check, ferry-snapshot, HMP's migrate, and what adds
 * a backend: errand_backend.c). The VMM
 * leaves the command's words unread in the operator's connection and passes that on; they are read
 * here, so they came from a peer of ours and not from the guest, and are used up. A VMM's own word
 * counts only where the operator said so at the start: for all of these with -sandbox
 * on,spawn=allow, and to connect again to a peer of the command line (SUPERVISOR_CONNECT).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <ferry/err.h>

struct supervisor_policy;

/* One byte on the channel: what the process there is. Numbers of a format: they never change. */
enum {
    ERRAND_IS_VMM = 'v',     /* it becomes a VMM */
    ERRAND_HAS_GUEST = 'g',  /* a VMM: the guest is here now, or in a moment: its end is the VM's */
    ERRAND_GAVE_GUEST = 'l', /* a VMM: the guest has left it: its end is the VM's no more */
    ERRAND_NO_HURRY = 'q',   /* an update's target: what it says next is soon enough heard when the
                                asker has ended, so that nobody is woken in the pause */
    ERRAND_REFUSED = 'r',    /* a VMM: what came it does not take, and ends; another one may come */
    ERRAND_PAUSES = 'u', /* a VMM whose target is ready: the pause comes next; answered by itself */
    ERRAND_OVER = 'o',   /* a VMM: the pause is over, however it ended */
    ERRAND_BEATS = 'b',  /* a VMM: its main loop turns, now */
    ERRAND_TIDIES = 't', /* it sees that the asker hangs up, and has something to put in order */
};

/* In the process that does it, whose end closes everything: loans. */
struct errand {
    int mail;             /* the asker hears here (base/mail.h) */
    int client;           /* the operator's connection; -1 = the words are in `words` */
    int channel;          /* to the supervisor; a VMM that is started keeps it */
    uint32_t words_bytes; /* so many are to be read from the client */
    const char *words;
    bool keeps;     /* the asker says when a file shall have its name */
    pid_t from;     /* the VMM that asks, a child of the supervisor */
    const char *vm; /* its name; NULL: not known */
    const struct supervisor_policy *policy;
};

struct json_object;

/* errand_backend.c: opens what the arguments of a command say, and sends it by its name
 * (MAIL_OPENED, one thing in each). */
typedef int errand_open_fn(int mail, struct json_object *args, struct ferry_err *err);
/* NULL: the command adds no backend. */
errand_open_fn *errand_opener(const char *command);

/* Blocks for as long as it takes; ends the process, or makes it another program. */
void errand_do(struct errand *e) __attribute__((noreturn));
