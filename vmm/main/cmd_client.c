/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/main/cmd_client.h"

#include <ctype.h>
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
#include "vmm/config/props.h"
#include "vmm/process/by_pid.h"
#include "vmm/process/interrupt.h"
#include "vmm/process/proc_link.h"
#include "vmm/process/rundir.h"
#include "vmm/process/vm_processes.h"
#include "vmm/qmp/client.h"
#include "vmm/qmp/json_out.h"

#define NAMES_MAX 64

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

/* web1 is no typing error for web2. */
static bool differ_in_digits_only(const char *a, const char *b)
{
    for (;; a++, b++) {
        while (isdigit((unsigned char)*a))
            a++;
        while (isdigit((unsigned char)*b))
            b++;
        if (tolower((unsigned char)*a) != tolower((unsigned char)*b))
            return false;
        if (!*a)
            return true;
    }
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
    if (closest && !differ_in_digits_only(closest, vm))
        return err_set(err, ENOENT, "no VM named '%s' is running; did you mean '%s'?", vm, closest);
    return err_set(err, ENOENT, "no VM named '%s' is running; 'ferry ls' lists yours", vm);
}

/* By its name, or else by its first process. */
static int find_socket(char ret[RUNDIR_PATH_BYTES], const char *vm, struct ferry_err *err)
{
    struct ferry_err of_pid = {0};
    int rc = rundir_find(ret, vm, ".sock", err);

    if (!rc && access(ret, F_OK) == 0)
        return 0;
    if (by_pid_socket(ret, vm, &of_pid) == 0)
        return 0;
    if (of_pid.errnum)
        *err = of_pid;
    else if (!rc)
        rc = no_such_vm(vm, err);
    return of_pid.errnum ? -of_pid.errnum : rc;
}

void client_explain_silence(const char *vm, struct ferry_err *err)
{
    struct vm_processes processes;
    struct ferry_err ignored;

    if (vm_processes_find(vm, &processes, &ignored) < 0)
        return;
    if (processes.stopped)
        err_set(err, ETIMEDOUT,
                "the monitor does not answer: process %d is stopped; 'kill -CONT %d' lets "
                "it go on, 'ferry quit --force %s' ends it",
                (int)processes.vmm, (int)processes.vmm, vm);
    else
        err_set(err, ETIMEDOUT,
                "the monitor does not answer: process %d hangs, or has no processor; 'ferry "
                "quit --force %s' ends it",
                (int)processes.vmm, vm);
}

struct interrupts {
    int fd;                    /* -1: none */
    client_interrupted_fn *fn; /* NULL: the first one is enough */
    void *arg;
};

static int wait_on(struct qmp_client *client, const struct interrupts *i, int rc,
                   struct json_object **reply, struct ferry_err *err)
{
    for (unsigned times = 1; rc == -EINTR && i->fn && interrupt_wait(i->fd, 0); times++) {
        rc = i->fn(i->arg, times, err);
        if (!rc)
            rc = qmp_client_wait(client, QMP_CLIENT_FOREVER, reply, err);
    }
    return rc;
}

static int execute(const struct interrupts *interrupts, const char *vm, const char *command,
                   struct json_object *arguments, int64_t timeout_ns, struct json_object **reply,
                   struct ferry_err *err)
{
    char path[RUNDIR_PATH_BYTES];
    struct qmp_client *client = NULL;
    int rc = find_socket(path, vm, err);

    if (!rc) {
        rc = qmp_client_new(&client, path,
                            timeout_ns < CLIENT_ANSWER_NS ? timeout_ns : CLIENT_ANSWER_NS, err);
        if (rc == -ECONNREFUSED)
            rc = no_such_vm(vm, err);
    }
    if (rc < 0) {
        json_object_put(arguments);
        if (rc == -ETIMEDOUT) {
            client_explain_silence(vm, err);
            err_prefix(err, "VM '%s'", vm);
        }
        return rc;
    }
    qmp_client_set_interrupt(client, interrupts->fd);
    rc = qmp_client_execute(client, command, arguments, timeout_ns, reply, err);
    json_object_put(arguments);
    rc = wait_on(client, interrupts, rc, reply, err);
    qmp_client_free(client);
    if (rc == -ETIMEDOUT)
        client_explain_silence(vm, err);
    if (rc < 0)
        err_prefix(err, "VM '%s'", vm);
    return rc;
}

static const struct interrupts no_interrupts = {.fd = -1};

int client_execute(const char *vm, const char *command, struct json_object *arguments,
                   struct json_object **reply, struct ferry_err *err)
{
    return execute(&no_interrupts, vm, command, arguments, QMP_CLIENT_FOREVER, reply, err);
}

int client_execute_until(int interrupt, const char *vm, const char *command,
                         struct json_object *arguments, struct json_object **reply,
                         struct ferry_err *err)
{
    return client_execute_telling(interrupt, NULL, NULL, vm, command, arguments, reply, err);
}

int client_execute_telling(int interrupt, client_interrupted_fn *fn, void *arg, const char *vm,
                           const char *command, struct json_object *arguments,
                           struct json_object **reply, struct ferry_err *err)
{
    const struct interrupts interrupts = {.fd = interrupt, .fn = fn, .arg = arg};

    return execute(&interrupts, vm, command, arguments, QMP_CLIENT_FOREVER, reply, err);
}

int client_query(const char *vm, const char *command, struct json_object **reply,
                 struct ferry_err *err)
{
    return client_query_within(CLIENT_ANSWER_NS, vm, command, NULL, reply, err);
}

int client_query_within(int64_t timeout_ns, const char *vm, const char *command,
                        struct json_object *arguments, struct json_object **reply,
                        struct ferry_err *err)
{
    return execute(&no_interrupts, vm, command, arguments, timeout_ns, reply, err);
}

bool client_knows_not(int rc, const struct ferry_err *err, const char *argument)
{
    char text[80];

    snprintf(text, sizeof(text), "Parameter '%s' is unexpected", argument);
    return rc == -EREMOTEIO && strstr(err->text, text);
}

int client_binary(long long pid, char path[static PATH_MAX], bool *deleted)
{
    char link[32];

    snprintf(link, sizeof(link), "/proc/%lld/exe", pid);
    return proc_link(link, path, deleted);
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

bool client_flag(struct json_object *object, const char *path)
{
    return json_object_get_boolean(find(object, path));
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
