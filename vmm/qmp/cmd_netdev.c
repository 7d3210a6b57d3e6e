/* SPDX-License-Identifier: Apache-2.0 */
/* Netdevs that come and go. What they are is decided by the option of the same name: the arguments
 * are its words, in JSON. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/own.h"
#include "vmm/backend/fd_table.h"
#include "vmm/machine/vm.h"
#include "vmm/qmp/ask.h"
#include "vmm/qmp/cmd.h"
#include "vmm/qmp/json_build.h"
#include "vmm/qmp/json_out.h"
#include "vmm/qmp/monitor.h"

/* --- Types --- */

static const struct qmp_type tap = {
    .name = "NetdevTapOptions",
    .kind = QMP_KIND_OBJECT,
    QMP_MEMBERS({"ifname", &qmp_str, true}, {"fd", &qmp_str, true}, {"script", &qmp_str, true},
                {"downscript", &qmp_str, true}, {"vnet_hdr", &qmp_bool, true},
                {"vhost", &qmp_bool, true}, {"vhostforce", &qmp_bool, true},
                {"queues", &qmp_uint32, true})};
static const struct qmp_type stream = {
    .name = "NetdevStreamOptions",
    .kind = QMP_KIND_OBJECT,
    QMP_MEMBERS({"addr", &qmp_type_socket_address}, {"server", &qmp_bool, true},
                {"reconnect", &qmp_uint32, true}, {"reconnect-ms", &qmp_uint32, true})};
static const struct qmp_type driver = {
    .name = "NetClientDriver", .kind = QMP_KIND_ENUM, QMP_VALUES("tap", "stream")};
const struct qmp_type qmp_type_netdev_add_args = {
    .name = "Netdev",
    .kind = QMP_KIND_OBJECT,
    QMP_MEMBERS({"id", &qmp_str}, {"type", &driver}),
    .tag = "type",
    .variants = (const struct qmp_variant[]){{"tap", &tap}, {"stream", &stream}, {0}}};
const struct qmp_type qmp_type_netdev_del_args = {.kind = QMP_KIND_OBJECT,
                                                  QMP_MEMBERS({"id", &qmp_str})};

/* --- What is served --- */

static int check_alone(struct json_object *args, struct ferry_err *err)
{
    static const char *const others[] = {"ifname", "script", "downscript", "vnet_hdr", "queues"};

    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        if (qmp_get(args, others[i]))
            return err_set(err, EINVAL,
                           "ifname=, script=, downscript=, vnet_hdr=, helper=, queues=, fds=, and "
                           "vhostfds= are invalid with fd=");
    return 0;
}

/* The words of managers that say what is so anyway. */
static int check_tap(struct json_object *args, struct ferry_err *err)
{
    if (qmp_get_bool(args, "vhost", false) || qmp_get_bool(args, "vhostforce", false))
        return err_set(err, ENOTSUP,
                       "Parameter 'vhost' expects false: cards of this version do without");
    if (!qmp_get_bool(args, "vnet_hdr", true))
        return err_set(err, ENOTSUP,
                       "Parameter 'vnet_hdr' expects true: a TAP always has the header here");
    if (qmp_get_uint(args, "queues", 1) != 1)
        return err_set(err, ENOTSUP,
                       "Parameter 'queues' expects 1: cards of this version have one pair");
    return qmp_get(args, "fd") ? check_alone(args, err) : 0;
}

/* Who connects again is the supervisor, to addresses of its command line. */
static int check_stream(struct qmp_call *call, struct json_object *args, struct ferry_err *err)
{
    if (!ask_is_needed(call) ||
        (!qmp_get_uint(args, "reconnect", 0) && !qmp_get_uint(args, "reconnect-ms", 0)))
        return 0;
    return err_set(err, ENOTSUP,
                   "Parameter 'reconnect-ms' expects 0: only netdevs of the command line are "
                   "connected again. When the peer of this one is back, netdev_del and netdev_add "
                   "connect it");
}

static bool is_tap(struct json_object *args)
{
    return !strcmp(qmp_get_str(args, "type"), "tap");
}

/* As -netdev has them. fd: what stands for the name; -1: there is none. */
static char *words_of(struct json_object *args, int fd, struct ferry_err *err)
{
    OWN(json_freep) struct json_object *words = json_object_new_object();
    char *text;

    json_object_object_foreach(args, name, value)
    {
        if (!strcmp(name, "fd"))
            json_put_int(words, name, fd);
        else if (strcmp(name, "vhostforce") != 0 && strcmp(name, "vhost") != 0 &&
                 strcmp(name, "queues") != 0 && strcmp(name, "vnet_hdr") != 0)
            json_put(words, name, json_object_get(value));
    }
    text = json_out_text(words);
    if (!text)
        err_set(err, ENOMEM, "out of memory");
    return text;
}

/* --- Commands --- */

static int add_given(struct qmp_call *call, struct json_object *args, const char *name,
                     struct ferry_err *err)
{
    const struct monitor_env *env = monitor_env(call->monitor);
    struct ferry_fd_names names = fd_table_names(env->fds);
    OWN_MEM char *words = NULL;
    OWN_FD int fd = -1;
    int rc;

    if (*name >= '0' && *name <= '9')
        return err_set(err, EINVAL,
                       "Parameter 'fd' expects a name that getfd gave: '%.40s' is a number, and "
                       "what it means changes with the process",
                       name);
    fd = names.take(names.opaque, name, err);
    if (fd < 0)
        return fd;
    words = words_of(args, fd, err);
    rc = words ? vm_add_netdev(env->vm, words, &fd, err) : -ENOMEM;
    return rc ? rc : fd_table_forget(env->fds, name, err);
}

static int opened(struct qmp_call *call, void *words, struct ferry_named_fd *things, size_t count,
                  struct json_object **ret, struct ferry_err *err)
{
    return vm_add_netdev(monitor_env(call->monitor)->vm, words, &things[0].fd, err);
}

/* What needs the host: done at once, or by whoever may. */
static int add_opening(struct qmp_call *call, struct json_object *args, struct ferry_err *err)
{
    struct vm *vm = monitor_env(call->monitor)->vm;
    OWN_MEM char *words = words_of(args, -1, err);
    struct ask_params params = {
        .command = "netdev_add",
        .args = args,
        .things = opened,
        .free_arg = free,
    };
    int nothing = -1, rc = words ? 0 : -ENOMEM;

    if (!rc && !ask_is_needed(call))
        return vm_add_netdev(vm, words, &nothing, err);
    if (!rc)
        rc = vm_check_netdev(vm, words, err);
    params.arg = TAKE_PTR(words);
    if (!rc)
        return ask_begin(call, &params, err);
    free(params.arg);
    return rc;
}

QMP_HANDLER(qmp_run_netdev_add)
{
    const char *fd = is_tap(args) ? qmp_get_str(args, "fd") : NULL;
    int rc = is_tap(args) ? check_tap(args, err) : check_stream(call, args, err);

    if (rc)
        return rc;
    return fd ? add_given(call, args, fd, err) : add_opening(call, args, err);
}

QMP_HANDLER(qmp_run_netdev_del)
{
    int rc = vm_remove_netdev(monitor_env(call->monitor)->vm, qmp_get_str(args, "id"), err);

    if (rc == -ENODEV)
        call->error_class = QMP_DEVICE_NOT_FOUND;
    return rc;
}
