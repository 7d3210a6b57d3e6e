/* SPDX-License-Identifier: Apache-2.0 */
/* Chardevs that come and go. What they are is decided by the option -chardev: QMP's way to say it,
 * with unions in unions, is made into its words. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/own.h"
#include "vmm/backend/chardev.h"
#include "vmm/machine/vm.h"
#include "vmm/qmp/ask.h"
#include "vmm/qmp/cmd.h"
#include "vmm/qmp/json_build.h"
#include "vmm/qmp/json_out.h"
#include "vmm/qmp/monitor.h"

/* --- Types --- */

#define COMMON                       \
    {"logfile", &qmp_str, true},     \
    {                                \
        "logappend", &qmp_bool, true \
    }

static const struct qmp_type common = {
    .name = "ChardevCommon", .kind = QMP_KIND_OBJECT, QMP_MEMBERS(COMMON)};
static const struct qmp_type file = {
    .name = "ChardevFile",
    .kind = QMP_KIND_OBJECT,
    QMP_MEMBERS({"out", &qmp_str}, {"append", &qmp_bool, true}, COMMON)};
static const struct qmp_type unix_data = {.name = "UnixSocketAddressWrapper",
                                          .kind = QMP_KIND_OBJECT,
                                          QMP_MEMBERS({"data", &qmp_type_unix_address})};
static const struct qmp_type address_type = {
    .name = "SocketAddressTypeLegacy", .kind = QMP_KIND_ENUM, QMP_VALUES("unix")};
static const struct qmp_type address = {
    .name = "SocketAddressLegacy",
    .kind = QMP_KIND_OBJECT,
    QMP_MEMBERS({"type", &address_type}),
    .tag = "type",
    .variants = (const struct qmp_variant[]){{"unix", &unix_data}, {0}}};
static const struct qmp_type socket_options = {
    .name = "ChardevSocket",
    .kind = QMP_KIND_OBJECT,
    QMP_MEMBERS({"addr", &address}, {"server", &qmp_bool, true}, {"wait", &qmp_bool, true},
                {"nodelay", &qmp_bool, true}, {"telnet", &qmp_bool, true},
                {"tn3270", &qmp_bool, true}, {"websocket", &qmp_bool, true}, COMMON)};
static const struct qmp_type common_data = {
    .name = "ChardevCommonWrapper", .kind = QMP_KIND_OBJECT, QMP_MEMBERS({"data", &common})};
static const struct qmp_type file_data = {
    .name = "ChardevFileWrapper", .kind = QMP_KIND_OBJECT, QMP_MEMBERS({"data", &file})};
static const struct qmp_type socket_data = {.name = "ChardevSocketWrapper",
                                            .kind = QMP_KIND_OBJECT,
                                            QMP_MEMBERS({"data", &socket_options})};
static const struct qmp_type backend_kind = {.name = "ChardevBackendKind",
                                             .kind = QMP_KIND_ENUM,
                                             QMP_VALUES("null", "file", "socket", "pty")};
static const struct qmp_type backend = {.name = "ChardevBackend",
                                        .kind = QMP_KIND_OBJECT,
                                        QMP_MEMBERS({"type", &backend_kind}),
                                        .tag = "type",
                                        .variants =
                                            (const struct qmp_variant[]){{"null", &common_data},
                                                                         {"file", &file_data},
                                                                         {"socket", &socket_data},
                                                                         {"pty", &common_data},
                                                                         {0}}};
const struct qmp_type qmp_type_chardev_add_args = {
    .kind = QMP_KIND_OBJECT, QMP_MEMBERS({"id", &qmp_str}, {"backend", &backend})};
const struct qmp_type qmp_type_chardev_return = {
    .name = "ChardevReturn", .kind = QMP_KIND_OBJECT, QMP_MEMBERS({"pty", &qmp_str, true})};
const struct qmp_type qmp_type_chardev_remove_args = {.kind = QMP_KIND_OBJECT,
                                                      QMP_MEMBERS({"id", &qmp_str})};

/* --- What is served --- */

static struct json_object *backend_data(struct json_object *args)
{
    return qmp_get(qmp_get(args, "backend"), "data");
}

static const char *backend_type(struct json_object *args)
{
    return qmp_get_str(qmp_get(args, "backend"), "type");
}

static int check_socket(struct json_object *data, struct ferry_err *err)
{
    static const char *const dialects[] = {"telnet", "tn3270", "websocket"};

    for (size_t i = 0; i < sizeof(dialects) / sizeof(dialects[0]); i++)
        if (qmp_get_bool(data, dialects[i], false))
            return err_set(err, ENOTSUP,
                           "Parameter '%s' expects false: a socket carries bytes as they are",
                           dialects[i]);
    if (qmp_get_bool(qmp_get(qmp_get(data, "addr"), "data"), "abstract", false))
        return err_set(err, ENOTSUP,
                       "Parameter 'abstract' expects false: a socket has a path here, whose folder "
                       "says who may connect");
    if (qmp_get_bool(data, "wait", false))
        return err_set(err, ENOTSUP,
                       "Parameter 'wait' expects false: a VM that lives waits for nobody");
    return 0;
}

static void put_same(struct json_object *words, struct json_object *data, const char *name)
{
    struct json_object *value = qmp_get(data, name);

    if (value)
        json_put(words, name, json_object_get(value));
}

static void put_socket(struct json_object *words, struct json_object *data)
{
    struct json_object *place = qmp_get(qmp_get(data, "addr"), "data");

    json_put_str(words, "path", qmp_get_str(place, "path"));
    json_put_bool(words, "server", qmp_get_bool(data, "server", true));
    json_put_bool(words, "wait", false);
}

/* As -chardev has them. */
static char *words_of(struct json_object *args, struct ferry_err *err)
{
    OWN(json_freep) struct json_object *words = json_object_new_object();
    struct json_object *data = backend_data(args);
    const char *type = backend_type(args);
    char *text;

    json_put_str(words, "backend", type);
    json_put_str(words, "id", qmp_get_str(args, "id"));
    if (!strcmp(type, "file"))
        json_put_str(words, "path", qmp_get_str(data, "out"));
    if (!strcmp(type, "socket"))
        put_socket(words, data);
    put_same(words, data, "append");
    put_same(words, data, "logfile");
    put_same(words, data, "logappend");
    text = json_out_text(words);
    if (!text)
        err_set(err, ENOMEM, "out of memory");
    return text;
}

/* --- Commands --- */

struct addition {
    char *id, *words; /* owned */
};

static void addition_free(void *arg)
{
    struct addition *a = arg;

    free(a->id);
    free(a->words);
    free(a);
}

static struct addition *addition_new(struct json_object *args, struct ferry_err *err)
{
    struct addition *a = calloc(1, sizeof(*a));

    if (a) {
        a->id = strdup(qmp_get_str(args, "id"));
        a->words = words_of(args, err);
    }
    if (a && a->id && a->words)
        return a;
    if (a)
        addition_free(a);
    err_set(err, ENOMEM, "out of memory");
    return NULL;
}

/* Where a new one is, if nobody could know: {"pty": "/dev/pts/0"}. */
static struct json_object *answer(const struct monitor_env *env, const char *id)
{
    struct json_object *ret = json_object_new_object();
    struct chardev *c = NULL;
    char text[256];
    const char *pty;

    for (size_t i = 0; env->chardev_at && (c = env->chardev_at(env->arg, i)); i++)
        if (!strcmp(chardev_id(c), id))
            break;
    if (!c)
        return ret;
    chardev_filename(c, text, sizeof(text));
    pty = strstr(text, "pty:");
    if (pty && chardev_is_raw(c))
        json_put_str(ret, "pty", pty + 4);
    return ret;
}

static int add(struct qmp_call *call, const struct addition *a, struct ferry_named_fd *things,
               size_t count, struct json_object **ret, struct ferry_err *err)
{
    const struct monitor_env *env = monitor_env(call->monitor);
    int rc = vm_add_chardev(env->vm, a->words, things, count, err);

    if (!rc)
        *ret = answer(env, a->id);
    return rc;
}

static int opened(struct qmp_call *call, void *addition, struct ferry_named_fd *things,
                  size_t count, struct json_object **ret, struct ferry_err *err)
{
    return add(call, addition, things, count, ret, err);
}

/* Takes a. */
static int ask_for(struct qmp_call *call, struct json_object *args, struct addition *a,
                   struct ferry_err *err)
{
    const struct ask_params params = {
        .command = "chardev-add",
        .args = args,
        .things = opened,
        .arg = a,
        .free_arg = addition_free,
    };
    int rc = vm_check_chardev(monitor_env(call->monitor)->vm, a->words, err);

    if (!rc)
        return ask_begin(call, &params, err);
    addition_free(a);
    return rc;
}

QMP_HANDLER(qmp_run_chardev_add)
{
    struct json_object *data = backend_data(args);
    bool opens = strcmp(backend_type(args), "null") != 0 || qmp_get(data, "logfile");
    int rc = strcmp(backend_type(args), "socket") ? 0 : check_socket(data, err);
    struct addition *a = rc ? NULL : addition_new(args, err);

    if (!a)
        return rc ? rc : -ENOMEM;
    if (opens && ask_is_needed(call))
        return ask_for(call, args, a, err);
    rc = add(call, a, NULL, 0, ret, err);
    addition_free(a);
    return rc;
}

QMP_HANDLER(qmp_run_chardev_remove)
{
    return vm_remove_chardev(monitor_env(call->monitor)->vm, qmp_get_str(args, "id"), err);
}
