/* SPDX-License-Identifier: Apache-2.0 */
/* Capabilities and parameters: the names come from the one table in vmm/machine/migration.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/own.h"
#include "vmm/machine/migration.h"
#include "vmm/qmp/cmd.h"
#include "vmm/qmp/json_build.h"
#include "vmm/qmp/monitor.h"

/* --- Capabilities --- */

static const char *capability_at(size_t index)
{
    return index < migration_capability_count() ? migration_capability_name(index) : NULL;
}

static const struct qmp_type capability = {
    .name = "MigrationCapability", .kind = QMP_KIND_ENUM, .value_at = capability_at};
static const struct qmp_type capability_status = {
    .name = "MigrationCapabilityStatus",
    .kind = QMP_KIND_OBJECT,
    QMP_MEMBERS({"capability", &capability}, {"state", &qmp_bool})};
const struct qmp_type qmp_type_capability_list = {.kind = QMP_KIND_ARRAY,
                                                  .element = &capability_status};
const struct qmp_type qmp_type_set_capabilities_args = {
    .kind = QMP_KIND_OBJECT, QMP_MEMBERS({"capabilities", &qmp_type_capability_list})};

QMP_HANDLER(qmp_run_set_capabilities)
{
    struct json_object *list = qmp_get(args, "capabilities");
    size_t count = json_object_array_length(list);
    OWN_MEM const char **names = calloc(count + 1, sizeof(*names));
    OWN_MEM bool *states = calloc(count + 1, sizeof(*states));

    if (!names || !states)
        return err_set(err, ENOMEM, "out of memory");
    for (size_t i = 0; i < count; i++) {
        struct json_object *c = json_object_array_get_idx(list, i);

        names[i] = qmp_get_str(c, "capability");
        states[i] = qmp_get_bool(c, "state", false);
    }
    return migration_set_capabilities(monitor_env(call->monitor)->migration, names, states, count,
                                      err);
}

QMP_HANDLER(qmp_run_query_capabilities)
{
    struct migration *m = monitor_env(call->monitor)->migration;

    *ret = json_object_new_array();
    for (size_t i = 0; i < migration_capability_count(); i++) {
        struct json_object *c = json_object_new_object();

        json_put_bool(c, "state", migration_capability(m, i));
        json_put_str(c, "capability", migration_capability_name(i));
        json_append(*ret, c);
    }
    return 0;
}

/* --- Parameters --- */

static bool is_nullable(const struct migration_param *p)
{
    return !strncmp(p->name, "tls-", 4);
}

static bool parameter_at(size_t index, struct qmp_member *ret)
{
    const struct migration_param *p;

    if (index == migration_param_count())
        *ret = (struct qmp_member){"block-bitmap-mapping", &qmp_any, true};
    if (index >= migration_param_count())
        return index == migration_param_count();
    p = migration_param(index);
    *ret = (struct qmp_member){.name = p->name, .optional = true};
    switch (p->type) {
    case MIGRATION_PARAM_UINT:
        ret->type = p->bits == 8 ? &qmp_uint8 : p->bits == 32 ? &qmp_uint32 : &qmp_uint64;
        break;
    case MIGRATION_PARAM_BOOL:
        ret->type = &qmp_bool;
        break;
    case MIGRATION_PARAM_STR:
        ret->type = is_nullable(p) ? &qmp_str_or_null : &qmp_str;
        break;
    }
    return true;
}

const struct qmp_type qmp_type_parameters = {
    .name = "MigrationParameters", .kind = QMP_KIND_OBJECT, .member_at = parameter_at};

QMP_HANDLER(qmp_run_set_parameters)
{
    size_t max = migration_param_count(), count = 0;
    OWN_MEM struct migration_value *values = calloc(max, sizeof(*values));
    OWN_MEM size_t *indexes = calloc(max, sizeof(*indexes));

    if (!values || !indexes)
        return err_set(err, ENOMEM, "out of memory");
    if (qmp_get(args, "block-bitmap-mapping"))
        return err_set(err, ENOTSUP,
                       "Parameter 'block-bitmap-mapping': dirty bitmaps are not served by this "
                       "version of ferry");
    for (size_t i = 0; i < max; i++) {
        const struct migration_param *p = migration_param(i);
        struct json_object *value;

        if (!json_object_object_get_ex(args, p->name, &value))
            continue;
        indexes[count] = i;
        if (p->type == MIGRATION_PARAM_STR)
            values[count].str = value ? json_object_get_string(value) : "";
        else if (p->type == MIGRATION_PARAM_BOOL)
            values[count].num = json_object_get_boolean(value) ? 1 : 0;
        else
            values[count].num = json_object_get_uint64(value);
        count++;
    }
    return migration_params_set(monitor_env(call->monitor)->migration, indexes, values, count, err);
}

QMP_HANDLER(qmp_run_query_parameters)
{
    struct migration *m = monitor_env(call->monitor)->migration;

    *ret = json_object_new_object();
    for (size_t i = 0; i < migration_param_count(); i++) {
        const struct migration_param *p = migration_param(i);
        struct migration_value value;

        migration_param_get(m, i, &value);
        if (p->type == MIGRATION_PARAM_STR)
            json_put_str(*ret, p->name, value.str);
        else if (p->type == MIGRATION_PARAM_BOOL)
            json_put_bool(*ret, p->name, value.num != 0);
        else
            json_put_uint(*ret, p->name, value.num);
    }
    return 0;
}
