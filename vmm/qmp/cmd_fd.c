/* SPDX-License-Identifier: Apache-2.0 */
/* File descriptors that a client sends along (SCM_RIGHTS): by name, and in sets. */
#include <errno.h>
#include <inttypes.h>

#include "base/err.h"
#include "base/own.h"
#include "vmm/backend/fd_table.h"
#include "vmm/qmp/cmd.h"
#include "vmm/qmp/json_build.h"
#include "vmm/qmp/monitor.h"
#include "vmm/qmp/session.h"

/* --- Types --- */

const struct qmp_type qmp_type_fdname_args = {.kind = QMP_KIND_OBJECT,
                                              QMP_MEMBERS({"fdname", &qmp_str})};
const struct qmp_type qmp_type_add_fd_args = {
    .kind = QMP_KIND_OBJECT, QMP_MEMBERS({"fdset-id", &qmp_int, true}, {"opaque", &qmp_str, true})};
const struct qmp_type qmp_type_add_fd = {.name = "AddfdInfo",
                                         .kind = QMP_KIND_OBJECT,
                                         QMP_MEMBERS({"fdset-id", &qmp_int}, {"fd", &qmp_int})};
const struct qmp_type qmp_type_remove_fd_args = {
    .kind = QMP_KIND_OBJECT, QMP_MEMBERS({"fdset-id", &qmp_int}, {"fd", &qmp_int, true})};
static const struct qmp_type set_fd = {.name = "FdsetFdInfo",
                                       .kind = QMP_KIND_OBJECT,
                                       QMP_MEMBERS({"fd", &qmp_int}, {"opaque", &qmp_str, true})};
static const struct qmp_type set_fd_list = {.kind = QMP_KIND_ARRAY, .element = &set_fd};
static const struct qmp_type set = {.name = "FdsetInfo",
                                    .kind = QMP_KIND_OBJECT,
                                    QMP_MEMBERS({"fdset-id", &qmp_int}, {"fds", &set_fd_list})};
const struct qmp_type qmp_type_fdsets = {.kind = QMP_KIND_ARRAY, .element = &set};

/* --- Commands --- */

static struct fd_table *call_fds(const struct qmp_call *call)
{
    return monitor_env(call->monitor)->fds;
}

/* The one that came with the command; the caller's. */
static int call_take_fd(struct qmp_call *call, struct ferry_err *err)
{
    int fd = session_take_fd(call->session);

    return fd < 0 ? err_set(err, EBADF, "No file descriptor supplied via SCM_RIGHTS") : fd;
}

QMP_HANDLER(qmp_run_getfd)
{
    OWN_FD int fd = call_take_fd(call, err);

    return fd < 0 ? fd : fd_table_name(call_fds(call), qmp_get_str(args, "fdname"), &fd, err);
}

QMP_HANDLER(qmp_run_closefd)
{
    return fd_table_forget(call_fds(call), qmp_get_str(args, "fdname"), err);
}

static int64_t set_of(struct json_object *args)
{
    return json_object_get_int64(qmp_get(args, "fdset-id"));
}

QMP_HANDLER(qmp_run_add_fd)
{
    OWN_FD int fd = call_take_fd(call, err);
    int64_t id = FD_TABLE_ANY_SET;
    int rc, number;

    if (fd < 0)
        return fd;
    if (qmp_get(args, "fdset-id")) {
        id = set_of(args);
        if (id < 0)
            return err_set(err, EINVAL, "Parameter 'fdset-id' expects a non-negative value");
    }
    rc = fd_table_add(call_fds(call), &id, qmp_get_str(args, "opaque"), &fd, &number, err);
    if (rc < 0)
        return rc;
    *ret = json_object_new_object();
    json_put_int(*ret, "fdset-id", id);
    json_put_int(*ret, "fd", number);
    return 0;
}

QMP_HANDLER(qmp_run_remove_fd)
{
    struct json_object *fd = qmp_get(args, "fd");
    int64_t number = json_object_get_int64(fd);

    return fd_table_remove(call_fds(call), set_of(args), fd ? &number : NULL, err);
}

QMP_HANDLER(qmp_run_query_fdsets)
{
    struct json_object *fds = NULL;
    struct fd_table_member member;
    int64_t current = -1;

    *ret = json_object_new_array();
    for (size_t i = 0; fd_table_member_at(call_fds(call), i, &member) == 0; i++) {
        struct json_object *info = json_object_new_object();

        if (member.set != current) {
            struct json_object *one = json_object_new_object();

            current = member.set;
            fds = json_object_new_array();
            json_put(one, "fds", fds);
            json_put_int(one, "fdset-id", current);
            json_append(*ret, one);
        }
        json_put_int(info, "fd", member.number);
        if (member.opaque)
            json_put_str(info, "opaque", member.opaque);
        json_append(fds, info);
    }
    return 0;
}
