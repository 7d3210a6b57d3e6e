/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The messages of the handover (lib/live/format.h) as structs: written to a struct frame_out, read
 * from a struct frame. Pure. Reading bounds everything and refuses bytes that are left over.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ferry/part.h>

#include "lib/live/format.h"
#include "lib/live/frame.h"
#include "lib/live/ledger.h"

#define MESSAGE_TEXT8_BYTES 256 /* with a NUL */

struct hello_region {
    uint64_t size_bytes;
    char name[MESSAGE_TEXT8_BYTES];
};

struct hello {
    uint16_t version, oldest;
    char ferry_version[MESSAGE_TEXT8_BYTES];
    int64_t pause_timeout_ns;
    size_t region_count;
    struct hello_region regions[LIVE_REGIONS_MAX];
    const char *description; /* not terminated; a loan of the frame */
    size_t description_bytes;
};
/* fds: the lock memfd and one memfd per region, loans. */
void message_put_hello(struct frame_out *out, const struct hello *hello, const int *fds);
/*
 * Also checks that the versions can talk, before it looks at what may differ between them;
 * own_version is this side's ferry version, for the sentence.
 */
int message_get_hello(struct frame *frame, struct hello *ret, const char *own_version,
                      struct ferry_err *err) FERRY_MUST_CHECK;

void message_put_ready(struct frame_out *out, uint16_t version, const char *ferry_version);
int message_get_ready(struct frame *frame, uint16_t *version,
                      char ferry_version[static MESSAGE_TEXT8_BYTES],
                      struct ferry_err *err) FERRY_MUST_CHECK;

/* REFUSE and ABORT: the sentence of why. */
void message_put_reason(struct frame_out *out, enum live_type type, const struct ferry_err *why);
/* Always fills why with something to read. */
void message_get_reason(struct frame *frame, struct ferry_err *why);

/*
 * FDS or EXTRAS: one batch, from names[*index] on; fd -1 = declared, not attached. Advances *index.
 */
void message_put_fds(struct frame_out *out, enum live_type type, const struct ferry_named_fd *names,
                     size_t count, size_t *index);
/* Appends to names (room for max), taking the fds of the frame. */
int message_get_fds(struct frame *frame, struct ferry_named_fd *names, size_t *count, size_t max,
                    struct ferry_err *err) FERRY_MUST_CHECK;

struct state_header {
    uint64_t starts;
    bool running;
};
/* Between the two, append the stream to out->buf. */
void message_begin_state(struct frame_out *out, const struct state_header *header);
/* The source's marks up to and with SAVED. */
void message_end_state(struct frame_out *out, const struct live_marks *marks, uint16_t version);
int message_get_state(struct frame *frame, struct state_header *ret, struct rd *stream,
                      struct live_marks *marks, uint16_t version,
                      struct ferry_err *err) FERRY_MUST_CHECK;

/* The target's marks, RECEIVED and after. */
void message_put_running(struct frame_out *out, const struct live_marks *marks, uint16_t version);
int message_get_running(struct frame *frame, struct live_marks *marks, uint16_t version,
                        struct ferry_err *err) FERRY_MUST_CHECK;

void message_put_empty(struct frame_out *out, enum live_type type);
