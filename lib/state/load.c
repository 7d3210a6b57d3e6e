/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loading, and whose subsection it is. There are no tags: after the last field of a table named N
 * the next bytes are a subsection of N exactly if they are 5, a length l > strlen(N), and l bytes
 * of which the first are N. Anything else belongs to what follows and is not touched. So one may
 * have to look l + 2 bytes ahead, and must not consume.
 */
#include "lib/state/load.h"

#include <errno.h>
#include <inttypes.h>

#include "base/be.h"
#include "base/err.h"
#include "base/text.h"
#include "lib/state/state.h"
#include "lib/state/table.h"

#define SUBSECTION_BYTE 0x05u

static int load_table(struct loader *l, const struct ferry_table *t, uint32_t version, uint8_t *obj,
                      const struct table_path *path);

static int load_version(const struct loader *l, const struct ferry_table *t, uint32_t version,
                        const struct table_path *path)
{
    if (version > t->version)
        return table_refuse(l->err, EINVAL, path, NULL, -1,
                            "version %" PRIu32 " is newer than %" PRIu32
                            ", the newest that this program knows",
                            version, t->version);
    if (version < t->minimum_version)
        return table_refuse(l->err, EINVAL, path, NULL, -1,
                            "version %" PRIu32 " is older than %" PRIu32
                            ", the oldest that this program knows",
                            version, t->minimum_version);
    return 0;
}

static const uint8_t *load_take(struct loader *l, const struct ferry_field *f, size_t n,
                                const struct table_path *path)
{
    size_t left = rd_left(l->in);
    const uint8_t *wire = rd_take(l->in, n);

    if (!wire)
        table_refuse(l->err, ENODATA, path, f->name, -1,
                     "the stream ends inside it (%zu of %zu bytes)", left, n);
    return wire;
}

/* --- Scalars --- */

static int bad_value(const struct loader *l, const struct ferry_field *f, uint32_t index,
                     uint64_t v, const struct table_path *path)
{
    int64_t at = f->count > 1 ? (int64_t)index : -1;

    if (v < f->min)
        return table_refuse(l->err, EINVAL, path, f->name, at, "%" PRIu64 " is less than %" PRIu64,
                            v, f->min);
    return table_refuse(l->err, EINVAL, path, f->name, at, "%" PRIu64 " is more than %" PRIu64, v,
                        f->max);
}

static int load_bounds(const struct loader *l, const struct ferry_field *f, const uint8_t *member,
                       uint32_t n, const struct table_path *path)
{
    if (f->min == 0 && f->max == 0)
        return 0;
    for (uint32_t i = 0; i < n; i++) {
        uint64_t v = table_uint(member + (size_t)i * f->size_bytes, f->size_bytes);

        if (v < f->min || (f->max && v > f->max))
            return bad_value(l, f, i, v, path);
    }
    return 0;
}

static void decode_uints(const uint8_t *wire, uint8_t *member, uint32_t size_bytes, uint32_t n)
{
    uint16_t v16;
    uint32_t v32;
    uint64_t v64;

    switch (size_bytes) {
    case 1:
        memcpy(member, wire, n);
        return;
    case 2:
        for (size_t at = 0; at < (size_t)n * 2; at += 2) {
            v16 = be16_load(wire + at);
            memcpy(member + at, &v16, sizeof(v16));
        }
        return;
    case 4:
        for (size_t at = 0; at < (size_t)n * 4; at += 4) {
            v32 = be32_load(wire + at);
            memcpy(member + at, &v32, sizeof(v32));
        }
        return;
    default:
        for (size_t at = 0; at < (size_t)n * 8; at += 8) {
            v64 = be64_load(wire + at);
            memcpy(member + at, &v64, sizeof(v64));
        }
    }
}

static uint64_t decode_uint(const uint8_t *wire, uint32_t size_bytes, bool little)
{
    switch (size_bytes) {
    case 1:
        return *wire;
    case 2:
        return little ? le16_load(wire) : be16_load(wire);
    case 4:
        return little ? le32_load(wire) : be32_load(wire);
    default:
        return little ? le64_load(wire) : be64_load(wire);
    }
}

static void decode_uints_le(const uint8_t *wire, uint8_t *member, uint32_t size_bytes, uint32_t n)
{
    for (size_t at = 0; at < (size_t)n * size_bytes; at += size_bytes) {
        uint64_t v = decode_uint(wire + at, size_bytes, true);
        uint16_t v16 = (uint16_t)v;
        uint32_t v32 = (uint32_t)v;

        if (size_bytes == 1)
            member[at] = wire[at];
        else if (size_bytes == 2)
            memcpy(member + at, &v16, sizeof(v16));
        else if (size_bytes == 4)
            memcpy(member + at, &v32, sizeof(v32));
        else
            memcpy(member + at, &v, sizeof(v));
    }
}

static int load_equals(const struct loader *l, const struct ferry_field *f, const uint8_t *wire,
                       const uint8_t *member, uint32_t n, const struct table_path *path)
{
    for (uint32_t i = 0; i < n; i++) {
        size_t at = (size_t)i * f->size_bytes;
        uint64_t theirs = decode_uint(wire + at, f->size_bytes, false);
        uint64_t ours = table_uint(member + at, f->size_bytes);

        if (theirs != ours)
            return table_refuse(l->err, EINVAL, path, f->name, f->count > 1 ? (int64_t)i : -1,
                                "the stream has %" PRIu64 ", here it is %" PRIu64
                                "; both sides must be configured alike",
                                theirs, ours);
    }
    return 0;
}

static int load_bools(const struct loader *l, const struct ferry_field *f, const uint8_t *wire,
                      uint8_t *member, uint32_t n, const struct table_path *path)
{
    for (uint32_t i = 0; i < n; i++) {
        if (wire[i] > 1)
            return table_refuse(l->err, EINVAL, path, f->name, f->count > 1 ? (int64_t)i : -1,
                                "%u is neither 0 nor 1", wire[i]);
        member[i] = wire[i];
    }
    return 0;
}

static int load_plain(const struct loader *l, const struct ferry_field *f, const uint8_t *wire,
                      uint8_t *member, uint32_t n, const struct table_path *path)
{
    switch (f->kind) {
    case FERRY_KIND_EQUAL:
        return load_equals(l, f, wire, member, n, path);
    case FERRY_KIND_BOOL:
        return load_bools(l, f, wire, member, n, path);
    case FERRY_KIND_UNUSED:
        return 0;
    case FERRY_KIND_BYTES:
        memcpy(member, wire, n);
        return 0;
    case FERRY_KIND_UINT_LE:
        decode_uints_le(wire, member, f->size_bytes, n);
        return load_bounds(l, f, member, n, path);
    default:
        decode_uints(wire, member, f->size_bytes, n);
        return load_bounds(l, f, member, n, path);
    }
}

/* --- Structs --- */

/* One element of a flat table whose wire bytes are known to be there. */
static int load_flat(const struct loader *l, const struct ferry_table *t, const uint8_t *wire,
                     uint8_t *obj, const struct table_path *path)
{
    for (uint32_t i = 0; i < t->field_count; i++) {
        const struct ferry_field *f = &t->fields[i];
        struct table_path step = {.up = path, .name = f->name, .separator = '.', .index = -1};
        size_t element_bytes;
        int r;

        if (f->kind != FERRY_KIND_STRUCT) {
            r = load_plain(l, f, wire, obj + f->offset, f->count, path);
            if (r < 0)
                return r;
            wire += (size_t)f->size_bytes * f->count;
            continue;
        }
        element_bytes = table_flat_bytes(f->table);
        for (uint32_t k = 0; k < f->count; k++, wire += element_bytes) {
            step.index = f->count > 1 ? (int64_t)k : -1;
            r = load_flat(l, f->table, wire, obj + f->offset + (size_t)k * f->size_bytes, &step);
            if (r < 0)
                return r;
        }
    }
    return 0;
}

/* An array of flat structs: mostly empty runs, which zero bytes over zero members leave alone. */
static int load_flat_array(struct loader *l, const struct ferry_field *f, size_t element_bytes,
                           uint8_t *member, uint32_t n, struct table_path *step)
{
    bool skip_zeros = table_zero_loads(f->table);
    const uint8_t *wire = load_take(l, f, element_bytes * n, step->up);
    int r = 0;

    if (!wire)
        return -ENODATA;
    for (uint32_t i = 0; i < n && r == 0;) {
        uint32_t end = i + table_run(n - i);
        size_t run = end - i;

        if (skip_zeros && table_is_zero(wire, element_bytes * run) &&
            table_is_zero(member, f->size_bytes * run)) {
            wire += element_bytes * run;
            member += f->size_bytes * run;
            i = end;
            continue;
        }
        for (; i < end && r == 0; i++, wire += element_bytes, member += f->size_bytes) {
            step->index = i;
            r = load_flat(l, f->table, wire, member, step);
        }
    }
    return r;
}

static int load_structs(struct loader *l, const struct ferry_field *f, uint8_t *member, uint32_t n,
                        const struct table_path *path)
{
    struct table_path step = {.up = path, .name = f->name, .separator = '.', .index = -1};
    size_t flat_bytes = n > 1 ? table_flat_bytes(f->table) : 0;
    int r = 0;

    if (flat_bytes)
        return load_flat_array(l, f, flat_bytes, member, n, &step);
    for (uint32_t i = 0; i < n && r == 0; i++) {
        if (f->count > 1)
            step.index = i;
        r = load_table(l, f->table, f->table->version, member, &step);
        member += f->size_bytes;
    }
    return r;
}

static int load_custom(struct loader *l, const struct ferry_field *f, const uint8_t *obj,
                       uint8_t *member, const struct table_path *path)
{
    struct ferry_err inner = {0};
    int r;

    r = f->custom->load(obj, member, (struct ferry_in *)l->in, &inner);
    if (l->in->failed)
        return table_refuse(l->err, ENODATA, path, f->name, -1, "the stream ends inside it");
    if (r < 0)
        return table_refuse(l->err, -r, path, f->name, -1, "%s",
                            inner.text[0] ? inner.text : "refused");
    return 0;
}

static int load_field(struct loader *l, const struct ferry_field *f, uint8_t *obj,
                      const struct table_path *path)
{
    const uint8_t *wire;
    uint32_t n;
    int r;

    r = table_elements(f, obj, path, &n, l->err);
    if (r < 0)
        return r;
    switch (f->kind) {
    case FERRY_KIND_STRUCT:
        return load_structs(l, f, obj + f->offset, n, path);
    case FERRY_KIND_CUSTOM:
        return load_custom(l, f, obj, obj + f->offset, path);
    default:
        wire = load_take(l, f, (size_t)f->size_bytes * n, path);
        return wire ? load_plain(l, f, wire, obj + f->offset, n, path) : -ENODATA;
    }
}

/* --- Subsections --- */

/* The name of a subsection of t at the cursor: 1 and *name, 0 if there is none, -ENODATA. */
static int peek_subsection(const struct loader *l, const struct ferry_table *t,
                           const struct table_path *path, const uint8_t **name, size_t *name_bytes)
{
    size_t left = rd_left(l->in), prefix_bytes = strlen(t->name), there;
    const uint8_t *at = rd_peek(l->in, left);

    if (left > 0 && at[0] != SUBSECTION_BYTE)
        return 0;
    if (left > 1 && at[1] < prefix_bytes + 1)
        return 0;
    there = left > 2 ? left - 2 : 0;
    if (there > 0 && memcmp(at + 2, t->name, there < prefix_bytes ? there : prefix_bytes) != 0)
        return 0;
    if (left < 2 || there < at[1]) {
        if (l->final)
            return 0;
        return table_refuse(l->err, ENODATA, path, NULL, -1,
                            "the stream ends where a subsection could be");
    }
    *name = at + 2;
    *name_bytes = at[1];
    return 1;
}

static int find_subsection(const struct loader *l, const struct ferry_table *t, const uint8_t *name,
                           size_t name_bytes, const struct table_path *path)
{
    char text[TEXT_NAME_BYTES];

    for (int i = 0; t->subsections && t->subsections[i]; i++) {
        const char *known = t->subsections[i]->name;

        if (strlen(known) == name_bytes && memcmp(known, name, name_bytes) == 0)
            return i;
    }
    return table_refuse(l->err, EINVAL, path, NULL, -1,
                        "unknown subsection \"%s\": the sender has a feature that is off or "
                        "unknown here",
                        text_name(text, name, name_bytes));
}

static int load_subsection(struct loader *l, const struct ferry_table *t, uint8_t *obj,
                           const uint8_t *name, size_t name_bytes, uint64_t *seen,
                           const struct table_path *path)
{
    struct table_path step = {.up = path, .separator = '/', .index = -1};
    const struct ferry_table *sub;
    uint32_t version;
    int i, r;

    i = find_subsection(l, t, name, name_bytes, path);
    if (i < 0)
        return i;
    sub = t->subsections[i];
    step.name = table_subsection_suffix(t, sub);
    if (*seen & (UINT64_C(1) << i))
        return table_refuse(l->err, EINVAL, &step, NULL, -1, "this subsection came before");
    *seen |= UINT64_C(1) << i;
    rd_take(l->in, name_bytes + 2);
    version = rd_be32(l->in);
    if (l->in->failed)
        return table_refuse(l->err, ENODATA, &step, NULL, -1, "the stream ends in its version");
    r = load_version(l, sub, version, &step);
    return r < 0 ? r : load_table(l, sub, version, obj, &step);
}

static int load_subsections(struct loader *l, const struct ferry_table *t, uint8_t *obj,
                            const struct table_path *path)
{
    const uint8_t *name = NULL;
    size_t name_bytes = 0;
    uint64_t seen = 0;
    int r;

    while ((r = peek_subsection(l, t, path, &name, &name_bytes)) > 0) {
        r = load_subsection(l, t, obj, name, name_bytes, &seen, path);
        if (r < 0)
            return r;
    }
    return r;
}

static int load_table(struct loader *l, const struct ferry_table *t, uint32_t version, uint8_t *obj,
                      const struct table_path *path)
{
    int r;

    if (t->pre_load)
        t->pre_load(obj);
    for (uint32_t i = 0; i < t->field_count; i++) {
        const struct ferry_field *f = &t->fields[i];

        if (!table_has_field(f, obj, version))
            continue;
        r = load_field(l, f, obj, path);
        if (r < 0)
            return r;
    }
    r = load_subsections(l, t, obj, path);
    if (r < 0)
        return r;
    if (t->check || t->post_load)
        l->done[l->done_count++] = (struct load_done){t, (size_t)(obj - l->base)};
    return 0;
}

int load_root(struct loader *l, const struct ferry_table *t, uint32_t version)
{
    struct table_path root = {.name = t->name, .index = -1};
    int r;

    r = load_version(l, t, version, &root);
    return r < 0 ? r : load_table(l, t, version, l->base, &root);
}

size_t load_done_max(const struct ferry_table *t)
{
    size_t n = t->check || t->post_load;

    for (uint32_t i = 0; i < t->field_count; i++) {
        if (t->fields[i].kind == FERRY_KIND_STRUCT)
            n += t->fields[i].count * load_done_max(t->fields[i].table);
    }
    for (size_t i = 0; t->subsections && t->subsections[i]; i++)
        n += load_done_max(t->subsections[i]);
    return n;
}
