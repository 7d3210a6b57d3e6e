/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The VM's migration, as its monitor sees it: capabilities, parameters, status, start, cancel.
 * Joins libferry's handover and stream objects to the loop. Main thread.
 *
 * Status is QEMU's MigrationStatus; one object serves both directions, the outgoing side wins once
 * it is not NONE.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ferry/chan.h>
#include <ferry/err.h>
#include <ferry/live.h>
#include <ferry/migrate.h>

struct vm;
struct migration;

enum migration_status {
    MIGRATION_NONE = 0,
    MIGRATION_SETUP,
    MIGRATION_CANCELLING,
    MIGRATION_CANCELLED,
    MIGRATION_ACTIVE,
    MIGRATION_PRE_SWITCHOVER,
    MIGRATION_DEVICE,
    MIGRATION_COMPLETED,
    MIGRATION_FAILED,
};
const char *migration_status_name(enum migration_status status);

/* What query-migrate shows of a finished or running migration. */
struct migration_info {
    enum migration_status status;
    bool incoming;              /* the status is the target side's */
    const char *what;           /* "update", "migration", "snapshot", "restore"; NULL until SETUP */
    const char *error_desc;     /* NULL unless FAILED; valid until the next call that changes it */
    int64_t setup_ns, total_ns; /* outgoing; total so far while running */
    int64_t downtime_ns;        /* outgoing and COMPLETED */
    const struct ferry_ledger *ledger; /* NULL until COMPLETED */
    /* With a ledger: of the other process's ferry, in its own words (base/build.h). */
    const char *peer_build;
    int runner_pid;        /* with a ledger: the process that runs the guest now; 0 = not known */
    const char *listening; /* incoming: "tcp:127.0.0.1:40123"; NULL = nowhere */
    /* A stream's numbers; not for a handover. */
    bool have_net;
    struct ferry_migrate_info net;
    const struct ferry_migrate_ledger *net_ledger; /* NULL until COMPLETED */
};
void migration_info(const struct migration *m, struct migration_info *ret);

/*
 * The one that has just begun is called so by whoever asked for it; longer names are cut. By that
 * name its status is known after others have begun, a few at least. error_desc: as above.
 */
#define MIGRATION_JOB_NAME_BYTES 64u
void migration_name_job(struct migration *m, const char *name);
bool migration_job(const struct migration *m, const char *name, enum migration_status *ret,
                   const char **ret_error_desc);
/* Of the last one that began; NULL: it has none. */
const char *migration_job_name(const struct migration *m);

/*
 * The one under way, or that has just completed, is an update: another process takes this one's
 * place, and nobody but who asked for it has to know.
 */
bool migration_is_update(const struct migration *m);

/* Threads of an outgoing one while it runs; false past the last. */
bool migration_thread(const struct migration *m, size_t index, struct ferry_migrate_thread *ret);

typedef void migration_observer_fn(void *arg, enum migration_status status);
typedef void migration_pass_fn(void *arg, uint64_t pass); /* a round of RAM begins */
/* pass may be NULL. */
int migration_observe(struct migration *m, migration_observer_fn *fn, migration_pass_fn *pass,
                      void *arg, struct ferry_err *err) FERRY_MUST_CHECK;

/* Capabilities and parameters: QEMU's names, defaults, ranges and refusals live in one table. */
size_t migration_capability_count(void);
const char *migration_capability_name(size_t index);
bool migration_capability(const struct migration *m, size_t index);
/* All or nothing; names[i] to states[i]. Refused while a migration runs. */
int migration_set_capabilities(struct migration *m, const char *const *names, const bool *states,
                               size_t count, struct ferry_err *err) FERRY_MUST_CHECK;

enum migration_param_type { MIGRATION_PARAM_UINT = 1, MIGRATION_PARAM_BOOL, MIGRATION_PARAM_STR };
struct migration_param {
    const char *name; /* "downtime-limit" */
    enum migration_param_type type;
    unsigned bits; /* UINT: 8, 32 or 64 */
};
size_t migration_param_count(void);
const struct migration_param *migration_param(size_t index);
struct migration_value {
    uint64_t num;    /* UINT, BOOL */
    const char *str; /* STR; loan */
};
void migration_param_get(const struct migration *m, size_t index, struct migration_value *ret);
/* Validates everything, then applies everything. indexes[i] gets values[i]. */
int migration_params_set(struct migration *m, const size_t *indexes,
                         const struct migration_value *values, size_t count,
                         struct ferry_err *err) FERRY_MUST_CHECK;

/* For what follows: the refusal if it could not begin now. */
int migration_may_start(struct migration *m, struct ferry_err *err) FERRY_MUST_CHECK;
int migration_may_go(struct migration *m, const struct ferry_address *address, bool resume,
                     bool dry_run, struct ferry_err *err) FERRY_MUST_CHECK;
/*
 * Returns when started; observers and migration_info() tell the rest. What address names of the
 * monitor's is looked up here, and the name of an fd is used up by a success. resume: go on with
 * one that was interrupted.
 */
int migration_start(struct migration *m, struct ferry_address *address, bool resume,
                    struct ferry_err *err) FERRY_MUST_CHECK;
/*
 * The same into a file, and the guest goes on here when it is written, whoever asked for it lives
 * or not.
 */
int migration_snapshot(struct migration *m, struct ferry_address *address,
                       struct ferry_err *err) FERRY_MUST_CHECK;
/* May a guest still come? */
int migration_may_listen(const struct migration *m, struct ferry_err *err) FERRY_MUST_CHECK;
int migration_incoming(struct migration *m, struct ferry_address *address,
                       struct ferry_err *err) FERRY_MUST_CHECK;
/* Whether a failure of the incoming side ends the process with status 1. */
void migration_set_exit_on_error(struct migration *m, bool exit_on_error);
/*
 * Hand over to a process that was started for it: over *mail (base/mail.h; taken on success) comes
 * its end of a socket, with its process id as the value, then how it ended. It may take
 * prepare_timeout_ns (0 = the default) until it is ready, the guest running. done() is called
 * once, from the loop, with 0 or a negative errno and the reason; on success the process ends soon
 * after it returns.
 */
typedef void migration_done_fn(void *arg, int result, const struct ferry_err *err);
int migration_update(struct migration *m, int *mail, int64_t prepare_timeout_ns,
                     migration_done_fn *done, void *arg, struct ferry_err *err) FERRY_MUST_CHECK;
/*
 * Would the target at that address take this VM? done() is called once, from the loop, with 0 or a
 * negative errno and the reason; the status is none again.
 */
int migration_check(struct migration *m, struct ferry_address *address, migration_done_fn *done,
                    void *arg, struct ferry_err *err) FERRY_MUST_CHECK;
/* state: the name of the status that the caller believes in; pre-switchover. */
int migration_continue(struct migration *m, const char *state,
                       struct ferry_err *err) FERRY_MUST_CHECK;
/* Fine when nothing runs. */
int migration_cancel(struct migration *m, struct ferry_err *err) FERRY_MUST_CHECK;
