/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing the frame of a stream; the data of sections is written by those who know it. Sticky like
 * the buffer below it. Pure.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "lib/wire/config.h"
#include "lib/wire/format.h"

/* Header and configuration. -errno if out is or becomes failed. */
int stream_put_header(struct buf *out, const struct wire_config *config,
                      struct ferry_err *err) FERRY_MUST_CHECK;
/* type: START or FULL. idstr: 1 to WIRE_TEXT8_MAX_BYTES bytes. Data comes next, then the footer. */
void stream_put_section(struct buf *out, enum wire_item type, uint32_t id, const char *idstr,
                        uint32_t instance_id, uint32_t version);
/* type: PART or END of a section that was started. */
void stream_put_section_next(struct buf *out, enum wire_item type, uint32_t id);
void stream_put_footer(struct buf *out, uint32_t id);
void stream_put_command(struct buf *out, enum wire_command command, const void *payload,
                        uint16_t payload_bytes);
void stream_put_eof(struct buf *out);
/*
 * n may be 0, but a description there must be: a QEMU destination on a socket waits for it. It
 * comes after EOF, except after a postcopy.
 */
void stream_put_description(struct buf *out, const void *json, uint32_t n);
