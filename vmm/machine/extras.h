/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What of a part goes to the process that takes this one's place and has no place in the stream,
 * as it is no state of the guest's: extras of the handover (<ferry/part.h>), named "PART/0" and so
 * on. The first is a memfd with a record, the others are file descriptors that belong to it:
 *
 *     u32 magic   u16 version   u16 entries   u32 bytes of all that follows; the entries, which
 *     are the part's own, each with its file descriptors in the order of the extras
 *
 * In the pause it is only written. The target reads it when the guest runs again, and believes
 * nothing of it. A version is for what a reader of the one before would get wrong.
 *
 * Main thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ferry/err.h>
#include <ferry/part.h>

#include "base/buf.h"

#define EXTRAS_FDS_MAX        257u /* the record, and more than a handover takes (lib/live/format.h) */
#define EXTRAS_TEXT_MAX_BYTES 255u

struct extras_kind {
    const char *part; /* its idstr */
    const char *what; /* the record, in sentences: "the record of its clients" */
    uint32_t magic;
    uint16_t version;
    uint32_t max_bytes; /* of the record: it is written while the guest stands still */
    uint16_t max_entries;
};

struct extras {
    const struct extras_kind *kind;
    int record_fd; /* of a source; owned, -1 */
    struct buf record;
    size_t entries;
    size_t entry_at, entry_fds; /* where the one that is being written begins */
    bool given;                 /* in a source that has paused: the fds are loans */
    int fds[EXTRAS_FDS_MAX];    /* in a target: owned until they are used */
    size_t fd_count, fds_used;
};

void extras_init(struct extras *e, const struct extras_kind *kind);
void extras_free(struct extras *e);

/* --- Source --- */

/* Everything that takes time or can fail, while the guest runs. */
void extras_prepare(struct extras *e);
/* In the pause: the record, empty. */
void extras_begin(struct extras *e);
/* An entry: bytes are appended to e->record, file descriptors (loans) by extras_add_fd(). */
void extras_begin_entry(struct extras *e);
void extras_add_fd(struct extras *e, int fd);
/* False, and it is not in there: it is not wanted, or there is no room for it. */
bool extras_end_entry(struct extras *e, bool wanted);
/* False: nothing can go along. Without an entry nothing has to, either. */
bool extras_end(struct extras *e);
/* u8 length, text; at most EXTRAS_TEXT_MAX_BYTES. */
void extras_put_text(struct extras *e, const char *text);
/* A part's extra_fd_at. */
int extras_at(const struct extras *e, size_t index, struct ferry_named_fd *ret);
/* The guest has not left after all. */
void extras_forget(struct extras *e);

/* --- Target --- */

/* A part's adopt. They arrive in their order, so each is the next. */
int extras_adopt(struct extras *e, const char *name, int *fd, struct ferry_err *err);
/* Have some come, which nobody has read? */
bool extras_arrived(const struct extras *e);
/* The entries, which are there until extras_done(), and how many they claim to be. */
int extras_read(struct extras *e, struct rd *ret, size_t *entries,
                struct ferry_err *err) FERRY_MUST_CHECK;
/* The next n file descriptors, to be taken with take_fd(); NULL: there are fewer. */
int *extras_next_fds(struct extras *e, size_t n);
/* False: there is none, or not one that QMP would take. Nothing of it lives in the record. */
bool extras_get_text(struct rd *in, char ret[EXTRAS_TEXT_MAX_BYTES + 1]);
/* Closes what was not taken. */
void extras_done(struct extras *e);
