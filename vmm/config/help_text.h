/* SPDX-License-Identifier: Apache-2.0 */
/* What --help says of an option, in lines that a terminal of 80 columns has room for. */
#pragma once

#include <stdio.h>

/* "  HEAD ARGUMENT", then the sentence below it, further in. argument: NULL = none. */
void help_option(FILE *to, const char *head, const char *argument, const char *sentence);
