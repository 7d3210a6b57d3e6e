/* SPDX-License-Identifier: Apache-2.0 */
/* The words that people type and the text that they read: for cmd_hmp.c. Main thread. */
#pragma once

#include <json-c/json.h>
#include <stddef.h>

#include <ferry/err.h>

#include "base/buf.h"

struct migration;

/*
 * Cut a line into at most max words, in place: at blanks that are not in "quotes", in which \" and
 * \\ stand for themselves. What is beyond is dropped.
 */
size_t hmp_split(char *line, const char **words, size_t max);

/* The answer of query-migrate. */
void hmp_print_migration(struct buf *out, struct json_object *info);
void hmp_print_parameters(struct buf *out, const struct migration *m);

/* migrate_set_parameter: sizes have suffixes, and rates are in MiB unless one says otherwise. */
int hmp_parameter(struct migration *m, const char *name, const char *value,
                  struct ferry_err *err) FERRY_MUST_CHECK;
