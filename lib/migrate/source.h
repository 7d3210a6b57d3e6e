/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A migration's source from the inside: what source.c (the stream's way for lib/move/source.h) and
 * source_api.c (events from outside, <ferry/migrate.h>) share.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <ferry/migrate.h>

#include "lib/chan/connect.h"
#include "lib/migrate/burial.h"
#include "lib/migrate/guest.h"
#include "lib/migrate/multifd_out.h"
#include "lib/migrate/rounds.h"
#include "lib/migrate/sender.h"
#include "lib/migrate/session.h"
#include "lib/move/source.h"
#include "lib/wire/config.h"
#include "lib/wire/return_path.h"

/* Of the PING behind each round. */
#define SOURCE_PING_ROUND 2u

struct source_totals {
    uint64_t bytes, multifd_bytes, zero_pages, normal_pages, pages_done;
    uint64_t xbzrle_pages, xbzrle_bytes, xbzrle_misses, xbzrle_overflows;
};

struct migrate_source {
    struct source base;
    struct session session;

    char *description, *version;
    char *host;           /* NULL: not said */
    uint64_t hello_bytes; /* of the data of section "ferry/hello"; 0: it was not sent */
    bool dry_run;
    enum ferry_migrate_peer peer;
    struct ferry_migrate_capabilities capabilities;
    struct ferry_migrate_parameters parameters;
    bool has_uuid;
    uint8_t uuid[WIRE_UUID_BYTES];
    bool no_threads;
    void (*throttle)(void *opaque, unsigned percent);
    int (*settle)(void *opaque, struct ferry_err *err);
    int (*deactivate)(void *opaque, struct ferry_err *err);
    int (*activate)(void *opaque, struct ferry_err *err);
    ferry_migrate_trace_fn *trace;
    void *opaque;

    struct chan_connect *connect;
    struct ferry_chan *chan;
    struct return_path_in back;    /* messages of the target */
    struct return_message message; /* the one an event is about */
    int64_t deaf_until_ns;         /* it says too much; 0: it does not */
    int64_t heard_ns;              /* when it was last looked at what the target says */
    bool gone, ferry;
    enum move_event early; /* what the target said before this side knew that all is sent */
    struct wire_config config;
    struct guest_ram guest;
    struct sender *sender;
    struct burial *burial;         /* of sender, multifd and chan, at the end; NULL: none */
    bool returned;                 /* and it was told that the guest is as it was */
    struct ferry_address *address; /* NULL: nothing to connect to; lanes connect to it, too */
    const struct codec_ops *codec;
    struct multifd_out *multifd; /* NULL: none */
    bool lanes_awaited;          /* RAM begins when the last of them is there */
    bool round_awaited;          /* the target has not read all of the round */
    struct lane_want want;       /* of the sender, without threads */

    bool logging, inactive;
    bool settle_asked; /* once is enough */
    int64_t bereft_ns; /* when to stop trying to activate again; 0: not yet tried */
    struct rounds rounds;
    uint64_t pending_pages; /* at the begin of the round */
    uint64_t done_before;   /* pages_done then */
    uint64_t bytes_before;
    int64_t stall_timeout_ns;
    uint64_t seen_progress; /* when the clock was looked at last */
    int64_t look_ns;        /* when to look again; INT64_MAX: progress does not count now */
    bool seen_blocked;
    int64_t begin_ns, asked_ns, active_ns, round_ns, saved_ns, sent_ns, commit_ns, end_ns;
    uint64_t precopy_bytes;
    struct source_totals totals; /* of the sender that is gone */
    struct ferry_migrate_ledger ledger;
};

extern const struct source_way migrate_source_way;

static inline int64_t source_now(const struct migrate_source *s)
{
    return mover_now(&s->base.m);
}
/* RAM can begin: the target has accepted, all channels are there. */
int source_begin_ram(struct migrate_source *s);
/* What was sent so far, also after the end. */
struct source_totals source_totals(const struct migrate_source *s);
