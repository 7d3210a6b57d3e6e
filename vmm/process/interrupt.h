/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ctrl-C (SIGINT) and SIGTERM as events of a command that waits for something of a VM's: they say
 * what becomes of that, before the command ends. Of a program's only thread.
 */
#pragma once

#include <stdbool.h>

#include <ferry/err.h>

/* From now on they do not end the process. *ret: an fd, the caller's, readable when one has come.
 */
int interrupt_begin(int *ret, struct ferry_err *err) FERRY_MUST_CHECK;
/* Wait so long for one, and take it; false: none came. */
bool interrupt_wait(int fd, int timeout_ms);
