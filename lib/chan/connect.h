/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connecting to TCP and UNIX addresses without waiting: names are looked up by a short-lived
 * thread. What else there is need not wait and has open() of its own.
 */
#pragma once

#include "lib/chan/chan.h"

struct chan_connect;

/* a: a loan. One that another process opens can be of any kind. */
int chan_connect_new(struct chan_connect **ret, struct ferry_address *a,
                     struct ferry_err *err) FERRY_MUST_CHECK;
/* Gives up, at any time. */
void chan_connect_free(struct chan_connect *c);
/* What to wait for; changes with every step. fd -1: step at once. */
int chan_connect_fd(const struct chan_connect *c);
short chan_connect_events(const struct chan_connect *c);
/* 1 and a channel, 0: wait, or -errno after the last of the host's addresses failed. */
int chan_connect_step(struct chan_connect *c, struct ferry_chan **ret,
                      struct ferry_err *err) FERRY_MUST_CHECK;
