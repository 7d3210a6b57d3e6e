/* SPDX-License-Identifier: Apache-2.0 */
/* From a request to its command, and from its result to the reply. For session.c and monitor.c. */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>

#include <ferry/err.h>

#include "vmm/qmp/command.h"
#include "vmm/qmp/request.h"

struct json_budget;

/* Keeps the message's id, if it is an object that has one. NULL: no memory. */
struct qmp_call *qmp_call_new(struct monitor *m, struct session *s, struct json_object *message);
void qmp_call_free(struct qmp_call *call);
/* Nobody waits for its answer any more: it goes on, and keeps nothing of the message. */
void qmp_call_forget_session(struct qmp_call *call);

/* Checks the request and executes it: as a qmp_handler_fn. */
int qmp_dispatch(struct qmp_call *call, const struct qmp_request *request, bool negotiated,
                 struct json_object **ret, struct ferry_err *err) FERRY_MUST_CHECK;

/* Messages for session_send(). Takes ret; NULL is the empty object. */
struct json_object *qmp_reply(const struct qmp_call *call, struct json_object *ret);
struct json_object *qmp_error_reply(const struct qmp_call *call, const struct ferry_err *err);
struct json_object *qmp_greeting(void);
/* {"qemu": {...}, "package": ...} */
struct json_object *qmp_version(void);

/* monitor.c: calls that have not finished, and sessions that died. */
void monitor_add_deferred(struct monitor *m, struct qmp_call *call);
void monitor_remove_deferred(struct monitor *m, struct qmp_call *call);
void monitor_reap(struct monitor *m);
/* An update waits for what is asked for already: nobody begins to ask for more. */
bool monitor_is_quiesced(const struct monitor *m);
void monitor_words_done(struct monitor *m);
/* What its sessions share. */
struct json_budget *monitor_budget(struct monitor *m);
/* File descriptors of all its clients that no command has taken yet. */
size_t monitor_fds_waiting(const struct monitor *m);
