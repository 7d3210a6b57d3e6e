/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/qmp/request.h"

#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "vmm/qmp/type.h"

bool qmp_request_is_oob(struct json_object *message)
{
    return json_object_is_type(message, json_type_object) &&
           json_object_object_get_ex(message, "exec-oob", NULL) &&
           !json_object_object_get_ex(message, "execute", NULL);
}

static int parse_member(const char *key, struct json_object *value, bool oob_enabled,
                        struct qmp_request *r, struct ferry_err *err)
{
    bool oob = !strcmp(key, "exec-oob");

    if (!strcmp(key, "execute") || (oob && oob_enabled)) {
        if (r->command)
            return err_set(err, EINVAL, "QMP input member 'execute' clashes with 'exec-oob'");
        if (!json_object_is_type(value, json_type_string))
            return err_set(err, EINVAL, "QMP input member '%s' must be a string", key);
        r->command = json_object_get_string(value);
        r->oob = oob;
        return 0;
    }
    if (!strcmp(key, "arguments")) {
        if (!json_object_is_type(value, json_type_object))
            return err_set(err, EINVAL, "QMP input member 'arguments' must be an object");
        r->args = value;
        return 0;
    }
    if (!strcmp(key, "id"))
        return 0;
    return err_set(err, EINVAL, "QMP input member '%.200s' is unexpected", key);
}

int qmp_request_parse(struct json_object *message, bool oob_enabled, struct qmp_request *ret,
                      struct ferry_err *err)
{
    struct qmp_request r = {0};

    if (!json_object_is_type(message, json_type_object))
        return err_set(err, EINVAL, "QMP input must be a JSON object");
    json_object_object_foreach(message, key, value)
    {
        int rc = parse_member(key, value, oob_enabled, &r, err);

        if (rc < 0)
            return rc;
    }
    if (!r.command)
        return err_set(err, EINVAL, "QMP input lacks member 'execute'");
    *ret = r;
    return 0;
}
