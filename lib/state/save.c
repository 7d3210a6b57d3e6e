/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "base/be.h"
#include "base/err.h"
#include "lib/state/describe.h"
#include "lib/state/state.h"
#include "lib/state/table.h"

#define SUBSECTION_BYTE 0x05u

struct saver {
    struct buf *out;
    struct buf *json; /* NULL: no description wanted, or inside an opaque field */
    struct ferry_err *err;
};

static int save_table(struct saver *s, const struct ferry_table *t, void *obj,
                      const struct table_path *path);

static void encode_uints(const struct ferry_field *f, const uint8_t *member, uint32_t n,
                         uint8_t *wire)
{
    bool little = f->kind == FERRY_KIND_UINT_LE;
    uint16_t v16;
    uint32_t v32;
    uint64_t v64;

    switch (f->size_bytes) {
    case 1:
        memcpy(wire, member, n);
        return;
    case 2:
        for (size_t at = 0; at < (size_t)n * 2; at += 2) {
            memcpy(&v16, member + at, sizeof(v16));
            little ? le16_store(wire + at, v16) : be16_store(wire + at, v16);
        }
        return;
    case 4:
        for (size_t at = 0; at < (size_t)n * 4; at += 4) {
            memcpy(&v32, member + at, sizeof(v32));
            little ? le32_store(wire + at, v32) : be32_store(wire + at, v32);
        }
        return;
    default:
        for (size_t at = 0; at < (size_t)n * 8; at += 8) {
            memcpy(&v64, member + at, sizeof(v64));
            little ? le64_store(wire + at, v64) : be64_store(wire + at, v64);
        }
    }
}

/* Of scalars, bytes and unused bytes: n elements to wire, size_bytes each. */
static void encode_plain(const struct ferry_field *f, const uint8_t *member, uint32_t n,
                         uint8_t *wire)
{
    switch (f->kind) {
    case FERRY_KIND_BOOL:
        for (uint32_t i = 0; i < n; i++)
            wire[i] = member[i] != 0;
        return;
    case FERRY_KIND_BYTES:
        memcpy(wire, member, n);
        return;
    case FERRY_KIND_UNUSED:
        memset(wire, 0, n);
        return;
    default:
        encode_uints(f, member, n, wire);
    }
}

static uint8_t *encode_flat(const struct ferry_table *t, size_t wire_bytes, const uint8_t *obj,
                            size_t element_bytes, uint32_t n, uint8_t *wire);

static uint8_t *encode_element(const struct ferry_table *t, const uint8_t *obj, uint8_t *wire)
{
    for (uint32_t i = 0; i < t->field_count; i++) {
        const struct ferry_field *f = &t->fields[i];

        if (f->kind == FERRY_KIND_STRUCT) {
            wire = encode_flat(f->table, table_flat_bytes(f->table), obj + f->offset, f->size_bytes,
                               f->count, wire);
            continue;
        }
        encode_plain(f, obj + f->offset, f->count, wire);
        wire += (size_t)f->size_bytes * f->count;
    }
    return wire;
}

/* Elements of a flat table. Long arrays are mostly empty; zero bytes encode to zero bytes. */
static uint8_t *encode_flat(const struct ferry_table *t, size_t wire_bytes, const uint8_t *obj,
                            size_t element_bytes, uint32_t n, uint8_t *wire)
{
    while (n > 0) {
        uint32_t run = table_run(n);

        n -= run;
        if (run > 1 && table_is_zero(obj, element_bytes * run)) {
            memset(wire, 0, wire_bytes * run);
            wire += wire_bytes * run;
            obj += element_bytes * run;
            continue;
        }
        for (; run > 0; run--, obj += element_bytes)
            wire = encode_element(t, obj, wire);
    }
    return wire;
}

/* One element of a nested table, with its description. */
static int save_element(struct saver *s, const struct ferry_field *f, void *member,
                        const struct table_path *path)
{
    struct buf *json = s->json;
    int r;

    if (f->type_name)
        s->json = NULL;
    else
        describe_nested(json);
    r = save_table(s, f->table, member, path);
    if (!f->type_name)
        describe_nested_end(json);
    s->json = json;
    return r;
}

static int save_structs(struct saver *s, const struct ferry_table *t, const struct ferry_field *f,
                        uint8_t *member, uint32_t n, const struct table_path *path)
{
    struct table_path step = {.up = path, .name = f->name, .separator = '.', .index = -1};
    size_t flat_bytes = n > 1 ? table_flat_bytes(f->table) : 0;
    bool once = s->json && n > 1 && describe_once(f);
    struct buf *json = s->json;
    int r = 0;

    for (uint32_t i = 0; i < n && r == 0; i++) {
        size_t before = s->out->len_bytes;

        if (n > 1)
            step.index = i;
        if (i > 0 && once)
            s->json = NULL;
        if (flat_bytes && !s->json) {
            uint8_t *wire = buf_extend(s->out, flat_bytes * (n - i));

            if (wire)
                encode_flat(f->table, flat_bytes, member, f->size_bytes, n - i, wire);
            break;
        }
        describe_field_begin(s->json, t, f, i, n);
        r = save_element(s, f, member, &step);
        describe_field_end(s->json, s->out->len_bytes - before);
        member += f->size_bytes;
    }
    s->json = json;
    return r;
}

static void describe_plain(struct saver *s, const struct ferry_table *t,
                           const struct ferry_field *f, uint32_t n)
{
    if (!s->json || (n == 0 && f->kind != FERRY_KIND_BYTES))
        return;
    if (f->kind == FERRY_KIND_BYTES || f->kind == FERRY_KIND_UNUSED) {
        describe_field_begin(s->json, t, f, 0, 1);
        describe_field_end(s->json, n);
        return;
    }
    for (uint32_t i = 0; i < n; i++) {
        describe_field_begin(s->json, t, f, i, n);
        describe_field_end(s->json, f->size_bytes);
        if (describe_once(f))
            return;
    }
}

static int save_field(struct saver *s, const struct ferry_table *t, const struct ferry_field *f,
                      uint8_t *obj, const struct table_path *path)
{
    size_t before = s->out->len_bytes;
    uint8_t *wire;
    uint32_t n;
    int r;

    r = table_elements(f, obj, path, &n, s->err);
    if (r < 0)
        return r;
    switch (f->kind) {
    case FERRY_KIND_STRUCT:
        return save_structs(s, t, f, obj + f->offset, n, path);
    case FERRY_KIND_CUSTOM:
        f->custom->save(obj, obj + f->offset, (struct ferry_out *)s->out);
        describe_field_begin(s->json, t, f, 0, 1);
        describe_field_end(s->json, s->out->len_bytes - before);
        return 0;
    default:
        describe_plain(s, t, f, n);
        wire = n ? buf_extend(s->out, (size_t)f->size_bytes * n) : NULL;
        if (wire)
            encode_plain(f, obj + f->offset, n, wire);
        return 0;
    }
}

static int save_subsections(struct saver *s, const struct ferry_table *t, void *obj,
                            const struct table_path *path)
{
    bool any = false;
    int r = 0;

    for (size_t i = 0; t->subsections[i] && r == 0; i++) {
        const struct ferry_table *sub = t->subsections[i];
        struct table_path step = {
            .up = path, .name = table_subsection_suffix(t, sub), .separator = '/', .index = -1};
        size_t name_bytes = strlen(sub->name);

        if (sub->needed && !sub->needed(obj))
            continue;
        buf_u8(s->out, SUBSECTION_BYTE);
        buf_u8(s->out, (uint8_t)name_bytes);
        buf_put(s->out, sub->name, name_bytes);
        buf_be32(s->out, sub->version);
        if (s->json)
            buf_str(s->json, any ? ", {" : ", \"subsections\": [{");
        r = save_table(s, sub, obj, &step);
        if (s->json)
            buf_str(s->json, "}");
        any = true;
    }
    if (any && s->json)
        buf_str(s->json, "]");
    return r;
}

static int save_table(struct saver *s, const struct ferry_table *t, void *obj,
                      const struct table_path *path)
{
    int r;

    if (t->pre_save)
        t->pre_save(obj);
    describe_table_begin(s->json, t);
    for (uint32_t i = 0; i < t->field_count; i++) {
        const struct ferry_field *f = &t->fields[i];

        if (!table_has_field(f, obj, t->version))
            continue;
        r = save_field(s, t, f, obj, path);
        if (r < 0)
            return r;
    }
    if (s->json)
        buf_str(s->json, "]");
    return t->subsections ? save_subsections(s, t, obj, path) : 0;
}

int state_save(const struct ferry_table *table, void *obj, struct buf *out, struct buf *json,
               struct ferry_err *err)
{
    struct saver s = {.out = out, .json = json, .err = err};
    struct table_path root = {.name = table->name, .index = -1};
    int r;

    r = save_table(&s, table, obj, &root);
    if (r < 0)
        return r;
    if (out->failed)
        return err_sys(err, out->failed, "%s: cannot hold its saved state", table->name);
    if (json && json->failed)
        return err_sys(err, json->failed, "%s: cannot hold its description", table->name);
    return 0;
}

int state_describe(const struct ferry_table *table, void *obj, struct buf *json,
                   struct ferry_err *err)
{
    struct buf out = {0};
    int r;

    r = state_save(table, obj, &out, json, err);
    buf_free(&out);
    return r;
}
