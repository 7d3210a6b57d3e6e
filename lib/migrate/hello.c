/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/migrate/hello.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/be.h"
#include "base/differences.h"
#include "base/err.h"
#include "base/text.h"

static const struct {
    uint32_t bit;
    const char *name;
} hello_names[] = {
    {HELLO_CAP_MULTIFD, "multifd"},
    {HELLO_CAP_MAPPED_RAM, "mapped-ram"},
    {HELLO_CAP_IGNORE_SHARED, "x-ignore-shared"},
};

uint32_t hello_capabilities(const struct ferry_migrate_capabilities *c)
{
    /* Into a mapped-ram file any number may write, and any other number read it. */
    bool multifd = c->multifd && !c->mapped_ram;

    return (c->xbzrle ? HELLO_CAP_XBZRLE : 0u) | (multifd ? HELLO_CAP_MULTIFD : 0u) |
           (c->mapped_ram ? HELLO_CAP_MAPPED_RAM : 0u) |
           (c->ignore_shared ? HELLO_CAP_IGNORE_SHARED : 0u) |
           (c->validate_uuid ? HELLO_CAP_VALIDATE_UUID : 0u);
}

static void hello_text8(struct buf *out, const char *text)
{
    size_t length = strlen(text), n = length < WIRE_TEXT8_MAX_BYTES ? length : WIRE_TEXT8_MAX_BYTES;

    buf_u8(out, (uint8_t)n);
    buf_put(out, text, n);
}

static void hello_put_parts(struct buf *out, const struct ferry_vm *vm)
{
    uint16_t count = 0;
    const struct ferry_part *part;

    for (size_t i = 0; (part = ferry_vm_part(vm, i)); i++)
        count = (uint16_t)(count + (part->table != NULL));
    buf_be16(out, count);
    for (size_t i = 0; (part = ferry_vm_part(vm, i)); i++) {
        if (!part->table)
            continue;
        hello_text8(out, part->idstr);
        buf_be32(out, part->instance_id);
        buf_be32(out, part->table->version);
        buf_u8(out, part->table->needed != NULL);
    }
}

/* The nth of a VM's that is known; false: there are no more. */
struct fact_walk {
    const struct ferry_vm *vm;
    size_t part, index;
};

static bool next_fact(struct fact_walk *w, struct ferry_fact *ret)
{
    const struct ferry_part *part;

    while ((part = ferry_vm_part(w->vm, w->part))) {
        *ret = (struct ferry_fact){0};
        if (!part->ops || !part->ops->fact_at || part->ops->fact_at(part->obj, w->index, ret) < 0) {
            w->part++;
            w->index = 0;
            continue;
        }
        w->index++;
        if (*ret->value)
            return true;
    }
    return false;
}

static void hello_put_facts(struct buf *out, const struct ferry_vm *vm)
{
    struct fact_walk walk = {.vm = vm};
    struct ferry_fact fact;
    size_t at = out->len_bytes;
    uint16_t count = 0;

    buf_be16(out, 0);
    for (; count < HELLO_FACTS_MAX && next_fact(&walk, &fact); count++) {
        hello_text8(out, fact.name);
        hello_text8(out, fact.value);
    }
    buf_set_be16(out, at, count);
}

void hello_put(struct buf *out, const char *version, bool dry_run, bool steady,
               const struct hello_side *here, const char *description)
{
    const struct ram_blocks *blocks = here->blocks;
    bool multifd = here->capabilities & HELLO_CAP_MULTIFD;
    size_t start = out->len_bytes, n = strlen(description);

    buf_be32(out, 0);
    buf_be16(out, WIRE_FERRY_PROTOCOL);
    buf_be16(out, WIRE_FERRY_OLDEST);
    hello_text8(out, version);
    buf_u8(out, (uint8_t)((dry_run ? HELLO_DRY_RUN : 0) | (steady ? HELLO_STEADY : 0)));
    buf_be32(out, here->capabilities);
    buf_be16(out, (uint16_t)blocks->count);
    for (size_t i = 0; i < blocks->count; i++) {
        hello_text8(out, blocks->at[i].name);
        buf_be64(out, blocks->at[i].used_bytes);
    }
    hello_put_parts(out, here->vm);
    buf_be32(out, (uint32_t)n);
    buf_put(out, description, n);
    buf_u8(out, multifd ? (uint8_t)here->channels : 0);
    hello_text8(out, multifd ? here->compression : "none");
    hello_put_facts(out, here->vm);
    if (here->host)
        hello_text8(out, here->host);
    buf_set_be32(out, start, (uint32_t)(out->len_bytes - start - 4));
}

/* --- Reading --- */

/* A name of 1 to 255 bytes; "" and r failed otherwise. */
static void hello_get_text8(struct rd *r, char text[static WIRE_TEXT8_MAX_BYTES + 1])
{
    uint8_t n = rd_u8(r);
    const uint8_t *data = rd_take(r, n);

    if (!data || n == 0 || memchr(data, 0, n)) {
        r->failed = true;
        n = 0;
    } else {
        memcpy(text, data, n);
    }
    text[n] = '\0';
}

/* A list of fixed form, skipped: n entries of a text8 and tail bytes. */
static struct rd hello_list(struct rd *r, uint16_t n, size_t tail_bytes)
{
    size_t start = r->pos_bytes;
    char name[WIRE_TEXT8_MAX_BYTES + 1];

    for (uint16_t i = 0; i < n && !r->failed; i++) {
        hello_get_text8(r, name);
        rd_take(r, tail_bytes);
    }
    return r->failed ? rd_make(NULL, 0) : rd_make(r->data + start, r->pos_bytes - start);
}

static struct rd hello_get_facts(struct rd *r, uint16_t n)
{
    size_t start = r->pos_bytes;
    char text[WIRE_TEXT8_MAX_BYTES + 1];

    for (uint32_t i = 0; i < 2u * n && !r->failed; i++)
        hello_get_text8(r, text);
    return r->failed ? rd_make(NULL, 0) : rd_make(r->data + start, r->pos_bytes - start);
}

int hello_get(struct rd *in, bool final, struct hello *ret, struct ferry_err *err)
{
    const uint8_t *head = rd_peek(in, 4);
    uint32_t n = head ? be32_load(head) : 0;
    const uint8_t *data;
    uint8_t flags;
    struct rd r;

    if (n > HELLO_MAX_BYTES)
        return err_set(err, EPROTO, "ferry/hello has %u bytes, the limit is %u", n,
                       HELLO_MAX_BYTES);
    if (!head || !rd_peek(in, 4 + (size_t)n))
        return final ? err_set(err, EPROTO, "the stream ends in the middle of ferry/hello")
                     : -ENODATA;
    rd_take(in, 4);
    data = rd_take(in, n);
    r = rd_make(data, n);
    ret->protocol = rd_be16(&r);
    ret->oldest = rd_be16(&r);
    hello_get_text8(&r, ret->version);
    flags = rd_u8(&r);
    ret->dry_run = flags & HELLO_DRY_RUN;
    ret->steady = flags & HELLO_STEADY;
    ret->capabilities = rd_be32(&r);
    ret->block_count = rd_be16(&r);
    if (ret->block_count > WIRE_RAM_BLOCKS_MAX)
        r.failed = true;
    ret->blocks = hello_list(&r, ret->block_count, 8);
    ret->part_count = rd_be16(&r);
    if (ret->part_count > HELLO_PARTS_MAX)
        r.failed = true;
    ret->parts = hello_list(&r, ret->part_count, 9);
    ret->description_bytes = rd_be32(&r);
    if (ret->description_bytes > HELLO_DESCRIPTION_MAX_BYTES)
        r.failed = true;
    ret->description = (const char *)rd_take(&r, ret->description_bytes);
    ret->channels = 0;
    ret->fact_count = 0;
    ret->host[0] = '\0';
    if (!r.failed && rd_left(&r)) {
        ret->channels = rd_u8(&r);
        hello_get_text8(&r, ret->compression);
    }
    if (!r.failed && rd_left(&r)) {
        ret->fact_count = rd_be16(&r);
        r.failed |= ret->fact_count > HELLO_FACTS_MAX;
        ret->facts = hello_get_facts(&r, ret->fact_count);
    }
    if (!r.failed && rd_left(&r))
        hello_get_text8(&r, ret->host);
    if (r.failed || memchr(ret->description, 0, ret->description_bytes))
        return err_set(err, EPROTO, "ferry/hello is not as it should be");
    return 0;
}

/* --- Comparing --- */

static void compare_blocks(struct differences *d, const struct hello *theirs,
                           const struct ram_blocks *blocks)
{
    bool seen[WIRE_RAM_BLOCKS_MAX] = {false};
    struct rd r = theirs->blocks;

    for (uint16_t i = 0; i < theirs->block_count; i++) {
        char name[WIRE_TEXT8_MAX_BYTES + 1], shown[TEXT_NAME_BYTES];
        uint64_t length;
        int k;

        hello_get_text8(&r, name);
        length = rd_be64(&r);
        k = ram_find(blocks, name, strlen(name));
        text_name(shown, name, strlen(name));
        if (k < 0) {
            differences_add(d, "RAM '%s' is not here", shown);
            continue;
        }
        seen[k] = true;
        if (blocks->at[k].used_bytes != length)
            differences_add(d, "RAM '%s' has %" PRIu64 " bytes there and %" PRIu64 " here", shown,
                            length, blocks->at[k].used_bytes);
    }
    for (size_t k = 0; k < blocks->count; k++)
        if (!seen[k])
            differences_add(d, "RAM '%s' is only here", blocks->at[k].name);
}

static void compare_parts(struct differences *d, const struct hello *theirs,
                          const struct ferry_vm *vm)
{
    struct rd r = theirs->parts;
    const struct ferry_part *part;
    size_t met = 0, have = 0;

    for (uint16_t i = 0; i < theirs->part_count; i++) {
        char name[WIRE_TEXT8_MAX_BYTES + 1], shown[TEXT_NAME_BYTES];
        uint32_t instance, version;
        bool optional;

        hello_get_text8(&r, name);
        instance = rd_be32(&r);
        version = rd_be32(&r);
        optional = rd_u8(&r);
        text_name(shown, name, strlen(name));
        part = vm_find_part(vm, name, instance);
        if (!part || !part->table) {
            if (!optional)
                differences_add(d, "device '%s' %u is not here", shown, instance);
            continue;
        }
        met++;
        if (version > part->table->version || version < part->table->minimum_version)
            differences_add(d,
                            "the state of '%s' has version %u there, here %u to %u are understood",
                            shown, version, part->table->minimum_version, part->table->version);
    }
    for (size_t i = 0; (part = ferry_vm_part(vm, i)); i++)
        have += part->table != NULL;
    if (met >= have)
        return;
    for (size_t i = 0; (part = ferry_vm_part(vm, i)); i++) {
        bool found = false;

        r = theirs->parts;
        for (uint16_t k = 0; k < theirs->part_count && !found; k++) {
            char name[WIRE_TEXT8_MAX_BYTES + 1];

            hello_get_text8(&r, name);
            found = rd_be32(&r) == part->instance_id && strcmp(name, part->idstr) == 0;
            rd_take(&r, 5);
        }
        if (!found && part->table && !part->table->needed)
            differences_add(d, "device '%s' %u is only here", part->idstr, part->instance_id);
    }
}

/* One that only one side knows of is of another version's. */
static void compare_facts(struct differences *d, const struct hello *theirs,
                          const struct ferry_vm *vm)
{
    struct fact_walk walk = {.vm = vm};
    struct ferry_fact ours;

    while (next_fact(&walk, &ours)) {
        struct rd r = theirs->facts;

        for (uint16_t i = 0; i < theirs->fact_count; i++) {
            char name[WIRE_TEXT8_MAX_BYTES + 1], value[WIRE_TEXT8_MAX_BYTES + 1];
            char shown[TEXT_NAME_BYTES];

            hello_get_text8(&r, name);
            hello_get_text8(&r, value);
            if (!strcmp(name, ours.name) && strcmp(value, ours.value))
                differences_add(d, "%s is %s there and %s here", ours.name,
                                text_name(shown, value, strlen(value)), ours.value);
        }
    }
}

static void compare_multifd(struct differences *d, const struct hello *theirs,
                            const struct hello_side *here)
{
    char shown[TEXT_NAME_BYTES];

    if (!theirs->channels || !(here->capabilities & HELLO_CAP_MULTIFD))
        return;
    if (theirs->channels != here->channels)
        differences_add(d, "multifd-channels (--channels) is %u there and %u here",
                        theirs->channels, here->channels);
    if (strcmp(theirs->compression, here->compression) != 0)
        differences_add(d, "multifd-compression (--compress) is %s there and %s here",
                        text_name(shown, theirs->compression, strlen(theirs->compression)),
                        here->compression);
}

int hello_compare(const struct hello *theirs, const struct hello_side *here, const char *more,
                  struct ferry_err *err)
{
    uint32_t capabilities = here->capabilities;
    struct differences d = {0};
    char version[TEXT_NAME_BYTES];

    if (more)
        differences_add(&d, "%s", more);
    text_name(version, theirs->version, strlen(theirs->version));
    if (theirs->oldest > WIRE_FERRY_PROTOCOL || theirs->protocol < WIRE_FERRY_OLDEST)
        differences_add(&d, "ferry %s speaks protocols %u to %u, this one %u to %u", version,
                        theirs->oldest, theirs->protocol, WIRE_FERRY_OLDEST, WIRE_FERRY_PROTOCOL);
    for (size_t i = 0; i < sizeof(hello_names) / sizeof(hello_names[0]); i++)
        if ((theirs->capabilities ^ capabilities) & hello_names[i].bit)
            differences_add(&d, "capability %s%s is %s there and %s here", hello_names[i].name,
                            hello_names[i].bit == HELLO_CAP_MULTIFD ? " (--channels)" : "",
                            theirs->capabilities & hello_names[i].bit ? "on" : "off",
                            capabilities & hello_names[i].bit ? "on" : "off");
    compare_multifd(&d, theirs, here);
    compare_blocks(&d, theirs, here->blocks);
    compare_parts(&d, theirs, here->vm);
    compare_facts(&d, theirs, here->vm);
    return differences_end(&d, err);
}

int hello_compare_facts(const struct hello *theirs, const struct ferry_vm *vm,
                        struct ferry_err *err)
{
    struct differences d = {0};

    compare_facts(&d, theirs, vm);
    return differences_end(&d, err);
}
