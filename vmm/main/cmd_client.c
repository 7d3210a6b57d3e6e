/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/main/cmd_client.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/own.h"
#include "base/text.h"
#include "vmm/main/props.h"
#include "vmm/main/rundir.h"
#include "vmm/qmp/client.h"
#include "vmm/qmp/json_out.h"

#define NAMES_MAX 64
/* A VM that does not greet or answer a query within this hangs; any other command may take as long
 * as it takes. */
#define ANSWER_NS (INT64_C(10) * 1000000000)

struct names {
    char list[NAMES_MAX][RUNDIR_PATH_BYTES];
    size_t count;
};

static void add_name(void *arg, const char *name)
{
    struct names *names = arg;

    if (names->count < NAMES_MAX)
        snprintf(names->list[names->count++], RUNDIR_PATH_BYTES, "%s", name);
}

static const char *name_candidate(const void *arg, size_t i)
{
    const struct names *names = arg;

    return i < names->count ? names->list[i] : NULL;
}

static int no_such_vm(const char *vm, struct ferry_err *err)
{
    struct names names = {0};
    const char *closest;
    int rc = rundir_list(add_name, &names, err);

    if (rc < 0)
        return rc;
    if (!names.count)
        return err_set(err, ENOENT, "no VM named '%s' is running; none of yours is", vm);
    closest = props_closest(vm, name_candidate, &names);
    if (closest && strcmp(closest, vm))
        return err_set(err, ENOENT, "no VM named '%s' is running; did you mean '%s'?", vm, closest);
    return err_set(err, ENOENT, "no VM named '%s' is running; 'ferry ls' lists yours", vm);
}

static int execute(const char *vm, const char *command, struct json_object *arguments,
                   int64_t timeout_ns, struct json_object **reply, struct ferry_err *err)
{
    char path[RUNDIR_PATH_BYTES];
    struct qmp_client *client = NULL;
    int rc = rundir_file(path, vm, ".sock", err);

    if (!rc && access(path, F_OK) < 0)
        rc = no_such_vm(vm, err);
    if (!rc) {
        rc = qmp_client_new(&client, path, ANSWER_NS, err);
        if (rc == -ECONNREFUSED)
            rc = no_such_vm(vm, err);
    }
    if (rc < 0) {
        json_object_put(arguments);
        return rc;
    }
    rc = qmp_client_execute(client, command, arguments, timeout_ns, reply, err);
    json_object_put(arguments);
    qmp_client_free(client);
    if (rc < 0)
        err_prefix(err, "VM '%s'", vm);
    return rc;
}

int client_execute(const char *vm, const char *command, struct json_object *arguments,
                   struct json_object **reply, struct ferry_err *err)
{
    return execute(vm, command, arguments, QMP_CLIENT_FOREVER, reply, err);
}

int client_query(const char *vm, const char *command, struct json_object **reply,
                 struct ferry_err *err)
{
    return execute(vm, command, NULL, ANSWER_NS, reply, err);
}

static struct json_object *find(struct json_object *object, const char *path)
{
    char name[64];

    while (object && *path) {
        size_t len = strcspn(path, ".");

        if (len >= sizeof(name))
            return NULL;
        memcpy(name, path, len);
        name[len] = '\0';
        if (!json_object_object_get_ex(object, name, &object))
            return NULL;
        path += len + (path[len] == '.');
    }
    return object;
}

const char *client_text(struct json_object *object, const char *path)
{
    struct json_object *found = find(object, path);
    OWN_MEM char *text = found ? strdup(json_object_get_string(found)) : NULL;

    if (!text)
        return "";
    /* The member keeps what is returned. */
    if (json_object_is_type(found, json_type_string))
        json_object_set_string(found, text_make_printable(text));
    return json_object_get_string(found);
}

long long client_number(struct json_object *object, const char *path)
{
    struct json_object *found = find(object, path);

    return found ? json_object_get_int64(found) : 0;
}

size_t client_length(struct json_object *list)
{
    return json_object_is_type(list, json_type_array) ? json_object_array_length(list) : 0;
}

void client_print_json(struct json_object *object, bool pretty)
{
    OWN(buf_free) struct buf out = {0};

    json_out_line(&out, object, pretty);
    for (size_t i = 0; i < out.len_bytes; i++)
        if (out.data[i] != '\r') /* a line end of QMP's; in strings it is escaped */
            putchar(out.data[i]);
}
