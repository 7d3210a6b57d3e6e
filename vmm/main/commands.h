/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The subcommands of `ferry`: one file and one table entry each (main.c). A command gets what
 * follows its name and returns the exit status: 0, 1 for a failure said on stderr, 2 for misuse.
 */
#pragma once

#include <stddef.h>

struct command {
    const char *name;
    const char *usage;        /* what follows the name; NULL = not for people, not listed */
    const char *summary;      /* one line */
    const char *help;         /* the rest of --help, NULL = nothing more */
    void (*print_help)(void); /* what of it comes from a table, NULL = nothing */
    int (*run)(const struct command *self, int argc, char *const argv[]);
};

extern const struct command command_run, command_receive, command_update, command_ls,
    command_status, command_console, command_stop, command_cont, command_quit, command_qmp,
    command_wait, command_migrate, command_snapshot, command_analyze;

/* "ferry NAME: text" on stderr; returns 1. */
int command_fail(const struct command *self, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* The usage line on stderr, after a sentence; returns 2. */
int command_misused(const struct command *self, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
