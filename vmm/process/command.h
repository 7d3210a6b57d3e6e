/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A subcommand of `ferry`, and how it says that it failed or was misused. A command gets what
 * follows its name and returns the exit status: 0, 1 for a failure said on stderr, 2 for misuse.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct command {
    const char *name;
    const char *usage;        /* what follows the name; NULL = not for people, not listed */
    const char *summary;      /* one line */
    const char *help;         /* the rest of --help, NULL = nothing more */
    void (*print_help)(void); /* what of it comes from a table, NULL = nothing */
    int (*run)(const struct command *self, int argc, char *const argv[]);
};

/* "ferry NAME: text" on stderr; returns 1. */
int command_fail(const struct command *self, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* The usage line on stderr, after a sentence; returns 2. */
int command_misused(const struct command *self, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* The same of a word that the command has no place for, or lacks the value of. */
int command_unexpected(const struct command *self, const char *word);
/* A decimal number from 1 to max, and nothing else: 0, or -EINVAL. */
int command_number(const char *text, uint64_t max, uint64_t *ret);
