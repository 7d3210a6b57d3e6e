/* SPDX-License-Identifier: Apache-2.0 */
/* migrate, migrate-incoming, migrate_cancel: from QEMU's two ways to name an address to one. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <ferry/chan.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/own.h"
#include "vmm/machine/migration.h"
#include "vmm/machine/vm.h"
#include "vmm/qmp/ask.h"
#include "vmm/qmp/cmd.h"
#include "vmm/qmp/json_build.h"
#include "vmm/qmp/monitor.h"

/* --- Types --- */

static const struct qmp_type inet = {
    .name = "InetSocketAddress",
    .kind = QMP_KIND_OBJECT,
    QMP_MEMBERS({"host", &qmp_str}, {"port", &qmp_str}, {"numeric", &qmp_bool, true},
                {"to", &qmp_uint64, true}, {"ipv4", &qmp_bool, true}, {"ipv6", &qmp_bool, true},
                {"keep-alive", &qmp_bool, true}, {"mptcp", &qmp_bool, true})};
const struct qmp_type qmp_type_unix_address = {
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
    .variants = (const struct qmp_variant[]){{"inet", &inet},
                                             {"unix", &qmp_type_unix_address},
                                             {"vsock", &vsock},
                                             {"fd", &fd_socket},
                                             {0}}};
static const struct qmp_type str_list = {.kind = QMP_KIND_ARRAY, .element = &qmp_str};
static const struct qmp_type exec = {
    .name = "MigrationExecCommand", .kind = QMP_KIND_OBJECT, QMP_MEMBERS({"args", &str_list})};
static const struct qmp_type file = {.name = "FileMigrationArgs",
                                     .kind = QMP_KIND_OBJECT,
                                     QMP_MEMBERS({"filename", &qmp_str}, {"offset", &qmp_uint64})};
static const struct qmp_type transport = {.name = "MigrationAddressType",
                                          .kind = QMP_KIND_ENUM,
                                          QMP_VALUES("socket", "exec", "rdma", "file")};
static const struct qmp_type migration_address = {
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
    QMP_MEMBERS({"channel-type", &channel_type}, {"addr", &migration_address})};
static const struct qmp_type channel_list = {.kind = QMP_KIND_ARRAY, .element = &channel};

/* For more than one client: what it wants of a move is not changed, and not asked for, by another.
 */
static const struct qmp_type settings = {
    .name = "FerryMigrationSettings",
    .kind = QMP_KIND_OBJECT,
    QMP_MEMBERS({"capabilities", &qmp_type_capability_list, true},
                {"parameters", &qmp_type_parameters, true})};
#define JOB_MEMBERS                       \
    {"ferry-job", &qmp_str, true},        \
    {                                     \
        "ferry-settings", &settings, true \
    }

const struct qmp_type qmp_type_migrate_args = {
    .kind = QMP_KIND_OBJECT,
    QMP_MEMBERS({"uri", &qmp_str, true}, {"channels", &channel_list, true},
                {"detach", &qmp_bool, true}, {"resume", &qmp_bool, true}, JOB_MEMBERS)};
const struct qmp_type qmp_type_job_args = {.kind = QMP_KIND_OBJECT,
                                           QMP_MEMBERS({"ferry-job", &qmp_str, true})};
const struct qmp_type qmp_type_migrate_incoming_args = {
    .kind = QMP_KIND_OBJECT,
    QMP_MEMBERS({"uri", &qmp_str, true}, {"channels", &channel_list, true},
                {"exit-on-error", &qmp_bool, true})};

const struct qmp_type qmp_type_migrate_continue_args = {
    .kind = QMP_KIND_OBJECT, QMP_MEMBERS({"state", &qmp_type_migration_status})};
const struct qmp_type qmp_type_migrate_recover_args = {.kind = QMP_KIND_OBJECT,
                                                       QMP_MEMBERS({"uri", &qmp_str})};
const struct qmp_type qmp_type_migrate_check_args = {
    .kind = QMP_KIND_OBJECT,
    QMP_MEMBERS({"uri", &qmp_str, true}, {"channels", &channel_list, true}, JOB_MEMBERS)};

/* --- Addresses --- */

/* What an InetSocketAddress can ask for and a connection of ferry's does not do. */
static int check_inet(struct json_object *addr, struct ferry_err *err)
{
    static const char *const on[] = {"to", "mptcp"}, *const off[] = {"ipv4", "ipv6"};

    for (size_t i = 0; i < sizeof(on) / sizeof(on[0]); i++)
        if (qmp_get(addr, on[i]) && (i == 0 || qmp_get_bool(addr, on[i], false)))
            return err_set(err, ENOTSUP, "'%s' of an inet address is not served by ferry", on[i]);
    for (size_t i = 0; i < sizeof(off) / sizeof(off[0]); i++)
        if (!qmp_get_bool(addr, off[i], true))
            return err_set(err, ENOTSUP,
                           "'%s': false is not served by ferry; name the host by the number of "
                           "the other kind",
                           off[i]);
    return 0;
}

static int socket_address(struct ferry_address **ret, struct json_object *addr,
                          struct ferry_err *err)
{
    const char *type = qmp_get_str(addr, "type");
    OWN(buf_free) struct buf uri = {.limit_bytes = 65536};
    int rc;

    if (!strcmp(type, "inet")) {
        rc = check_inet(addr, err);
        return rc < 0 ? rc
                      : ferry_address_tcp(ret, qmp_get_str(addr, "host"), qmp_get_str(addr, "port"),
                                          err);
    }
    if (!strcmp(type, "unix")) {
        if (qmp_get_bool(addr, "abstract", false))
            return err_set(err, ENOTSUP,
                           "an abstract UNIX socket address is not supported; use a path");
        return ferry_address_unix(ret, qmp_get_str(addr, "path"), err);
    }
    if (!strcmp(type, "vsock"))
        return err_set(err, ENOTSUP, "vsock is not served by this version of ferry");
    buf_printf(&uri, "fd:%s", qmp_get_str(addr, "str"));
    buf_u8(&uri, 0);
    if (uri.failed)
        return err_set(err, uri.failed, "the migration address is too long");
    return ferry_address_parse(ret, (const char *)uri.data, NULL, 0, err);
}

static int exec_address(struct ferry_address **ret, struct json_object *addr, struct ferry_err *err)
{
    struct json_object *words = qmp_get(addr, "args");
    size_t count = json_object_array_length(words);
    OWN_MEM const char **argv = calloc(count + 1, sizeof(*argv));

    if (!argv)
        return err_set(err, ENOMEM, "out of memory");
    for (size_t i = 0; i < count; i++)
        argv[i] = json_object_get_string(json_object_array_get_idx(words, i));
    return ferry_address_exec(ret, argv, err);
}

static int channel_address(struct ferry_address **ret, struct json_object *addr,
                           struct ferry_err *err)
{
    const char *kind = qmp_get_str(addr, "transport");

    if (!strcmp(kind, "socket"))
        return socket_address(ret, addr, err);
    if (!strcmp(kind, "exec"))
        return exec_address(ret, addr, err);
    if (!strcmp(kind, "file"))
        return ferry_address_file(ret, qmp_get_str(addr, "filename"),
                                  qmp_get_uint(addr, "offset", 0), NULL, 0, err);
    return err_set(err, ENOTSUP, "RDMA is not served by this version of ferry");
}

/* A scheme of QEMU's that this version does not serve is refused as such. */
static int uri_address(struct ferry_address **ret, const char *uri, struct ferry_err *err)
{
    if (!strncmp(uri, "rdma:", 5))
        return err_set(err, ENOTSUP, "RDMA is not served by this version of ferry");
    if (!strncmp(uri, "vsock:", 6))
        return err_set(err, ENOTSUP, "vsock is not served by this version of ferry");
    return ferry_address_parse(ret, uri, NULL, 0, err);
}

/* The one that uri or channels name; the refusals in QEMU's order. */
static int call_address(struct json_object *args, bool main_only, struct ferry_address **ret,
                        struct ferry_err *err)
{
    const char *uri = qmp_get_str(args, "uri");
    struct json_object *channels = qmp_get(args, "channels"), *main_addr = NULL;
    size_t count = channels ? json_object_array_length(channels) : 0;

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
    return uri ? uri_address(ret, uri, err) : channel_address(ret, main_addr, err);
}

/* Only what names a place; the rest is the VMM's to check. */
static const struct qmp_type where = {
    .kind = QMP_KIND_OBJECT,
    QMP_MEMBERS({"uri", &qmp_str, true}, {"channels", &channel_list, true})};

int qmp_migrate_address(struct json_object *args, bool incoming, struct ferry_address **ret,
                        struct ferry_err *err)
{
    struct json_object *place = json_object_new_object(), *value;
    int rc;

    for (const struct qmp_member *m = where.members; m->name; m++)
        if (json_object_object_get_ex(args, m->name, &value))
            json_put(place, m->name, json_object_get(value));
    rc = qmp_check(&where, place, err);
    if (!rc)
        rc = call_address(place, incoming, ret, err);
    json_object_put(place);
    return rc;
}

/* --- Going there, when it is open --- */

/* What a command does once it may; its arguments live as long as it. */
struct journey {
    struct ferry_address *address;
    struct json_object *args;
    int (*go)(struct qmp_call *call, struct json_object *args, struct ferry_address *address,
              struct ferry_err *err); /* as a handler */
};

static void journey_free(void *arg)
{
    struct journey *j = arg;

    ferry_address_free(j->address);
    json_object_put(j->args);
    free(j);
}

static int journey_goes(struct qmp_call *call, void *arg, int *mail, struct ferry_err *err)
{
    const struct journey *j = arg;

    ferry_address_ask(j->address, mail);
    return j->go(call, j->args, j->address, err);
}

/* Is it open already, in this process, or opened by who sent it? */
static bool is_here(const struct ferry_address *a)
{
    return ferry_address_kind(a) == FERRY_ADDRESS_FD || ferry_address_in_fd_set(a);
}

/* Takes *address. */
static int journey_begin(struct qmp_call *call, const char *command, struct json_object *args,
                         struct ferry_address **address, bool connects,
                         int (*go)(struct qmp_call *, struct json_object *, struct ferry_address *,
                                   struct ferry_err *),
                         struct ferry_err *err)
{
    struct ask_params params = {
        .command = command,
        .args = args,
        /* A peer may take its time; all else is there at once or refused. */
        .until_opened = !connects || ferry_address_kind(*address) != FERRY_ADDRESS_TCP,
        .fn = journey_goes,
        .free_arg = journey_free,
    };
    struct journey *j;

    if (!ask_is_needed(call) || is_here(*address))
        return go(call, args, *address, err);
    j = calloc(1, sizeof(*j));
    if (!j)
        return err_set(err, ENOMEM, "out of memory");
    *j = (struct journey){.address = TAKE_PTR(*address), .args = json_object_get(args), .go = go};
    params.arg = j;
    return ask_begin(call, &params, err);
}

/* --- Jobs --- */

/* Nothing of them is changed while another one runs. */
static int apply_settings(struct qmp_call *call, struct json_object *args, struct ferry_err *err)
{
    struct json_object *wanted = qmp_get(args, "ferry-settings"), *ignored = NULL;
    struct json_object *parameters = qmp_get(wanted, "parameters");
    int rc = 0;

    if (wanted)
        rc = migration_may_start(monitor_env(call->monitor)->migration, err);
    if (!rc && qmp_get(wanted, "capabilities"))
        rc = qmp_run_set_capabilities(call, wanted, &ignored, err);
    if (!rc && parameters)
        rc = qmp_run_set_parameters(call, parameters, &ignored, err);
    json_object_put(ignored);
    return rc;
}

/* rc: of its beginning. */
static int name_job(struct qmp_call *call, struct json_object *args, int rc)
{
    const char *name = qmp_get_str(args, "ferry-job");

    if (!rc && name)
        migration_name_job(monitor_env(call->monitor)->migration, name);
    return rc;
}

/* --- Commands --- */

/* Again, as somebody may have changed them while this one's way was opened. */
static int go_migrate(struct qmp_call *call, struct json_object *args,
                      struct ferry_address *address, struct ferry_err *err)
{
    int rc = apply_settings(call, args, err);

    if (!rc)
        rc = migration_start(monitor_env(call->monitor)->migration, address,
                             qmp_get_bool(args, "resume", false), err);
    return name_job(call, args, rc);
}

QMP_HANDLER(qmp_run_migrate)
{
    struct migration *m = monitor_env(call->monitor)->migration;
    OWN(ferry_address_freep) struct ferry_address *address = NULL;
    int rc = call_address(args, false, &address, err);

    if (!rc)
        rc = apply_settings(call, args, err);
    if (!rc)
        rc = migration_may_go(m, address, qmp_get_bool(args, "resume", false), false, err);
    return rc < 0 ? rc : journey_begin(call, "migrate", args, &address, true, go_migrate, err);
}

static int go_incoming(struct qmp_call *call, struct json_object *args,
                       struct ferry_address *address, struct ferry_err *err)
{
    struct migration *m = monitor_env(call->monitor)->migration;
    int rc = migration_incoming(m, address, err);

    if (!rc)
        migration_set_exit_on_error(m, qmp_get_bool(args, "exit-on-error", true));
    return rc;
}

QMP_HANDLER(qmp_run_migrate_incoming)
{
    struct migration *m = monitor_env(call->monitor)->migration;
    OWN(ferry_address_freep) struct ferry_address *address = NULL;
    int rc = migration_may_listen(m, err);

    if (!rc)
        rc = call_address(args, true, &address, err);
    return rc < 0
               ? rc
               : journey_begin(call, "migrate-incoming", args, &address, false, go_incoming, err);
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

static int go_check(struct qmp_call *call, struct json_object *args, struct ferry_address *address,
                    struct ferry_err *err)
{
    int rc = apply_settings(call, args, err);

    if (!rc)
        rc = migration_check(monitor_env(call->monitor)->migration, address, check_done, call, err);
    return rc < 0 ? rc : QMP_DEFERRED;
}

QMP_HANDLER(qmp_run_migrate_check)
{
    struct migration *m = monitor_env(call->monitor)->migration;
    OWN(ferry_address_freep) struct ferry_address *address = NULL;
    int rc = call_address(args, false, &address, err);

    if (!rc)
        rc = apply_settings(call, args, err);
    if (!rc)
        rc = migration_may_go(m, address, false, true, err);
    return rc < 0 ? rc
                  : journey_begin(call, "ferry-migrate-check", args, &address, true, go_check, err);
}

static int go_snapshot(struct qmp_call *call, struct json_object *args,
                       struct ferry_address *address, struct ferry_err *err)
{
    int rc = apply_settings(call, args, err);

    if (!rc)
        rc = migration_snapshot(monitor_env(call->monitor)->migration, address, err);
    return name_job(call, args, rc);
}

QMP_HANDLER(qmp_run_snapshot)
{
    struct migration *m = monitor_env(call->monitor)->migration;
    OWN(ferry_address_freep) struct ferry_address *address = NULL;
    int rc = call_address(args, false, &address, err);

    if (!rc)
        rc = apply_settings(call, args, err);
    if (!rc)
        rc = migration_may_go(m, address, false, false, err);
    return rc < 0 ? rc
                  : journey_begin(call, "ferry-snapshot", args, &address, true, go_snapshot, err);
}

QMP_HANDLER(qmp_run_override_fence)
{
    return vm_override_fence(monitor_env(call->monitor)->vm, err);
}

QMP_HANDLER(qmp_run_migrate_cancel)
{
    struct migration *m = monitor_env(call->monitor)->migration;
    const char *wanted = qmp_get_str(args, "ferry-job"), *name = migration_job_name(m);

    if (wanted && (!name || strcmp(name, wanted) != 0))
        return err_set(err, ENOENT, "that one is over, or has not begun");
    return migration_cancel(m, err);
}

/* --- Postcopy, which is not served: refused as without the capability that cannot be set --- */

QMP_HANDLER(qmp_run_migrate_start_postcopy)
{
    return err_set(err, EINVAL,
                   "Enable postcopy with migrate_set_capability before the start of migration");
}

QMP_HANDLER(qmp_run_migrate_pause)
{
    return err_set(err, EINVAL,
                   "migrate-pause is currently only supported during postcopy-active or "
                   "postcopy-recover state");
}

QMP_HANDLER(qmp_run_migrate_recover)
{
    return err_set(err, EINVAL, "Migrate recover can only be run when postcopy is paused.");
}
