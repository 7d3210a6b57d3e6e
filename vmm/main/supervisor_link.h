/* SPDX-License-Identifier: Apache-2.0 */
/* A VMM's side of its supervisor (supervisor.h). Main thread. */
#pragma once

#include <ferry/err.h>

#include "vmm/main/supervisor.h"

struct loop;
struct supervisor_link;

/* From the environment, which then says nothing of it any more. */
int supervisor_link_new(struct supervisor_link **ret, struct loop *loop,
                        struct ferry_err *err) FERRY_MUST_CHECK;
void supervisor_link_free(struct supervisor_link *l);
const struct supervisor_policy *supervisor_link_policy(const struct supervisor_link *l);

/* The guest is in this process from now on: its end is the VM's. */
void supervisor_link_has_guest(struct supervisor_link *l);
/*
 * Ask for what a QMP command needs. Its words are the next words_bytes in the client's connection,
 * or, if client is -1, this text. *ret_mail is where the answer comes, MAIL_HEARD first for words
 * that were to be read.
 */
int supervisor_link_ask(struct supervisor_link *l, const char *words, int client,
                        size_t words_bytes, int *ret_mail, struct ferry_err *err) FERRY_MUST_CHECK;
