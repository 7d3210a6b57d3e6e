/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/wire/stream_out.h"

#include <string.h>

#include "lib/state/state.h"

int stream_put_header(struct buf *out, const struct wire_config *config, struct ferry_err *err)
{
    struct wire_config c = *config;

    buf_be32(out, WIRE_MAGIC);
    buf_be32(out, WIRE_VERSION);
    buf_u8(out, WIRE_CONFIGURATION);
    return state_save(&wire_config_table, &c, out, NULL, err);
}

void stream_put_section(struct buf *out, enum wire_item type, uint32_t id, const char *idstr,
                        uint32_t instance_id, uint32_t version)
{
    buf_u8(out, (uint8_t)type);
    buf_be32(out, id);
    buf_u8(out, (uint8_t)strlen(idstr));
    buf_str(out, idstr);
    buf_be32(out, instance_id);
    buf_be32(out, version);
}

void stream_put_section_next(struct buf *out, enum wire_item type, uint32_t id)
{
    buf_u8(out, (uint8_t)type);
    buf_be32(out, id);
}

void stream_put_footer(struct buf *out, uint32_t id)
{
    buf_u8(out, WIRE_FOOTER);
    buf_be32(out, id);
}

void stream_put_command(struct buf *out, enum wire_command command, const void *payload,
                        uint16_t payload_bytes)
{
    buf_u8(out, WIRE_COMMAND);
    buf_be16(out, (uint16_t)command);
    buf_be16(out, payload_bytes);
    buf_put(out, payload, payload_bytes);
}

void stream_put_eof(struct buf *out)
{
    buf_u8(out, WIRE_EOF);
}

void stream_put_description(struct buf *out, const void *json, uint32_t n)
{
    buf_u8(out, WIRE_DESCRIPTION);
    buf_be32(out, n);
    buf_put(out, json, n);
}
