/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/wire/return_path.h"

#include <errno.h>
#include <string.h>

#include "base/be.h"
#include "base/err.h"
#include "base/num.h"
#include "base/text.h"

#define HEAD_BYTES 4u

/* What the type says about the length, so that nothing is waited for that cannot be right. */
static const struct return_rule {
    enum wire_return type;
    const char *name;
    uint32_t min_bytes, max_bytes;
} rules[] = {
    {WIRE_RP_SHUT, "SHUT", 4, 4},
    {WIRE_RP_PONG, "PONG", 4, 4},
    {WIRE_RP_REQ_PAGES_ID, "REQ_PAGES_ID", 14, 13 + WIRE_TEXT8_MAX_BYTES},
    {WIRE_RP_REQ_PAGES, "REQ_PAGES", 12, 12},
    {WIRE_RP_RECV_BITMAP, "RECV_BITMAP", 2, 1 + WIRE_TEXT8_MAX_BYTES},
    {WIRE_RP_RESUME_ACK, "RESUME_ACK", 4, 4},
    {WIRE_RP_SWITCHOVER_ACK, "SWITCHOVER_ACK", 0, 0},
    {WIRE_RP_FERRY_HELLO, "FERRY_HELLO", 5, 5 + WIRE_TEXT8_MAX_BYTES},
    {WIRE_RP_FERRY_ACCEPT, "FERRY_ACCEPT", 0, 0},
    {WIRE_RP_FERRY_REFUSE, "FERRY_REFUSE", 0, WIRE_RP_TEXT_MAX_BYTES},
    {WIRE_RP_FERRY_LOADED, "FERRY_LOADED", 0, 0},
    {WIRE_RP_FERRY_LEDGER, "FERRY_LEDGER", 0, WIRE_RP_LEDGER_MAX_BYTES},
};

static const struct return_rule *find_rule(unsigned type)
{
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
        if ((unsigned)rules[i].type == type)
            return &rules[i];
    }
    return NULL;
}

const char *return_path_name(enum wire_return type)
{
    const struct return_rule *rule = find_rule(type);

    return rule ? rule->name : "unknown";
}

/* --- Reading --- */

void return_path_in_init(struct return_path_in *in)
{
    in->ended = false;
    in->held_bytes = 0;
}

/* The peer's words go to logs and monitors: nothing in them may do more than be read. */
static void get_sentence(struct rd *in, size_t n, char text[static WIRE_RP_TEXT_MAX_BYTES + 1])
{
    const uint8_t *from = rd_take(in, n);

    text_copy(text, WIRE_RP_TEXT_MAX_BYTES + 1, from, from ? n : 0);
}

static int get_name(struct rd *in, struct return_message *m, struct ferry_err *err)
{
    uint8_t n = rd_u8(in);
    const uint8_t *name = rd_take(in, n);
    char text[TEXT_NAME_BYTES];

    if (!name)
        return 0; /* told by who asked */
    for (uint8_t i = 0; i < n; i++) {
        if (name[i] < 0x20 || name[i] > 0x7e)
            return err_set(err, EINVAL, "the message %s: name \"%s\" has byte %02x in it",
                           return_path_name(m->type), text_name(text, name, n), name[i]);
    }
    memcpy(m->text, name, n);
    m->text[n] = 0;
    return 0;
}

static int get_resume_ack(struct rd *in, struct return_message *m, struct ferry_err *err)
{
    m->value = rd_be32(in);
    if (m->value != 1)
        return err_set(err, EINVAL, "the message RESUME_ACK says %u, not 1", m->value);
    return 0;
}

static int get_payload(struct rd *in, struct return_message *m, struct ferry_err *err)
{
    switch (m->type) {
    case WIRE_RP_SHUT:
    case WIRE_RP_PONG:
        m->value = rd_be32(in);
        return 0;
    case WIRE_RP_RESUME_ACK:
        return get_resume_ack(in, m, err);
    case WIRE_RP_REQ_PAGES_ID:
    case WIRE_RP_REQ_PAGES:
        m->offset_bytes = rd_be64(in);
        m->length_bytes = rd_be32(in);
        return m->type == WIRE_RP_REQ_PAGES_ID ? get_name(in, m, err) : 0;
    case WIRE_RP_RECV_BITMAP:
        return get_name(in, m, err);
    case WIRE_RP_FERRY_HELLO:
        m->protocol = rd_be16(in);
        m->oldest = rd_be16(in);
        return get_name(in, m, err);
    case WIRE_RP_FERRY_REFUSE:
        get_sentence(in, rd_left(in), m->text);
        return 0;
    case WIRE_RP_FERRY_LEDGER:
        m->ledger_bytes = (uint32_t)rd_left(in);
        m->ledger = rd_take(in, m->ledger_bytes);
        return 0;
    case WIRE_RP_SWITCHOVER_ACK:
    case WIRE_RP_FERRY_ACCEPT:
    case WIRE_RP_FERRY_LOADED:
    case WIRE_RP_COUNT:
        return 0;
    }
    return 0;
}

/* Enough of the message to know how long it is; its whole length, or a refusal. */
static int check_head(const uint8_t *head, struct ferry_err *err)
{
    uint16_t type = be16_load(head), n = be16_load(head + 2);
    const struct return_rule *rule = find_rule(type);

    if (!rule)
        return err_set(err, EINVAL,
                       "the return path brings a message of unknown type 0x%x with %u bytes", type,
                       n);
    if (n < rule->min_bytes || n > rule->max_bytes)
        return err_set(err, EINVAL, "the message %s with %u bytes, it has %u to %u", rule->name, n,
                       rule->min_bytes, rule->max_bytes);
    return (int)(HEAD_BYTES + n);
}

/* Move bytes until n are held. */
static bool hold(struct return_path_in *in, struct rd *bytes, uint32_t n)
{
    uint32_t add = (uint32_t)num_min(rd_left(bytes), n - in->held_bytes);

    if (add != 0)
        memcpy(in->held + in->held_bytes, rd_take(bytes, add), add);
    in->held_bytes += add;
    return in->held_bytes == n;
}

int return_path_in_next(struct return_path_in *in, struct rd *bytes, struct return_message *ret,
                        struct ferry_err *err)
{
    struct rd payload;
    int n, r;

    if (in->ended)
        return err_set(err, EINVAL, "the return path brings a bitmap that nobody asked for");
    if (in->held_bytes < HEAD_BYTES && !hold(in, bytes, HEAD_BYTES))
        return 0;
    n = check_head(in->held, err);
    if (n < 0)
        return n;
    if (!hold(in, bytes, (uint32_t)n))
        return 0;
    ret->type = be16_load(in->held);
    ret->value = ret->length_bytes = ret->ledger_bytes = 0;
    ret->offset_bytes = 0;
    ret->protocol = ret->oldest = 0;
    ret->ledger = NULL;
    ret->text[0] = 0;
    payload = rd_make(in->held + HEAD_BYTES, (size_t)n - HEAD_BYTES);
    r = get_payload(&payload, ret, err);
    if (r < 0)
        return r;
    if (payload.failed || rd_left(&payload) != 0)
        return err_set(err, EINVAL, "the message %s with %u bytes, which are too %s for its name",
                       return_path_name(ret->type), (unsigned)n - HEAD_BYTES,
                       payload.failed ? "few" : "many");
    in->held_bytes = 0;
    in->ended = ret->type == WIRE_RP_RECV_BITMAP;
    return 1;
}

/* --- Writing --- */

static void put_head(struct buf *out, enum wire_return type, size_t n)
{
    buf_be16(out, (uint16_t)type);
    buf_be16(out, (uint16_t)n);
}

static void put_value(struct buf *out, enum wire_return type, uint32_t value)
{
    put_head(out, type, 4);
    buf_be32(out, value);
}

static void put_name(struct buf *out, const char *name)
{
    buf_u8(out, (uint8_t)strlen(name));
    buf_str(out, name);
}

void return_path_put_shut(struct buf *out, uint32_t value)
{
    put_value(out, WIRE_RP_SHUT, value);
}

void return_path_put_pong(struct buf *out, uint32_t value)
{
    put_value(out, WIRE_RP_PONG, value);
}

void return_path_put_request(struct buf *out, const char *block, uint64_t offset_bytes,
                             uint32_t length_bytes)
{
    put_head(out, block ? WIRE_RP_REQ_PAGES_ID : WIRE_RP_REQ_PAGES,
             block ? 13 + strlen(block) : 12);
    buf_be64(out, offset_bytes);
    buf_be32(out, length_bytes);
    if (block)
        put_name(out, block);
}

void return_path_put_plain(struct buf *out, enum wire_return type)
{
    if (type == WIRE_RP_RESUME_ACK)
        put_value(out, type, 1);
    else
        put_head(out, type, 0);
}

void return_path_put_hello(struct buf *out, const char *version)
{
    put_head(out, WIRE_RP_FERRY_HELLO, 5 + strlen(version));
    buf_be16(out, WIRE_FERRY_PROTOCOL);
    buf_be16(out, WIRE_FERRY_OLDEST);
    put_name(out, version);
}

void return_path_put_refuse(struct buf *out, const char *text)
{
    size_t n = strnlen(text, WIRE_RP_TEXT_MAX_BYTES);

    put_head(out, WIRE_RP_FERRY_REFUSE, n);
    buf_put(out, text, n);
}

void return_path_put_ledger(struct buf *out, const void *data, size_t n)
{
    put_head(out, WIRE_RP_FERRY_LEDGER, n);
    buf_put(out, data, n);
}
