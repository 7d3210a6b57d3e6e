/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading the frame of a stream, piece by piece: bytes in, items out. Pure.
 *
 *     while ((r = stream_in_next(s, &item, err)) > 0)
 *         switch (item.kind) {
 *         case STREAM_SECTION: ... needs its data read, see below
 *
 * Data of a section has no length, so only who knows it can tell where it ends. After
 * STREAM_SECTION that is the caller's turn:
 *
 *     struct rd in = stream_in_data(s);       all bytes there are
 *     decode from `in`; too short and not stream_in_data_final()? forget it, feed more, try again
 *     stream_in_data_used(s, in.pos_bytes);   as often as pieces were decoded
 *     stream_in_data_end(s);                  the footer comes next
 *
 * The bytes are either one loan (stream_in_whole, nothing is copied) or fed as they arrive, in any
 * split. Nothing changes until a whole item is there. One owner, one thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ferry/err.h>

#include "base/buf.h"
#include "lib/wire/config.h"
#include "lib/wire/format.h"

enum stream_kind {
    STREAM_CONFIG = 1, /* header and configuration */
    STREAM_SECTION,    /* its data comes next */
    STREAM_COMMAND,
    STREAM_PACKAGE_END, /* the bytes that a PACKAGED command announced are used up */
    STREAM_EOF,
    STREAM_DESCRIPTION,
    STREAM_END, /* after it: only what is not part of the stream, stream_in_left() bytes of it */
};

struct stream_section {
    enum wire_item type; /* START, PART, END or FULL */
    uint32_t id;
    char idstr[WIRE_TEXT8_MAX_BYTES + 1];
    uint32_t instance_id;
    uint32_t version;
    unsigned ends; /* ENDs so far */
};

struct stream_item {
    enum stream_kind kind;
    /* All loans, until the next call. */
    const struct wire_config *config;
    const struct stream_section *section;
    enum wire_command command;
    struct rd payload;      /* of the command */
    uint32_t package_bytes; /* PACKAGED */
    uint32_t description_bytes;
    const uint8_t *description; /* NULL if not all of it is at hand: it is skipped anyway */
};

struct stream_in;

int stream_in_new(struct stream_in **ret, struct ferry_err *err) FERRY_MUST_CHECK;
void stream_in_free(struct stream_in *s);
/* As new, with the memory it has. */
void stream_in_reset(struct stream_in *s);

/* Everything there is, on loan until free or reset; nothing will follow. Instead of feeding. */
void stream_in_whole(struct stream_in *s, const void *data, size_t n);
/* Some more bytes, copied. Invalidates loans. -EFBIG when far too much is waiting. */
int stream_in_feed(struct stream_in *s, const void *data, size_t n,
                   struct ferry_err *err) FERRY_MUST_CHECK;
/* The channel has ended: nothing will be fed any more. */
void stream_in_finish(struct stream_in *s);

/*
 * 1 and an item, 0 if more bytes are needed, or a refusal: after one, only reset and free. Must
 * not be called between STREAM_SECTION and stream_in_data_end(). STREAM_END comes after the
 * description, or after EOF when the bytes end there.
 */
int stream_in_next(struct stream_in *s, struct stream_item *item,
                   struct ferry_err *err) FERRY_MUST_CHECK;

struct rd stream_in_data(const struct stream_in *s);
/* No further bytes can belong to the data. */
bool stream_in_data_final(const struct stream_in *s);
void stream_in_data_used(struct stream_in *s, size_t n);
/*
 * n bytes of the data went past this reader, which had nothing waiting: pages that were read to
 * where they belong. Counts them for stream_in_offset() and for the end of a package.
 */
void stream_in_data_elsewhere(struct stream_in *s, uint64_t n);
void stream_in_data_end(struct stream_in *s);

size_t stream_in_left(const struct stream_in *s);
/* Where in the stream the next item is. */
uint64_t stream_in_offset(const struct stream_in *s);
