/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/qmp/schema.h"

#include <stdio.h>
#include <string.h>

#include "vmm/qmp/json_build.h"

#define SCHEMA_TYPES_MAX 256

/* Types get numbers in the order in which they are first met. */
struct schema {
    struct json_object *out;
    const struct qmp_type *types[SCHEMA_TYPES_MAX];
    size_t type_count;
};

/* A builtin type's entry name, or NULL. */
static const char *builtin_name(const struct qmp_type *type)
{
    switch (type->kind) {
    case QMP_KIND_STR:
        return "str";
    case QMP_KIND_BOOL:
        return "bool";
    case QMP_KIND_INT:
    case QMP_KIND_UINT:
        return "int";
    case QMP_KIND_NUMBER:
        return "number";
    case QMP_KIND_ANY:
        return "any";
    default:
        return NULL;
    }
}

/* The name by which a type is referred to. */
static struct json_object *type_ref(struct schema *s, const struct qmp_type *type)
{
    const char *builtin = builtin_name(type);
    char name[32];
    size_t i;

    if (builtin)
        return json_object_new_string(builtin);
    for (i = 0; i < s->type_count && s->types[i] != type; i++)
        ;
    if (i == s->type_count && s->type_count < SCHEMA_TYPES_MAX)
        s->types[s->type_count++] = type;
    snprintf(name, sizeof(name), type->kind == QMP_KIND_ARRAY ? "[%zu]" : "%zu", i);
    return json_object_new_string(name);
}

static struct json_object *new_entry(struct schema *s, struct json_object *name, const char *meta)
{
    struct json_object *entry = json_object_new_object();

    json_put(entry, "name", name);
    json_put_str(entry, "meta-type", meta);
    json_append(s->out, entry);
    return entry;
}

static void put_enum(struct json_object *entry, const struct qmp_type *type)
{
    struct json_object *members = json_object_new_array(), *values = json_object_new_array();
    const char *value;

    for (size_t i = 0; (value = qmp_enum_value(type, i)); i++) {
        struct json_object *member = json_object_new_object();

        json_put_str(member, "name", value);
        json_append(members, member);
        json_append(values, json_object_new_string(value));
    }
    json_put(entry, "members", members);
    json_put(entry, "values", values);
}

static void put_variants(struct schema *s, struct json_object *entry, const struct qmp_type *type)
{
    struct json_object *variants = json_object_new_array();

    for (const struct qmp_variant *v = type->variants; v->value; v++) {
        struct json_object *variant = json_object_new_object();

        json_put_str(variant, "case", v->value);
        json_put(variant, "type", type_ref(s, v->type));
        json_append(variants, variant);
    }
    json_put_str(entry, "tag", type->tag);
    json_put(entry, "variants", variants);
}

static void put_object(struct schema *s, struct json_object *entry, const struct qmp_type *type)
{
    struct json_object *members = json_object_new_array();
    struct qmp_member m;

    for (size_t i = 0; qmp_object_member(type, i, &m); i++) {
        struct json_object *member = json_object_new_object();

        json_put_str(member, "name", m.name);
        json_put(member, "type", type_ref(s, m.type));
        if (m.optional)
            json_put(member, "default", NULL);
        json_append(members, member);
    }
    json_put(entry, "members", members);
    if (type->tag)
        put_variants(s, entry, type);
}

static void put_alternate(struct json_object *entry)
{
    static const char *const types[] = {"str", "null"};
    struct json_object *members = json_object_new_array();

    for (size_t i = 0; i < 2; i++) {
        struct json_object *member = json_object_new_object();

        json_put_str(member, "type", types[i]);
        json_append(members, member);
    }
    json_put(entry, "members", members);
}

static void put_type(struct schema *s, const struct qmp_type *type)
{
    switch (type->kind) {
    case QMP_KIND_ENUM:
        put_enum(new_entry(s, type_ref(s, type), "enum"), type);
        break;
    case QMP_KIND_ARRAY:
        json_put(new_entry(s, type_ref(s, type), "array"), "element-type",
                 type_ref(s, type->element));
        break;
    case QMP_KIND_STR_OR_NULL:
        put_alternate(new_entry(s, type_ref(s, type), "alternate"));
        break;
    default:
        put_object(s, new_entry(s, type_ref(s, type), "object"), type);
        break;
    }
}

static void put_builtins(struct schema *s)
{
    static const char *const names[][2] = {{"str", "string"},    {"int", "int"},
                                           {"number", "number"}, {"bool", "boolean"},
                                           {"any", "value"},     {"null", "null"}};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        json_put_str(new_entry(s, json_object_new_string(names[i][0]), "builtin"), "json-type",
                     names[i][1]);
}

struct json_object *qmp_schema(const struct qmp_table *table)
{
    struct schema s = {.out = json_object_new_array()};

    for (const struct qmp_command *c = table->commands; c->name; c++) {
        struct json_object *entry = new_entry(&s, json_object_new_string(c->name), "command");

        json_put(entry, "arg-type", type_ref(&s, c->args ? c->args : &qmp_empty));
        json_put(entry, "ret-type", type_ref(&s, c->ret ? c->ret : &qmp_empty));
        if (c->oob)
            json_put_bool(entry, "allow-oob", true);
    }
    for (const struct qmp_event *e = table->events; e && e->name; e++)
        json_put(new_entry(&s, json_object_new_string(e->name), "event"), "arg-type",
                 type_ref(&s, e->data ? e->data : &qmp_empty));
    /* Putting a type may meet new ones. */
    for (size_t i = 0; i < s.type_count; i++)
        put_type(&s, s.types[i]);
    put_builtins(&s);
    return s.out;
}
