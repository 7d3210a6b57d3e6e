/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/wire/vm_load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/own.h"
#include "lib/state/state.h"

struct target {
    const char *idstr;
    uint32_t instance_id;
    const struct ferry_part *part; /* NULL: thrown away */
    struct state_scratch *scratch; /* owned */
    bool loaded;
};

struct vm_load {
    struct ferry_vm *vm;
    struct stream_in *in;
    struct target *targets; /* owned */
    size_t target_count;
    size_t expected; /* the target that the next section most likely is: lists have one order */
};

static void vm_load_freep(struct vm_load **l)
{
    vm_load_free(*l);
}

static int add_target(struct vm_load *l, const struct target *like, const struct ferry_table *table,
                      void *obj, size_t obj_bytes, struct ferry_err *err)
{
    struct target *more = reallocarray(l->targets, l->target_count + 1, sizeof(*more));
    struct target *t;
    int r;

    if (!more)
        return err_set(err, ENOMEM, "no memory to load \"%s\"", like->idstr);
    l->targets = more;
    t = &l->targets[l->target_count];
    *t = *like;
    r = state_scratch_new(&t->scratch, table, obj, obj_bytes, err);
    if (r == 0)
        l->target_count++;
    return r;
}

int vm_load_new(struct vm_load **ret, struct ferry_vm *vm, struct ferry_err *err)
{
    OWN(vm_load_freep) struct vm_load *l = calloc(1, sizeof(*l));
    const struct ferry_part *part;
    int r;

    if (!l)
        return err_set(err, ENOMEM, "no memory to load a VM");
    l->vm = vm;
    r = stream_in_new(&l->in, err);
    if (r < 0)
        return r;
    for (size_t i = 0; (part = ferry_vm_part(vm, i)); i++) {
        struct target t = {.idstr = part->idstr, .instance_id = part->instance_id, .part = part};

        if (!part->table)
            continue;
        r = add_target(l, &t, part->table, part->obj, part->obj_bytes, err);
        if (r < 0)
            return r;
    }
    *ret = TAKE_PTR(l);
    return 0;
}

void vm_load_free(struct vm_load *l)
{
    if (!l)
        return;
    for (size_t i = 0; i < l->target_count; i++)
        state_scratch_free(l->targets[i].scratch);
    free(l->targets);
    stream_in_free(l->in);
    free(l);
}

static struct target *find_target(const struct vm_load *l, const char *idstr, uint32_t instance_id)
{
    for (size_t k = 0; k < l->target_count; k++) {
        struct target *t = &l->targets[(l->expected + k) % l->target_count];

        if (t->instance_id == instance_id && strcmp(t->idstr, idstr) == 0)
            return t;
    }
    return NULL;
}

int vm_load_ignore(struct vm_load *l, const char *idstr, uint32_t instance_id,
                   const struct ferry_table *table, size_t obj_bytes, struct ferry_err *err)
{
    struct target t = {.idstr = idstr, .instance_id = instance_id};

    if (find_target(l, idstr, instance_id))
        return err_set(err, EEXIST, "section \"%s\" (instance %u) is loaded already", idstr,
                       instance_id);
    return add_target(l, &t, table, NULL, obj_bytes, err);
}

void vm_load_begin(struct vm_load *l)
{
    l->expected = 0;
    for (size_t i = 0; i < l->target_count; i++)
        l->targets[i].loaded = false;
}

int vm_load_accepts(const struct vm_load *l, const struct stream_section *section,
                    struct ferry_err *err)
{
    const struct target *t = find_target(l, section->idstr, section->instance_id);

    if (!t)
        return err_set(err, EINVAL,
                       "section \"%s\" (instance %u) is of a device that this machine does not "
                       "have; give both sides the same devices",
                       section->idstr, section->instance_id);
    if (t->loaded)
        return err_set(err, EINVAL, "section \"%s\" (instance %u) comes twice", section->idstr,
                       section->instance_id);
    if (section->type != WIRE_SECTION_FULL)
        return err_set(err, EINVAL, "section \"%s\" (instance %u) comes in pieces, not at once",
                       section->idstr, section->instance_id);
    return 0;
}

int vm_load_section(struct vm_load *l, const struct stream_section *section, struct rd *in,
                    bool final, struct ferry_err *err)
{
    struct target *t;
    int r;

    r = vm_load_accepts(l, section, err);
    if (r < 0)
        return r;
    t = find_target(l, section->idstr, section->instance_id);
    r = state_scratch_load(t->scratch, section->version, in, final, err);
    if (r < 0) {
        err_prefix(err, "section \"%s\" (instance %u)", section->idstr, section->instance_id);
        return r;
    }
    t->loaded = true;
    l->expected = (size_t)(t - l->targets) + 1;
    return 0;
}

int vm_load_complete(const struct vm_load *l, struct ferry_err *err)
{
    char names[FERRY_ERR_TEXT_BYTES / 2] = "";
    size_t used = 0, missing = 0;

    for (size_t i = 0; i < l->target_count; i++) {
        const struct target *t = &l->targets[i];
        int n;

        if (t->loaded || !t->part || t->part->table->needed)
            continue;
        n = snprintf(names + used, sizeof(names) - used, "%s\"%s\" (instance %u)",
                     missing ? ", " : "", t->idstr, t->instance_id);
        if (n > 0 && used + (size_t)n < sizeof(names))
            used += (size_t)n;
        else
            names[used] = 0;
        missing++;
    }
    if (missing == 0)
        return 0;
    return err_set(err, EINVAL,
                   "the stream has no state for %zu of this machine's parts: %s; give both sides "
                   "the same devices",
                   missing, names);
}

void vm_load_commit(struct vm_load *l, vm_part_fn *observe, void *arg)
{
    for (size_t i = 0; i < l->target_count; i++) {
        if (l->targets[i].loaded)
            state_scratch_copy(l->targets[i].scratch);
    }
    for (size_t i = 0; i < l->target_count; i++) {
        const struct target *t = &l->targets[i];

        if (!t->loaded || !t->part)
            continue;
        if (observe)
            observe(arg, t->part, false);
        state_scratch_post_load(t->scratch);
        if (observe)
            observe(arg, t->part, true);
    }
}

/* --- A whole stream --- */

static int load_config(const struct vm_load *l, const struct wire_config *theirs,
                       struct ferry_err *err)
{
    struct wire_config here;
    int r;

    r = wire_config_make(&here, vm_machine_name(l->vm), err);
    return r < 0 ? r : wire_config_match(theirs, &here, err);
}

static int load_data(struct vm_load *l, const struct stream_section *section, vm_part_fn *observe,
                     void *arg, struct ferry_err *err)
{
    const struct target *t = find_target(l, section->idstr, section->instance_id);
    const struct ferry_part *part = t ? t->part : NULL;
    struct rd in = stream_in_data(l->in);
    int r;

    if (part && observe)
        observe(arg, part, false);
    r = vm_load_section(l, section, &in, stream_in_data_final(l->in), err);
    if (r < 0)
        return r;
    if (part && observe)
        observe(arg, part, true);
    stream_in_data_used(l->in, in.pos_bytes);
    stream_in_data_end(l->in);
    return 0;
}

static int load_item(struct vm_load *l, const struct stream_item *item, vm_part_fn *observe,
                     void *arg, struct ferry_err *err)
{
    switch (item->kind) {
    case STREAM_CONFIG:
        return load_config(l, item->config, err);
    case STREAM_SECTION:
        return load_data(l, item->section, observe, arg, err);
    case STREAM_EOF:
        return vm_load_complete(l, err);
    case STREAM_COMMAND:
    case STREAM_PACKAGE_END:
        return err_set(err, EINVAL, "command %d in a stream that has only state",
                       (int)item->command);
    case STREAM_DESCRIPTION:
    case STREAM_END:
        break;
    }
    return 0;
}

int vm_load_stream(struct vm_load *l, const void *data, size_t n, vm_part_fn *observe, void *arg,
                   struct ferry_err *err)
{
    struct stream_item item = {0};
    int r = 0;

    vm_load_begin(l);
    stream_in_reset(l->in);
    stream_in_whole(l->in, data, n);
    while (r >= 0 && item.kind != STREAM_END) {
        r = stream_in_next(l->in, &item, err);
        if (r == 0)
            r = err_set(err, EINVAL, "the stream ends too early");
        if (r > 0)
            r = load_item(l, &item, observe, arg, err);
    }
    if (r == 0 && stream_in_left(l->in) > 0)
        r = err_set(err, EINVAL, "%zu bytes follow the end of the stream", stream_in_left(l->in));
    return r;
}
