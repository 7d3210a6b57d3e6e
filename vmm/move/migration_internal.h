/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A VM's migration from the inside. Whatever way the guest goes, status, observers, capabilities
 * and parameters are the same (migration.c); the ways are
 *
 *   migration_live.c     to another process of this host, with everything open in it
 *   migration_net.c      as QEMU's stream, to another host or into a file
 *   migration_listen.c   where a target waits, and which of the two a caller speaks
 *
 * Main thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <ferry/chan.h>
#include <ferry/live.h>
#include <ferry/migrate.h>

#include "base/own.h"
#include "vmm/machine/clock.h"
#include "vmm/machine/vm.h"
#include "vmm/move/migration.h"
#include "vmm/move/migration_driver.h"
#include "vmm/move/migration_jobs.h"
#include "vmm/move/migration_params.h"
#include "vmm/process/host_id.h"

#define MIGRATION_OBSERVERS_MAX 4
#define MIGRATION_ADDRESS_BYTES 256
#define MIGRATION_BUILD_BYTES   256

struct announcer;
struct callers;
struct loop_watch;
struct reaper;
struct this_host;

struct migration {
    struct vm *vm;
    struct migration_params params;
    struct fault fault;
    const struct this_host *this_host; /* loan; of who takes a machine that is described */
    bool exit_on_error;
    bool again; /* what is refused may be followed by something else */
    char host[HOST_ID_BYTES];
    bool insecure;               /* others than this host may describe a machine */
    bool any_file;               /* a file may be mapped-ram or not */
    bool catch_up;               /* the clock of a guest that comes as a stream */
    bool unopened;               /* the machine was described by the source, and is not open yet */
    struct announcer *announcer; /* owned */

    struct {
        migration_observer_fn *fn;
        migration_pass_fn *pass;
        void *arg;
    } observers[MIGRATION_OBSERVERS_MAX];
    size_t observer_count;

    enum migration_status status;
    struct migration_jobs jobs;
    bool incoming;
    bool handover; /* not a stream */
    struct ferry_err error;
    int64_t start_ns, setup_end_ns, end_ns;
    enum run_state before; /* run state to go back to */
    /* Whoever waits for the end: `ferry update`, `ferry migrate --dry-run`. */
    migration_done_fn *done;
    void *done_arg;

    struct migration_driver driver; /* of source or target, of either way */

    /* --- handover --- */
    struct ferry_ledger ledger;
    bool have_ledger;
    bool update;                            /* for migration_update() */
    char peer_build[MIGRATION_BUILD_BYTES]; /* of the ferry on the other side, as it says */
    pid_t child;                            /* that was started for it; 0 = none */
    int mail;                               /* where its end is told, owned; -1 */
    bool let_go;                            /* of the guest: the other process may have it */
    bool answered;                          /* it speaks the protocol */
    struct reaper *reaper;

    /* --- stream --- */
    struct ferry_migrate_info net_info;
    bool have_net_info;
    uint64_t passes_told; /* to observers */
    struct ferry_migrate_ledger net_ledger;
    bool have_net_ledger;
    bool turned_away;  /* a target that is told to end, and tells its source */
    bool one_way;      /* nobody acknowledges: a file, a command; read, it can be read again */
    bool stays;        /* the guest runs on here when it is done */
    bool images_out;   /* the locks of disk images were given up, and are not back */
    bool images_leave; /* ... will be when they are on stable storage */

    /* --- where a target waits --- */
    int listen_fd;                      /* -1, or a UNIX socket on which both are spoken */
    int listen_mail;                    /* of who listens for us, and removes the path then; -1 */
    struct callers *callers;            /* those who have said nothing yet */
    char file[MIGRATION_ADDRESS_BYTES]; /* that is read; "" = it is none */
    char listen_path[108];
    char listen_text[MIGRATION_ADDRESS_BYTES]; /* of listen_fd: "unix:/run/move"; "" = nowhere */
};

static inline struct ferry_move *migration_net_source(const struct migration *m)
{
    return migration_driver_stream(&m->driver, true);
}
static inline struct ferry_move *migration_net_target(const struct migration *m)
{
    return migration_driver_stream(&m->driver, false);
}

bool migration_is_running(const struct migration *m);
void migration_set_status(struct migration *m, enum migration_status status);
void migration_begin(struct migration *m, bool incoming);
/* Begin with this move; it is freed on failure. */
int migration_drive(struct migration *m, const struct migration_side *side, struct ferry_move *move,
                    struct ferry_err *err) FERRY_MUST_CHECK;
/* Stops the driver and tells. */
void migration_finish(struct migration *m, enum migration_status status);
/* A source's requests have ended, the pause comes next. */
void migration_pausing(struct migration *m, enum guest_clock_reader reader);
/* A source's guest runs on here, or stays paused as it was. */
void migration_back(struct migration *m);
/* Finish a failed (or cancelled) outgoing one; the error is in m->error. */
void migration_source_failed(struct migration *m);
/* Finish a failed incoming one. */
void migration_target_failed(struct migration *m);

/* Takes *fd, a connected UNIX socket, on success. */
int migration_live_start(struct migration *m, int *fd, int64_t prepare_timeout_ns,
                         struct ferry_err *err) FERRY_MUST_CHECK;
int migration_live_incoming(struct migration *m, int *fd, struct ferry_err *err) FERRY_MUST_CHECK;

int migration_net_start(struct migration *m, const struct ferry_address *address, bool dry_run,
                        struct ferry_err *err) FERRY_MUST_CHECK;
/* Look up what it names of the monitor's; after success the name of an fd is gone. */
int migration_resolve(struct migration *m, struct ferry_address *address, int flags,
                      struct ferry_err *err) FERRY_MUST_CHECK;
void migration_use_name(struct migration *m, const struct ferry_address *address);
/* Takes *listener or *chan, whichever there is, on success. */
int migration_net_incoming(struct migration *m, struct ferry_listener **listener,
                           struct ferry_chan **chan, struct ferry_err *err) FERRY_MUST_CHECK;
struct ferry_migrate_capabilities migration_net_capabilities(const struct migration_params *p);
struct ferry_migrate_parameters migration_net_parameters(const struct migration_params *p);
/* NULL: none was given. */
const uint8_t *migration_net_uuid(const struct migration *m);
void migration_net_set_parameters(struct migration *m);

void migration_stop_listening(struct migration *m);
