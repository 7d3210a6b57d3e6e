/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit.h"

#include "tests/contract/walk.h"

#include <string.h>

#include "base/be.h"
#include "base/buf.h"

struct walk {
    const uint8_t *bytes;
    size_t len_bytes;
    size_t pos_bytes;
    walk_fn *fn;
    void *arg;
    unsigned silent; /* inside elements that are not reported */
};

static void walk_table(struct walk *w, const struct ferry_table *t, const uint8_t *obj);

static uint64_t native(const uint8_t *p, uint32_t size_bytes)
{
    uint64_t v = 0;

    for (uint32_t i = 0; i < size_bytes; i++)
        v |= (uint64_t)p[i] << (8 * i); /* the hosts that the tests run on are little endian */
    return v;
}

void walk_store(const struct ferry_field *f, uint8_t *at, uint64_t value)
{
    for (uint32_t i = 0; i < f->size_bytes; i++) {
        uint32_t byte = f->kind == FERRY_KIND_UINT_LE ? i : f->size_bytes - 1 - i;

        at[i] = (uint8_t)(value >> (8 * byte));
    }
}

/* The field, if any, whose length obj's member f is. */
static const struct ferry_field *counted_by(const struct ferry_table *t,
                                            const struct ferry_field *f)
{
    for (uint32_t i = 0; i < t->field_count; i++) {
        const struct ferry_field *other = &t->fields[i];

        if (other->counter_bytes && other->counter_offset == f->offset)
            return other;
    }
    return NULL;
}

static void walk_scalar(struct walk *w, const struct ferry_table *t, const struct ferry_field *f,
                        const uint8_t *obj, uint32_t index, uint32_t count)
{
    const struct ferry_field *counted = counted_by(t, f);
    struct walk_value v = {.table = t, .field = f, .wire_offset = w->pos_bytes};

    w->pos_bytes += f->size_bytes;
    assert_true(w->pos_bytes <= w->len_bytes);
    if (w->silent || (index > 0 && index < count - 1))
        return;
    v.value = native(obj + f->offset + (size_t)index * f->size_bytes, f->size_bytes);
    if (counted) {
        v.counts = counted->name;
        v.capacity = counted->count;
    }
    w->fn(w->arg, &v);
}

static void walk_element(struct walk *w, const struct ferry_table *t, const struct ferry_field *f,
                         const uint8_t *obj, uint32_t index, uint32_t count)
{
    bool middle = index > 0 && index < count - 1;
    struct buf out = {0};

    switch (f->kind) {
    case FERRY_KIND_BYTES:
    case FERRY_KIND_UNUSED:
        w->pos_bytes++;
        return;
    case FERRY_KIND_STRUCT:
        w->silent += middle;
        walk_table(w, f->table, obj + f->offset + (size_t)index * f->size_bytes);
        w->silent -= middle;
        return;
    case FERRY_KIND_CUSTOM:
        f->custom->save(obj, obj + f->offset, (struct ferry_out *)&out);
        w->pos_bytes += out.len_bytes;
        buf_free(&out);
        return;
    default:
        walk_scalar(w, t, f, obj, index, count);
    }
}

static void walk_table(struct walk *w, const struct ferry_table *t, const uint8_t *obj)
{
    for (uint32_t i = 0; i < t->field_count; i++) {
        const struct ferry_field *f = &t->fields[i];
        uint32_t count = f->count;

        if (f->since > t->version || (f->present && !f->present(obj, t->version)))
            continue;
        if (f->counter_bytes)
            count = (uint32_t)native(obj + f->counter_offset, f->counter_bytes);
        for (uint32_t k = 0; k < count; k++)
            walk_element(w, t, f, obj, k, count);
    }
    for (size_t i = 0; t->subsections && t->subsections[i]; i++) {
        const struct ferry_table *sub = t->subsections[i];
        size_t n = strlen(sub->name);

        if (sub->needed && !sub->needed(obj))
            continue;
        assert_true(w->pos_bytes + n + 6 <= w->len_bytes);
        assert_int_equal(w->bytes[w->pos_bytes], 5);
        assert_int_equal(w->bytes[w->pos_bytes + 1], n);
        assert_memory_equal(w->bytes + w->pos_bytes + 2, sub->name, n);
        assert_int_equal(be32_load(w->bytes + w->pos_bytes + 2 + n), sub->version);
        w->pos_bytes += n + 6;
        walk_table(w, sub, obj);
    }
}

size_t walk_values(const struct ferry_table *t, const void *obj, const uint8_t *bytes, size_t n,
                   walk_fn *fn, void *arg)
{
    struct walk w = {.bytes = bytes, .len_bytes = n, .fn = fn, .arg = arg};

    walk_table(&w, t, obj);
    return w.pos_bytes;
}
