/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A VMM's side of its supervisor (supervisor.h). Main thread.
 *
 * What it inherits its environment says, "CHANNEL[,FD...]:POLICY" (ENVIRONMENT_SUPERVISOR): numbers
 * of file descriptors, those behind the channel in the order of enum inherited, -1 = none. They are
 * for a VMM that its own binary started; an update's target has a channel and a policy.
 */
#pragma once

#include <stdbool.h>

#include <ferry/err.h>

#include "vmm/supervisor/supervisor_policy.h"

struct loop;
struct supervisor_link;

enum inherited {
    INHERITED_INCOMING, /* a mail: where the guest comes from (incoming.h) */
    INHERITED_READY,    /* these are startup.h's */
    INHERITED_LOG,
    INHERITED_PIDFILE,
    INHERITED_COUNT,
};

/* From the environment, which then says nothing of it any more. */
int supervisor_link_new(struct supervisor_link **ret, struct loop *loop,
                        struct ferry_err *err) FERRY_MUST_CHECK;
void supervisor_link_free(struct supervisor_link *l);
const struct supervisor_policy *supervisor_link_policy(const struct supervisor_link *l);

/* The guest is in this process from now on, so its end is the VM's; or not any more. Cheap enough
 * for a pause; said once. */
void supervisor_link_has_guest(struct supervisor_link *l, bool has);
/* A target of an update will say whether it has the guest, in the pause: nobody is to wake up. */
void supervisor_link_no_hurry(struct supervisor_link *l);
/* What came is not taken, and this process ends: another one may wait for the next. */
void supervisor_link_refused(struct supervisor_link *l);
/* The caller's; -1: there is none. */
int supervisor_link_take(struct supervisor_link *l, enum inherited which);
/* How the VM is called, for people, and to tidy up behind it. */
void supervisor_link_name(struct supervisor_link *l, const char *name);
/*
 * The pause comes next: answered(arg) is called once when the supervisor has done what it can for
 * it (supervisor_lease.c). An older one never answers. false: nobody can be told.
 */
bool supervisor_link_pauses(struct supervisor_link *l, void (*answered)(void *arg), void *arg);
/* And is over. */
void supervisor_link_pause_over(struct supervisor_link *l);
/*
 * Ask for what a QMP command needs. Its words are the next words_bytes in the client's connection,
 * or, if client is -1, this text. *ret_mail is where the answer comes, MAIL_HEARD first for words
 * that were to be read.
 */
int supervisor_link_ask(struct supervisor_link *l, const char *words, int client,
                        size_t words_bytes, int *ret_mail, struct ferry_err *err) FERRY_MUST_CHECK;
