/* SPDX-License-Identifier: Apache-2.0 */
/* docs/qmp.md, from the table of commands. */
#include <ctype.h>

#include "vmm/qmp/schema.h"

#define DOCS_TYPES_MAX 128

struct docs {
    struct buf *out;
    const struct qmp_type *types[DOCS_TYPES_MAX]; /* named ones, in the order they are met */
    size_t type_count;
};

static void note_type(struct docs *d, const struct qmp_type *type)
{
    if (!type->name || (type->kind != QMP_KIND_ENUM && type->kind != QMP_KIND_OBJECT))
        return;
    for (size_t i = 0; i < d->type_count; i++)
        if (d->types[i] == type)
            return;
    if (d->type_count < DOCS_TYPES_MAX)
        d->types[d->type_count++] = type;
}

static void put_type_name(struct docs *d, const struct qmp_type *type)
{
    note_type(d, type);
    if (type->kind == QMP_KIND_ARRAY) {
        buf_str(d->out, "array of ");
        put_type_name(d, type->element);
        return;
    }
    if (type->kind != QMP_KIND_ENUM && type->kind != QMP_KIND_OBJECT) {
        buf_str(d->out, type->name);
        return;
    }
    /* Anchors of headings are in lower case. */
    buf_printf(d->out, "[%s](#", type->name);
    for (const char *at = type->name; *at; at++)
        buf_u8(d->out, (uint8_t)tolower((unsigned char)*at));
    buf_str(d->out, ")");
}

static void put_members(struct docs *d, const struct qmp_type *type)
{
    struct qmp_member m;

    for (size_t i = 0; qmp_object_member(type, i, &m); i++) {
        buf_printf(d->out, "- `%s`%s: ", m.name, m.optional ? " (optional)" : "");
        put_type_name(d, m.type);
        buf_str(d->out, "\n");
    }
    for (const struct qmp_variant *v = type->variants; v && v->value; v++) {
        buf_printf(d->out, "- with `%s` = `%s`, the members of ", type->tag, v->value);
        put_type_name(d, v->type);
        buf_str(d->out, "\n");
    }
}

static void put_command(struct docs *d, const struct qmp_command *c)
{
    buf_printf(d->out, "\n### %s\n\n%s%s\n", c->name, c->doc,
               c->oob ? " May be executed out of band." : "");
    if (c->args) {
        buf_str(d->out, "\nArguments:\n\n");
        put_members(d, c->args);
    }
    if (!c->ret)
        return;
    buf_str(d->out, "\nReturns ");
    if (c->ret->kind == QMP_KIND_ARRAY && c->ret->element->kind == QMP_KIND_ANY)
        buf_printf(d->out, "%s", c->ret->name);
    else
        put_type_name(d, c->ret);
    buf_str(d->out, ".\n");
}

static void put_event(struct docs *d, const struct qmp_event *e)
{
    buf_printf(d->out, "\n### %s\n\n%s\n", e->name, e->doc);
    if (!e->data)
        return;
    buf_str(d->out, "\nData:\n\n");
    put_members(d, e->data);
}

static void put_type(struct docs *d, const struct qmp_type *type)
{
    const char *value;

    buf_printf(d->out, "\n### %s\n\n", type->name);
    if (type->kind == QMP_KIND_OBJECT) {
        put_members(d, type);
        return;
    }
    buf_str(d->out, "One of");
    for (size_t i = 0; (value = qmp_enum_value(type, i)); i++)
        buf_printf(d->out, "%s `%s`", i ? "," : "", value);
    buf_str(d->out, ".\n");
}

void qmp_docs(const struct qmp_table *table, struct buf *out)
{
    struct docs d = {.out = out};

    buf_str(out, "# QMP reference\n\n"
                 "Generated from `vmm/qmp/commands.c` by `qmp-docs`; do not edit.\n\n"
                 "The protocol is QEMU's: connect, read the greeting, send `qmp_capabilities`, "
                 "then commands. Names,\nshapes and texts are those of QEMU 10.0; names that begin "
                 "with `ferry-` are ferry's own.\n\n## Commands\n");
    for (const struct qmp_command *c = table->commands; c->name; c++)
        put_command(&d, c);
    buf_str(out, "\n## Events\n");
    for (const struct qmp_event *e = table->events; e->name; e++)
        put_event(&d, e);
    buf_str(out, "\n## Types\n");
    for (size_t i = 0; i < d.type_count; i++)
        put_type(&d, d.types[i]);
}
