/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/state/table.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/err.h"
#include "lib/state/state.h"

#define TABLE_PATH_BYTES 256u

static size_t path_append(char *text, size_t used, const char *s)
{
    int n = snprintf(text + used, TABLE_PATH_BYTES - used, "%s", s);

    used += n > 0 ? (size_t)n : 0;
    return used < TABLE_PATH_BYTES ? used : TABLE_PATH_BYTES - 1;
}

static size_t path_append_index(char *text, size_t used, int64_t index)
{
    char number[24];

    if (index < 0)
        return used;
    snprintf(number, sizeof(number), "[%lld]", (long long)index);
    return path_append(text, used, number);
}

static size_t path_print(char *text, const struct table_path *path)
{
    char separator[2] = {path->separator, 0};
    size_t used = 0;

    if (path->up) {
        used = path_print(text, path->up);
        used = path_append(text, used, separator);
    }
    used = path_append(text, used, path->name);
    return path_append_index(text, used, path->index);
}

/* "serial.fifo[3]" for field (may be NULL) and index (-1: none) below path. */
static void table_path_print(char text[TABLE_PATH_BYTES], const struct table_path *path,
                             const char *field, int64_t index)
{
    size_t used = path_print(text, path);

    if (!field)
        return;
    used = path_append(text, used, ".");
    used = path_append(text, used, field);
    path_append_index(text, used, index);
}

int table_refuse(struct ferry_err *err, int errnum, const struct table_path *path,
                 const char *field, int64_t index, const char *fmt, ...)
{
    char where[TABLE_PATH_BYTES], what[FERRY_ERR_TEXT_BYTES - TABLE_PATH_BYTES];
    va_list ap;

    table_path_print(where, path, field, index);
    va_start(ap, fmt);
    vsnprintf(what, sizeof(what), fmt, ap);
    va_end(ap);
    return err_set(err, errnum, "%s: %s", where, what);
}

int table_elements(const struct ferry_field *f, const void *obj, const struct table_path *path,
                   uint32_t *ret, struct ferry_err *err)
{
    uint64_t n;

    if (f->counter_bytes == 0) {
        *ret = f->count;
        return 0;
    }
    n = table_uint((const uint8_t *)obj + f->counter_offset, f->counter_bytes);
    if (n > f->count)
        return table_refuse(err, EINVAL, path, f->name, -1,
                            "%llu elements are more than the %u there is room for",
                            (unsigned long long)n, f->count);
    *ret = (uint32_t)n;
    return 0;
}

size_t table_flat_bytes(const struct ferry_table *t)
{
    size_t total = 0;

    if (t->subsections || t->pre_save || t->pre_load || t->check || t->post_load)
        return 0;
    for (uint32_t i = 0; i < t->field_count; i++) {
        const struct ferry_field *f = &t->fields[i];
        size_t element = f->size_bytes;

        if (f->counter_bytes || f->present || f->since > t->version || f->kind == FERRY_KIND_CUSTOM)
            return 0;
        if (f->kind == FERRY_KIND_STRUCT) {
            element = table_flat_bytes(f->table);
            if (element == 0)
                return 0;
        }
        total += element * f->count;
    }
    return total;
}

bool table_zero_loads(const struct ferry_table *t)
{
    for (uint32_t i = 0; i < t->field_count; i++) {
        const struct ferry_field *f = &t->fields[i];

        if (f->min != 0 || (f->kind == FERRY_KIND_STRUCT && !table_zero_loads(f->table)))
            return false;
    }
    return true;
}

/* --- Is the table sound? --- */

static bool width_is_integer(uint32_t size_bytes)
{
    return size_bytes == 1 || size_bytes == 2 || size_bytes == 4 || size_bytes == 8;
}

static int check_table(const struct ferry_table *t, size_t obj_bytes, const struct table_path *up,
                       unsigned depth, struct ferry_err *err);

static int check_field_kind(const struct ferry_field *f, const struct table_path *path,
                            struct ferry_err *err)
{
    uint64_t top;

    switch (f->kind) {
    case FERRY_KIND_UINT:
    case FERRY_KIND_UINT_LE:
    case FERRY_KIND_EQUAL:
        if (!width_is_integer(f->size_bytes))
            return table_refuse(err, EINVAL, path, f->name, -1, "%u bytes is no integer width",
                                f->size_bytes);
        top = UINT64_MAX >> (64 - 8 * f->size_bytes);
        if (f->max > top || f->min > (f->max ? f->max : top))
            return table_refuse(err, EINVAL, path, f->name, -1, "no value is in its bounds");
        return 0;
    case FERRY_KIND_BOOL:
    case FERRY_KIND_BYTES:
    case FERRY_KIND_UNUSED:
        if (f->size_bytes != 1)
            return table_refuse(err, EINVAL, path, f->name, -1, "its elements are not bytes");
        return 0;
    case FERRY_KIND_STRUCT:
        if (!f->table)
            return table_refuse(err, EINVAL, path, f->name, -1, "a struct without a table");
        return 0;
    case FERRY_KIND_CUSTOM:
        if (!f->custom || !f->custom->save || !f->custom->load)
            return table_refuse(err, EINVAL, path, f->name, -1, "a custom field without its code");
        return 0;
    }
    return table_refuse(err, EINVAL, path, f->name, -1, "unknown kind %d", (int)f->kind);
}

static int check_field(const struct ferry_table *t, const struct ferry_field *f, size_t obj_bytes,
                       const struct table_path *path, unsigned depth, struct ferry_err *err)
{
    struct table_path step = {.up = path, .name = f->name, .separator = '.', .index = -1};
    uint64_t end = f->offset + (uint64_t)f->size_bytes * f->count;
    int r;

    if (!f->name)
        return table_refuse(err, EINVAL, path, NULL, -1, "a field without a name");
    if (f->since > t->version)
        return table_refuse(err, EINVAL, path, f->name, -1,
                            "is there since version %u of a table of version %u: raise the table's",
                            f->since, t->version);
    r = check_field_kind(f, path, err);
    if (r < 0)
        return r;
    if (f->kind != FERRY_KIND_UNUSED && end > obj_bytes)
        return table_refuse(err, EINVAL, path, f->name, -1, "ends at byte %llu of an object of %zu",
                            (unsigned long long)end, obj_bytes);
    if (f->counter_bytes && (!width_is_integer(f->counter_bytes) ||
                             (uint64_t)f->counter_offset + f->counter_bytes > obj_bytes))
        return table_refuse(err, EINVAL, path, f->name, -1, "its counter is not a member");
    if (f->kind == FERRY_KIND_STRUCT)
        return check_table(f->table, f->size_bytes, &step, depth + 1, err);
    return 0;
}

static int check_subsection(const struct ferry_table *t, const struct ferry_table *sub,
                            size_t obj_bytes, const struct table_path *path, unsigned depth,
                            struct ferry_err *err)
{
    struct table_path step = {.up = path, .separator = '/', .index = -1};
    size_t n = strlen(t->name);

    if (!sub->name || strncmp(sub->name, t->name, n) != 0 || sub->name[n] != '/' ||
        sub->name[n + 1] == 0 || strlen(sub->name) > UINT8_MAX)
        return table_refuse(err, EINVAL, path, NULL, -1,
                            "subsection \"%s\" is not named \"%s/...\"", sub->name ? sub->name : "",
                            t->name);
    step.name = table_subsection_suffix(t, sub);
    return check_table(sub, obj_bytes, &step, depth + 1, err);
}

static int check_table(const struct ferry_table *t, size_t obj_bytes, const struct table_path *path,
                       unsigned depth, struct ferry_err *err)
{
    unsigned count = 0;
    int r;

    if (depth > STATE_MAX_DEPTH)
        return table_refuse(err, EINVAL, path, NULL, -1, "nested deeper than %u", STATE_MAX_DEPTH);
    if (!t->name || !t->name[0])
        return table_refuse(err, EINVAL, path, NULL, -1, "a table without a name");
    if (t->minimum_version > t->version)
        return table_refuse(err, EINVAL, path, NULL, -1, "minimum version %u is above version %u",
                            t->minimum_version, t->version);
    for (uint32_t i = 0; i < t->field_count; i++) {
        r = check_field(t, &t->fields[i], obj_bytes, path, depth, err);
        if (r < 0)
            return r;
    }
    for (; t->subsections && t->subsections[count]; count++) {
        if (count == STATE_MAX_SUBSECTIONS)
            return table_refuse(err, EINVAL, path, NULL, -1, "more than %u subsections",
                                STATE_MAX_SUBSECTIONS);
        r = check_subsection(t, t->subsections[count], obj_bytes, path, depth, err);
        if (r < 0)
            return r;
    }
    return 0;
}

int state_table_check(const struct ferry_table *table, size_t obj_bytes, struct ferry_err *err)
{
    struct table_path root = {.name = table->name ? table->name : "table", .index = -1};

    return check_table(table, obj_bytes, &root, 1, err);
}
