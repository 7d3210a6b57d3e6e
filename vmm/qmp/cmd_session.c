/* SPDX-License-Identifier: Apache-2.0 */
#include <unistd.h>

#include "base/build.h"
#include "vmm/qmp/cmd.h"
#include "vmm/qmp/dispatch.h"
#include "vmm/qmp/json_build.h"
#include "vmm/qmp/monitor.h"
#include "vmm/qmp/schema.h"
#include "vmm/qmp/session.h"

static const struct qmp_type capability = {
    .name = "QMPCapability", .kind = QMP_KIND_ENUM, QMP_VALUES("oob")};
static const struct qmp_type capability_list = {.kind = QMP_KIND_ARRAY, .element = &capability};
const struct qmp_type qmp_type_capabilities_args = {
    .kind = QMP_KIND_OBJECT, QMP_MEMBERS({"enable", &capability_list, true})};

QMP_HANDLER(qmp_run_capabilities)
{
    struct json_object *enable = qmp_get(args, "enable");
    bool oob = enable && json_object_array_length(enable) > 0; /* the only value there is */

    return session_negotiate(call->session, oob, call, err);
}

static const struct qmp_type version_triple = {
    .name = "VersionTriple",
    .kind = QMP_KIND_OBJECT,
    QMP_MEMBERS({"major", &qmp_int}, {"minor", &qmp_int}, {"micro", &qmp_int})};
static const struct qmp_type ferry_build = {.name = "FerryBuild",
                                            .kind = QMP_KIND_OBJECT,
                                            QMP_MEMBERS({"build", &qmp_str}, {"pid", &qmp_int})};
const struct qmp_type qmp_type_version = {
    .name = "VersionInfo",
    .kind = QMP_KIND_OBJECT,
    QMP_MEMBERS({"qemu", &version_triple}, {"package", &qmp_str}, {"ferry", &ferry_build})};

QMP_HANDLER(qmp_run_query_version)
{
    struct json_object *ferry = json_object_new_object();
    char build[BUILD_TEXT_BYTES];

    *ret = qmp_version();
    json_put_str(ferry, "build", build_text(build));
    json_put_int(ferry, "pid", getpid());
    json_put(*ret, "ferry", ferry);
    return 0;
}

static const struct qmp_type command_info = {
    .name = "CommandInfo", .kind = QMP_KIND_OBJECT, QMP_MEMBERS({"name", &qmp_str})};
const struct qmp_type qmp_type_command_list = {.kind = QMP_KIND_ARRAY, .element = &command_info};

QMP_HANDLER(qmp_run_query_commands)
{
    *ret = json_object_new_array();
    for (const struct qmp_command *c = monitor_table(call->monitor)->commands; c->name; c++) {
        struct json_object *info = json_object_new_object();

        json_put_str(info, "name", c->name);
        json_append(*ret, info);
    }
    return 0;
}

/* QEMU's SchemaInfo is a union over the kinds of entries; what they share is checked. */
const struct qmp_type qmp_type_schema = {
    .name = "an array of QEMU's SchemaInfo", .kind = QMP_KIND_ARRAY, .element = &qmp_any};

QMP_HANDLER(qmp_run_query_schema)
{
    *ret = qmp_schema(monitor_table(call->monitor));
    return 0;
}
