/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/wire/analyze_fields.h"

#include <errno.h>
#include <string.h>

#include "base/err.h"

#define ANALYZE_DESCRIPTION_HEADER_BYTES 5u
#define ANALYZE_FIELDS_MAX               (1u << 20) /* in all sections together */
#define ANALYZE_DEPTH_MAX                32
#define ANALYZE_HEX_BYTES_MAX            64u /* of a field that is shown */

int analyze_get_name(struct rd *r, char ret[WIRE_TEXT8_MAX_BYTES + 1])
{
    uint8_t n = rd_u8(r);
    const uint8_t *text = rd_take(r, n);

    if (!text)
        return -EINVAL;
    memcpy(ret, text, n);
    ret[n] = '\0';
    return 0;
}

/* It is the last item: the one whose length reaches just to the end. */
struct json_object *analyze_description(const uint8_t *data, size_t n)
{
    size_t from = n > WIRE_DESCRIPTION_MAX_BYTES ? n - WIRE_DESCRIPTION_MAX_BYTES : 0;
    struct json_object *description;

    for (size_t at = n; at-- > from;) {
        struct rd r = rd_make(data + at, n - at);
        struct json_tokener *tokener;

        if (rd_u8(&r) != WIRE_DESCRIPTION ||
            rd_be32(&r) != n - at - ANALYZE_DESCRIPTION_HEADER_BYTES || r.failed)
            continue;
        tokener = json_tokener_new_ex(2 * ANALYZE_DEPTH_MAX + 8);
        if (!tokener)
            return NULL;
        description = json_tokener_parse_ex(
            tokener, (const char *)data + at + ANALYZE_DESCRIPTION_HEADER_BYTES, (int)rd_left(&r));
        json_tokener_free(tokener);
        if (description)
            return description;
    }
    return NULL;
}

static struct json_object *member(struct json_object *o, const char *key, enum json_type type)
{
    struct json_object *found = NULL;

    if (json_object_is_type(o, json_type_object))
        json_object_object_get_ex(o, key, &found);
    return json_object_is_type(found, type) ? found : NULL;
}

struct json_object *analyze_device(struct json_object *description, const struct stream_section *s)
{
    struct json_object *list = member(description, "devices", json_type_array);

    for (size_t i = 0; list && i < json_object_array_length(list); i++) {
        struct json_object *d = json_object_array_get_idx(list, i);
        struct json_object *name = member(d, "name", json_type_string);
        struct json_object *instance = member(d, "instance_id", json_type_int);

        if (name && instance && !strcmp(json_object_get_string(name), s->idstr) &&
            json_object_get_int64(instance) == s->instance_id)
            return d;
    }
    return NULL;
}

static int fields(struct analyze_fields *a, struct rd *r, struct json_object *described,
                  struct json_object *ret, int depth);

struct json_object *analyze_value(const uint8_t *data, size_t n)
{
    static const char digits[] = "0123456789abcdef";
    char text[2 * ANALYZE_HEX_BYTES_MAX + 4];
    size_t shown = n < ANALYZE_HEX_BYTES_MAX ? n : ANALYZE_HEX_BYTES_MAX;
    uint64_t v = 0;

    if (n >= 1 && n <= 8) {
        for (size_t i = 0; i < n; i++)
            v = v << 8 | data[i];
        return json_object_new_uint64(v);
    }
    for (size_t i = 0; i < shown; i++) {
        text[2 * i] = digits[data[i] >> 4];
        text[2 * i + 1] = digits[data[i] & 15];
    }
    strcpy(text + 2 * shown, shown < n ? "..." : "");
    return json_object_new_string(text);
}

static int one_field(struct analyze_fields *a, struct rd *r, struct json_object *f,
                     struct json_object **ret, int depth)
{
    struct json_object *nested = member(f, "struct", json_type_object);
    struct json_object *size = member(f, "size", json_type_int);
    int64_t bytes = size ? json_object_get_int64(size) : -1;
    const uint8_t *data;

    if (++a->count > ANALYZE_FIELDS_MAX)
        return err_set(a->err, E2BIG, "more than %u fields", ANALYZE_FIELDS_MAX);
    if (nested) {
        *ret = json_object_new_object();
        return fields(a, r, nested, *ret, depth + 1);
    }
    if (bytes < 0 || (uint64_t)bytes > rd_left(r))
        return err_set(a->err, EINVAL, "a field is described as longer than what is left");
    data = rd_take(r, (size_t)bytes);
    *ret = analyze_value(data, (size_t)bytes);
    return 0;
}

static int array_field(struct analyze_fields *a, struct rd *r, struct json_object *f, int64_t len,
                       struct json_object **ret, int depth)
{
    *ret = json_object_new_array();
    for (int64_t i = 0; i < len; i++) {
        struct json_object *one = NULL;
        int rc = one_field(a, r, f, &one, depth);

        json_object_array_add(*ret, one);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* Elements that are described one by one have the same name: gather them. */
static void add_value(struct json_object *to, const char *name, struct json_object *value,
                      bool element)
{
    struct json_object *list;

    if (!element) {
        json_object_object_add(to, name, value);
        return;
    }
    if (!json_object_object_get_ex(to, name, &list) ||
        !json_object_is_type(list, json_type_array)) {
        list = json_object_new_array();
        json_object_object_add(to, name, list);
    }
    json_object_array_add(list, value);
}

static int subsections(struct analyze_fields *a, struct rd *r, struct json_object *list,
                       struct json_object *ret, int depth)
{
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        struct json_object *s = json_object_array_get_idx(list, i), *o;
        struct json_object *want = member(s, "vmsd_name", json_type_string);
        char name[WIRE_TEXT8_MAX_BYTES + 1];

        if (rd_u8(r) != WIRE_SUBSECTION || analyze_get_name(r, name) < 0 || !want ||
            strcmp(json_object_get_string(want), name))
            return err_set(a->err, EINVAL, "a subsection that is described is not there");
        rd_be32(r);
        o = json_object_new_object();
        json_object_object_add(ret, name, o);
        if (fields(a, r, s, o, depth + 1) < 0)
            return -EINVAL;
    }
    return 0;
}

static int fields(struct analyze_fields *a, struct rd *r, struct json_object *described,
                  struct json_object *ret, int depth)
{
    struct json_object *list = member(described, "fields", json_type_array);
    struct json_object *subs = member(described, "subsections", json_type_array);

    if (depth > ANALYZE_DEPTH_MAX)
        return err_set(a->err, EINVAL, "the description is nested too deep");
    for (size_t i = 0; list && i < json_object_array_length(list); i++) {
        struct json_object *f = json_object_array_get_idx(list, i), *value = NULL;
        struct json_object *name = member(f, "name", json_type_string);
        struct json_object *len = member(f, "array_len", json_type_int);
        int rc = len ? array_field(a, r, f, json_object_get_int64(len), &value, depth)
                     : one_field(a, r, f, &value, depth);

        add_value(ret, name ? json_object_get_string(name) : "?", value,
                  member(f, "index", json_type_int) != NULL);
        if (rc < 0)
            return rc;
    }
    return subs ? subsections(a, r, subs, ret, depth) : 0;
}

int analyze_fields(struct analyze_fields *a, struct rd *r, struct json_object *described,
                   struct json_object *ret)
{
    return fields(a, r, described, ret, 0);
}
