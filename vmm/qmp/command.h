/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a QMP command is: one entry of a table. Decoding, errors, query-commands,
 * query-qmp-schema and docs/qmp.md come from the entry. A new command is a handler in a
 * cmd_<topic>.c and a line in commands.c.
 *
 * Handlers run on the main thread, one at a time, after everything was checked against the
 * argument type. They have no side effect when they fail.
 */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>

#include <ferry/err.h>

#include "vmm/qmp/type.h"

struct monitor;
struct session;

enum qmp_error_class {
    QMP_GENERIC_ERROR = 0,
    QMP_COMMAND_NOT_FOUND,
    QMP_DEVICE_NOT_ACTIVE,
    QMP_DEVICE_NOT_FOUND,
    QMP_KVM_MISSING_CAP,
};

/*
 * What a deferred call answers in the process that takes this one's place before it is finished,
 * in an update: what it waited for does not go over.
 */
enum qmp_updated {
    QMP_UPDATED_FAILS = 0, /* nobody knows what has come of it */
    QMP_UPDATED_DONE,      /* what it waited for is so */
    QMP_UPDATED_REPORTS,   /* the table's updated() */
};
#define QMP_UPDATED_LAST QMP_UPDATED_REPORTS

/* One command under way. */
struct qmp_call {
    struct monitor *monitor;
    struct session *session; /* NULL once its client is gone */
    struct json_object *id;  /* owned, if has_id */
    bool has_id;
    enum qmp_error_class error_class; /* of the error that the handler returns */
    bool human;                       /* the answer is text: HMP's */
    enum qmp_updated updated;
    struct ask *ask; /* owned: what another process was asked for (ask.h) */
    struct qmp_call *next_deferred;
};

#define QMP_DEFERRED 1

/*
 * 0: *ret is the result (owned by the caller from then on; NULL = the empty object). Negative
 * errno: err is the description. QMP_DEFERRED: qmp_call_finish() comes later.
 */
typedef int qmp_handler_fn(struct qmp_call *call, struct json_object *args,
                           struct json_object **ret, struct ferry_err *err);

/*
 * End a deferred call; takes ret. result: 0 or a negative errno with err. The call is gone. Must
 * be called exactly once, unless the monitor was freed before.
 */
void qmp_call_finish(struct qmp_call *call, int result, struct json_object *ret,
                     const struct ferry_err *err);

struct qmp_command {
    const char *name;
    const char *doc; /* one line */
    qmp_handler_fn *handler;
    const struct qmp_type *args; /* OBJECT; NULL = none */
    const struct qmp_type *ret;  /* NULL = the empty object */
    bool oob;                    /* may be executed out of band */
    bool host;                   /* needs what this process may not: its words stay unread */
};

struct qmp_event {
    const char *name;
    const char *doc;
    const struct qmp_type *data; /* NULL = none */
};

/* What a monitor offers; both until a NULL name. */
struct qmp_table {
    const struct qmp_command *commands;
    const struct qmp_event *events;
    /* May be NULL: state that commands keep between calls, observers that make events. */
    int (*start)(struct monitor *m, void **state, struct ferry_err *err);
    void (*stop)(void *state);
    /* May be NULL: what whoever asked for an update is told when it is done, as a qmp_handler_fn
     * without arguments. */
    int (*updated)(struct qmp_call *call, struct json_object **ret, struct ferry_err *err);
};

extern const struct qmp_table qmp_ferry_table;
