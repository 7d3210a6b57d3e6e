/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Migration capabilities and parameters as words of a command line, "x-ignore-shared=on" and
 * "multifd-channels=4": what QMP sets by migrate-set-capabilities and migrate-set-parameters. Main
 * thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <ferry/err.h>

struct migration;

#define SETTINGS_MAX 32

struct settings {
    const char *words[SETTINGS_MAX]; /* NAME=VALUE; loans */
    bool capability[SETTINGS_MAX];   /* else a parameter */
    size_t count;
};

/* Notes it; what it means is looked at when it is applied. */
int settings_add(struct settings *s, bool capability, const char *word,
                 struct ferry_err *err) FERRY_MUST_CHECK;
/* What --compress says: is there such a method? */
int settings_check_compression(const char *method, struct ferry_err *err) FERRY_MUST_CHECK;
/* All capabilities, then all parameters. */
int settings_apply(const struct settings *s, struct migration *m,
                   struct ferry_err *err) FERRY_MUST_CHECK;
