/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The asker's side of an address that another process opens (<ferry/chan.h>, base/mail.h). serve.c
 * is the other. A message with what was opened has as its text what to call it, if that is not the
 * address (a port that the kernel chose).
 */
#pragma once

#include "lib/chan/chan.h"

/* With MAIL_OPENED: a file that has no name until it is asked for; if it never is, it goes. */
#define CHAN_MAIL_DRAFT 1
/* A byte to who opened: asks for that name. The answer is MAIL_KEPT, or why not. */
#define CHAN_MAIL_KEEP  'k'

/* That somebody waits for an answer: the first comes by itself, others are asked for. */
int chan_mail_ask(struct ferry_address *a, struct ferry_err *err) FERRY_MUST_CHECK;
/* A channel of what was opened: 0, -EAGAIN, or why not. */
int chan_mail_take(const struct ferry_address *a, struct ferry_chan **ret,
                   struct ferry_err *err) FERRY_MUST_CHECK;
/* What listens: the caller's, with what to call it, to be freed. 0, -EAGAIN, or why not. */
int chan_mail_take_fd(const struct ferry_address *a, int *ret_fd, char **ret_text,
                      struct ferry_err *err) FERRY_MUST_CHECK;
