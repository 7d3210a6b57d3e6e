/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/wire/command.h"

#include <errno.h>
#include <string.h>

#include "base/be.h"
#include "base/err.h"
#include "base/text.h"

#define RANGE_BYTES 16u

const char *command_name(enum wire_command number)
{
    static const char *const names[WIRE_CMD_COUNT] = {
        [WIRE_CMD_OPEN_RETURN_PATH] = "OPEN_RETURN_PATH",
        [WIRE_CMD_PING] = "PING",
        [WIRE_CMD_POSTCOPY_ADVISE] = "POSTCOPY_ADVISE",
        [WIRE_CMD_POSTCOPY_LISTEN] = "POSTCOPY_LISTEN",
        [WIRE_CMD_POSTCOPY_RUN] = "POSTCOPY_RUN",
        [WIRE_CMD_POSTCOPY_DISCARD] = "POSTCOPY_DISCARD",
        [WIRE_CMD_PACKAGED] = "PACKAGED",
        [WIRE_CMD_ENABLE_COLO] = "ENABLE_COLO",
        [WIRE_CMD_POSTCOPY_RESUME] = "POSTCOPY_RESUME",
        [WIRE_CMD_RECV_BITMAP] = "RECV_BITMAP",
        [WIRE_CMD_SWITCHOVER_START] = "SWITCHOVER_START",
    };

    if (number == WIRE_CMD_FERRY_COMMIT)
        return "FERRY_COMMIT";
    return (unsigned)number < WIRE_CMD_COUNT && names[number] ? names[number] : "unknown";
}

static int get_block(struct rd *in, struct command *c, struct ferry_err *err)
{
    uint8_t n = rd_u8(in);
    const uint8_t *name = rd_take(in, n);
    char text[TEXT_NAME_BYTES];

    if (!name || in->failed)
        return 0; /* told by who asked */
    if (n == 0 || memchr(name, 0, n))
        return err_set(err, EINVAL, "the command %s for RAM block \"%s\": no name of a block",
                       command_name(c->number), text_name(text, name, n));
    memcpy(c->block, name, n);
    c->block[n] = 0;
    return 0;
}

static int get_discard(struct rd *in, struct command *c, struct ferry_err *err)
{
    uint8_t version = rd_u8(in), end;
    int r;

    if (!in->failed && version != 0)
        return err_set(err, EINVAL, "the command POSTCOPY_DISCARD in version %u, only 0 is known",
                       version);
    r = get_block(in, c, err);
    if (r < 0)
        return r;
    end = rd_u8(in);
    if (in->failed)
        return 0;
    if (end != 0 || rd_left(in) == 0 || rd_left(in) % RANGE_BYTES != 0)
        return err_set(err, EINVAL,
                       "the command POSTCOPY_DISCARD for RAM block \"%.64s\": behind the name come "
                       "%02x and %zu bytes, not 00 and one or more ranges of %u",
                       c->block, end, rd_left(in), RANGE_BYTES);
    c->range_count = (uint32_t)(rd_left(in) / RANGE_BYTES);
    c->ranges = rd_take(in, rd_left(in));
    return 0;
}

static int get_advise(struct rd *in, struct command *c, struct ferry_err *err)
{
    c->with_ram = rd_left(in) != 0;
    if (c->with_ram) {
        c->page_sizes_bytes = rd_be64(in);
        c->page_bytes = rd_be64(in);
    }
    return 0;
}

static int get_payload(struct rd *in, struct command *c, struct ferry_err *err)
{
    switch (c->number) {
    case WIRE_CMD_PING:
        c->value = rd_be32(in);
        return 0;
    case WIRE_CMD_POSTCOPY_ADVISE:
        return get_advise(in, c, err);
    case WIRE_CMD_POSTCOPY_DISCARD:
        return get_discard(in, c, err);
    case WIRE_CMD_PACKAGED:
        c->package_bytes = rd_be32(in);
        if (!in->failed && c->package_bytes > WIRE_PACKAGE_MAX_BYTES)
            return err_set(err, EINVAL, "a package of %u bytes is more than %u", c->package_bytes,
                           WIRE_PACKAGE_MAX_BYTES);
        return 0;
    case WIRE_CMD_RECV_BITMAP:
        return get_block(in, c, err);
    case WIRE_CMD_OPEN_RETURN_PATH:
    case WIRE_CMD_POSTCOPY_LISTEN:
    case WIRE_CMD_POSTCOPY_RUN:
    case WIRE_CMD_ENABLE_COLO:
    case WIRE_CMD_POSTCOPY_RESUME:
    case WIRE_CMD_SWITCHOVER_START:
    case WIRE_CMD_FERRY_COMMIT:
        return 0;
    case WIRE_CMD_COUNT:
        break;
    }
    return err_set(err, EINVAL, "unknown command %u", (unsigned)c->number);
}

int command_get(enum wire_command number, struct rd payload, struct command *ret,
                struct ferry_err *err)
{
    size_t n = rd_left(&payload);
    int r;

    *ret = (struct command){.number = number};
    r = get_payload(&payload, ret, err);
    if (r < 0)
        return r;
    if (payload.failed || rd_left(&payload) != 0)
        return err_set(err, EINVAL, "the command %s with %zu bytes, which %s", command_name(number),
                       n, payload.failed ? "are too few" : "are too many");
    return 0;
}

struct command_range command_range(const struct command *c, uint32_t i)
{
    const uint8_t *at = c->ranges + (size_t)i * RANGE_BYTES;

    return (struct command_range){.start_bytes = be64_load(at), .length_bytes = be64_load(at + 8)};
}

static void put_head(struct buf *out, enum wire_command number, size_t n)
{
    buf_u8(out, WIRE_COMMAND);
    buf_be16(out, (uint16_t)number);
    buf_be16(out, (uint16_t)n);
}

static void put_block(struct buf *out, const char *block)
{
    buf_u8(out, (uint8_t)strlen(block));
    buf_str(out, block);
}

void command_put(struct buf *out, const struct command *c)
{
    size_t name_bytes = strlen(c->block), ranges_bytes = (size_t)c->range_count * RANGE_BYTES;

    switch (c->number) {
    case WIRE_CMD_PING:
        command_put_ping(out, c->value);
        break;
    case WIRE_CMD_PACKAGED:
        put_head(out, c->number, 4);
        buf_be32(out, c->package_bytes);
        break;
    case WIRE_CMD_POSTCOPY_ADVISE:
        put_head(out, c->number, c->with_ram ? 16 : 0);
        if (c->with_ram) {
            buf_be64(out, c->page_sizes_bytes);
            buf_be64(out, c->page_bytes);
        }
        break;
    case WIRE_CMD_POSTCOPY_DISCARD:
        put_head(out, c->number, 3 + name_bytes + ranges_bytes);
        buf_u8(out, 0);
        put_block(out, c->block);
        buf_u8(out, 0);
        buf_put(out, c->ranges, ranges_bytes);
        break;
    case WIRE_CMD_RECV_BITMAP:
        put_head(out, c->number, 1 + name_bytes);
        put_block(out, c->block);
        break;
    default:
        command_put_empty(out, c->number);
        break;
    }
}

void command_put_empty(struct buf *out, enum wire_command number)
{
    put_head(out, number, 0);
}

void command_put_ping(struct buf *out, uint32_t value)
{
    put_head(out, WIRE_CMD_PING, 4);
    buf_be32(out, value);
}
