/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A migration's source from the inside: what source.c (states and what is done between them) and
 * source_api.c (events from outside, <ferry/migrate.h>) share.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <ferry/migrate.h>

#include "base/machine.h"
#include "lib/chan/connect.h"
#include "lib/migrate/guest.h"
#include "lib/migrate/multifd_out.h"
#include "lib/migrate/rounds.h"
#include "lib/migrate/sender.h"
#include "lib/migrate/session.h"
#include "lib/wire/config.h"
#include "lib/wire/return_path.h"

enum source_state {
    SOURCE_NEW = 0,
    SOURCE_CONNECT,
    SOURCE_GREET,
    SOURCE_PREFLIGHT,
    SOURCE_ACTIVE,
    SOURCE_QUIESCE,
    SOURCE_SWITCHOVER,
    SOURCE_LAST,
    SOURCE_LOAD,
    /* from here on the target may run the guest */
    SOURCE_COMMIT,
    SOURCE_AWAIT,
    /* and here it does not */
    SOURCE_BACK,
    /* ends */
    SOURCE_DONE,
    SOURCE_CHECKED,
    SOURCE_FAILED,
    SOURCE_LOST,
};

enum source_event {
    SOURCE_EV_NONE = 0,
    SOURCE_EV_BEGIN,
    SOURCE_EV_CONNECTED,
    SOURCE_EV_HELLO,
    SOURCE_EV_PONG, /* to the question whether it is ferry */
    SOURCE_EV_ACCEPT,
    SOURCE_EV_REFUSE,
    SOURCE_EV_LOADED,
    SOURCE_EV_SHUT, /* the guest is fine there */
    SOURCE_EV_SHUT_BAD,
    SOURCE_EV_OTHER, /* a message that is for another kind of migration */
    SOURCE_EV_GONE,
    SOURCE_EV_IDLE, /* everything queued was sent */
    SOURCE_EV_FITS, /* little enough is left */
    SOURCE_EV_DRAINED,
    SOURCE_EV_PROCEED,
    SOURCE_EV_CHECKED,
    SOURCE_EV_UNASKED, /* the target starts by itself */
    SOURCE_EV_BACK,    /* the target says that it does not run the guest */
    SOURCE_EV_RETURNED,
    SOURCE_EV_BEREFT, /* of what the guest needs to run */
    SOURCE_EV_DUE,
    SOURCE_EV_CANCEL,
    SOURCE_EV_FAULT,
};

struct source_totals {
    uint64_t bytes, multifd_bytes, zero_pages, normal_pages, pages_done;
    uint64_t xbzrle_pages, xbzrle_bytes, xbzrle_misses, xbzrle_overflows;
};

struct ferry_migrate_source {
    struct session session;
    int state;
    struct ferry_err err;
    int64_t deadline_ns;
    bool again; /* step at once */

    struct ferry_vm *vm; /* loan */
    char *description, *version;
    bool running;
    bool dry_run;
    enum ferry_migrate_peer peer;
    struct ferry_migrate_capabilities capabilities;
    struct ferry_migrate_parameters parameters;
    bool has_uuid;
    uint8_t uuid[WIRE_UUID_BYTES];
    int64_t setup_timeout_ns, pause_timeout_ns;
    bool no_threads;
    void (*throttle)(void *opaque, unsigned percent);
    void (*deactivate)(void *opaque);
    int (*activate)(void *opaque, struct ferry_err *err);
    ferry_migrate_trace_fn *trace;
    void *opaque;

    struct chan_connect *connect;
    struct ferry_chan *chan;
    struct return_path_in back;    /* messages of the target */
    struct return_message message; /* the one an event is about */
    bool gone, ferry, refused;
    struct wire_config config;
    struct guest_ram guest;
    struct sender *sender;
    struct ferry_address *address; /* NULL: nothing to connect to; lanes connect to it, too */
    const struct codec_ops *codec;
    struct multifd_out *multifd; /* NULL: none */
    bool lanes_awaited;          /* RAM begins when the last of them is there */
    struct lane_want want;       /* of the sender, without threads */

    bool logging, quiesced, drained, paused, inactive;
    int64_t bereft_ns; /* when to stop trying to activate again */
    struct rounds rounds;
    uint64_t pending_pages; /* at the begin of the round */
    uint64_t done_before;   /* pages_done then */
    uint64_t bytes_before;
    uint64_t seen_progress;
    int64_t begin_ns, asked_ns, active_ns, round_ns, quiesce_ns, pause_ns, saved_ns, sent_ns,
        commit_ns, end_ns;
    uint64_t precopy_bytes;
    struct source_totals totals; /* of the sender that is gone */
    struct ferry_migrate_ledger ledger;
};

extern const struct machine_table migrate_source_table;

int64_t source_now(struct ferry_migrate_source *s);
const char *source_doing(const struct ferry_migrate_source *s);
/* What was sent so far, also after the end. */
/* RAM can begin: the target has accepted, all channels are there. */
int source_begin_ram(struct ferry_migrate_source *s);
struct source_totals source_totals(const struct ferry_migrate_source *s);
