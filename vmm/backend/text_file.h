/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file that text goes to, of a name that an operator gave: what a chardev says, its logfile,
 * ferry's own log. Nothing is taken from who holds it: a disk image that a VM has stays as it is.
 */
#pragma once

#include <stdbool.h>

struct ferry_err;

/* Made if need be, for its owner only; emptied unless it is to be appended to. *ret is owned by the
 * caller; nothing waits for a FIFO's or a terminal's other side. */
int text_file_open(const char *path, bool append, int *ret, struct ferry_err *err);
