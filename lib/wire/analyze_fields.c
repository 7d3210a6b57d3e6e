/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/wire/analyze_fields.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/err.h"
#include "base/num.h"
#include "base/own.h"

#define ANALYZE_DESCRIPTION_HEADER_BYTES 5u
#define ANALYZE_DEPTH_MAX                32
#define ANALYZE_HEX_BYTES_MAX            64u /* of a field that is shown */
#define DESCRIPTION_TRIES_MAX            16u /* places that look like its beginning */
/* What a file's bytes buy: QEMU's descriptions and states take some 40 times their length. */
#define BUDGET_MIN_BYTES                 (4u << 20)
#define BUDGET_PER_BYTE                  128u
#define BUDGET_MAX_BYTES                 (256u << 20)

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

struct analyze_budget analyze_budget(size_t n, struct ferry_err *err)
{
    size_t max_bytes = num_min(BUDGET_MIN_BYTES + BUDGET_PER_BYTE * (uint64_t)num_min(n, 1u << 30),
                               BUDGET_MAX_BYTES + n / 2);

    return (struct analyze_budget){.max_bytes = max_bytes, .left_bytes = max_bytes, .err = err};
}

int analyze_take(struct analyze_budget *a, size_t bytes)
{
    if (bytes > a->left_bytes)
        return err_set(a->err, E2BIG,
                       "to show what it describes takes more than %zu MiB of memory, the limit for "
                       "a file of this length",
                       a->max_bytes >> 20);
    a->left_bytes -= bytes;
    return 0;
}

/* --- The description --- */

static struct json_object *member(struct json_object *o, const char *key, enum json_type type)
{
    struct json_object *found = NULL;

    if (json_object_is_type(o, json_type_object))
        json_object_object_get_ex(o, key, &found);
    return json_object_is_type(found, type) ? found : NULL;
}

/* Before the parser sees it, which asks nobody: what it would create of a text, at most. */
static size_t parsed_bytes(const uint8_t *text, size_t n)
{
    size_t bytes = n;

    for (size_t i = 0; i < n; i++) {
        bytes += text[i] == '{' ? ANALYZE_OBJECT_BYTES : 0;
        bytes += text[i] == '[' ? ANALYZE_ARRAY_BYTES : 0;
        bytes += text[i] == ':' || text[i] == ',' ? ANALYZE_VALUE_BYTES : 0;
    }
    return bytes;
}

static int parse(struct analyze_budget *a, const uint8_t *text, size_t n, struct json_object **ret)
{
    struct json_tokener *tokener;
    int rc = analyze_take(a, parsed_bytes(text, n));

    if (rc < 0)
        return err_prefix(a->err, "the description at the end");
    tokener = json_tokener_new_ex(2 * ANALYZE_DEPTH_MAX + 8);
    if (!tokener)
        return err_set(a->err, ENOMEM, "out of memory");
    *ret = json_tokener_parse_ex(tokener, (const char *)text, (int)n);
    json_tokener_free(tokener);
    return 0;
}

/* It is the last item: the one whose length reaches just to the end, an object. */
static int find_description(struct analyze_budget *a, const uint8_t *data, size_t n,
                            struct json_object **ret)
{
    size_t from = n > WIRE_DESCRIPTION_MAX_BYTES ? n - WIRE_DESCRIPTION_MAX_BYTES : 0;

    *ret = NULL;
    for (size_t at = n, tries = 0; at-- > from && tries < DESCRIPTION_TRIES_MAX;) {
        struct rd r = rd_make(data + at, n - at);
        int rc;

        if (rd_u8(&r) != WIRE_DESCRIPTION ||
            rd_be32(&r) != n - at - ANALYZE_DESCRIPTION_HEADER_BYTES || rd_left(&r) == 0 ||
            data[at + ANALYZE_DESCRIPTION_HEADER_BYTES] != '{')
            continue;
        tries++;
        rc = parse(a, data + at + ANALYZE_DESCRIPTION_HEADER_BYTES, rd_left(&r), ret);
        if (rc < 0 || *ret)
            return rc;
    }
    return 0;
}

static void device_key(struct buf *key, int64_t instance, const char *name)
{
    buf_printf(key, "%" PRId64 "/%s", instance, name);
    buf_u8(key, 0);
}

/* By name, since there may be as many sections as devices, and many of both. */
static int index_devices(struct analyze_budget *a, struct json_object *list,
                         struct json_object *ret)
{
    for (size_t i = 0; list && i < json_object_array_length(list); i++) {
        struct json_object *d = json_object_array_get_idx(list, i);
        struct json_object *name = member(d, "name", json_type_string);
        struct json_object *instance = member(d, "instance_id", json_type_int);
        OWN(buf_free) struct buf key = {0};
        int rc;

        if (!name || !instance)
            continue;
        device_key(&key, json_object_get_int64(instance), json_object_get_string(name));
        rc = analyze_take(a, ANALYZE_VALUE_BYTES + key.len_bytes);
        if (rc < 0 || key.failed)
            return rc < 0 ? rc : err_set(a->err, key.failed, "out of memory");
        if (!json_object_object_get_ex(ret, (const char *)key.data, NULL))
            json_object_object_add(ret, (const char *)key.data, json_object_get(d));
    }
    return 0;
}

int analyze_description(struct analyze_budget *a, const uint8_t *data, size_t n,
                        struct json_object **ret)
{
    struct json_object *description;
    int rc = find_description(a, data, n, &description);

    *ret = NULL;
    if (rc < 0 || !description)
        return rc;
    *ret = json_object_new_object();
    rc = index_devices(a, member(description, "devices", json_type_array), *ret);
    json_object_put(description);
    return rc;
}

struct json_object *analyze_device(struct json_object *devices, const struct stream_section *s)
{
    OWN(buf_free) struct buf key = {0};

    device_key(&key, s->instance_id, s->idstr);
    return key.failed ? NULL : member(devices, (const char *)key.data, json_type_object);
}

/* --- Fields --- */

static int fields(struct analyze_budget *a, struct rd *r, struct json_object *described,
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

static int one_field(struct analyze_budget *a, struct rd *r, struct json_object *f,
                     struct json_object **ret, int depth)
{
    struct json_object *nested = member(f, "struct", json_type_object);
    struct json_object *size = member(f, "size", json_type_int);
    int64_t bytes = size ? json_object_get_int64(size) : -1;
    const uint8_t *data;
    int rc;

    rc = analyze_take(a, ANALYZE_VALUE_BYTES + (nested ? ANALYZE_OBJECT_BYTES : 0));
    if (rc < 0)
        return rc;
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

static int array_field(struct analyze_budget *a, struct rd *r, struct json_object *f, int64_t len,
                       struct json_object **ret, int depth)
{
    int rc = analyze_take(a, ANALYZE_ARRAY_BYTES);

    if (rc < 0)
        return rc;
    *ret = json_object_new_array();
    for (int64_t i = 0; i < len; i++) {
        struct json_object *one = NULL;

        rc = one_field(a, r, f, &one, depth);

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

static int subsections(struct analyze_budget *a, struct rd *r, struct json_object *list,
                       struct json_object *ret, int depth)
{
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        struct json_object *s = json_object_array_get_idx(list, i), *o;
        struct json_object *want = member(s, "vmsd_name", json_type_string);
        char name[WIRE_TEXT8_MAX_BYTES + 1];
        int rc;

        if (rd_u8(r) != WIRE_SUBSECTION || analyze_get_name(r, name) < 0 || !want ||
            strcmp(json_object_get_string(want), name))
            return err_set(a->err, EINVAL, "a subsection that is described is not there");
        rd_be32(r);
        rc = analyze_take(a, ANALYZE_VALUE_BYTES + ANALYZE_OBJECT_BYTES + sizeof(name));
        if (rc < 0)
            return rc;
        o = json_object_new_object();
        json_object_object_add(ret, name, o);
        rc = fields(a, r, s, o, depth + 1);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int fields(struct analyze_budget *a, struct rd *r, struct json_object *described,
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
        /* Its name, and what gathers elements that are described one by one. */
        int rc = analyze_take(a, (size_t)json_object_get_string_len(name) + ANALYZE_ARRAY_BYTES);

        if (rc < 0)
            return rc;
        rc = len ? array_field(a, r, f, json_object_get_int64(len), &value, depth)
                 : one_field(a, r, f, &value, depth);
        add_value(ret, name ? json_object_get_string(name) : "?", value,
                  member(f, "index", json_type_int) != NULL);
        if (rc < 0)
            return rc;
    }
    return subs ? subsections(a, r, subs, ret, depth) : 0;
}

int analyze_fields(struct analyze_budget *a, struct rd *r, struct json_object *described,
                   struct json_object *ret)
{
    return fields(a, r, described, ret, 0);
}
