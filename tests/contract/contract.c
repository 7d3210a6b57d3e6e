/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit.h"

#include "tests/contract/contract.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/be.h"
#include "base/buf.h"
#include "lib/state/state.h"
#include "tests/contract/walk.h"

#define FLIPS          3000u
/* Each flip loads the whole state: fewer of them where it is large. */
#define FLIPPED_BYTES  (16u << 20)
/* Beyond this many bytes not every cut is tried in the middle: the cost grows with the square. */
#define CUT_ALL_BYTES  1024u
#define CUT_STEP_BYTES 97u

static void *make(const struct contract_case *c, bool stirred)
{
    void *obj = c->make(c->arg);

    assert_non_null(obj);
    if (stirred && c->stir)
        c->stir(obj);
    return obj;
}

static void destroy(const struct contract_case *c, void *obj)
{
    if (c->destroy)
        c->destroy(obj);
    else
        free(obj);
}

static void save(const struct contract_case *c, void *obj, struct buf *out, struct buf *json)
{
    struct ferry_err err = {0};

    if (state_save(c->table, obj, out, json, &err) < 0)
        fail_msg("%s cannot be saved: %s", c->table->name, err.text);
}

/* Load bytes; a refusal must leave the object as it was and say something. */
static int load(const struct contract_case *c, void *obj, uint32_t version, const uint8_t *bytes,
                size_t n, struct ferry_err *err)
{
    struct rd in = rd_make(bytes, n);
    uint8_t *before = malloc(c->obj_bytes);
    int r;

    assert_non_null(before);
    memcpy(before, obj, c->obj_bytes);
    *err = (struct ferry_err){0};
    r = state_load(c->table, obj, c->obj_bytes, version, &in, err);
    if (r < 0) {
        assert_memory_equal(obj, before, c->obj_bytes);
        assert_true(err->text[0] != 0);
    }
    free(before);
    return r;
}

static void check_round_trip(const struct contract_case *c, void *fresh, const struct buf *saved)
{
    struct buf again = {0};
    struct ferry_err err;

    if (load(c, fresh, c->table->version, saved->data, saved->len_bytes, &err) < 0)
        fail_msg("%s does not load what it saved: %s", c->table->name, err.text);
    save(c, fresh, &again, NULL);
    assert_int_equal(again.len_bytes, saved->len_bytes);
    assert_memory_equal(again.data, saved->data, saved->len_bytes);
    buf_free(&again);
}

static size_t next_cut(size_t n, size_t total)
{
    bool middle = n >= CUT_ALL_BYTES && n + CUT_ALL_BYTES + CUT_STEP_BYTES < total;

    return n + (middle ? CUT_STEP_BYTES : 1);
}

/* More bytes may come: every cut is recognised as one. None will: refused, or cut at a boundary. */
static void check_cuts(const struct contract_case *c, void *obj, const struct buf *saved)
{
    struct state_scratch *s = NULL;
    struct ferry_err err = {0};
    struct rd in;

    assert_int_equal(state_scratch_new(&s, c->table, obj, c->obj_bytes, &err), 0);
    for (size_t n = 0; n < saved->len_bytes; n = next_cut(n, saved->len_bytes)) {
        /* Exactly n bytes of memory, so that a sanitizer sees a read beyond them. */
        uint8_t *cut = malloc(n + 1);

        assert_non_null(cut);
        memcpy(cut + 1, saved->data, n);
        in = rd_make(cut + 1, n);
        if (state_scratch_load(s, c->table->version, &in, false, &err) != -ENODATA)
            fail_msg("%s cut at byte %zu of %zu is not seen as short", c->table->name, n,
                     saved->len_bytes);
        load(c, obj, c->table->version, cut + 1, n, &err);
        free(cut);
    }
    state_scratch_free(s);
}

static void expect_refusal(const struct contract_case *c, void *obj, uint32_t version,
                           const struct buf *bytes, const char *text, const char *what)
{
    struct ferry_err err;

    if (load(c, obj, version, bytes->data, bytes->len_bytes, &err) >= 0)
        fail_msg("%s accepts %s", c->table->name, what);
    if (text && !strstr(err.text, text))
        fail_msg("%s refuses %s without naming %s: %s", c->table->name, what, text, err.text);
}

static void check_versions(const struct contract_case *c, void *obj, const struct buf *saved)
{
    const struct ferry_table *t = c->table;

    if (t->version < UINT32_MAX)
        expect_refusal(c, obj, t->version + 1, saved, "newer", "a newer version");
    if (t->minimum_version > 0)
        expect_refusal(c, obj, t->minimum_version - 1, saved, "older", "a version too old");
}

static void check_unknown_subsection(const struct contract_case *c, void *obj,
                                     const struct buf *saved)
{
    struct buf more = {0};
    char name[300];
    int n = snprintf(name, sizeof(name), "%s/no-such-thing", c->table->name);

    assert_in_range(n, 1, 255);
    buf_put(&more, saved->data, saved->len_bytes);
    buf_u8(&more, 5);
    buf_u8(&more, (uint8_t)n);
    buf_str(&more, name);
    buf_be32(&more, 1);
    expect_refusal(c, obj, c->table->version, &more, "no-such-thing", "an unknown subsection");
    buf_free(&more);
}

struct patching {
    const struct contract_case *c;
    void *obj;
    struct buf *saved; /* put back after each patch */
};

static void expect_patch_refused(struct patching *p, const struct walk_value *v, uint64_t value,
                                 const char *why)
{
    uint8_t *at = p->saved->data + v->wire_offset, old[8];
    char what[160];

    memcpy(old, at, v->field->size_bytes);
    walk_store(v->field, at, value);
    snprintf(what, sizeof(what), "%s of %s (%s) = %llu", v->field->name, v->table->name, why,
             (unsigned long long)value);
    expect_refusal(p->c, p->obj, p->c->table->version, p->saved,
                   v->counts ? v->counts : v->field->name, what);
    memcpy(at, old, v->field->size_bytes);
}

/* Violate everything the table says about this one value, by one. */
static void patch_value(void *arg, const struct walk_value *v)
{
    const struct ferry_field *f = v->field;
    uint64_t top = UINT64_MAX >> (64 - 8 * f->size_bytes);
    struct patching *p = arg;

    switch (f->kind) {
    case FERRY_KIND_BOOL:
        expect_patch_refused(p, v, 2, "bool");
        return;
    case FERRY_KIND_EQUAL:
        expect_patch_refused(p, v, (v->value + 1) & top, "equal");
        return;
    default:
        if (f->max && f->max < top)
            expect_patch_refused(p, v, f->max + 1, "above max");
        if (f->min > 0)
            expect_patch_refused(p, v, f->min - 1, "below min");
        if (v->counts && v->capacity < (f->max ? f->max : top))
            expect_patch_refused(p, v, v->capacity + 1, "counter");
    }
}

static void check_bounds(const struct contract_case *c, void *source, void *obj, struct buf *saved)
{
    struct patching p = {.c = c, .obj = obj, .saved = saved};
    size_t n = walk_values(c->table, source, saved->data, saved->len_bytes, patch_value, &p);

    if (n != saved->len_bytes)
        fail_msg("%s: the table describes %zu bytes, %zu were saved", c->table->name, n,
                 saved->len_bytes);
}

static uint64_t described_bytes(json_object *table);

static uint64_t described_field_bytes(json_object *field)
{
    json_object *v, *nested;
    uint64_t size, n = 1;

    assert_true(json_object_object_get_ex(field, "size", &v));
    size = json_object_get_uint64(v);
    if (json_object_object_get_ex(field, "struct", &nested))
        assert_int_equal(described_bytes(nested), size);
    if (json_object_object_get_ex(field, "array_len", &v))
        n = json_object_get_uint64(v);
    return size * n;
}

static uint64_t described_bytes(json_object *table)
{
    json_object *list, *name;
    uint64_t total = 0;

    assert_true(json_object_object_get_ex(table, "fields", &list));
    for (size_t i = 0; i < json_object_array_length(list); i++)
        total += described_field_bytes(json_object_array_get_idx(list, i));
    if (!json_object_object_get_ex(table, "subsections", &list))
        return total;
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        json_object *sub = json_object_array_get_idx(list, i);

        assert_true(json_object_object_get_ex(sub, "vmsd_name", &name));
        total += 1 + 1 + strlen(json_object_get_string(name)) + 4 + described_bytes(sub);
    }
    return total;
}

static void check_description(const struct contract_case *c, void *source, const struct buf *saved)
{
    struct buf json = {0}, out = {0};
    json_object *root;

    buf_str(&json, "{");
    save(c, source, &out, &json);
    buf_str(&json, "}");
    buf_u8(&json, 0);
    assert_int_equal(json.failed, 0);
    assert_int_equal(out.len_bytes, saved->len_bytes);
    assert_memory_equal(out.data, saved->data, out.len_bytes);
    root = json_tokener_parse((const char *)json.data);
    if (!root)
        fail_msg("%s: not JSON: %s", c->table->name, (const char *)json.data);
    assert_int_equal(described_bytes(root), saved->len_bytes);
    json_object_put(root);
    buf_free(&json);
    buf_free(&out);
}

static void check_flips(const struct contract_case *c, const struct buf *saved)
{
    size_t most = saved->len_bytes ? FLIPPED_BYTES / saved->len_bytes : 0;
    uint64_t random = 88172645463325252u;

    for (unsigned i = 0; i < FLIPS && i < most; i++) {
        struct buf out = {0};
        struct ferry_err err;
        uint8_t *at, bit;
        void *obj;

        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        at = &saved->data[(random >> 8) % saved->len_bytes];
        bit = (uint8_t)(1u << (random & 7));
        obj = make(c, false);
        *at ^= bit;
        if (load(c, obj, c->table->version, saved->data, saved->len_bytes, &err) == 0)
            save(c, obj, &out, NULL);
        *at ^= bit;
        buf_free(&out);
        destroy(c, obj);
    }
}

void contract_run(const struct contract_case *c)
{
    void *source, *fresh;
    struct buf saved = {0};
    struct ferry_err err = {0};

    if (state_table_check(c->table, c->obj_bytes, &err) < 0)
        fail_msg("unsound table: %s", err.text);
    source = make(c, true);
    save(c, source, &saved, NULL);
    fresh = make(c, false);
    check_description(c, source, &saved);
    check_cuts(c, fresh, &saved);
    check_versions(c, fresh, &saved);
    check_unknown_subsection(c, fresh, &saved);
    check_bounds(c, source, fresh, &saved);
    check_round_trip(c, fresh, &saved);
    check_flips(c, &saved);
    destroy(c, fresh);
    destroy(c, source);
    buf_free(&saved);
}

void contract_refuses(const struct contract_case *c, void (*spoil)(void *obj), const char *text)
{
    void *source = make(c, true), *fresh = make(c, false);
    struct buf saved = {0};

    spoil(source);
    save(c, source, &saved, NULL);
    expect_refusal(c, fresh, c->table->version, &saved, text, "senseless state");
    buf_free(&saved);
    destroy(c, fresh);
    destroy(c, source);
}
