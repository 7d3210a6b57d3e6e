/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/wire/stream_in.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/be.h"
#include "base/err.h"
#include "base/own.h"
#include "base/text.h"
#include "lib/state/state.h"

/* Sections of an ordinary machine: room that is there before a handover begins. */
#define SECTIONS_AHEAD 64u

enum place {
    AT_HEADER,
    AT_ITEM,
    IN_DATA,
    AT_FOOTER,
    AFTER_EOF,
    IN_DESCRIPTION,
    AT_END,
};

struct stream_in {
    struct buf own;      /* fed bytes that are not used up */
    const uint8_t *data; /* own.data, or a loan */
    size_t len_bytes;
    size_t pos_bytes;
    uint64_t dropped_bytes; /* in front of data */
    bool final;

    enum place place;
    uint64_t skip_bytes; /* of the description */
    bool in_package;
    uint64_t package_end; /* offset in the stream */

    struct wire_config config;
    struct state_scratch *config_scratch;
    struct stream_section *sections; /* owned: those announced so far */
    size_t section_count;
    size_t section_cap;
    struct stream_section current; /* what an item lends out */
};

static void stream_in_freep(struct stream_in **s)
{
    stream_in_free(*s);
}

int stream_in_new(struct stream_in **ret, struct ferry_err *err)
{
    OWN(stream_in_freep) struct stream_in *s = calloc(1, sizeof(*s));
    int r;

    if (!s)
        return err_set(err, ENOMEM, "no memory to read a stream");
    s->own.limit_bytes = WIRE_BUFFER_MAX_BYTES;
    s->sections = calloc(SECTIONS_AHEAD, sizeof(*s->sections));
    if (!s->sections)
        return err_set(err, ENOMEM, "no memory to read a stream");
    s->section_cap = SECTIONS_AHEAD;
    r = state_scratch_new(&s->config_scratch, &wire_config_table, &s->config, sizeof(s->config),
                          err);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(s);
    return 0;
}

void stream_in_free(struct stream_in *s)
{
    if (!s)
        return;
    buf_free(&s->own);
    state_scratch_free(s->config_scratch);
    free(s->sections);
    free(s);
}

void stream_in_reset(struct stream_in *s)
{
    buf_reset(&s->own);
    s->data = NULL;
    s->len_bytes = s->pos_bytes = 0;
    s->dropped_bytes = 0;
    s->final = false;
    s->place = AT_HEADER;
    s->in_package = false;
    s->section_count = 0;
    s->config = (struct wire_config){0};
}

/* --- Bytes --- */

void stream_in_whole(struct stream_in *s, const void *data, size_t n)
{
    s->data = data;
    s->len_bytes = n;
    s->pos_bytes = 0;
    s->final = true;
}

int stream_in_feed(struct stream_in *s, const void *data, size_t n, struct ferry_err *err)
{
    buf_consume(&s->own, s->pos_bytes);
    s->dropped_bytes += s->pos_bytes;
    s->pos_bytes = 0;
    buf_put(&s->own, data, n);
    s->data = s->own.data;
    s->len_bytes = s->own.len_bytes;
    if (s->own.failed)
        return err_sys(err, s->own.failed, "the stream at byte %llu: cannot keep %zu bytes of it",
                       (unsigned long long)s->dropped_bytes, s->len_bytes + n);
    return 0;
}

void stream_in_finish(struct stream_in *s)
{
    s->final = true;
}

size_t stream_in_left(const struct stream_in *s)
{
    return s->len_bytes - s->pos_bytes;
}

uint64_t stream_in_offset(const struct stream_in *s)
{
    return s->dropped_bytes + s->pos_bytes;
}

/* The package ends within the bytes at hand. */
static bool package_is_here(const struct stream_in *s)
{
    return s->in_package && s->package_end <= s->dropped_bytes + s->len_bytes;
}

bool stream_in_data_final(const struct stream_in *s)
{
    return s->final || package_is_here(s);
}

struct rd stream_in_data(const struct stream_in *s)
{
    size_t n = stream_in_left(s);

    if (n == 0)
        return rd_make("", 0); /* there may be no memory to point to */
    if (package_is_here(s))
        n = (size_t)(s->package_end - stream_in_offset(s));
    return rd_make(s->data + s->pos_bytes, n);
}

void stream_in_data_used(struct stream_in *s, size_t n)
{
    s->pos_bytes += n;
}

void stream_in_data_elsewhere(struct stream_in *s, uint64_t n)
{
    s->dropped_bytes += n;
}

void stream_in_data_end(struct stream_in *s)
{
    s->place = AT_FOOTER;
}

/* --- Items --- */

static int refuse(const struct stream_in *s, struct ferry_err *err, int r)
{
    err_prefix(err, "the stream at byte %llu", (unsigned long long)stream_in_offset(s));
    return r;
}

/* What was peeked in `in` was whole: use it up. */
static void accept(struct stream_in *s, const struct rd *in)
{
    s->pos_bytes += in->pos_bytes;
}

/* in has failed: 0 if there can be more, else a refusal. */
static int short_item(const struct stream_in *s, const char *what, struct ferry_err *err)
{
    if (!stream_in_data_final(s))
        return 0;
    return err_set(err, EINVAL, "it ends inside %s", what);
}

static int next_header(struct stream_in *s, struct stream_item *item, struct ferry_err *err)
{
    struct rd in = stream_in_data(s);
    uint32_t magic = rd_be32(&in), version = rd_be32(&in);
    uint8_t type = rd_u8(&in);
    int r;

    if (in.failed)
        return short_item(s, "its header", err);
    if (magic != WIRE_MAGIC)
        return err_set(err, EINVAL,
                       "this is no migration stream: it begins with %08x, not with \"QEVM\"",
                       magic);
    if (version != WIRE_VERSION)
        return err_set(err, EINVAL, "format version %u, only %u is known", version, WIRE_VERSION);
    if (type != WIRE_CONFIGURATION)
        return err_set(err, EINVAL,
                       "after the header comes item %02x, not a configuration (%02x); "
                       "set send-configuration=on at the sender",
                       type, WIRE_CONFIGURATION);
    r = state_scratch_load(s->config_scratch, WIRE_CONFIGURATION_VERSION, &in, s->final, err);
    if (r == -ENODATA && !s->final)
        return 0;
    if (r < 0)
        return r;
    state_scratch_commit(s->config_scratch);
    accept(s, &in);
    s->place = AT_ITEM;
    item->kind = STREAM_CONFIG;
    item->config = &s->config;
    return 1;
}

static struct stream_section *find_section(struct stream_in *s, uint32_t id)
{
    for (size_t i = 0; i < s->section_count; i++) {
        if (s->sections[i].id == id)
            return &s->sections[i];
    }
    return NULL;
}

static int announce_section(struct stream_in *s, const struct stream_section *section,
                            struct ferry_err *err)
{
    const struct stream_section *known = find_section(s, section->id);

    if (known)
        return err_set(err, EINVAL, "section id %u is taken by \"%.64s\" and announced again",
                       section->id, known->idstr);
    if (s->section_count == WIRE_SECTIONS_MAX)
        return err_set(err, EINVAL, "more than %u sections", WIRE_SECTIONS_MAX);
    if (s->section_count == s->section_cap) {
        size_t cap = s->section_cap * 2;
        struct stream_section *more = reallocarray(s->sections, cap, sizeof(*more));

        if (!more)
            return err_set(err, ENOMEM, "no memory for %zu sections", cap);
        s->sections = more;
        s->section_cap = cap;
    }
    s->sections[s->section_count++] = *section;
    return 0;
}

static int get_idstr(const uint8_t *name, uint8_t n, struct stream_section *section,
                     struct ferry_err *err)
{
    char text[TEXT_NAME_BYTES];

    if (n == 0)
        return err_set(err, EINVAL, "a section without a name");
    for (uint8_t i = 0; i < n; i++) {
        if (name[i] < 0x20 || name[i] > 0x7e)
            return err_set(err, EINVAL, "the section name \"%s\" has byte %02x in it",
                           text_name(text, name, n), name[i]);
    }
    memcpy(section->idstr, name, n);
    section->idstr[n] = 0;
    return 0;
}

/* START and FULL: with the whole head. */
static int next_new_section(struct stream_in *s, struct rd *in, enum wire_item type,
                            struct ferry_err *err)
{
    struct stream_section *section = &s->current;
    const uint8_t *name;
    uint8_t n;
    int r;

    section->type = type;
    section->ends = 0;
    section->id = rd_be32(in);
    n = rd_u8(in);
    name = rd_take(in, n);
    section->instance_id = rd_be32(in);
    section->version = rd_be32(in);
    if (in->failed)
        return short_item(s, "the head of a section", err);
    r = get_idstr(name, n, section, err);
    if (r == 0)
        r = announce_section(s, section, err);
    return r < 0 ? r : 1;
}

/* PART and END: of one that was started. */
static int next_old_section(struct stream_in *s, struct rd *in, enum wire_item type,
                            struct ferry_err *err)
{
    uint32_t id = rd_be32(in);
    struct stream_section *section;

    if (in->failed)
        return short_item(s, "the head of a section", err);
    section = find_section(s, id);
    if (!section || section->type != WIRE_SECTION_START)
        return err_set(err, EINVAL, "%s of section id %u, which was not started",
                       type == WIRE_SECTION_PART ? "part" : "end", id);
    /* When only dirty bitmaps are postcopied, RAM ends twice. */
    if (section->ends > (type == WIRE_SECTION_END))
        return err_set(err, EINVAL, "%s of section \"%.64s\", which has ended",
                       type == WIRE_SECTION_PART ? "part" : "end", section->idstr);
    section->ends += type == WIRE_SECTION_END;
    s->current = *section;
    s->current.type = type;
    return 1;
}

static int next_section(struct stream_in *s, struct rd *in, enum wire_item type,
                        struct stream_item *item, struct ferry_err *err)
{
    bool fresh = type == WIRE_SECTION_START || type == WIRE_SECTION_FULL;
    int r;

    r = fresh ? next_new_section(s, in, type, err) : next_old_section(s, in, type, err);
    if (r <= 0)
        return r;
    accept(s, in);
    s->place = IN_DATA;
    item->kind = STREAM_SECTION;
    item->section = &s->current;
    return 1;
}

/* Lengths a command's payload may have; max 0xffff: it says so itself. */
static const struct command_rule {
    uint16_t min_bytes, max_bytes;
} command_rules[WIRE_CMD_COUNT] = {
    [WIRE_CMD_PING] = {4, 4},
    [WIRE_CMD_POSTCOPY_ADVISE] = {0, 16},
    [WIRE_CMD_POSTCOPY_DISCARD] = {19, UINT16_MAX},
    [WIRE_CMD_PACKAGED] = {4, 4},
    [WIRE_CMD_RECV_BITMAP] = {2, 1 + WIRE_TEXT8_MAX_BYTES},
};

static int check_command(uint16_t command, uint16_t n, struct ferry_err *err)
{
    const struct command_rule *rule;

    if (command == WIRE_CMD_FERRY_COMMIT && n == 0)
        return 0;
    if (command == 0 || command >= WIRE_CMD_COUNT)
        return err_set(err, EINVAL, "unknown command %u", command);
    rule = &command_rules[command];
    if (n < rule->min_bytes || n > rule->max_bytes ||
        (command == WIRE_CMD_POSTCOPY_ADVISE && n != 0 && n != 16))
        return err_set(err, EINVAL, "command %u with %u bytes, it has %u to %u", command, n,
                       rule->min_bytes, rule->max_bytes);
    return 0;
}

static int begin_package(struct stream_in *s, struct stream_item *item, struct ferry_err *err)
{
    uint32_t n = be32_load(item->payload.data);

    if (s->in_package)
        return err_set(err, EINVAL, "a package inside a package");
    if (n > WIRE_PACKAGE_MAX_BYTES)
        return err_set(err, EINVAL, "a package of %u bytes is more than %u", n,
                       WIRE_PACKAGE_MAX_BYTES);
    item->package_bytes = n;
    s->in_package = true;
    s->package_end = stream_in_offset(s) + n;
    return 0;
}

static int next_command(struct stream_in *s, struct rd *in, struct stream_item *item,
                        struct ferry_err *err)
{
    uint16_t command = rd_be16(in), n = rd_be16(in);
    const uint8_t *payload;
    int r;

    if (in->failed)
        return short_item(s, "a command", err);
    r = check_command(command, n, err);
    if (r < 0)
        return r;
    payload = rd_take(in, n);
    if (!payload)
        return short_item(s, "a command", err);
    accept(s, in);
    item->kind = STREAM_COMMAND;
    item->command = command;
    item->payload = rd_make(payload, n);
    r = command == WIRE_CMD_PACKAGED ? begin_package(s, item, err) : 0;
    return r < 0 ? r : 1;
}

static int next_item(struct stream_in *s, struct stream_item *item, struct ferry_err *err)
{
    struct rd in = stream_in_data(s);
    uint8_t type;

    if (s->in_package && stream_in_offset(s) == s->package_end) {
        s->in_package = false;
        item->kind = STREAM_PACKAGE_END;
        return 1;
    }
    type = rd_u8(&in);
    if (in.failed)
        return short_item(s, "the list of sections: no end mark", err);
    switch (type) {
    case WIRE_SECTION_START:
    case WIRE_SECTION_PART:
    case WIRE_SECTION_END:
    case WIRE_SECTION_FULL:
        return next_section(s, &in, type, item, err);
    case WIRE_COMMAND:
        return next_command(s, &in, item, err);
    case WIRE_EOF:
        if (s->in_package)
            return err_set(err, EINVAL, "an end mark inside a package");
        accept(s, &in);
        s->place = AFTER_EOF;
        item->kind = STREAM_EOF;
        return 1;
    default:
        return err_set(err, EINVAL, "item type %02x is not one that may come here", type);
    }
}

static int next_footer(struct stream_in *s, struct stream_item *item, struct ferry_err *err)
{
    struct rd in = stream_in_data(s);
    uint8_t type = rd_u8(&in);
    uint32_t id = rd_be32(&in);

    if (in.failed)
        return short_item(s, "the footer of a section", err);
    if (type != WIRE_FOOTER)
        return err_set(err, EINVAL,
                       "after section \"%.64s\" comes byte %02x, not a footer (%02x): its format "
                       "is not the one known here",
                       s->current.idstr, type, WIRE_FOOTER);
    if (id != s->current.id)
        return err_set(err, EINVAL, "the footer of section \"%.64s\" has id %u, not %u",
                       s->current.idstr, id, s->current.id);
    accept(s, &in);
    s->place = AT_ITEM;
    return next_item(s, item, err);
}

static int next_description(struct stream_in *s, struct stream_item *item, struct ferry_err *err)
{
    struct rd in = stream_in_data(s);
    uint8_t type;
    uint32_t n;

    if (rd_left(&in) == 0 && s->final) {
        s->place = AT_END;
        item->kind = STREAM_END;
        return 1;
    }
    type = rd_u8(&in);
    if (in.failed)
        return 0;
    if (type != WIRE_DESCRIPTION)
        return err_set(err, EINVAL, "after the end mark comes item %02x, not a description (%02x)",
                       type, WIRE_DESCRIPTION);
    n = rd_be32(&in);
    if (in.failed)
        return short_item(s, "the description", err);
    if (n > WIRE_DESCRIPTION_MAX_BYTES)
        return err_set(err, EINVAL, "a description of %u bytes is more than %u", n,
                       WIRE_DESCRIPTION_MAX_BYTES);
    accept(s, &in);
    s->place = IN_DESCRIPTION;
    s->skip_bytes = n;
    item->kind = STREAM_DESCRIPTION;
    item->description_bytes = n;
    item->description = rd_peek(&in, n);
    return 1;
}

static int skip_description(struct stream_in *s, struct stream_item *item, struct ferry_err *err)
{
    size_t n = stream_in_left(s);

    n = n < s->skip_bytes ? n : (size_t)s->skip_bytes;
    s->pos_bytes += n;
    s->skip_bytes -= n;
    if (s->skip_bytes > 0)
        return short_item(s, "the description", err);
    s->place = AT_END;
    item->kind = STREAM_END;
    return 1;
}

int stream_in_next(struct stream_in *s, struct stream_item *item, struct ferry_err *err)
{
    int r = 0;

    *item = (struct stream_item){0};
    switch (s->place) {
    case AT_HEADER:
        r = next_header(s, item, err);
        break;
    case AT_FOOTER:
        r = next_footer(s, item, err);
        break;
    case IN_DATA: /* not to be called there; going on would take data for an item */
        r = err_set(err, EINVAL, "the data of section \"%.64s\" were not read", s->current.idstr);
        break;
    case AT_ITEM:
        r = next_item(s, item, err);
        break;
    case AFTER_EOF:
        r = next_description(s, item, err);
        break;
    case IN_DESCRIPTION:
        r = skip_description(s, item, err);
        break;
    case AT_END:
        item->kind = STREAM_END;
        return 1;
    }
    return r < 0 ? refuse(s, err, r) : r;
}
