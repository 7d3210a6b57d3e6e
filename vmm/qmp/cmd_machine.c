/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "vmm/backend/chardev.h"
#include "vmm/backend/chardev_mux.h"
#include "vmm/machine/machine_type.h"
#include "vmm/machine/vm.h"
#include "vmm/qmp/cmd.h"
#include "vmm/qmp/json_build.h"
#include "vmm/qmp/monitor.h"

static const struct vm_config *call_config(const struct qmp_call *call)
{
    return vm_config(monitor_env(call->monitor)->vm);
}

static const struct accel *call_accel(const struct qmp_call *call)
{
    const struct vm_config *c = call_config(call);

    return machine_type_accel(c->machine, c->accel);
}

const struct qmp_type qmp_type_name = {
    .name = "NameInfo", .kind = QMP_KIND_OBJECT, QMP_MEMBERS({"name", &qmp_str, true})};

QMP_HANDLER(qmp_run_query_name)
{
    const char *name = call_config(call)->name;

    *ret = json_object_new_object();
    if (name)
        json_put_str(*ret, "name", name);
    return 0;
}

const struct qmp_type qmp_type_uuid = {
    .name = "UuidInfo", .kind = QMP_KIND_OBJECT, QMP_MEMBERS({"UUID", &qmp_str})};

static void put_uuid(struct json_object *o, const char *name, const uint8_t u[16])
{
    char text[37];

    snprintf(text, sizeof(text),
             "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", u[0], u[1],
             u[2], u[3], u[4], u[5], u[6], u[7], u[8], u[9], u[10], u[11], u[12], u[13], u[14],
             u[15]);
    json_put_str(o, name, text);
}

QMP_HANDLER(qmp_run_query_uuid)
{
    *ret = json_object_new_object();
    put_uuid(*ret, "UUID", call_config(call)->uuid);
    return 0;
}

const struct qmp_type qmp_type_guid = {
    .name = "GuidInfo", .kind = QMP_KIND_OBJECT, QMP_MEMBERS({"guid", &qmp_str})};

QMP_HANDLER(qmp_run_query_vm_generation_id)
{
    uint8_t guid[16];

    if (!vm_generation(monitor_env(call->monitor)->vm, guid))
        return err_set(err, ENODEV, "VM Generation ID device not found");
    *ret = json_object_new_object();
    put_uuid(*ret, "guid", guid);
    return 0;
}

static const struct qmp_type target = {
    .name = "SysEmuTarget", .kind = QMP_KIND_ENUM, QMP_VALUES("riscv64")};
const struct qmp_type qmp_type_target = {
    .name = "TargetInfo", .kind = QMP_KIND_OBJECT, QMP_MEMBERS({"arch", &target})};

QMP_HANDLER(qmp_run_query_target)
{
    *ret = json_object_new_object();
    json_put_str(*ret, "arch", call_accel(call)->target);
    return 0;
}

const struct qmp_type qmp_type_kvm = {.name = "KvmInfo",
                                      .kind = QMP_KIND_OBJECT,
                                      QMP_MEMBERS({"enabled", &qmp_bool}, {"present", &qmp_bool})};

QMP_HANDLER(qmp_run_query_kvm)
{
    bool is_kvm = !strcmp(call_accel(call)->name, "kvm");

    *ret = json_object_new_object();
    json_put_bool(*ret, "enabled", is_kvm);
    json_put_bool(*ret, "present", is_kvm);
    return 0;
}

static const struct qmp_type cpu_props = {.name = "CpuInstanceProperties",
                                          .kind = QMP_KIND_OBJECT,
                                          QMP_MEMBERS({"core-id", &qmp_int, true})};
static const struct qmp_type cpu_info = {
    .name = "CpuInfoFast",
    .kind = QMP_KIND_OBJECT,
    QMP_MEMBERS({"cpu-index", &qmp_int}, {"qom-path", &qmp_str}, {"thread-id", &qmp_int},
                {"props", &cpu_props, true}, {"target", &target})};
const struct qmp_type qmp_type_cpu_list = {.kind = QMP_KIND_ARRAY, .element = &cpu_info};

QMP_HANDLER(qmp_run_query_cpus_fast)
{
    struct vm *vm = monitor_env(call->monitor)->vm;

    *ret = json_object_new_array();
    /* Before there is a machine there are no harts. */
    for (size_t i = 0; i < call_config(call)->harts && i < vm_hart_count(vm); i++) {
        struct json_object *cpu = json_object_new_object(), *props = json_object_new_object();
        char path[64];

        snprintf(path, sizeof(path), "%s[%zu]", call_config(call)->machine->cpus_path, i);
        json_put_int(props, "core-id", (int64_t)i);
        json_put_int(cpu, "thread-id", vm_hart_thread_id(vm, i));
        json_put(cpu, "props", props);
        json_put_str(cpu, "qom-path", path);
        json_put_int(cpu, "cpu-index", (int64_t)i);
        json_put_str(cpu, "target", call_accel(call)->target);
        json_append(*ret, cpu);
    }
    return 0;
}

const struct qmp_type qmp_type_memory_size = {
    .name = "MemoryInfo",
    .kind = QMP_KIND_OBJECT,
    QMP_MEMBERS({"base-memory", &qmp_uint64}, {"plugged-memory", &qmp_uint64, true})};

QMP_HANDLER(qmp_run_query_memory_size_summary)
{
    *ret = json_object_new_object();
    json_put_uint(*ret, "base-memory", call_config(call)->ram_bytes);
    json_put_uint(*ret, "plugged-memory", 0);
    return 0;
}

static const struct qmp_type chardev_info = {
    .name = "ChardevInfo",
    .kind = QMP_KIND_OBJECT,
    QMP_MEMBERS({"label", &qmp_str}, {"filename", &qmp_str}, {"frontend-open", &qmp_bool},
                {"ferry-peer-pid", &qmp_int, true})};
const struct qmp_type qmp_type_chardev_list = {.kind = QMP_KIND_ARRAY, .element = &chardev_info};

/* A shared one is two, as in QEMU: "ID-base", and "ID", which is open if the one in focus is. */
static void append_chardev(struct json_object *list, struct chardev *c)
{
    struct json_object *info = json_object_new_object();
    struct mux *mux = mux_on(c);
    char text[256];

    chardev_filename(c, text, sizeof(text));
    json_put_bool(info, "frontend-open", chardev_frontend_open(c));
    json_put_str(info, "filename", text);
    snprintf(text, sizeof(text), "%s%s", chardev_id(c), mux ? "-base" : "");
    json_put_str(info, "label", text);
    if (chardev_peer_pid(c) > 0)
        json_put_int(info, "ferry-peer-pid", chardev_peer_pid(c));
    json_append(list, info);
    if (!mux)
        return;
    info = json_object_new_object();
    json_put_bool(info, "frontend-open", chardev_frontend_open(mux_place(mux, mux_focus(mux))));
    json_put_str(info, "filename", "mux");
    json_put_str(info, "label", chardev_id(c));
    json_append(list, info);
}

QMP_HANDLER(qmp_run_query_chardev)
{
    const struct monitor_env *env = monitor_env(call->monitor);
    struct chardev *c;

    *ret = json_object_new_array();
    for (size_t i = 0; env->chardev_at && (c = env->chardev_at(env->arg, i)); i++)
        append_chardev(*ret, c);
    return 0;
}

const struct qmp_type qmp_type_chardev_disconnect_args = {.kind = QMP_KIND_OBJECT,
                                                          QMP_MEMBERS({"id", &qmp_str})};

QMP_HANDLER(qmp_run_chardev_disconnect)
{
    const struct monitor_env *env = monitor_env(call->monitor);
    const char *id = qmp_get_str(args, "id");
    struct chardev *c;

    for (size_t i = 0; env->chardev_at && (c = env->chardev_at(env->arg, i)); i++)
        if (!strcmp(chardev_id(c), id))
            return chardev_disconnect(c, err);
    call->error_class = QMP_DEVICE_NOT_FOUND;
    return err_set(err, ENODEV, "Device '%.100s' not found", id);
}
