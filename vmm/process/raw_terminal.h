/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A terminal of which every key goes to somebody else, until that is over: then it is as it was,
 * also when a signal ends the program. Of a program's only thread, and once.
 */
#pragma once

#include <stdbool.h>

/* false: standard input is no terminal, and nothing has changed. */
bool raw_terminal_begin(void);
void raw_terminal_end(void); /* fine if it has not begun */
