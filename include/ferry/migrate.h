/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Moving a VM to another host, or into a file, in QEMU's migration stream.
 *
 *   source (running)                                 target
 *   connects; header, PING -------------------------> is it ferry? it says so, QEMU does not
 *   between two ferries:
 *   machine, RAM, parts, capabilities --------------> compares, names every difference
 *   <----------------------------- ACCEPT or REFUSE --
 *   RAM, then what was written meanwhile, and so on -> (a lane thread on either side)
 *   settles, quiesces, pauses, deactivates, saves
 *   last RAM, devices ------------------------------> loads to scratch, checks, activates
 *   <------------------------------ LOADED or REFUSE --
 *   COMMIT -----------------------------------------> adopts, starts the guest
 *   <----------------------------------------- SHUT --
 *
 * QEMU starts the guest when the description at the end has come, and says SHUT. On a one-way
 * transport the source is done when everything is written.
 *
 * Until the point of no return (COMMIT, or with QEMU, or a command or pipe that may lead to one,
 * the end mark of the stream) every failure and cancel leaves the guest running in the source.
 * After it the source never resumes it, unless the target says that it failed, or the command does
 * by its status. In a file nobody starts it: there every failure leads back.
 *
 * What only one side can have at a time, as the locks of disk images, the source gives up when it
 * is paused (deactivate) and the target takes before it says LOADED (activate): a target that
 * cannot have it refuses. The source then activates again before its guest runs on; while it
 * cannot, because the target's process has not quite ended, it tries again for pause_timeout.
 *
 * Each side is a move (<ferry/move.h>), whose events are POLLIN. FAILED, where activate() failed to
 * the end: the guest is whole and paused in the source, until activate() works, ferry_vm_resume()
 * and the harts' start. LOST: the connection was lost after the point of no return.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ferry/chan.h>
#include <ferry/err.h>
#include <ferry/move.h>
#include <ferry/part.h>

/* As QEMU's status of a migration. */
enum ferry_migrate_phase {
    FERRY_MIGRATE_SETUP = 1,
    FERRY_MIGRATE_ACTIVE,
    FERRY_MIGRATE_PRE_SWITCHOVER, /* paused, waits for ferry_migrate_source_proceed() */
    FERRY_MIGRATE_DEVICE,         /* paused */
    FERRY_MIGRATE_COMPLETED,
    FERRY_MIGRATE_ENDED_FAILED,
    FERRY_MIGRATE_CANCELLED,
};
FERRY_API const char *ferry_migrate_phase_name(enum ferry_migrate_phase phase); /* "setup" ... */

enum ferry_migrate_peer {
    FERRY_MIGRATE_PEER_ANY = 0, /* ask */
    FERRY_MIGRATE_PEER_QEMU,    /* write only what QEMU reads; also into files */
    FERRY_MIGRATE_PEER_FERRY,   /* refuse a target that is not ferry */
};

/* Both sides must have the same. What is not here is not served. */
struct ferry_migrate_capabilities {
    bool xbzrle;
    bool auto_converge;
    bool multifd;
    bool mapped_ram; /* files only; with multifd, several threads write and read it */
    bool ignore_shared;
    bool validate_uuid;
    bool pause_before_switchover;
};

enum ferry_migrate_zero_pages {
    FERRY_MIGRATE_ZERO_MULTIFD = 0, /* in the lanes, where there are some */
    FERRY_MIGRATE_ZERO_LEGACY,      /* on the main channel */
    FERRY_MIGRATE_ZERO_NONE,        /* send them like others */
};

/* 0 = the default, where one is given. */
struct ferry_migrate_parameters {
    uint64_t max_bandwidth_bps;              /* bytes per second; 0 = no limit */
    uint64_t avail_switchover_bandwidth_bps; /* bytes per second; 0 = measured */
    int64_t downtime_limit_ns;               /* 300 ms */
    enum ferry_migrate_zero_pages zero_pages;
    unsigned multifd_channels;           /* 2 */
    const char *multifd_compression;     /* NULL: "none"; copied */
    int multifd_level;                   /* 0: the method's */
    uint64_t xbzrle_cache_bytes;         /* 64 MiB */
    bool direct_io;                      /* mapped_ram with multifd: pages past the page cache */
    unsigned throttle_trigger_percent;   /* auto-converge: 50 */
    unsigned throttle_initial_percent;   /* 20 */
    unsigned throttle_increment_percent; /* 10 */
    unsigned throttle_max_percent;       /* 99 */
    bool throttle_tailslow;              /* no more than what is needed */
};

/* Where the pause went, as each side measured it with its own clock. */
struct ferry_migrate_ledger {
    int64_t total_ns;        /* harts stopped until the source knew that they run again */
    int64_t setup_ns;        /* guest runs: until the first page */
    int64_t quiesce_ns;      /* guest runs: requests in flight end */
    int64_t stop_ns;         /* stop harts and parts */
    int64_t save_ns;         /* state and last harvest */
    int64_t send_ns;         /* last pages and state to the kernel */
    int64_t wait_ns;         /* until LOADED, or SHUT from QEMU */
    int64_t commit_ns;       /* COMMIT to SHUT */
    int64_t target_load_ns;  /* sections to scratch, and their checks */
    int64_t target_start_ns; /* commit, resume parts, start harts */
    uint64_t state_bytes;
    uint64_t last_ram_bytes;
};

/* Nothing here is wrong for longer than a few milliseconds. */
struct ferry_migrate_info {
    size_t size_bytes; /* set by the caller */
    enum ferry_migrate_phase phase;
    bool peer_is_ferry;
    int64_t total_time_ns;
    int64_t setup_time_ns;
    int64_t downtime_ns;          /* at the end */
    int64_t expected_downtime_ns; /* before it */
    uint64_t transferred_bytes;
    uint64_t bandwidth_bps; /* bytes per second, of the last round */
    uint64_t ram_total_bytes;
    uint64_t ram_remaining_bytes;
    uint64_t zero_pages;
    uint64_t normal_pages;
    uint64_t dirty_pages_rate; /* pages per second */
    uint64_t rounds;           /* harvests: QEMU's dirty-sync-count */
    uint64_t precopy_bytes, downtime_bytes, multifd_bytes;
    unsigned throttle_percent;
    uint64_t xbzrle_pages, xbzrle_bytes, xbzrle_cache_misses, xbzrle_overflows;
};

/* Named points, for events, tracing and fault injection. */
enum ferry_migrate_point {
    FERRY_MIGRATE_CONNECTED = 1,
    FERRY_MIGRATE_ACCEPTED, /* source: the target accepted; target: it did */
    FERRY_MIGRATE_ROUND,    /* a round begins: MIGRATION_PASS */
    FERRY_MIGRATE_QUIESCED,
    FERRY_MIGRATE_PAUSED,
    FERRY_MIGRATE_SAVED,
    FERRY_MIGRATE_ALL_SENT,
    FERRY_MIGRATE_LOADED,
    FERRY_MIGRATE_COMMITTED,
    FERRY_MIGRATE_STARTED,
    FERRY_MIGRATE_RETURNED, /* source: it failed, and the guest is as it was before */
};
typedef void ferry_migrate_trace_fn(void *opaque, enum ferry_migrate_point point);
/* CLOCK_MONOTONIC, or a test's; any thread. */
typedef int64_t ferry_migrate_clock_fn(void *opaque);

/* --- Source --- */
struct ferry_migrate_source_params {
    size_t size_bytes;
    struct ferry_vm *vm;     /* loan, running or paused */
    const char *description; /* of the machine, opaque text; between ferries only; copied */
    const char *version;     /* "0.1.0"; copied */
    bool running;            /* the guest runs now and shall run in the target */
    const uint8_t *uuid;     /* 16 bytes, or NULL; copied */
    bool dry_run;            /* end after the target has compared */
    enum ferry_migrate_peer peer;
    struct ferry_migrate_capabilities capabilities;
    struct ferry_migrate_parameters parameters;
    int64_t setup_timeout_ns; /* for each answer before RAM, and to quiesce; 0 = 30 s */
    int64_t pause_timeout_ns; /* paused and nothing moves; 0 = 10 s */
    /* RAM moves, and a peer of a connection takes nothing of what it could have; 0 = 60 s,
     * INT64_MAX = wait for it. */
    int64_t stall_timeout_ns;
    bool no_threads; /* step() does all the work, some milliseconds each: for tests */
    /* May be NULL: */
    void (*throttle)(void *opaque, unsigned percent); /* slow the harts down; 0 = stop that */
    /*
     * The guest is about to be paused, and runs: what would take long in the pause, as writing disk
     * images to stable storage. 0: done; 1: begun, ferry_migrate_source_settled() says when it is
     * over, within setup_timeout; -errno: the migration fails. Asked once.
     */
    int (*settle)(void *opaque, struct ferry_err *err);
    /*
     * Paused: give up what only one side can have. As above, within pause_timeout. After it
     * activate takes it back, also when it was begun and is not over: then it must come to nothing.
     */
    int (*deactivate)(void *opaque, struct ferry_err *err);
    int (*activate)(void *opaque, struct ferry_err *err);
    ferry_migrate_trace_fn *trace;
    ferry_migrate_clock_fn *clock;
    void *opaque;
    /* What no other host has (1 to 255 bytes, Linux's boot ID): so that the target can tell that
     * it is on this one. Between ferries only; copied. NULL: it cannot. */
    const char *host;
};
/*
 * One of the two. Connecting to a host or a UNIX socket is part of the migration; all else is
 * opened here. address is not needed afterwards. *chan is taken on success.
 */
FERRY_API int ferry_migrate_source_new(struct ferry_move **ret,
                                       const struct ferry_migrate_source_params *params,
                                       const struct ferry_address *address,
                                       struct ferry_chan **chan,
                                       struct ferry_err *err) FERRY_MUST_CHECK;
/* max_bandwidth, avail_switchover_bandwidth, downtime_limit and throttle_* of it, at once. */
FERRY_API void
ferry_migrate_source_set_parameters(struct ferry_move *move,
                                    const struct ferry_migrate_parameters *parameters);
/*
 * What settle or deactivate began is over; failure: NULL, or why it cannot be done, which fails the
 * migration and leads back. Call step() soon; not from inside a callback.
 */
FERRY_API void ferry_migrate_source_settled(struct ferry_move *move,
                                            const struct ferry_err *failure);
/* In PRE_SWITCHOVER: go on. Else -EINVAL. */
FERRY_API int ferry_migrate_source_proceed(struct ferry_move *move,
                                           struct ferry_err *err) FERRY_MUST_CHECK;
FERRY_API void ferry_migrate_source_info(const struct ferry_move *move,
                                         struct ferry_migrate_info *ret);
/* Threads that send, as the kernel counts them; false past the last. */
struct ferry_migrate_thread {
    char name[40]; /* QEMU's for the same: "mig/src/main", "mig/src/send_0" ... */
    int id;
};
FERRY_API bool ferry_migrate_source_thread(const struct ferry_move *move, size_t index,
                                           struct ferry_migrate_thread *ret);
FERRY_API const struct ferry_migrate_ledger *
ferry_migrate_source_ledger(const struct ferry_move *move);

/* --- Target --- */
struct ferry_migrate_target_params {
    size_t size_bytes;
    const char *version; /* copied */
    /*
     * The VM that takes the stream, built from this side's own options; harts never started. NULL:
     * built when the source has described it, which QEMU does not.
     */
    struct ferry_vm *vm;
    /*
     * With vm: does the source's machine fit? What does not is named before what the library finds.
     * Without: build it. The text is the source's.
     */
    int (*build)(void *opaque, const char *description, struct ferry_vm **vm,
                 struct ferry_err *err);
    /*
     * The source's machine fits, and nothing of the guest has come: open what the VM has of this
     * host, which build() does not. In a dry run nothing is opened; it may be looked for. -errno
     * refuses the guest. NULL, or a stream that does not say what it is (QEMU's): it is open.
     */
    int (*open)(void *opaque, bool dry_run, struct ferry_err *err);
    const uint8_t *uuid; /* 16 bytes, or NULL; copied. With build: what that VM has is not known */
    struct ferry_migrate_capabilities capabilities;
    /* A file says itself whether it is mapped-ram, whatever capabilities say. */
    bool any_file;
    struct ferry_migrate_parameters parameters;
    int64_t setup_timeout_ns;  /* for what connected to say what it is; 0 = 30 s */
    int64_t commit_timeout_ns; /* LOADED to COMMIT; 0 = 30 s */
    /* RAM and state come over a connection, and nothing does; 0 = 300 s. Not of a source that may
     * wait for its operator, as QEMU may, and a ferry with pause_before_switchover. */
    int64_t stall_timeout_ns;
    bool no_threads;
    /* May be NULL: */
    ferry_migrate_trace_fn *trace;
    ferry_migrate_clock_fn *clock;
    /* Everything is loaded, nothing committed: -errno refuses the guest, which stays there. */
    int (*activate)(void *opaque, struct ferry_err *err);
    /* The guest does not come after all. */
    void (*deactivate)(void *opaque);
    /* All is loaded and committed: shall the harts start? NULL: yes. */
    bool (*run)(void *opaque);
    void *opaque;
    const char *host; /* as the source's; copied */
};
/*
 * One of the two, taken on success. After FAILED the VM that was given is as it was but for its
 * RAM; another target may be armed for it. A VM that build() made is the caller's.
 */
FERRY_API int ferry_migrate_target_new(struct ferry_move **ret,
                                       const struct ferry_migrate_target_params *params,
                                       struct ferry_listener **listener, struct ferry_chan **chan,
                                       struct ferry_err *err) FERRY_MUST_CHECK;
/* From build() on: both sides have said what host they are on, and it is the same. */
FERRY_API bool ferry_migrate_target_is_local(const struct ferry_move *move);
/* Where it waits for its source, "tcp:127.0.0.1:40123"; NULL: not yet, or no longer. A loan. */
FERRY_API const char *ferry_migrate_target_listening(const struct ferry_move *move);
/* Before a source has connected; -EBUSY after it. multifd and mapped_ram stay as they are. */
FERRY_API int
ferry_migrate_target_set_capabilities(struct ferry_move *move,
                                      const struct ferry_migrate_capabilities *capabilities,
                                      struct ferry_err *err) FERRY_MUST_CHECK;
/* For a VMM that shows the target's side of the progress; ferry shows the source's. */
FERRY_API void ferry_migrate_target_info(const struct ferry_move *move,
                                         struct ferry_migrate_info *ret);
FERRY_API const struct ferry_migrate_ledger *
ferry_migrate_target_ledger(const struct ferry_move *move);
