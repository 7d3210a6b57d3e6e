/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What ps(1) and top(1) show of a process: "ferry: web1: VMM" as its command line and "ferry:web1"
 * as its name ("ferry-s:web1" of the supervisor, "ferry-t:web1" of an update's target), so that the
 * processes of a VM are told from those of another, and from each other.
 *
 * The command line is what the process was executed with, in the same memory: it is written over,
 * never made longer. Main thread.
 */
#pragma once

#include <stddef.h>

#define TITLE_BYTES 160

/* Once, first of all: the words as they were, in memory of their own, which is the process's. */
char **title_take(int argc, char *argv[]);
/* vm: NULL = its name is not known; may be anybody's. role: "VMM", "target", "supervisor". */
void title_set(const char *vm, const char *role);
/* The same text for who executes a process: its first word. */
const char *title_text(char ret[TITLE_BYTES], const char *vm, const char *role);
