/* SPDX-License-Identifier: Apache-2.0 */
/* struct ferry_listener (<ferry/chan.h>) for those who accept. */
#pragma once

#include "lib/chan/chan.h"

/* To poll(2) for input; -1: accept has something at once. */
int listener_fd(const struct ferry_listener *l);
/* 1 and a channel, or 0: none is there. */
int listener_accept(struct ferry_listener *l, struct ferry_chan **ret,
                    struct ferry_err *err) FERRY_MUST_CHECK;
