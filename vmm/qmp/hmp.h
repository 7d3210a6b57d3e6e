/* SPDX-License-Identifier: Apache-2.0 */
/* The words that people type and the text that they read: for cmd_hmp.c. Main thread. */
#pragma once

#include <json-c/json.h>
#include <stddef.h>
#include <stdint.h>

#include <ferry/err.h>

#include "base/buf.h"

struct migration;
struct monitor_env;

/*
 * Cut a line into at most max words, in place: at blanks that are not in "quotes", in which \" and
 * \\ stand for themselves. What is beyond is dropped.
 */
size_t hmp_split(char *line, const char **words, size_t max);

/* "64k", "1.5M", "0x10"; without a suffix in units of `otherwise` bytes. -EINVAL or -ERANGE. */
int hmp_parse_size(const char *text, uint64_t otherwise, uint64_t *ret) FERRY_MUST_CHECK;

/* The answers of query-migrate, -block, -chardev, -name, -version. */
void hmp_print_migration(struct buf *out, struct json_object *info);
void hmp_print_block(struct buf *out, struct json_object *list);
void hmp_print_chardev(struct buf *out, struct json_object *list);
void hmp_print_name(struct buf *out, struct json_object *info);
void hmp_print_version(struct buf *out, struct json_object *info);
void hmp_print_parameters(struct buf *out, const struct migration *m);

/* info network, in cmd_net.c; info balloon, in cmd_balloon.c. */
void hmp_print_network(struct buf *out, const struct monitor_env *env);
int hmp_print_balloon(struct buf *out, const struct monitor_env *env,
                      struct ferry_err *err) FERRY_MUST_CHECK;

/* migrate_set_parameter: sizes have suffixes, and rates are in MiB unless one says otherwise. */
int hmp_parameter(struct migration *m, const char *name, const char *value,
                  struct ferry_err *err) FERRY_MUST_CHECK;
