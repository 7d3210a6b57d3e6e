/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a process of ferry hands on of its environment to those it starts: a short list, and what a
 * sanitizer that is built in wants to hear. All else (tokens, keys, agents) stays where it was,
 * unless a library is preloaded, which somebody did on purpose.
 */
#pragma once

#include <ferry/err.h>

/* How a VMM hears of its supervisor, and what it inherits of it (supervisor_link.h). */
#define ENVIRONMENT_SUPERVISOR "FERRY_SUPERVISOR"

/* For execve(2), with one more, "NAME=VALUE", unless that is NULL. To be freed. NULL: no memory. */
char **environment_for_child(const char *more);
