/* SPDX-License-Identifier: Apache-2.0 */
/* Recursive, as deep as the types are; they never refer back to themselves. */
#include "vmm/qmp/type.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"

#define PATH_BYTES 256

static const struct qmp_member no_members[] = {{0}};

const struct qmp_type qmp_str = {.name = "str", .kind = QMP_KIND_STR};
const struct qmp_type qmp_bool = {.name = "bool", .kind = QMP_KIND_BOOL};
const struct qmp_type qmp_int = {.name = "int", .kind = QMP_KIND_INT};
const struct qmp_type qmp_uint8 = {.name = "uint8", .kind = QMP_KIND_UINT, .bits = 8};
const struct qmp_type qmp_uint32 = {.name = "uint32", .kind = QMP_KIND_UINT, .bits = 32};
const struct qmp_type qmp_uint64 = {.name = "uint64", .kind = QMP_KIND_UINT, .bits = 64};
const struct qmp_type qmp_number = {.name = "number", .kind = QMP_KIND_NUMBER};
const struct qmp_type qmp_str_or_null = {.name = "StrOrNull", .kind = QMP_KIND_STR_OR_NULL};
const struct qmp_type qmp_any = {.name = "any", .kind = QMP_KIND_ANY};
const struct qmp_type qmp_empty = {
    .name = "q_empty", .kind = QMP_KIND_OBJECT, .members = no_members};

const char *qmp_enum_value(const struct qmp_type *type, size_t index)
{
    return type->value_at ? type->value_at(index) : type->values[index];
}

bool qmp_object_member(const struct qmp_type *type, size_t index, struct qmp_member *ret)
{
    if (type->member_at)
        return type->member_at(index, ret);
    *ret = type->members[index];
    return ret->name != NULL;
}

/* Where in the arguments: "channels[0].addr.path"; and the last member's own name. */
struct where {
    char path[PATH_BYTES];
    const char *name;
};

static int check_value(const struct qmp_type *type, struct json_object *value,
                       const struct where *at, struct ferry_err *err);

static int wrong_type(const struct where *at, const char *expected, struct ferry_err *err)
{
    return err_set(err, EINVAL, "Invalid parameter type for '%s', expected: %s", at->path,
                   expected);
}

static int check_enum(const struct qmp_type *type, struct json_object *value,
                      const struct where *at, struct ferry_err *err)
{
    const char *text = json_object_get_string(value);

    if (!json_object_is_type(value, json_type_string))
        return wrong_type(at, "string", err);
    for (size_t i = 0; qmp_enum_value(type, i); i++)
        if (!strcmp(text, qmp_enum_value(type, i)))
            return 0;
    /* By its own name, not its path: QEMU's words, which test suites look for. */
    return err_set(err, EINVAL, "Parameter '%s' does not accept value '%.200s'", at->name, text);
}

static int check_array(const struct qmp_type *type, struct json_object *value,
                       const struct where *at, struct ferry_err *err)
{
    if (!json_object_is_type(value, json_type_array))
        return wrong_type(at, "array", err);
    for (size_t i = 0; i < json_object_array_length(value); i++) {
        struct where element;
        int rc;

        if (snprintf(element.path, sizeof(element.path), "%s[%zu]", at->path, i) >= PATH_BYTES)
            element.path[0] = '\0';
        element.name = element.path;
        rc = check_value(type->element, json_object_array_get_idx(value, i), &element, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* The variant that the object's tag selects; NULL: none. */
static const struct qmp_type *object_variant(const struct qmp_type *type,
                                             struct json_object *object)
{
    const char *value = type->tag ? qmp_get_str(object, type->tag) : NULL;

    for (size_t i = 0; value && type->variants[i].value; i++)
        if (!strcmp(value, type->variants[i].value))
            return type->variants[i].type;
    return NULL;
}

static void member_where(const struct where *at, const char *name, struct where *ret)
{
    if (snprintf(ret->path, sizeof(ret->path), "%s%s%.100s", at->path, at->path[0] ? "." : "",
                 name) >= PATH_BYTES)
        snprintf(ret->path, sizeof(ret->path), "%.100s", name);
    ret->name = name;
}

static int check_members(const struct qmp_type *type, struct json_object *object,
                         const struct where *at, struct ferry_err *err)
{
    const struct qmp_type *variant;
    struct qmp_member m;
    int rc;

    for (size_t i = 0; qmp_object_member(type, i, &m); i++) {
        struct json_object *value;
        struct where member;

        member_where(at, m.name, &member);
        if (json_object_object_get_ex(object, m.name, &value))
            rc = check_value(m.type, value, &member, err);
        else
            rc = m.optional ? 0 : err_set(err, EINVAL, "Parameter '%s' is missing", member.path);
        if (rc < 0)
            return rc;
    }
    variant = object_variant(type, object);
    return variant ? check_members(variant, object, at, err) : 0;
}

static bool has_member(const struct qmp_type *type, struct json_object *object, const char *name)
{
    const struct qmp_type *variant = object_variant(type, object);
    struct qmp_member m;

    for (size_t i = 0; qmp_object_member(type, i, &m); i++)
        if (!strcmp(m.name, name))
            return true;
    return variant && has_member(variant, object, name);
}

static int check_object(const struct qmp_type *type, struct json_object *value,
                        const struct where *at, struct ferry_err *err)
{
    int rc;

    if (!json_object_is_type(value, json_type_object))
        return wrong_type(at, "object", err);
    rc = check_members(type, value, at, err);
    if (rc < 0)
        return rc;
    json_object_object_foreach(value, key, ignored)
    {
        struct where member;

        (void)ignored;
        if (has_member(type, value, key))
            continue;
        member_where(at, key, &member);
        return err_set(err, EINVAL, "Parameter '%s' is unexpected", member.path);
    }
    return 0;
}

static int check_uint(const struct qmp_type *type, struct json_object *value,
                      const struct where *at, struct ferry_err *err)
{
    if (json_object_is_type(value, json_type_int) && json_object_get_int64(value) >= 0 &&
        (type->bits == 64 || json_object_get_uint64(value) >> type->bits == 0))
        return 0;
    if (type->bits < 64 && !json_object_is_type(value, json_type_int))
        return wrong_type(at, "integer", err);
    return type->bits == 64
               ? err_set(err, ERANGE, "Parameter '%s' expects uint64", at->path)
               : err_set(err, ERANGE, "Parameter '%s' expects uint%u_t", at->path, type->bits);
}

static int check_value(const struct qmp_type *type, struct json_object *value,
                       const struct where *at, struct ferry_err *err)
{
    enum json_type json = json_object_get_type(value);

    switch (type->kind) {
    case QMP_KIND_STR:
        return json == json_type_string ? 0 : wrong_type(at, "string", err);
    case QMP_KIND_STR_OR_NULL:
        return json == json_type_string || json == json_type_null ? 0
                                                                  : wrong_type(at, type->name, err);
    case QMP_KIND_BOOL:
        return json == json_type_boolean ? 0 : wrong_type(at, "boolean", err);
    case QMP_KIND_INT:
        return json == json_type_int && (json_object_get_int64(value) < 0 ||
                                         json_object_get_uint64(value) <= INT64_MAX)
                   ? 0
                   : wrong_type(at, "integer", err);
    case QMP_KIND_UINT:
        return check_uint(type, value, at, err);
    case QMP_KIND_NUMBER:
        return json == json_type_int || json == json_type_double ? 0
                                                                 : wrong_type(at, "number", err);
    case QMP_KIND_ANY:
        return 0;
    case QMP_KIND_ENUM:
        return check_enum(type, value, at, err);
    case QMP_KIND_ARRAY:
        return check_array(type, value, at, err);
    case QMP_KIND_OBJECT:
        return check_object(type, value, at, err);
    }
    return 0;
}

int qmp_check(const struct qmp_type *type, struct json_object *object, struct ferry_err *err)
{
    struct where at = {.name = ""};

    return check_value(type, object, &at, err);
}

struct json_object *qmp_get(struct json_object *object, const char *name)
{
    struct json_object *value = NULL;

    json_object_object_get_ex(object, name, &value);
    return value;
}

const char *qmp_get_str(struct json_object *object, const char *name)
{
    struct json_object *value = qmp_get(object, name);

    return json_object_is_type(value, json_type_string) ? json_object_get_string(value) : NULL;
}

bool qmp_get_bool(struct json_object *object, const char *name, bool otherwise)
{
    struct json_object *value = qmp_get(object, name);

    return value ? json_object_get_boolean(value) : otherwise;
}

uint64_t qmp_get_uint(struct json_object *object, const char *name, uint64_t otherwise)
{
    struct json_object *value = qmp_get(object, name);

    return value ? json_object_get_uint64(value) : otherwise;
}
