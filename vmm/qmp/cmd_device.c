/* SPDX-License-Identifier: Apache-2.0 */
/* The catalogue of devices, for programs: which there are, and what can be said of each. */
#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "vmm/machine/device_kind.h"
#include "vmm/qmp/cmd.h"
#include "vmm/qmp/json_build.h"
#include "vmm/qmp/monitor.h"

static const struct device_kind *kind_at(const struct qmp_call *call, size_t index)
{
    const struct monitor_env *env = monitor_env(call->monitor);

    return env->kind_at ? env->kind_at(index) : NULL;
}

/* --- device-list-properties --- */

const struct qmp_type qmp_type_typename_args = {.kind = QMP_KIND_OBJECT,
                                                QMP_MEMBERS({"typename", &qmp_str})};
static const struct qmp_type property = {.name = "ObjectPropertyInfo",
                                         .kind = QMP_KIND_OBJECT,
                                         QMP_MEMBERS({"name", &qmp_str}, {"type", &qmp_str},
                                                     {"description", &qmp_str, true},
                                                     {"default-value", &qmp_any, true})};
const struct qmp_type qmp_type_property_list = {.kind = QMP_KIND_ARRAY, .element = &property};

/* Words of -device itself, as QEMU sees it, and what has no function. */
static bool is_property(const struct prop *p)
{
    return p->kind != PROP_IGNORED && p->kind != PROP_ABSENT && !p->is_alias &&
           strcmp(p->name, "id") != 0 && strcmp(p->name, "bus") != 0;
}

static const char *type_name(const struct prop *p)
{
    switch (p->kind) {
    case PROP_BOOL:
        return "bool";
    case PROP_U32:
        return "uint32";
    case PROP_INT:
        return "int32";
    case PROP_SIZE:
        return "size";
    default:
        return "str";
    }
}

/* NULL: it has none of its own. */
static struct json_object *default_value(const struct prop *p, const void *defaults)
{
    const void *at = (const char *)defaults + p->offset;

    switch (p->kind) {
    case PROP_BOOL:
        return json_object_new_boolean(*(const bool *)at);
    case PROP_U32:
        return json_object_new_uint64(*(const uint32_t *)at);
    case PROP_INT:
        return json_object_new_int64(*(const int *)at);
    case PROP_SIZE:
        return json_object_new_uint64(*(const uint64_t *)at);
    case PROP_ENUM:
        /* 0: not given, and what that means depends on more than the kind. */
        return *(const int *)at ? json_object_new_string(p->choices[*(const int *)at - 1]) : NULL;
    default:
        return NULL;
    }
}

static struct json_object *describe(const struct prop *p, const void *defaults)
{
    struct json_object *info = json_object_new_object(), *value = default_value(p, defaults);

    json_put_str(info, "name", p->name);
    json_put_str(info, "type", type_name(p));
    if (p->kind == PROP_MAC)
        json_put_str(info, "description",
                     "Ethernet 6-byte MAC Address, example: 52:54:00:12:34:56");
    if (p->kind == PROP_GUID)
        json_put_str(info, "description", "UUID, or \"auto\" for a random one");
    if (value)
        json_put(info, "default-value", value);
    return info;
}

QMP_HANDLER(qmp_run_device_list_properties)
{
    const char *name = qmp_get_str(args, "typename");
    const struct device_kind *kind;

    for (size_t i = 0; (kind = kind_at(call, i)); i++) {
        if (strcmp(kind->name, name) != 0)
            continue;
        *ret = json_object_new_array();
        for (const struct prop *p = kind->props; p->name; p++)
            if (is_property(p))
                json_append(*ret, describe(p, kind->defaults));
        return 0;
    }
    call->error_class = QMP_DEVICE_NOT_FOUND;
    return err_set(err, ENODEV, "Device '%.100s' not found", name);
}

/* --- qom-list-types --- */

const struct qmp_type qmp_type_qom_list_types_args = {
    .kind = QMP_KIND_OBJECT,
    QMP_MEMBERS({"implements", &qmp_str, true}, {"abstract", &qmp_bool, true})};
static const struct qmp_type object_type = {
    .name = "ObjectTypeInfo",
    .kind = QMP_KIND_OBJECT,
    QMP_MEMBERS({"name", &qmp_str}, {"abstract", &qmp_bool, true}, {"parent", &qmp_str, true})};
const struct qmp_type qmp_type_object_type_list = {.kind = QMP_KIND_ARRAY, .element = &object_type};

static const char *parent_of(const struct device_kind *kind)
{
    return kind->bus == DEVICE_BUS_VIRTIO_MMIO ? "virtio-device" : "device";
}

/* wanted: NULL = everything. */
static bool implements(const struct device_kind *kind, const char *wanted)
{
    return !wanted || !strcmp(wanted, kind->name) || !strcmp(wanted, parent_of(kind)) ||
           !strcmp(wanted, "device") || !strcmp(wanted, "object");
}

/* Those of devices: nothing else can be made by its name here. None is abstract. */
QMP_HANDLER(qmp_run_qom_list_types)
{
    const char *wanted = qmp_get_str(args, "implements");
    const struct device_kind *kind;

    *ret = json_object_new_array();
    for (size_t i = 0; (kind = kind_at(call, i)); i++) {
        struct json_object *info;

        if (!implements(kind, wanted))
            continue;
        info = json_object_new_object();
        json_put_str(info, "name", kind->name);
        json_put_str(info, "parent", parent_of(kind));
        json_append(*ret, info);
    }
    return 0;
}
