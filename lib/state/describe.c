/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/state/describe.h"

#include <string.h>

#include "lib/state/json.h"

static const char *field_name(const struct ferry_field *f)
{
    return f->wire_name ? f->wire_name : f->name;
}

static const char *uint_type(uint32_t size_bytes)
{
    switch (size_bytes) {
    case 1:
        return "uint8";
    case 2:
        return "uint16";
    case 4:
        return "uint32";
    default:
        return "uint64";
    }
}

/* QEMU's check of an unsigned 64 bit value has the signed name. */
static const char *equal_type(uint32_t size_bytes)
{
    switch (size_bytes) {
    case 1:
        return "uint8 equal";
    case 2:
        return "uint16 equal";
    case 4:
        return "uint32 equal";
    default:
        return "int64 equal";
    }
}

static const char *type_name(const struct ferry_field *f)
{
    if (f->type_name)
        return f->type_name;
    switch (f->kind) {
    case FERRY_KIND_UINT:
        return uint_type(f->size_bytes);
    case FERRY_KIND_EQUAL:
        return equal_type(f->size_bytes);
    case FERRY_KIND_BOOL:
        return "bool";
    case FERRY_KIND_UNUSED:
        return "unused_buffer";
    case FERRY_KIND_STRUCT:
        return "struct";
    case FERRY_KIND_UINT_LE:
    case FERRY_KIND_BYTES:
    case FERRY_KIND_CUSTOM:
        break;
    }
    return "buffer";
}

bool describe_once(const struct ferry_field *f)
{
    if (f->present)
        return false;
    if (f->kind != FERRY_KIND_STRUCT)
        return true;
    if (f->table->subsections && f->table->subsections[0])
        return false;
    for (uint32_t i = 0; i < f->table->field_count; i++) {
        const struct ferry_field *inner = &f->table->fields[i];

        if (inner->counter_bytes || inner->kind == FERRY_KIND_CUSTOM || !describe_once(inner))
            return false;
    }
    return true;
}

/* Equal names in one table get their ordinal, counting also fields that are absent today. */
static void field_key(struct buf *json, const struct ferry_table *t, const struct ferry_field *f)
{
    const char *name = field_name(f);
    uint32_t same = 0, ordinal = 0;

    for (uint32_t i = 0; i < t->field_count; i++) {
        if (&t->fields[i] == f)
            ordinal = same;
        if (strcmp(field_name(&t->fields[i]), name) == 0)
            same++;
    }
    json_string(json, name);
    if (same < 2)
        return;
    json->len_bytes -= json->failed ? 0 : 1; /* the ordinal goes inside the quotes */
    buf_u8(json, '[');
    json_u64(json, ordinal);
    buf_str(json, "]\"");
}

void describe_field_begin(struct buf *json, const struct ferry_table *t,
                          const struct ferry_field *f, uint32_t index, uint32_t count)
{
    if (!json)
        return;
    if (!json->failed && json->len_bytes && json->data[json->len_bytes - 1] == '}')
        buf_str(json, ", ");
    buf_str(json, "{\"name\": ");
    field_key(json, t, f);
    if (count > 1 && describe_once(f)) {
        buf_str(json, ", \"array_len\": ");
        json_u64(json, count);
    } else if (count > 1) {
        buf_str(json, ", \"index\": ");
        json_u64(json, index);
    }
    buf_str(json, ", \"type\": ");
    json_string(json, type_name(f));
}

void describe_nested(struct buf *json)
{
    if (json)
        buf_str(json, ", \"struct\": {");
}

void describe_nested_end(struct buf *json)
{
    if (json)
        buf_str(json, "}");
}

void describe_field_end(struct buf *json, size_t wire_bytes)
{
    if (!json)
        return;
    buf_str(json, ", \"size\": ");
    json_u64(json, wire_bytes);
    buf_str(json, "}");
}

void describe_table_begin(struct buf *json, const struct ferry_table *t)
{
    if (!json)
        return;
    json_key(json, "vmsd_name");
    json_string(json, t->name);
    buf_str(json, ", \"version\": ");
    json_u64(json, t->version);
    buf_str(json, ", \"fields\": [");
}
