/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A migration's target from the inside: what target.c (the stream's way for lib/move/target.h),
 * target_items.c (what comes in the stream) and target_api.c share.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <ferry/migrate.h>

#include "lib/chan/listener.h"
#include "lib/migrate/guest.h"
#include "lib/migrate/multifd_in.h"
#include "lib/migrate/receiver.h"
#include "lib/migrate/session.h"
#include "lib/move/target.h"
#include "lib/wire/config.h"
#include "lib/wire/stream_in.h"
#include "lib/wire/vm_load.h"

/* Answers that the source does not read: then it asks for too much. */
#define TARGET_ANSWERS_MAX_BYTES (64u << 10)

struct target_arrival {
    struct ferry_chan *chan; /* owned */
    int64_t until_ns;        /* it may be silent */
};

struct migrate_target {
    struct target base;
    struct session session;

    char *version;
    char *host; /* NULL: not known */
    bool local; /* the source is on it, too */
    int (*build)(void *opaque, const char *description, struct ferry_vm **vm,
                 struct ferry_err *err);
    int (*open)(void *opaque, bool dry_run, struct ferry_err *err);
    bool has_uuid;
    uint8_t uuid[WIRE_UUID_BYTES];
    struct ferry_migrate_capabilities capabilities;
    bool any_file; /* capabilities.mapped_ram is what the file says */
    unsigned mapped_channels;
    bool direct_io;
    int64_t setup_timeout_ns, commit_timeout_ns, stall_timeout_ns;
    bool no_threads;
    ferry_migrate_trace_fn *trace;
    int (*activate)(void *opaque, struct ferry_err *err);
    void (*deactivate)(void *opaque);
    bool (*run)(void *opaque);
    void *opaque;

    struct ferry_listener *listener; /* owned */
    struct ferry_chan *chan;
    const struct codec_ops *codec;
    unsigned channels;              /* besides the main one; 0: none */
    int64_t resting_until_ns;       /* accept nobody; 0: does not rest */
    struct target_arrival *arrived; /* owned; those who have not said yet what they are */
    unsigned arrived_count, taken_count;
    struct multifd_in *multifd; /* NULL: none, or not yet */
    bool awaited;               /* something that connected has not said what it is */
    struct stream_in *stream;
    const struct stream_section *section; /* the one whose data comes next; NULL: an item does */
    struct stream_section section_copy;
    struct wire_config config; /* the source's */
    bool has_config;
    struct guest_ram guest;
    struct receiver *receiver;
    struct lane_want want; /* of the receiver, without threads */
    struct vm_load *load;
    bool active; /* what only one side can have is here */
    bool ready;  /* guest, receiver and load are there */
    bool ended;  /* everything of the stream was read */
    bool gone;

    bool may_answer, asked; /* the return path is open; the source is ferry */
    bool greeted, dry_run;
    bool steady; /* the source: it has no reason to be silent for long */
    uint64_t seen_bytes;
    int64_t look_ns; /* when to see what has come; INT64_MAX: it need not come */
    struct buf answers;
    size_t answered_bytes;

    int64_t begin_ns, switchover_ns, load_ns, commit_ns, end_ns;
    uint64_t received_bytes, zero_pages, normal_pages; /* of a receiver that is gone */
    struct ferry_migrate_ledger ledger;
};

extern const struct target_way migrate_target_way;

static inline int64_t target_now(const struct migrate_target *t)
{
    return mover_now(&t->base.m);
}
void target_trace(struct migrate_target *t, enum ferry_migrate_point point);
/* Sends what can be sent of the answers. */
void target_answer(struct migrate_target *t);
/* The next item, or a piece of it: an event, MOVE_EV_NONE: more bytes are needed, or -errno. */
int target_item(struct migrate_target *t);
