/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A QMP client, for the subcommands of `ferry`: one connection, one command at a time, blocking.
 * Events are read over. Not for a process that runs a VM.
 */
#pragma once

#include <ferry/err.h>

struct json_object;
struct qmp_client;

/* Connect to a UNIX socket, read the greeting, negotiate. */
int qmp_client_open(struct qmp_client **ret, const char *path,
                    struct ferry_err *err) FERRY_MUST_CHECK;
/* NULL is fine. */
void qmp_client_free(struct qmp_client *c);
/*
 * Takes arguments (NULL = none). On success *reply is the command's return value, to be put by the
 * caller. A QMP error is -EREMOTEIO with its description as the sentence.
 */
int qmp_client_execute(struct qmp_client *c, const char *command, struct json_object *arguments,
                       struct json_object **reply, struct ferry_err *err) FERRY_MUST_CHECK;
