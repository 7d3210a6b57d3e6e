/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/qmp/dispatch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ferry/ferry.h>

#include "base/err.h"
#include "base/own.h"
#include "vmm/qmp/ask.h"
#include "vmm/qmp/json_build.h"
#include "vmm/qmp/monitor.h"
#include "vmm/qmp/session.h"

/*
 * The QEMU whose protocol, machine and commands these are: what clients decide by. Who really
 * answers is in "package".
 */
#define QMP_QEMU_MAJOR 10
#define QMP_QEMU_MINOR 0
#define QMP_QEMU_MICRO 2

static const char *qmp_error_class_name(enum qmp_error_class class)
{
    static const char *const names[] = {
        [QMP_GENERIC_ERROR] = "GenericError",        [QMP_COMMAND_NOT_FOUND] = "CommandNotFound",
        [QMP_DEVICE_NOT_ACTIVE] = "DeviceNotActive", [QMP_DEVICE_NOT_FOUND] = "DeviceNotFound",
        [QMP_KVM_MISSING_CAP] = "KVMMissingCap",
    };

    return names[class];
}

struct qmp_call *qmp_call_new(struct monitor *m, struct session *s, struct json_object *message)
{
    struct qmp_call *call = calloc(1, sizeof(*call));

    if (!call)
        return NULL;
    call->monitor = m;
    call->session = s;
    if (json_object_is_type(message, json_type_object))
        call->has_id = json_object_object_get_ex(message, "id", &call->id);
    json_object_get(call->id);
    return call;
}

void qmp_call_free(struct qmp_call *call)
{
    if (!call)
        return;
    ask_free(call->ask);
    json_object_put(call->id);
    free(call);
}

void qmp_call_forget_session(struct qmp_call *call)
{
    call->session = NULL;
    call->has_id = false;
    json_object_put(TAKE_PTR(call->id));
}

static const struct qmp_command *qmp_find_command(const struct qmp_table *table, const char *name)
{
    for (const struct qmp_command *c = table->commands; c->name; c++)
        if (!strcmp(c->name, name))
            return c;
    return NULL;
}

static int dispatch_checked(struct qmp_call *call, const struct qmp_command *command,
                            struct json_object *args, struct json_object **ret,
                            struct ferry_err *err)
{
    int rc = qmp_check(command->args ? command->args : &qmp_empty, args, err);

    return rc < 0 ? rc : command->handler(call, args, ret, err);
}

int qmp_dispatch(struct qmp_call *call, const struct qmp_request *request, bool negotiated,
                 struct json_object **ret, struct ferry_err *err)
{
    const struct qmp_command *command =
        qmp_find_command(monitor_table(call->monitor), request->command);
    struct json_object *empty;
    int rc;

    if (!negotiated && strcmp(request->command, "qmp_capabilities") != 0) {
        call->error_class = QMP_COMMAND_NOT_FOUND;
        return err_set(err, EPERM, "Expecting capabilities negotiation with 'qmp_capabilities'");
    }
    if (!command) {
        call->error_class = QMP_COMMAND_NOT_FOUND;
        return err_set(err, ENOENT, "The command %.200s has not been found", request->command);
    }
    if (request->oob && !command->oob)
        return err_set(err, ENOTSUP, "The command %s does not support OOB", command->name);
    if (request->args)
        return dispatch_checked(call, command, request->args, ret, err);
    empty = json_object_new_object();
    rc = empty ? dispatch_checked(call, command, empty, ret, err)
               : err_set(err, ENOMEM, "out of memory");
    json_object_put(empty);
    return rc;
}

struct json_object *qmp_reply(const struct qmp_call *call, struct json_object *ret)
{
    struct json_object *reply = json_object_new_object();

    json_put(reply, "return", ret ? ret : json_object_new_object());
    if (call->has_id)
        json_put(reply, "id", json_object_get(call->id));
    return reply;
}

struct json_object *qmp_error_reply(const struct qmp_call *call, const struct ferry_err *err)
{
    struct json_object *reply = json_object_new_object(), *error = json_object_new_object();

    if (call->has_id)
        json_put(reply, "id", json_object_get(call->id));
    json_put_str(error, "class", qmp_error_class_name(call->error_class));
    json_put_str(error, "desc", err->text);
    json_put(reply, "error", error);
    return reply;
}

struct json_object *qmp_version(void)
{
    struct json_object *version = json_object_new_object(), *qemu = json_object_new_object();

    json_put_int(qemu, "micro", QMP_QEMU_MICRO);
    json_put_int(qemu, "minor", QMP_QEMU_MINOR);
    json_put_int(qemu, "major", QMP_QEMU_MAJOR);
    json_put(version, "qemu", qemu);
    json_put_str(version, "package", "ferry " FERRY_VERSION);
    return version;
}

struct json_object *qmp_greeting(void)
{
    struct json_object *greeting = json_object_new_object(), *qmp = json_object_new_object();
    struct json_object *capabilities = json_object_new_array();

    json_object_array_add(capabilities, json_object_new_string("oob"));
    json_put(qmp, "version", qmp_version());
    json_put(qmp, "capabilities", capabilities);
    json_put(greeting, "QMP", qmp);
    return greeting;
}

/* HMP has no errors: a sentence is an answer. */
static struct json_object *human_answer(int *result, struct json_object *ret,
                                        const struct ferry_err *err)
{
    char text[sizeof(err->text) + 16] = "";

    if (*result < 0)
        snprintf(text, sizeof(text), "Error: %s\r\n", err->text);
    *result = 0;
    json_object_put(ret);
    return json_object_new_string(text);
}

void qmp_call_finish(struct qmp_call *call, int result, struct json_object *ret,
                     const struct ferry_err *err)
{
    struct session *s = call->session;

    monitor_remove_deferred(call->monitor, call);
    if (call->human && result <= 0)
        ret = human_answer(&result, ret, err);
    if (s)
        session_send(s, result < 0 ? qmp_error_reply(call, err)
                                   : qmp_reply(call, json_object_get(ret)));
    json_object_put(ret);
    qmp_call_free(call);
    if (s)
        session_deferred_done(s);
}
