/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/wire/ram_in.h"

#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "base/num.h"
#include "base/text.h"

#define FLAGS_MASK (WIRE_PAGE_BYTES - 1u)

void ram_in_init(struct ram_in *in, struct ram_blocks *blocks, const struct ram_rules *rules)
{
    *in = (struct ram_in){.blocks = blocks, .rules = *rules, .last = blocks->count};
    for (size_t i = 0; i < blocks->count; i++)
        blocks->at[i].listed = false;
}

void ram_in_advised(struct ram_in *in)
{
    in->rules.postcopy = true;
}

int ram_in_section(struct ram_in *in, enum wire_item type, uint32_t version, struct ferry_err *err)
{
    if (type == WIRE_SECTION_FULL)
        return err_set(err, EINVAL, "RAM in a section that is sent at once");
    if (type == WIRE_SECTION_START && version != WIRE_RAM_VERSION)
        return err_set(err, EINVAL, "RAM in version %u, only %u is known", version,
                       WIRE_RAM_VERSION);
    in->list_may_come = type == WIRE_SECTION_START && !in->has_list;
    return 0;
}

/* --- The block list --- */

/* Everything the peer says about a block must be true here. */
static int check_entry(struct ram_in *in, struct ram_block *b, uint64_t used_bytes,
                       uint64_t page_bytes, uint64_t gpa, struct ferry_err *err)
{
    if (b->listed)
        return err_set(err, EINVAL, "RAM block \"%.64s\" is listed twice", b->name);
    if (used_bytes > in->list_left_bytes)
        return err_set(err, EINVAL,
                       "RAM block \"%.64s\" has 0x%llx bytes, but only 0x%llx of the announced "
                       "total are left",
                       b->name, (unsigned long long)used_bytes,
                       (unsigned long long)in->list_left_bytes);
    if (used_bytes % WIRE_PAGE_BYTES != 0)
        return err_set(err, EINVAL, "RAM block \"%.64s\": 0x%llx bytes are not whole pages",
                       b->name, (unsigned long long)used_bytes);
    if (used_bytes != b->used_bytes && (b->max_bytes == 0 || used_bytes > b->max_bytes))
        return err_set(err, EINVAL,
                       "RAM block \"%.64s\" has 0x%llx bytes at the sender and 0x%llx here; give "
                       "both machines the same memory",
                       b->name, (unsigned long long)used_bytes, (unsigned long long)b->used_bytes);
    if (ram_entry_has_page_size(&in->rules, b) && page_bytes != b->host_page_bytes)
        return err_set(err, EINVAL,
                       "RAM block \"%.64s\" is backed by pages of 0x%llx bytes at the sender and "
                       "of 0x%llx here",
                       b->name, (unsigned long long)page_bytes,
                       (unsigned long long)b->host_page_bytes);
    if (in->rules.ignore_shared && b->ignored && gpa != b->gpa)
        return err_set(err, EINVAL,
                       "RAM block \"%.64s\" is at guest address 0x%llx at the sender and at "
                       "0x%llx here",
                       b->name, (unsigned long long)gpa, (unsigned long long)b->gpa);
    return 0;
}

/* A block that nobody listed would keep what it held before. */
static int check_list_complete(const struct ram_in *in, struct ferry_err *err)
{
    for (size_t i = 0; i < in->blocks->count; i++) {
        const struct ram_block *b = &in->blocks->at[i];

        if (!b->listed && b->used_bytes != 0)
            return err_set(err, EINVAL,
                           "RAM block \"%.64s\" of this machine is not in the sender's list; "
                           "give both the same devices",
                           b->name);
    }
    return 0;
}

static int end_list(struct ram_in *in, struct ferry_err *err)
{
    in->in_list = false;
    return check_list_complete(in, err);
}

static int next_entry(struct ram_in *in, struct rd *bytes, struct ram_event *event,
                      struct ferry_err *err)
{
    uint8_t name_bytes = rd_u8(bytes);
    const uint8_t *name = rd_take(bytes, name_bytes);
    uint64_t used_bytes = rd_be64(bytes), page_bytes = 0, gpa = 0;
    char text[TEXT_NAME_BYTES];
    struct ram_block *b;
    int index, r;

    if (!name || bytes->failed)
        return 0;
    index = ram_find(in->blocks, name, name_bytes);
    if (index < 0)
        return err_set(err, EINVAL,
                       "RAM block \"%s\" (0x%llx bytes) of the sender does not exist here; give "
                       "both machines the same devices and memory",
                       text_name(text, name, name_bytes), (unsigned long long)used_bytes);
    b = &in->blocks->at[index];
    if (ram_entry_has_page_size(&in->rules, b))
        page_bytes = rd_be64(bytes);
    if (in->rules.ignore_shared)
        gpa = rd_be64(bytes);
    if (in->rules.mapped_ram)
        event->mapped = mapped_get_header(bytes);
    if (bytes->failed)
        return 0;
    r = check_entry(in, b, used_bytes, page_bytes, gpa, err);
    if (r == 0 && in->rules.mapped_ram)
        r = mapped_check_header(&event->mapped, b->name, err);
    if (r < 0)
        return r;
    b->listed = true;
    b->used_bytes = used_bytes;
    in->list_left_bytes -= used_bytes;
    event->kind = RAM_BLOCK;
    event->block = (size_t)index;
    r = in->list_left_bytes == 0 ? end_list(in, err) : 0;
    return r < 0 ? r : 1;
}

static int begin_list(struct ram_in *in, uint64_t total_bytes, struct ferry_err *err)
{
    if (!in->list_may_come)
        return err_set(err, EINVAL,
                       "a list of RAM blocks where none may come: it begins the "
                       "first section, once");
    in->list_may_come = false;
    in->has_list = in->in_list = true;
    in->list_left_bytes = total_bytes;
    return total_bytes == 0 ? end_list(in, err) : 0;
}

/* --- Records --- */

/* The block of a page record: its name, or the last one. 1, 0 for more bytes, or a refusal. */
static int page_block(const struct ram_in *in, struct rd *bytes, uint64_t word, size_t *ret,
                      struct ferry_err *err)
{
    unsigned long long offset = word & ~(uint64_t)FLAGS_MASK;
    char text[TEXT_NAME_BYTES];
    const uint8_t *name;
    uint8_t n;
    int index;

    if (word & WIRE_RAM_CONTINUE) {
        if (in->last == in->blocks->count)
            return err_set(err, EINVAL, "a page at 0x%llx of the block before, but there was none",
                           offset);
        *ret = in->last;
        return 1;
    }
    n = rd_u8(bytes);
    name = rd_take(bytes, n);
    if (!name || bytes->failed)
        return 0;
    index = ram_find(in->blocks, name, n);
    if (index < 0)
        return err_set(err, EINVAL, "a page at 0x%llx of RAM block \"%s\", which does not exist",
                       offset, text_name(text, name, n));
    *ret = (size_t)index;
    return 1;
}

static int next_zero(struct rd *bytes, const struct ram_block *b, struct ram_event *event,
                     struct ferry_err *err)
{
    uint8_t fill = rd_u8(bytes);

    if (bytes->failed)
        return 0;
    if (fill != 0)
        return err_set(err, EINVAL,
                       "the page at 0x%llx of RAM block \"%.64s\" is filled with %02x; only zero "
                       "is known",
                       (unsigned long long)event->offset_bytes, b->name, fill);
    event->kind = RAM_ZERO;
    return 1;
}

static int next_delta(const struct ram_in *in, struct rd *bytes, const struct ram_block *b,
                      struct ram_event *event, struct ferry_err *err)
{
    unsigned long long offset = event->offset_bytes;
    uint8_t encoding;
    uint16_t n;

    if (!in->rules.xbzrle || in->rules.postcopy)
        return err_set(err, EINVAL, "an XBZRLE page at 0x%llx of RAM block \"%.64s\", but %s",
                       offset, b->name,
                       in->rules.postcopy ? "postcopy has none"
                                          : "xbzrle is off here; switch it on on both sides");
    encoding = rd_u8(bytes);
    n = rd_be16(bytes);
    if (bytes->failed)
        return 0;
    if (encoding != WIRE_RAM_XBZRLE_ENCODING)
        return err_set(err, EINVAL,
                       "the XBZRLE page at 0x%llx of RAM block \"%.64s\" has encoding %u, only "
                       "%u is known",
                       offset, b->name, encoding, WIRE_RAM_XBZRLE_ENCODING);
    if (n == 0 || n > WIRE_PAGE_BYTES)
        return err_set(err, EINVAL,
                       "the XBZRLE page at 0x%llx of RAM block \"%.64s\" has a delta of %u bytes, "
                       "not 1 to %u",
                       offset, b->name, n, WIRE_PAGE_BYTES);
    event->kind = RAM_XBZRLE;
    event->body_bytes = n;
    return 1;
}

static int next_page(struct ram_in *in, struct rd *bytes, uint64_t word, uint64_t flag,
                     struct ram_event *event, struct ferry_err *err)
{
    const struct ram_block *b;
    size_t block = 0;
    int r;

    if (in->rules.mapped_ram)
        return err_set(err, EINVAL, "a page record in a mapped-ram file, whose pages have places");
    r = page_block(in, bytes, word, &block, err);
    if (r <= 0)
        return r;
    b = &in->blocks->at[block];
    event->block = block;
    event->offset_bytes = word & ~(uint64_t)FLAGS_MASK;
    r = ram_check_page(b, event->offset_bytes, err);
    if (r < 0)
        return r;
    if (flag == WIRE_RAM_PAGE) {
        event->kind = RAM_PAGE;
        event->body_bytes = WIRE_PAGE_BYTES;
        r = 1;
    } else {
        r = flag == WIRE_RAM_ZERO ? next_zero(bytes, b, event, err)
                                  : next_delta(in, bytes, b, event, err);
    }
    if (r > 0)
        in->last = block; /* not before the whole head is there: it may be read again */
    return r;
}

/* A record without a page. */
static int next_mark(struct ram_in *in, uint64_t word, struct ram_event *event,
                     struct ferry_err *err)
{
    if (word & ~(uint64_t)FLAGS_MASK)
        return err_set(err, EINVAL, "a RAM record 0x%llx: the mark has an address",
                       (unsigned long long)word);
    if (word == WIRE_RAM_MULTIFD_FLUSH && (!in->rules.multifd || in->rules.mapped_ram))
        return err_set(err, EINVAL, "a multifd sync mark, but multifd %s",
                       in->rules.multifd ? "has none with mapped-ram"
                                         : "is off here; switch it on on both sides");
    event->kind = word == WIRE_RAM_EOS ? RAM_EOS : RAM_FLUSH;
    return 1;
}

static int next_record(struct ram_in *in, struct rd *bytes, struct ram_event *event,
                       struct ferry_err *err)
{
    uint64_t word = rd_be64(bytes);
    uint64_t flags = word & FLAGS_MASK, flag = flags & ~(uint64_t)WIRE_RAM_CONTINUE;
    int r;

    if (bytes->failed)
        return 0;
    if (flags == WIRE_RAM_MEM_SIZE) {
        r = begin_list(in, word & ~(uint64_t)FLAGS_MASK, err);
        return r < 0 ? r : -EAGAIN;
    }
    in->list_may_come = false;
    if (!in->has_list)
        return err_set(err, EINVAL, "a RAM record 0x%llx in front of the list of RAM blocks",
                       (unsigned long long)word);
    if (flag == WIRE_RAM_ZERO || flag == WIRE_RAM_PAGE || flag == WIRE_RAM_XBZRLE)
        return next_page(in, bytes, word, flag, event, err);
    if (flags == WIRE_RAM_EOS || flags == WIRE_RAM_MULTIFD_FLUSH)
        return next_mark(in, word, event, err);
    return err_set(err, EINVAL,
                   "a RAM record at 0x%llx with flags 0x%03llx, which do not go together or are "
                   "not known",
                   (unsigned long long)(word & ~(uint64_t)FLAGS_MASK), (unsigned long long)flags);
}

/*
 * One piece. 1: an event, 0: not all there, nothing has changed; -EAGAIN: used up without an event.
 */
static int next_piece(struct ram_in *in, struct rd *bytes, struct ram_event *event,
                      struct ferry_err *err)
{
    return in->in_list ? next_entry(in, bytes, event, err) : next_record(in, bytes, event, err);
}

/* The piece begins in what was held back: add what there is, and see how much of it it took. */
static int next_held(struct ram_in *in, struct rd *bytes, struct ram_event *event,
                     struct ferry_err *err)
{
    size_t add = (size_t)num_min(rd_left(bytes), sizeof(in->held) - in->held_bytes);
    struct rd piece;
    int r;

    memcpy(in->held + in->held_bytes, rd_peek(bytes, add), add);
    piece = rd_make(in->held, in->held_bytes + add);
    r = next_piece(in, &piece, event, err);
    if (r == 0) {
        in->held_bytes = (uint16_t)(in->held_bytes + add);
        rd_take(bytes, add);
        return 0;
    }
    if (r == 1 || r == -EAGAIN) {
        rd_take(bytes, piece.pos_bytes - in->held_bytes);
        in->held_bytes = 0;
    }
    return r;
}

int ram_in_next(struct ram_in *in, struct rd *bytes, struct ram_event *event, struct ferry_err *err)
{
    int r;

    do {
        struct rd at = *bytes;

        *event = (struct ram_event){0};
        if (rd_left(bytes) == 0)
            return 0;
        if (in->held_bytes != 0) {
            r = next_held(in, bytes, event, err);
            continue;
        }
        r = next_piece(in, &at, event, err);
        if (r == 0) {
            /* A whole piece would have fitted: no piece is longer than held. */
            in->held_bytes = (uint16_t)rd_left(bytes);
            memcpy(in->held, rd_peek(bytes, in->held_bytes), in->held_bytes);
            rd_take(bytes, in->held_bytes);
            return 0;
        }
        if (r == 1 || r == -EAGAIN)
            *bytes = at;
    } while (r == -EAGAIN);
    return r;
}
