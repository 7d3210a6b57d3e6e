/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/own.h"
#include "lib/state/load.h"
#include "lib/state/state.h"
#include "lib/state/table.h"

struct state_scratch {
    const struct ferry_table *table;
    uint8_t *obj;  /* loan; NULL: load and throw away */
    uint8_t *copy; /* owned, obj_bytes */
    size_t obj_bytes;
    struct load_done *done; /* owned */
    size_t done_count;
};

static void state_scratch_freep(struct state_scratch **s)
{
    state_scratch_free(*s);
}

int state_scratch_new(struct state_scratch **ret, const struct ferry_table *table, void *obj,
                      size_t obj_bytes, struct ferry_err *err)
{
    OWN(state_scratch_freep) struct state_scratch *s = NULL;
    int r;

    r = state_table_check(table, obj_bytes, err);
    if (r < 0)
        return r;
    s = calloc(1, sizeof(*s));
    if (!s)
        return err_set(err, ENOMEM, "%s: no memory to load it", table->name);
    s->table = table;
    s->obj = obj;
    s->obj_bytes = obj_bytes;
    s->copy = malloc(obj_bytes ? obj_bytes : 1);
    s->done = calloc(load_done_max(table) + 1, sizeof(*s->done));
    if (!s->copy || !s->done)
        return err_set(err, ENOMEM, "%s: no memory to load it", table->name);
    /* Touched now, so that the first load during a pause takes no page fault. */
    memset(s->copy, 0, obj_bytes);
    *ret = TAKE_PTR(s);
    return 0;
}

void state_scratch_free(struct state_scratch *s)
{
    if (!s)
        return;
    free(s->copy);
    free(s->done);
    free(s);
}

static int run_checks(const struct state_scratch *s, struct ferry_err *err)
{
    for (size_t i = 0; i < s->done_count; i++) {
        const struct load_done *d = &s->done[i];
        struct ferry_err inner = {0};
        int r;

        if (!d->table->check)
            continue;
        r = d->table->check(s->copy + d->offset, &inner);
        if (r < 0)
            return err_set(err, -r, "%s: %s", d->table->name,
                           inner.text[0] ? inner.text : "its values do not fit together");
    }
    return 0;
}

int state_scratch_load(struct state_scratch *s, uint32_t version, struct rd *in, bool final,
                       struct ferry_err *err)
{
    struct loader l = {.in = in, .final = final, .err = err, .base = s->copy, .done = s->done};
    int r;

    s->done_count = 0;
    if (s->obj)
        memcpy(s->copy, s->obj, s->obj_bytes);
    else
        memset(s->copy, 0, s->obj_bytes);
    r = load_root(&l, s->table, version);
    if (r < 0)
        return r;
    s->done_count = l.done_count;
    return run_checks(s, err);
}

static void copy_table(const struct ferry_table *t, const uint8_t *from, uint8_t *to);

static void copy_field(const struct ferry_field *f, const uint8_t *from, uint8_t *to)
{
    if (f->kind == FERRY_KIND_UNUSED || f->kind == FERRY_KIND_EQUAL)
        return;
    if (f->kind != FERRY_KIND_STRUCT) {
        memcpy(to + f->offset, from + f->offset, (size_t)f->size_bytes * f->count);
        return;
    }
    from += f->offset;
    to += f->offset;
    for (uint32_t i = 0; i < f->count;) {
        uint32_t run = table_run(f->count - i);

        /* Most of a long array did not change; a compare is cheaper than a walk. */
        if (memcmp(from, to, (size_t)f->size_bytes * run) != 0) {
            for (uint32_t k = 0; k < run; k++)
                copy_table(f->table, from + (size_t)f->size_bytes * k,
                           to + (size_t)f->size_bytes * k);
        }
        from += (size_t)f->size_bytes * run;
        to += (size_t)f->size_bytes * run;
        i += run;
    }
}

/*
 * Every member the table names, also those of fields and subsections that the stream left out:
 * pre_load may have given them their defaults, else they still have the object's own values.
 */
static void copy_table(const struct ferry_table *t, const uint8_t *from, uint8_t *to)
{
    for (uint32_t i = 0; i < t->field_count; i++)
        copy_field(&t->fields[i], from, to);
    for (size_t i = 0; t->subsections && t->subsections[i]; i++)
        copy_table(t->subsections[i], from, to);
}

void state_scratch_copy(struct state_scratch *s)
{
    if (s->obj)
        copy_table(s->table, s->copy, s->obj);
}

void state_scratch_post_load(struct state_scratch *s)
{
    if (!s->obj)
        return;
    for (size_t i = 0; i < s->done_count; i++) {
        const struct load_done *d = &s->done[i];

        if (d->table->post_load)
            d->table->post_load(s->obj + d->offset);
    }
}

void state_scratch_commit(struct state_scratch *s)
{
    state_scratch_copy(s);
    state_scratch_post_load(s);
}

int state_load(const struct ferry_table *table, void *obj, size_t obj_bytes, uint32_t version,
               struct rd *in, struct ferry_err *err)
{
    struct state_scratch *s = NULL;
    int r;

    r = state_scratch_new(&s, table, obj, obj_bytes, err);
    if (r < 0)
        return r;
    r = state_scratch_load(s, version, in, true, err);
    if (r == 0)
        state_scratch_commit(s);
    state_scratch_free(s);
    return r;
}
