/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the pause went.
 *
 * Nine marks in time bound the eight phases: phase p lasts from mark p-1 to mark p, hence the
 * phases add up to the pause whatever is measured inside them. Each side takes its marks and notes
 * its parts in a struct live_marks, without allocating; ledger_merge makes the account of both.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ferry/live.h>
#include <ferry/part.h>

#include "lib/live/format.h"

enum live_mark {
    LIVE_MARK_BEGUN = 0,
    LIVE_MARK_STOPPED,
    LIVE_MARK_PAUSED,
    LIVE_MARK_SAVED,
    LIVE_MARK_RECEIVED, /* from here on, the target's */
    LIVE_MARK_LOADED,
    LIVE_MARK_ADOPTED,
    LIVE_MARK_LOCKED,
    LIVE_MARK_STARTED,
    LIVE_MARKS,
};

struct live_marks {
    int64_t at_ns[LIVE_MARKS];
    int64_t part_start_ns;
    enum ferry_urgency urgency;
    enum ferry_phase phase; /* of the parts that are noted now */
    size_t count;
    struct ferry_ledger_entry entries[LIVE_ENTRIES_MAX];
    const struct ferry_part
        *parts[LIVE_ENTRIES_MAX]; /* of entries; only where they were measured */
};

void marks_take(struct live_marks *m, enum live_mark mark);
/*
 * A vm_part_fn; arg is the struct live_marks. What a part does in several pieces within a phase is
 * one entry. A part past the last entry goes unnoted.
 */
void marks_part(void *arg, const struct ferry_part *part, bool done);

/* Marks that go backwards (a peer's) are pulled up to the one before. */
void ledger_merge(struct ferry_ledger *ledger, const struct live_marks *source,
                  const struct live_marks *target);
