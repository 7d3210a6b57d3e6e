/* SPDX-License-Identifier: Apache-2.0 */
/* A command that reads or writes the stream. */
#pragma once

#include "lib/chan/chan.h"

extern const struct chan_type chan_exec;

/*
 * This process becomes the command, when the other end of its pipe has been sent over the mail.
 * Returns only on failure.
 */
int exec_become(const struct ferry_address *a, bool out, int mail, struct ferry_err *err);
