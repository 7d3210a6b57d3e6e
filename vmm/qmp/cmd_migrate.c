/* SPDX-License-Identifier: Apache-2.0 */
/* migrate, migrate-incoming, migrate_cancel: from QEMU's two ways to name an address to one. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/own.h"
#include "vmm/machine/migration.h"
#include "vmm/machine/vm.h"
#include "vmm/qmp/cmd.h"
#include "vmm/qmp/monitor.h"

/* --- Types --- */

static const struct qmp_type inet = {
    .name = "InetSocketAddress",
    .kind = QMP_KIND_OBJECT,
    QMP_MEMBERS({"host", &qmp_str}, {"port", &qmp_str}, {"numeric", &qmp_bool, true},
                {"to", &qmp_uint64, true}, {"ipv4", &qmp_bool, true}, {"ipv6", &qmp_bool, true},
                {"keep-alive", &qmp_bool, true}, {"mptcp", &qmp_bool, true})};
static const struct qmp_type unix_socket = {
    .name = "UnixSocketAddress",
    .kind = QMP_KIND_OBJECT,
    QMP_MEMBERS({"path", &qmp_str}, {"abstract", &qmp_bool, true}, {"tight", &qmp_bool, true})};
static const struct qmp_type vsock = {.name = "VsockSocketAddress",
                                      .kind = QMP_KIND_OBJECT,
                                      QMP_MEMBERS({"cid", &qmp_str}, {"port", &qmp_str})};
static const struct qmp_type fd_socket = {
    .name = "FdSocketAddress", .kind = QMP_KIND_OBJECT, QMP_MEMBERS({"str", &qmp_str})};
static const struct qmp_type socket_type = {
    .name = "SocketAddressType", .kind = QMP_KIND_ENUM, QMP_VALUES("inet", "unix", "vsock", "fd")};
const struct qmp_type qmp_type_socket_address = {
    .name = "SocketAddress",
    .kind = QMP_KIND_OBJECT,
    QMP_MEMBERS({"type", &socket_type}),
    .tag = "type",
    .variants = (const struct qmp_variant[]){
        {"inet", &inet}, {"unix", &unix_socket}, {"vsock", &vsock}, {"fd", &fd_socket}, {0}}};
static const struct qmp_type str_list = {.kind = QMP_KIND_ARRAY, .element = &qmp_str};
static const struct qmp_type exec = {
    .name = "MigrationExecCommand", .kind = QMP_KIND_OBJECT, QMP_MEMBERS({"args", &str_list})};
static const struct qmp_type file = {.name = "FileMigrationArgs",
                                     .kind = QMP_KIND_OBJECT,
                                     QMP_MEMBERS({"filename", &qmp_str}, {"offset", &qmp_uint64})};
static const struct qmp_type transport = {.name = "MigrationAddressType",
                                          .kind = QMP_KIND_ENUM,
                                          QMP_VALUES("socket", "exec", "rdma", "file")};
static const struct qmp_type address = {
    .name = "MigrationAddress",
    .kind = QMP_KIND_OBJECT,
    QMP_MEMBERS({"transport", &transport}),
    .tag = "transport",
    .variants = (const struct qmp_variant[]){{"socket", &qmp_type_socket_address},
                                             {"exec", &exec},
                                             {"rdma", &inet},
                                             {"file", &file},
                                             {0}}};
static const struct qmp_type channel_type = {
    .name = "MigrationChannelType", .kind = QMP_KIND_ENUM, QMP_VALUES("main", "cpr")};
static const struct qmp_type channel = {
    .name = "MigrationChannel",
    .kind = QMP_KIND_OBJECT,
    QMP_MEMBERS({"channel-type", &channel_type}, {"addr", &address})};
static const struct qmp_type channel_list = {.kind = QMP_KIND_ARRAY, .element = &channel};

const struct qmp_type qmp_type_migrate_args = {
    .kind = QMP_KIND_OBJECT,
    QMP_MEMBERS({"uri", &qmp_str, true}, {"channels", &channel_list, true},
                {"detach", &qmp_bool, true}, {"resume", &qmp_bool, true})};
const struct qmp_type qmp_type_migrate_incoming_args = {
    .kind = QMP_KIND_OBJECT,
    QMP_MEMBERS({"uri", &qmp_str, true}, {"channels", &channel_list, true},
                {"exit-on-error", &qmp_bool, true})};

const struct qmp_type qmp_type_migrate_continue_args = {
    .kind = QMP_KIND_OBJECT, QMP_MEMBERS({"state", &qmp_type_migration_status})};
const struct qmp_type qmp_type_migrate_check_args = {
    .kind = QMP_KIND_OBJECT,
    QMP_MEMBERS({"uri", &qmp_str, true}, {"channels", &channel_list, true})};

/* --- Addresses --- */

/* One word of a shell's command line that stands for just these bytes. */
static void shell_word(struct buf *uri, const char *word)
{
    buf_u8(uri, '\'');
    for (; *word; word++)
        if (*word == '\'')
            buf_str(uri, "'\\''");
        else
            buf_u8(uri, (uint8_t)*word);
    buf_u8(uri, '\'');
}

static void socket_uri(struct buf *uri, struct json_object *addr)
{
    const char *type = qmp_get_str(addr, "type");

    if (!strcmp(type, "unix"))
        buf_printf(uri, "unix:%s", qmp_get_str(addr, "path"));
    else if (!strcmp(type, "inet"))
        buf_printf(uri, "tcp:%s:%s", qmp_get_str(addr, "host"), qmp_get_str(addr, "port"));
    else if (!strcmp(type, "vsock"))
        buf_printf(uri, "vsock:%s:%s", qmp_get_str(addr, "cid"), qmp_get_str(addr, "port"));
    else
        buf_printf(uri, "fd:%s", qmp_get_str(addr, "str"));
}

static int address_uri(struct buf *uri, struct json_object *addr, struct ferry_err *err)
{
    const char *kind = qmp_get_str(addr, "transport");

    if (!strcmp(kind, "socket")) {
        if (qmp_get_bool(addr, "abstract", false))
            return err_set(err, ENOTSUP,
                           "an abstract UNIX socket address is not supported; use a path");
        socket_uri(uri, addr);
    } else if (!strcmp(kind, "exec")) {
        struct json_object *words = qmp_get(addr, "args");

        buf_str(uri, "exec:");
        for (size_t i = 0; i < json_object_array_length(words); i++) {
            if (i)
                buf_u8(uri, ' ');
            shell_word(uri, json_object_get_string(json_object_array_get_idx(words, i)));
        }
    } else if (!strcmp(kind, "rdma")) {
        buf_printf(uri, "rdma:%s:%s", qmp_get_str(addr, "host"), qmp_get_str(addr, "port"));
    } else {
        buf_printf(uri, "file:%s,offset=%" PRIu64, qmp_get_str(addr, "filename"),
                   qmp_get_uint(addr, "offset", 0));
    }
    return 0;
}

/* uri or channels as a NUL terminated uri; the refusals in QEMU's order. */
static int call_uri(struct json_object *args, bool main_only, struct buf *ret,
                    struct ferry_err *err)
{
    const char *uri = qmp_get_str(args, "uri");
    struct json_object *channels = qmp_get(args, "channels"), *main_addr = NULL;
    size_t count = channels ? json_object_array_length(channels) : 0;
    int rc = 0;

    if ((uri != NULL) == (count > 0))
        return err_set(err, EINVAL, "need either 'uri' or 'channels' argument");
    if (main_only && count > 1)
        return err_set(err, EINVAL, "Channel list must have only one entry, for type 'main'");
    for (size_t i = 0; i < count; i++) {
        struct json_object *c = json_object_array_get_idx(channels, i);

        if (strcmp(qmp_get_str(c, "channel-type"), "main") != 0)
            continue;
        if (main_addr)
            return err_set(err, EINVAL, "Channel list has more than one main entry");
        main_addr = qmp_get(c, "addr");
    }
    if (count > 0 && !main_addr)
        return err_set(err, EINVAL,
                       main_only ? "Channel list must have only one entry, for type 'main'"
                                 : "Channel list has no main entry");
    if (uri)
        buf_str(ret, uri);
    else
        rc = address_uri(ret, main_addr, err);
    buf_u8(ret, 0);
    if (ret->failed)
        return err_set(err, ret->failed, "the migration address is too long");
    return rc;
}

/* --- Commands --- */

QMP_HANDLER(qmp_run_migrate)
{
    OWN(buf_free) struct buf uri = {.limit_bytes = 65536};
    int rc = call_uri(args, false, &uri, err);

    if (rc < 0)
        return rc;
    if (qmp_get_bool(args, "resume", false))
        return err_set(err, EINVAL, "Cannot resume if there is no paused migration");
    return migration_start_uri(monitor_env(call->monitor)->migration, (const char *)uri.data, err);
}

QMP_HANDLER(qmp_run_migrate_incoming)
{
    struct migration *m = monitor_env(call->monitor)->migration;
    OWN(buf_free) struct buf uri = {.limit_bytes = 65536};
    int rc = call_uri(args, true, &uri, err);

    if (!rc)
        rc = migration_incoming_uri(m, (const char *)uri.data, err);
    if (rc < 0)
        return rc;
    migration_set_exit_on_error(m, qmp_get_bool(args, "exit-on-error", true));
    return 0;
}

QMP_HANDLER(qmp_run_migrate_continue)
{
    return migration_continue(monitor_env(call->monitor)->migration, qmp_get_str(args, "state"),
                              err);
}

static void check_done(void *arg, int result, const struct ferry_err *err)
{
    qmp_call_finish(arg, result, NULL, err);
}

QMP_HANDLER(qmp_run_migrate_check)
{
    OWN(buf_free) struct buf uri = {.limit_bytes = 65536};
    int rc = call_uri(args, false, &uri, err);

    if (!rc)
        rc = migration_check_uri(monitor_env(call->monitor)->migration, (const char *)uri.data,
                                 check_done, call, err);
    return rc < 0 ? rc : QMP_DEFERRED;
}

QMP_HANDLER(qmp_run_override_fence)
{
    return vm_override_fence(monitor_env(call->monitor)->vm, err);
}

QMP_HANDLER(qmp_run_migrate_cancel)
{
    return migration_cancel(monitor_env(call->monitor)->migration, err);
}
