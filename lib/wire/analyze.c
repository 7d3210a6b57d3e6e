/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <ferry/analyze.h>

#include "base/err.h"
#include "lib/wire/analyze_fields.h"
#include "lib/wire/analyze_print.h"
#include "lib/wire/command.h"
#include "lib/wire/mapped.h"
#include "lib/wire/stream_in.h"

/* Of one in the list, with all that is always said of it. */
#define ITEM_BYTES (2 * ANALYZE_OBJECT_BYTES + 8 * ANALYZE_VALUE_BYTES)

struct analyze_block {
    char name[WIRE_TEXT8_MAX_BYTES + 1];
    uint64_t used_bytes, normal_pages, zero_pages, delta_pages;
};

struct analyze {
    const uint8_t *data;
    size_t n;
    struct stream_in *in;
    struct json_object *devices; /* as they are described; NULL: none */
    uint32_t capabilities;       /* of the configuration */
    struct analyze_budget budget;
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

/* --- RAM --- */

static int get_block(struct analyze *a, struct rd *r, bool same)
{
    char name[WIRE_TEXT8_MAX_BYTES + 1];

    if (same && a->last_block < a->block_count)
        return 0;
    if (same || analyze_get_name(r, name) < 0)
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
        if (analyze_get_name(r, b->name) < 0)
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
    json_object_object_add(ret, "data", analyze_value(r->data, r->pos_bytes));
    return 0;
}

static int section(struct analyze *a, const struct stream_section *s, struct json_object *items)
{
    static const char *const types[] = {[WIRE_SECTION_START] = "start",
                                        [WIRE_SECTION_PART] = "part",
                                        [WIRE_SECTION_END] = "end",
                                        [WIRE_SECTION_FULL] = "full"};
    struct json_object *o, *f, *described = analyze_device(a->devices, s);
    struct rd r = stream_in_data(a->in);
    bool is_ram = !strcmp(s->idstr, WIRE_RAM_IDSTR) && s->type != WIRE_SECTION_FULL;
    int rc = analyze_take(&a->budget, ITEM_BYTES + strlen(s->idstr));

    if (rc < 0)
        return rc;
    o = json_object_new_object();
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
        rc = analyze_fields(&a->budget, &r, described, f);
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
            rc = analyze_take(&a->budget, ITEM_BYTES);
            if (rc < 0)
                return rc;
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

int ferry_analyze(char **ret, const void *data, size_t n, bool json, struct ferry_err *err)
{
    struct analyze *a = calloc(1, sizeof(*a));
    struct json_object *result, *items;
    int rc;

    *ret = NULL;
    if (!a)
        return err_set(err, ENOMEM, "out of memory");
    *a = (struct analyze){.data = data, .n = n, .budget = analyze_budget(n, err), .err = err};
    *err = (struct ferry_err){0};
    rc = stream_in_new(&a->in, err);
    if (rc < 0) {
        free(a);
        return rc;
    }
    result = json_object_new_object();
    items = json_object_new_array();
    stream_in_whole(a->in, data, n);
    rc = analyze_description(&a->budget, data, n, &a->devices);
    if (!rc)
        rc = walk(a, result, items);
    /* For people, of what is no stream: the sentence says it, and there is nothing to list. */
    if (json || stream_in_offset(a->in) > 0) {
        ram_summary(a, result);
        json_object_object_add(result, "items", json_object_get(items));
        if (rc < 0)
            put_text(result, "error", err->text);
    }
    json_object_put(items);
    *ret = analyze_print(result, json);
    if (!*ret)
        rc = err_set(err, ENOMEM, "out of memory");
    json_object_put(result);
    json_object_put(a->devices);
    stream_in_free(a->in);
    free(a);
    return rc;
}
