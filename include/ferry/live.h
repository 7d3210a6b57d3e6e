/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Handing a running VM to another process of the same host, over one UNIX stream socket.
 *
 *   source (running)                               target
 *   -- HELLO: description, RAM and lock memfds ---> builds the machine, maps and pre-faults RAM,
 *                                                   creates harts; attaches nothing
 *   <------------------------- READY (or REFUSE) -- everything that can fail early has failed
 *   quiesce: requests in flight finish, the guest runs
 *   pause harts, pause parts       \
 *   -- STATE: stream + named fds -->| the pause     loads to scratch, checks, adopts
 *   <------------ LOADED (or REFUSE)|
 *   gives up the ownership lock     |
 *   -- COMMIT --------------------->/               takes the lock, resumes parts, starts harts
 *   <----------------------------------- RUNNING -- with the target's half of the ledger
 *
 * Ownership is an open-file-description lock on the VM's lock memfd, taken through a private open
 * of it: the kernel releases it when a process dies. A side runs harts only while it holds it.
 * The first 8 bytes of the lock memfd count the guest's starts; STATE says how often it had been
 * started. Who finds the lock free and the count unmoved has the guest's latest state and may run
 * it; who finds it moved has an old state and must not (docs/live-update.md).
 *
 * Each side is a move (<ferry/move.h>). A step may spend up to 2 ms, of the few that it takes,
 * looking for an answer that is due in microseconds. The point of no return is COMMIT. After DONE a
 * target's guest runs if it ran in the source, else it stays paused. LOST: the guest ran in the
 * target, which is gone.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ferry/err.h>
#include <ferry/move.h>
#include <ferry/part.h>

#define FERRY_LEDGER_ENTRIES 256

/* The phases of the pause, in order; they add up to it. */
enum ferry_phase {
    FERRY_PHASE_STOP = 1, /* stop harts */
    FERRY_PHASE_DETACH,   /* pause parts */
    FERRY_PHASE_SAVE,
    FERRY_PHASE_SEND, /* until the target has it all */
    FERRY_PHASE_LOAD,
    FERRY_PHASE_ADOPT,
    FERRY_PHASE_COMMIT, /* LOADED, lock, COMMIT */
    FERRY_PHASE_START,  /* resume parts, start harts */
};

struct ferry_ledger_entry {
    enum ferry_phase phase;
    char part[FERRY_FD_NAME_BYTES]; /* "" = the phase as a whole */
    int64_t start_ns;               /* CLOCK_MONOTONIC: one clock for both processes */
    int64_t duration_ns;
};

/* What the host gave the thread that carried a side through the pause (sched(7)). */
enum ferry_urgency {
    FERRY_URGENCY_NONE = 0, /* not asked for, or refused */
    FERRY_URGENCY_SLICE,    /* short turns that come sooner */
    FERRY_URGENCY_NICE,
    FERRY_URGENCY_REALTIME,
};
FERRY_API const char *ferry_urgency_name(enum ferry_urgency urgency);
/*
 * begin: the pause is next, let this thread come before others, if the host allows it; what it
 * got. Else: as before. The thread that steps the object. A target begins when it is ready, and
 * once more when the pause comes, should more be allowed by then; one end.
 */
typedef enum ferry_urgency ferry_live_urgent_fn(void *opaque, bool begin);

/* Where the pause went. total_ns = sum of the phase entries = harts stopped .. harts started. */
struct ferry_ledger {
    int64_t total_ns;
    int64_t quiesce_ns; /* before the pause, the guest running */
    int64_t prepare_ns; /* HELLO to READY, the guest running */
    uint64_t state_bytes;
    uint32_t fd_count;
    enum ferry_urgency source_urgency, target_urgency;
    uint32_t count;
    struct ferry_ledger_entry entries[FERRY_LEDGER_ENTRIES];
};
FERRY_API const char *ferry_phase_name(enum ferry_phase phase);

/* Named points of the protocol, for progress, tracing and fault injection. */
enum ferry_live_point {
    FERRY_LIVE_HELLO_SENT = 1,
    FERRY_LIVE_READY_RECEIVED,
    FERRY_LIVE_QUIESCED,
    FERRY_LIVE_HARTS_STOPPED,
    FERRY_LIVE_PARTS_PAUSED,
    FERRY_LIVE_SAVED,
    FERRY_LIVE_STATE_SENT,
    FERRY_LIVE_LOADED_RECEIVED,
    FERRY_LIVE_LOCK_RELEASED,
    FERRY_LIVE_COMMIT_SENT,
    FERRY_LIVE_RUNNING_RECEIVED,
    /* target */
    FERRY_LIVE_HELLO_RECEIVED,
    FERRY_LIVE_BUILT,
    FERRY_LIVE_READY_SENT,
    FERRY_LIVE_STATE_RECEIVED,
    FERRY_LIVE_STATE_LOADED,
    FERRY_LIVE_ADOPTED,
    FERRY_LIVE_LOADED_SENT,
    FERRY_LIVE_COMMIT_RECEIVED,
    FERRY_LIVE_LOCK_TAKEN,
    FERRY_LIVE_STARTED,
};
FERRY_API const char *ferry_live_point_name(enum ferry_live_point point);
typedef void ferry_live_trace_fn(void *opaque, enum ferry_live_point point);

/* --- The ownership lock --- */
struct ferry_owner; /* the VM's lock memfd and this process's private open of it */
/* A new lock, held by the caller. */
FERRY_API int ferry_owner_new(struct ferry_owner **ret, struct ferry_err *err) FERRY_MUST_CHECK;
FERRY_API void ferry_owner_free(struct ferry_owner *owner); /* gives it up */

/* --- Source --- */
struct ferry_live_source_params {
    size_t size_bytes;
    struct ferry_vm *vm;        /* loan, running or paused */
    struct ferry_owner *owner;  /* loan, held */
    const char *description;    /* of the machine, opaque text for the target's build(); copied */
    const char *version;        /* "0.1.0", for the target's refusal sentence; copied */
    bool running;               /* the guest runs now and shall run in the target */
    int64_t prepare_timeout_ns; /* HELLO to READY, and to quiesce; 0 = 30 s */
    int64_t pause_timeout_ns;   /* harts stopped to LOADED, COMMIT to RUNNING; 0 = 2 s */
    int64_t spin_ns;            /* longest look for an answer without sleeping; 0 = 2 ms, -1 = no */
    ferry_live_trace_fn *trace; /* may be NULL */
    ferry_live_urgent_fn *urgent; /* may be NULL */
    void *opaque;                 /* for trace and urgent */
};
/* Takes *fd, a connected UNIX stream socket, on success. */
FERRY_API int ferry_live_source_new(struct ferry_move **ret,
                                    const struct ferry_live_source_params *params, int *fd,
                                    struct ferry_err *err) FERRY_MUST_CHECK;
/* After READY: the target may be given extras (extra_fd_at in part.h). */
FERRY_API bool ferry_live_source_gives_extras(const struct ferry_move *move);
FERRY_API const struct ferry_ledger *ferry_live_source_ledger(const struct ferry_move *move);
/* What the target gave as its version, its own words; "" before READY. A loan. */
FERRY_API const char *ferry_live_source_target_version(const struct ferry_move *move);

/* --- Target --- */
struct ferry_live_target_params {
    size_t size_bytes;
    const char *version; /* copied */
    /*
     * Build the VM that the description describes: RAM through ferry_ram_adopt() with the regions
     * given (take_region), parts created and not attached, harts created and stopped.
     */
    int (*build)(void *opaque, struct ferry_move *move, const char *description,
                 struct ferry_vm **ret, struct ferry_err *err);
    /*
     * The guest's clock runs from now on, as if it had not stopped in the source at stopped_ns:
     * CLOCK_MONOTONIC, which is one for both, never later than now. Its parts and harts follow.
     */
    void (*clock_go_on)(void *opaque, int64_t stopped_ns);
    int64_t spin_ns; /* as the source's */
    ferry_live_trace_fn *trace;
    ferry_live_urgent_fn *urgent;
    void *opaque;
};
/* Takes *fd on success. */
FERRY_API int ferry_live_target_new(struct ferry_move **ret,
                                    const struct ferry_live_target_params *params, int *fd,
                                    struct ferry_err *err) FERRY_MUST_CHECK;
/* For build(): map an arrived region into ram. -ENOENT with a sentence if the source has none such.
 */
FERRY_API int ferry_live_target_take_region(struct ferry_move *move, struct ferry_ram *ram,
                                            const char *name, uint64_t size_bytes,
                                            struct ferry_ram_region **ret,
                                            struct ferry_err *err) FERRY_MUST_CHECK;
/* The same for memory of a file (ferry_ram_add_file). */
FERRY_API int ferry_live_target_take_file(struct ferry_move *move, struct ferry_ram *ram,
                                          const char *name, uint64_t size_bytes,
                                          struct ferry_ram_region **ret,
                                          struct ferry_err *err) FERRY_MUST_CHECK;
/* After DONE: the lock; else NULL. */
FERRY_API struct ferry_owner *ferry_live_target_take_owner(struct ferry_move *move);
/* After DONE: the same account as the source's. */
FERRY_API const struct ferry_ledger *ferry_live_target_ledger(const struct ferry_move *move);
/* What the source gave as its version, its own words; "" before HELLO. A loan. */
FERRY_API const char *ferry_live_target_source_version(const struct ferry_move *move);
