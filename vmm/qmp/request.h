/* SPDX-License-Identifier: Apache-2.0 */
/* The shape of a request, before its command is looked up. Pure. */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>

#include <ferry/err.h>

/* Loans from the message. */
struct qmp_request {
    const char *command;
    struct json_object *args; /* NULL = none */
    bool oob;
};

/* Check a message in QEMU's order and words. */
int qmp_request_parse(struct json_object *message, bool oob_enabled, struct qmp_request *ret,
                      struct ferry_err *err) FERRY_MUST_CHECK;
/* To be executed at once, before what is queued? */
bool qmp_request_is_oob(struct json_object *message);
