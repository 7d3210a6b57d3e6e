/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <ferry/analyze.h>

#include "base/buf.h"
#include "base/err.h"
#include "lib/wire/command.h"
#include "lib/wire/mapped.h"
#include "lib/wire/stream_in.h"

#define ANALYZE_DESCRIPTION_HEADER_BYTES 5u
#define ANALYZE_FIELDS_MAX               (1u << 20) /* in all sections together */
#define ANALYZE_DEPTH_MAX                32
#define ANALYZE_HEX_BYTES_MAX            64u /* of a field that is shown */

struct analyze_block {
    char name[WIRE_TEXT8_MAX_BYTES + 1];
    uint64_t used_bytes, normal_pages, zero_pages, delta_pages;
};

struct analyze {
    const uint8_t *data;
    size_t n;
    struct stream_in *in;
    struct json_object *description; /* NULL: none */
    uint32_t capabilities;           /* of the configuration */
    uint32_t fields;
    struct analyze_block blocks[WIRE_RAM_BLOCKS_MAX];
    size_t block_count, last_block;
    struct ferry_err *err;
};

static void put_u64(struct json_object *o, const char *key, uint64_t v)
{
    json_object_object_add(o, key, json_object_new_uint64(v));
}

static void put_text(struct json_object *o, const char *key, const char *text)
{
    json_object_object_add(o, key, json_object_new_string(text));
}

static int get_text8(struct rd *r, char ret[WIRE_TEXT8_MAX_BYTES + 1])
{
    uint8_t n = rd_u8(r);
    const uint8_t *text = rd_take(r, n);

    if (!text)
        return -EINVAL;
    memcpy(ret, text, n);
    ret[n] = '\0';
    return 0;
}

/* --- The description --- */

/* It is the last item: the one whose length reaches just to the end. */
static void find_description(struct analyze *a)
{
    size_t from = a->n > WIRE_DESCRIPTION_MAX_BYTES ? a->n - WIRE_DESCRIPTION_MAX_BYTES : 0;

    for (size_t at = a->n; at-- > from;) {
        struct rd r = rd_make(a->data + at, a->n - at);
        struct json_tokener *tokener;

        if (rd_u8(&r) != WIRE_DESCRIPTION ||
            rd_be32(&r) != a->n - at - ANALYZE_DESCRIPTION_HEADER_BYTES || r.failed)
            continue;
        tokener = json_tokener_new_ex(2 * ANALYZE_DEPTH_MAX + 8);
        if (!tokener)
            return;
        a->description = json_tokener_parse_ex(
            tokener, (const char *)a->data + at + ANALYZE_DESCRIPTION_HEADER_BYTES,
            (int)rd_left(&r));
        json_tokener_free(tokener);
        if (a->description)
            return;
    }
}

static struct json_object *member(struct json_object *o, const char *key, enum json_type type)
{
    struct json_object *found = NULL;

    if (json_object_is_type(o, json_type_object))
        json_object_object_get_ex(o, key, &found);
    return json_object_is_type(found, type) ? found : NULL;
}

static struct json_object *find_device(const struct analyze *a, const struct stream_section *s)
{
    struct json_object *list = member(a->description, "devices", json_type_array);

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

/* --- Fields --- */

static int fields(struct analyze *a, struct rd *r, struct json_object *described,
                  struct json_object *ret, int depth);

static struct json_object *value_of(const uint8_t *data, size_t n)
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

static int one_field(struct analyze *a, struct rd *r, struct json_object *f,
                     struct json_object **ret, int depth)
{
    struct json_object *nested = member(f, "struct", json_type_object);
    struct json_object *size = member(f, "size", json_type_int);
    int64_t bytes = size ? json_object_get_int64(size) : -1;
    const uint8_t *data;

    if (++a->fields > ANALYZE_FIELDS_MAX)
        return err_set(a->err, E2BIG, "more than %u fields", ANALYZE_FIELDS_MAX);
    if (nested) {
        *ret = json_object_new_object();
        return fields(a, r, nested, *ret, depth + 1);
    }
    if (bytes < 0 || (uint64_t)bytes > rd_left(r))
        return err_set(a->err, EINVAL, "a field is described as longer than what is left");
    data = rd_take(r, (size_t)bytes);
    *ret = value_of(data, (size_t)bytes);
    return 0;
}

static int array_field(struct analyze *a, struct rd *r, struct json_object *f, int64_t len,
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

static int subsections(struct analyze *a, struct rd *r, struct json_object *list,
                       struct json_object *ret, int depth)
{
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        struct json_object *s = json_object_array_get_idx(list, i), *o;
        struct json_object *want = member(s, "vmsd_name", json_type_string);
        char name[WIRE_TEXT8_MAX_BYTES + 1];

        if (rd_u8(r) != WIRE_SUBSECTION || get_text8(r, name) < 0 || !want ||
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

static int fields(struct analyze *a, struct rd *r, struct json_object *described,
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

/* --- RAM --- */

static int get_block(struct analyze *a, struct rd *r, bool same)
{
    char name[WIRE_TEXT8_MAX_BYTES + 1];

    if (same && a->last_block < a->block_count)
        return 0;
    if (same || get_text8(r, name) < 0)
        return -EINVAL;
    for (size_t i = 0; i < a->block_count; i++)
        if (!strcmp(a->blocks[i].name, name)) {
            a->last_block = i;
            return 0;
        }
    return err_set(a->err, EINVAL, "a page of RAM '%.64s', which is not in the list", name);
}

static void count_mapped(struct analyze *a, struct analyze_block *b, const struct mapped_header *h)
{
    uint64_t bytes = mapped_bitmap_bytes(b->used_bytes);

    if (h->bitmap_offset_bytes > a->n || bytes > a->n - h->bitmap_offset_bytes)
        return;
    for (uint64_t i = 0; i < bytes; i++)
        b->normal_pages += (unsigned)__builtin_popcount(a->data[h->bitmap_offset_bytes + i]);
    if (b->used_bytes / WIRE_PAGE_BYTES >= b->normal_pages)
        b->zero_pages = b->used_bytes / WIRE_PAGE_BYTES - b->normal_pages;
}

static int ram_list(struct analyze *a, struct rd *r, uint64_t total_bytes)
{
    uint64_t start = stream_in_offset(a->in);

    while (total_bytes) {
        struct analyze_block *b = &a->blocks[a->block_count];
        struct mapped_header h;
        uint64_t next;

        if (a->block_count == WIRE_RAM_BLOCKS_MAX)
            return err_set(a->err, E2BIG, "more than %u blocks of RAM", WIRE_RAM_BLOCKS_MAX);
        if (get_text8(r, b->name) < 0)
            return -EINVAL;
        b->used_bytes = rd_be64(r);
        if (a->capabilities & WIRE_CAP_X_IGNORE_SHARED)
            rd_be64(r);
        if (r->failed || b->used_bytes > total_bytes)
            return err_set(a->err, EINVAL, "RAM '%.64s' is longer than all RAM", b->name);
        total_bytes -= b->used_bytes;
        a->last_block = a->block_count++;
        if (!(a->capabilities & WIRE_CAP_MAPPED_RAM))
            continue;
        h = mapped_get_header(r);
        next = h.pages_offset_bytes + b->used_bytes;
        if (r->failed || next < h.pages_offset_bytes || next < start + r->pos_bytes ||
            next - start > r->len_bytes)
            return err_set(a->err, EINVAL, "the pages of RAM '%.64s' are not in the file", b->name);
        count_mapped(a, b, &h);
        r->pos_bytes = (size_t)(next - start);
    }
    return 0;
}

static int ram_record(struct analyze *a, struct rd *r, uint64_t head)
{
    struct analyze_block *b;

    if (head & WIRE_RAM_MEM_SIZE)
        return ram_list(a, r, head & ~(uint64_t)(WIRE_PAGE_BYTES - 1));
    if (head & WIRE_RAM_MULTIFD_FLUSH)
        return 0;
    if (!(head & (WIRE_RAM_ZERO | WIRE_RAM_PAGE | WIRE_RAM_XBZRLE)))
        return err_set(a->err, EINVAL, "RAM has a record with unknown flags 0x%" PRIx64,
                       head & (WIRE_PAGE_BYTES - 1));
    if (get_block(a, r, head & WIRE_RAM_CONTINUE) < 0)
        return -EINVAL;
    b = &a->blocks[a->last_block];
    if (head & WIRE_RAM_ZERO) {
        rd_u8(r);
        b->zero_pages++;
    } else if (head & WIRE_RAM_PAGE) {
        rd_take(r, WIRE_PAGE_BYTES);
        b->normal_pages++;
    } else {
        rd_u8(r);
        rd_take(r, rd_be16(r));
        b->delta_pages++;
    }
    return 0;
}

static int ram_section(struct analyze *a, struct rd *r)
{
    for (;;) {
        uint64_t head = rd_be64(r);
        int rc;

        if (r->failed)
            return err_set(a->err, EINVAL, "the stream ends within RAM");
        if (head & WIRE_RAM_EOS)
            return 0;
        rc = ram_record(a, r, head);
        if (rc < 0 || r->failed)
            return a->err->errnum ? -a->err->errnum
                                  : err_set(a->err, EINVAL, "the stream ends within RAM");
    }
}

/* --- Items --- */

/* Not described: up to its footer, which is looked for. */
static int unknown_section(struct analyze *a, struct rd *r, uint32_t id, struct json_object *ret)
{
    const uint8_t footer[] = {WIRE_FOOTER, (uint8_t)(id >> 24), (uint8_t)(id >> 16),
                              (uint8_t)(id >> 8), (uint8_t)id};
    const uint8_t *at = memmem(r->data, r->len_bytes, footer, sizeof(footer));

    if (!at)
        return err_set(a->err, EINVAL, "the end of section %" PRIu32 " is not there", id);
    r->pos_bytes = (size_t)(at - r->data);
    json_object_object_add(ret, "data", value_of(r->data, r->pos_bytes));
    return 0;
}

static int section(struct analyze *a, const struct stream_section *s, struct json_object *items)
{
    static const char *const types[] = {[WIRE_SECTION_START] = "start",
                                        [WIRE_SECTION_PART] = "part",
                                        [WIRE_SECTION_END] = "end",
                                        [WIRE_SECTION_FULL] = "full"};
    struct json_object *o = json_object_new_object(), *f, *described = find_device(a, s);
    struct rd r = stream_in_data(a->in);
    bool is_ram = !strcmp(s->idstr, WIRE_RAM_IDSTR) && s->type != WIRE_SECTION_FULL;
    int rc;

    put_text(o, "item", "section");
    put_text(o, "type", types[s->type]);
    put_text(o, "name", s->idstr);
    put_u64(o, "instance", s->instance_id);
    put_u64(o, "version", s->version);
    put_u64(o, "offset", stream_in_offset(a->in));
    json_object_array_add(items, o);
    if (is_ram) {
        rc = ram_section(a, &r);
    } else if (described) {
        f = json_object_new_object();
        json_object_object_add(o, "fields", f);
        rc = fields(a, &r, described, f, 0);
        if (!rc && r.failed)
            rc = err_set(a->err, EINVAL, "it ends within a field");
    } else {
        rc = unknown_section(a, &r, s->id, o);
    }
    if (rc < 0)
        return err_prefix(a->err, "section '%.64s' (%" PRIu32 ")", s->idstr, s->instance_id);
    put_u64(o, "bytes", r.pos_bytes);
    stream_in_data_used(a->in, r.pos_bytes);
    stream_in_data_end(a->in);
    return 0;
}

static void configuration(struct analyze *a, const struct wire_config *c, struct json_object *ret)
{
    a->capabilities = c->capabilities;
    json_object_object_add(ret, "machine",
                           json_object_new_string_len(c->machine, (int)c->machine_bytes));
    json_object_object_add(ret, "x-ignore-shared",
                           json_object_new_boolean(c->capabilities & WIRE_CAP_X_IGNORE_SHARED));
    json_object_object_add(ret, "mapped-ram",
                           json_object_new_boolean(c->capabilities & WIRE_CAP_MAPPED_RAM));
}

static int walk(struct analyze *a, struct json_object *ret, struct json_object *items)
{
    for (;;) {
        struct stream_item item;
        struct json_object *o;
        int rc = stream_in_next(a->in, &item, a->err);

        if (rc < 0)
            return rc;
        if (rc == 0)
            return err_set(a->err, EINVAL, "the stream ends at byte %" PRIu64 ", too early",
                           stream_in_offset(a->in));
        switch (item.kind) {
        case STREAM_CONFIG:
            configuration(a, item.config, ret);
            break;
        case STREAM_SECTION:
            rc = section(a, item.section, items);
            break;
        case STREAM_COMMAND:
            o = json_object_new_object();
            put_text(o, "item", "command");
            put_text(o, "name", command_name(item.command));
            put_u64(o, "bytes", item.payload.len_bytes);
            json_object_array_add(items, o);
            break;
        case STREAM_PACKAGE_END:
        case STREAM_EOF:
        case STREAM_DESCRIPTION:
            break;
        case STREAM_END:
            return 0;
        }
        if (rc < 0)
            return rc;
    }
}

static void ram_summary(const struct analyze *a, struct json_object *ret)
{
    struct json_object *list = json_object_new_array();

    for (size_t i = 0; i < a->block_count; i++) {
        const struct analyze_block *b = &a->blocks[i];
        struct json_object *o = json_object_new_object();

        put_text(o, "block", b->name);
        put_u64(o, "bytes", b->used_bytes);
        put_u64(o, "pages", b->normal_pages);
        put_u64(o, "zero-pages", b->zero_pages);
        put_u64(o, "delta-pages", b->delta_pages);
        json_object_array_add(list, o);
    }
    json_object_object_add(ret, "ram", list);
}

/* --- For people --- */

static void print_text(struct buf *out, struct json_object *o, int indent)
{
    json_object_object_foreach(o, key, value)
    {
        buf_printf(out, "%*s%s", 2 * indent, "", key);
        if (json_object_is_type(value, json_type_object)) {
            buf_str(out, "\n");
            print_text(out, value, indent + 1);
            continue;
        }
        if (!json_object_is_type(value, json_type_array) || !json_object_array_length(value) ||
            !json_object_is_type(json_object_array_get_idx(value, 0), json_type_object)) {
            buf_printf(out, ": %s\n",
                       json_object_to_json_string_ext(value, JSON_C_TO_STRING_SPACED |
                                                                 JSON_C_TO_STRING_NOSLASHESCAPE));
            continue;
        }
        buf_str(out, "\n");
        for (size_t i = 0; i < json_object_array_length(value); i++) {
            struct json_object *one = json_object_array_get_idx(value, i);

            buf_printf(out, "%*s-\n", 2 * indent, "");
            if (json_object_is_type(one, json_type_object))
                print_text(out, one, indent + 1);
        }
    }
}

static char *to_text(struct json_object *o, bool json)
{
    struct buf out = {0};
    char *text = NULL;

    if (json)
        buf_str(&out, json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN |
                                                            JSON_C_TO_STRING_NOSLASHESCAPE));
    else
        print_text(&out, o, 0);
    buf_u8(&out, 0);
    if (!out.failed)
        text = strdup((const char *)out.data);
    buf_free(&out);
    return text;
}

int ferry_analyze(char **ret, const void *data, size_t n, bool json, struct ferry_err *err)
{
    struct analyze *a = calloc(1, sizeof(*a));
    struct json_object *result, *items;
    int rc;

    *ret = NULL;
    if (!a)
        return err_set(err, ENOMEM, "out of memory");
    *a = (struct analyze){.data = data, .n = n, .err = err};
    *err = (struct ferry_err){0};
    rc = stream_in_new(&a->in, err);
    if (rc < 0) {
        free(a);
        return rc;
    }
    result = json_object_new_object();
    items = json_object_new_array();
    find_description(a);
    stream_in_whole(a->in, data, n);
    rc = walk(a, result, items);
    ram_summary(a, result);
    json_object_object_add(result, "items", items);
    if (rc < 0)
        put_text(result, "error", err->text);
    *ret = to_text(result, json);
    if (!*ret)
        rc = err_set(err, ENOMEM, "out of memory");
    json_object_put(result);
    json_object_put(a->description);
    stream_in_free(a->in);
    free(a);
    return rc;
}
