/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A QMP client for command-line tools: connects to a UNIX socket, negotiates, executes one command
 * at a time and waits for its answer. Blocking, with a deadline on everything; not for a process
 * that has an event loop. One thread.
 */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>

#include <ferry/err.h>

#define QMP_CLIENT_FOREVER INT64_MAX

struct qmp_client;

/* Connected and in command mode. timeout_ns is for all of it. */
int qmp_client_new(struct qmp_client **ret, const char *path, int64_t timeout_ns,
                   struct ferry_err *err) FERRY_MUST_CHECK;
void qmp_client_free(struct qmp_client *c);
/* Give up waiting, with -EINTR, while that fd is readable; a loan, -1 = none. */
void qmp_client_set_interrupt(struct qmp_client *c, int fd);
/* The greeting's "QMP" member: version and capabilities. A loan. */
struct json_object *qmp_client_greeting(const struct qmp_client *c);

/*
 * Execute a command. args: an object, borrowed, or NULL. *ret: what it returned, the caller's.
 * -EREMOTEIO: the monitor refused, err is its description and nothing else; other errors are of
 * the connection: -ETIMEDOUT, -ECONNRESET when the VM has ended. Events that come meanwhile are
 * kept for qmp_client_event().
 */
int qmp_client_execute(struct qmp_client *c, const char *command, struct json_object *args,
                       int64_t timeout_ns, struct json_object **ret,
                       struct ferry_err *err) FERRY_MUST_CHECK;
/* The same, without a command: that of the last one, whose wait was given up with -EINTR. */
int qmp_client_wait(struct qmp_client *c, int64_t timeout_ns, struct json_object **ret,
                    struct ferry_err *err) FERRY_MUST_CHECK;
/* A whole request, as a person writes it; *ret is the whole reply, be it an error. */
int qmp_client_request(struct qmp_client *c, struct json_object *request, int64_t timeout_ns,
                       struct json_object **ret, struct ferry_err *err) FERRY_MUST_CHECK;
/* The next event, the caller's; kept ones first. */
int qmp_client_event(struct qmp_client *c, int64_t timeout_ns, struct json_object **ret,
                     struct ferry_err *err) FERRY_MUST_CHECK;
