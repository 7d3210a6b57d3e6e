/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/move/migration.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/own.h"
#include "vmm/backend/fd_table.h"
#include "vmm/backend/unix_socket.h"
#include "vmm/move/announce.h"
#include "vmm/move/migration_internal.h"
#include "vmm/process/reaper.h"
#include "vmm/supervisor/supervisor_link.h"
#include "vmm/vm/vm_internal.h"

/* --- status --- */

static const char *const status_names[] = {
    [MIGRATION_NONE] = "none",
    [MIGRATION_SETUP] = "setup",
    [MIGRATION_CANCELLING] = "cancelling",
    [MIGRATION_CANCELLED] = "cancelled",
    [MIGRATION_ACTIVE] = "active",
    [MIGRATION_PRE_SWITCHOVER] = "pre-switchover",
    [MIGRATION_DEVICE] = "device",
    [MIGRATION_COMPLETED] = "completed",
    [MIGRATION_FAILED] = "failed",
};

const char *migration_status_name(enum migration_status status)
{
    return status_names[status];
}

bool migration_is_running(const struct migration *m)
{
    switch (m->status) {
    case MIGRATION_SETUP:
    case MIGRATION_ACTIVE:
    case MIGRATION_PRE_SWITCHOVER:
    case MIGRATION_DEVICE:
    case MIGRATION_CANCELLING:
        return true;
    case MIGRATION_NONE:
    case MIGRATION_CANCELLED:
    case MIGRATION_COMPLETED:
    case MIGRATION_FAILED:
        break;
    }
    return false;
}

void migration_set_status(struct migration *m, enum migration_status status)
{
    if (m->status == status)
        return;
    m->status = status;
    migration_jobs_status(&m->jobs, status, m->error.text);
    for (size_t i = 0; i < m->observer_count; i++)
        m->observers[i].fn(m->observers[i].arg, status);
}

int migration_observe(struct migration *m, migration_observer_fn *fn, migration_pass_fn *pass,
                      void *arg, struct ferry_err *err)
{
    if (m->observer_count == MIGRATION_OBSERVERS_MAX)
        return err_set(err, ENOSPC, "more than %d observers of a migration",
                       MIGRATION_OBSERVERS_MAX);
    m->observers[m->observer_count].fn = fn;
    m->observers[m->observer_count].pass = pass;
    m->observers[m->observer_count++].arg = arg;
    return 0;
}

void migration_begin(struct migration *m, bool incoming)
{
    m->incoming = incoming;
    migration_jobs_begin(&m->jobs);
    m->error = (struct ferry_err){0};
    m->start_ns = clock_monotonic_ns();
    m->setup_end_ns = m->end_ns = 0;
    m->passes_told = 0;
    m->have_ledger = m->have_net_ledger = m->have_net_info = m->stays = m->handover = false;
    announcer_stop(m->announcer);
    migration_set_status(m, MIGRATION_SETUP);
}

int migration_drive(struct migration *m, const struct migration_side *side, struct ferry_move *move,
                    struct ferry_err *err)
{
    int rc = migration_driver_start(&m->driver, vm_loop(m->vm), side, move, m, &m->error, err);

    if (rc < 0)
        return rc;
    migration_begin(m, !side->source);
    m->handover = !side->stream;
    return 0;
}

void migration_pausing(struct migration *m, enum guest_clock_reader reader)
{
    m->before = vm_run_state(m->vm);
    vm_handover_begin(m->vm, m->update, reader);
}

void migration_back(struct migration *m)
{
    if (vm_run_state(m->vm) == RUN_STATE_FINISH_MIGRATE)
        vm_set_run_state(m->vm, m->before);
}

void migration_finish(struct migration *m, enum migration_status status)
{
    migration_driver_stop(&m->driver);
    m->end_ns = clock_monotonic_ns();
    migration_set_status(m, status);
}

void migration_source_failed(struct migration *m)
{
    migration_done_fn *done = m->done;

    m->done = NULL;
    migration_finish(m, m->status == MIGRATION_CANCELLING ? MIGRATION_CANCELLED : MIGRATION_FAILED);
    m->update = false;
    if (done)
        done(m->done_arg, m->error.errnum ? -m->error.errnum : -EIO, &m->error);
}

void migration_target_failed(struct migration *m)
{
    if (m->file[0])
        log_error("receiving a VM from %s: %s", m->file, m->error.text);
    else
        log_error("receiving a VM: %s", m->error.text);
    migration_finish(m, MIGRATION_FAILED);
    if (m->again)
        supervisor_link_refused(vm_supervisor(m->vm));
    if (m->exit_on_error)
        vm_exit(m->vm, 1);
}

/* While it runs the numbers are fresh; afterwards they are what its end left. */
static bool net_info(const struct migration *m, struct ferry_migrate_info *ret)
{
    *ret = (struct ferry_migrate_info){.size_bytes = sizeof(*ret)};
    if (migration_net_source(m))
        ferry_migrate_source_info(migration_net_source(m), ret);
    else if (m->have_net_info)
        *ret = m->net_info;
    else
        return false;
    return true;
}

/* NULL: nowhere, or where nobody can connect to. */
static const char *listening_on(const struct migration *m)
{
    const struct ferry_move *target = migration_net_target(m);
    const char *text = target ? ferry_migrate_target_listening(target) : NULL;

    if (*m->listen_text)
        return m->listen_text;
    return text && (!strncmp(text, "tcp:", 4) || !strncmp(text, "unix:", 5)) ? text : NULL;
}

static const char *what(const struct migration *m)
{
    if (m->status == MIGRATION_NONE)
        return NULL;
    if (m->handover)
        return "update";
    if (m->stays)
        return "snapshot";
    return m->incoming && m->file[0] ? "restore" : "migration";
}

void migration_info(const struct migration *m, struct migration_info *ret)
{
    int64_t end_ns = migration_is_running(m) ? clock_monotonic_ns() : m->end_ns;

    *ret = (struct migration_info){
        .status = m->status,
        .incoming = m->incoming,
        .what = what(m),
        .error_desc = m->status == MIGRATION_FAILED ? m->error.text : NULL,
        .setup_ns = m->setup_end_ns ? m->setup_end_ns - m->start_ns : 0,
        .total_ns = m->start_ns ? end_ns - m->start_ns : 0,
        .downtime_ns = m->have_ledger ? m->ledger.total_ns : 0,
        .ledger = m->have_ledger ? &m->ledger : NULL,
        .net_ledger = m->have_net_ledger ? &m->net_ledger : NULL,
        .peer_build = m->peer_build,
        .runner_pid = m->incoming ? (int)getpid() : (int)m->child,
        .listening = listening_on(m),
    };
    ret->have_net = net_info(m, &ret->net);
    if (ret->have_net && m->status == MIGRATION_COMPLETED)
        ret->downtime_ns = ret->net.downtime_ns;
}

void migration_name_job(struct migration *m, const char *name)
{
    migration_jobs_name(&m->jobs, name, m->status);
}

bool migration_job(const struct migration *m, const char *name, enum migration_status *ret,
                   const char **ret_error_desc)
{
    const struct migration_job *job = migration_jobs_find(&m->jobs, name);

    if (!job)
        return false;
    *ret = job->status;
    *ret_error_desc = job->status == MIGRATION_FAILED ? job->error : NULL;
    return true;
}

const char *migration_job_name(const struct migration *m)
{
    return m->jobs.current ? m->jobs.current->name : NULL;
}

bool migration_is_update(const struct migration *m)
{
    return m->update;
}

bool migration_thread(const struct migration *m, size_t index, struct ferry_migrate_thread *ret)
{
    const struct ferry_move *source = migration_net_source(m);

    return source && ferry_migrate_source_thread(source, index, ret);
}

/* QEMU's words, by which clients know it, and what a person needs. */
static int busy(const struct migration *m, struct ferry_err *err)
{
    const char *vm = vm_config(m->vm)->name; /* "" before it is known */

    return err_set(err, EBUSY,
                   "There's a migration process in progress: %s; 'ferry status %s' shows how it "
                   "goes, 'ferry cancel %s' ends it",
                   m->incoming   ? "the guest arrives"
                   : m->child    ? "an update"
                   : m->handover ? "a handover to another process"
                   : m->stays    ? "a snapshot"
                                 : "a move to another host or into a file",
                   vm, vm);
}

int migration_may_change(const struct migration *m, struct ferry_err *err)
{
    return migration_is_running(m) ? busy(m, err) : 0;
}

/* --- capabilities and parameters --- */

bool migration_capability(const struct migration *m, size_t index)
{
    return m->params.capabilities[index];
}

int migration_set_capabilities(struct migration *m, const char *const *names, const bool *states,
                               size_t count, struct ferry_err *err)
{
    bool running = migration_is_running(m);
    struct ferry_move *target = migration_net_target(m);
    struct migration_params wanted = m->params;
    const struct ferry_migrate_capabilities before = migration_net_capabilities(&m->params);
    struct ferry_migrate_capabilities after;
    int rc;

    if (running && !m->incoming)
        return busy(m, err);
    rc = migration_params_set_capabilities(&wanted, names, states, count, running, target != NULL,
                                           err);
    after = migration_net_capabilities(&wanted);
    /* A target that only listens can still be told. */
    if (!rc && target && memcmp(&before, &after, sizeof(before)))
        rc = ferry_migrate_target_set_capabilities(target, &after, err);
    if (!rc)
        m->params = wanted;
    return rc;
}

void migration_param_get(const struct migration *m, size_t index, struct migration_value *ret)
{
    *ret = (struct migration_value){.num = m->params.num[index], .str = m->params.str[index]};
}

int migration_params_set(struct migration *m, const size_t *indexes,
                         const struct migration_value *values, size_t count, struct ferry_err *err)
{
    /* A target that only listens has not looked at them yet. */
    bool fixed = m->driver.side;
    int rc = migration_params_set_values(&m->params, indexes, values, count, fixed, err);

    if (!rc && migration_net_source(m))
        migration_net_set_parameters(m);
    return rc;
}

/* --- which way --- */

int migration_may_start(struct migration *m, struct ferry_err *err)
{
    if (migration_is_running(m))
        return busy(m, err);
    if (vm_run_state(m->vm) == RUN_STATE_INMIGRATE)
        return err_set(err, EINVAL, "Guest is waiting for an incoming migration");
    if (vm_run_state(m->vm) == RUN_STATE_POSTMIGRATE)
        return err_set(err, EINVAL,
                       "Can't migrate the vm that was paused due to previous migration: the guest "
                       "is where it went, and 'quit' ends what is left here");
    /* Where it arrives it would never start. */
    if (vm_starts_with_client(m->vm))
        return err_set(err, EINVAL,
                       "the machine has not started: it waits for the first client of a chardev "
                       "with wait=on; connect, or say cont");
    return 0;
}

static int start_handover(struct migration *m, struct ferry_address *address, struct ferry_err *err)
{
    const char *text = ferry_address_text(address);
    OWN_FD int fd = -1;
    OWN_FD int mail = -1;
    int rc;

    if (ferry_address_kind(address) != FERRY_ADDRESS_UNIX)
        return err_set(err, EINVAL,
                       "parameter 'local' hands everything open over as file descriptors, which "
                       "needs unix:PATH, not %s",
                       text);
    rc = ferry_address_is_asked(address) ? ferry_address_take(address, &fd, &mail, err)
                                         : unix_connect(strchr(text, ':') + 1, &fd, err);
    return rc < 0 ? rc : migration_live_start(m, &fd, 0, err);
}

int migration_resolve(struct migration *m, struct ferry_address *address, int flags,
                      struct ferry_err *err)
{
    const struct ferry_fd_names names = fd_table_names(vm_fds(m->vm));

    return ferry_address_resolve(address, &names, flags, err);
}

void migration_use_name(struct migration *m, const struct ferry_address *address)
{
    const char *name = ferry_address_fd_name(address);
    struct ferry_err gone;

    if (name)
        (void)!fd_table_forget(vm_fds(m->vm), name, &gone);
}

/* The refusals in QEMU's order. */
int migration_may_go(struct migration *m, const struct ferry_address *address, bool resume,
                     bool dry_run, struct ferry_err *err)
{
    int rc = migration_params_check_address(&m->params, ferry_address_kind(address), err);

    if (!rc && resume)
        rc = err_set(err, EINVAL, "Cannot resume if there is no paused migration");
    if (!rc)
        rc = migration_may_start(m, err);
    if (!rc && m->params.num[MIGRATION_PARAM_LOCAL] && dry_run)
        rc = err_set(err, EINVAL, "a handover on one host cannot be tried dry");
    if (!rc && !m->params.num[MIGRATION_PARAM_LOCAL])
        rc = migration_params_check_stream(&m->params, err);
    return rc;
}

static int start(struct migration *m, struct ferry_address *address, bool resume, bool dry_run,
                 struct ferry_err *err)
{
    int rc = migration_may_go(m, address, resume, dry_run, err);

    if (rc < 0)
        return rc;
    if (m->params.num[MIGRATION_PARAM_LOCAL])
        return start_handover(m, address, err);
    rc = migration_resolve(m, address, O_WRONLY, err);
    if (!rc)
        rc = migration_net_start(m, address, dry_run, err);
    if (!rc) {
        migration_use_name(m, address);
    } else if (!dry_run) {
        /* As QEMU does: what cannot be opened is a migration that failed, too. */
        migration_begin(m, false);
        m->error = *err;
        migration_finish(m, MIGRATION_FAILED);
    }
    return rc;
}

int migration_start(struct migration *m, struct ferry_address *address, bool resume,
                    struct ferry_err *err)
{
    return start(m, address, resume, false, err);
}

int migration_snapshot(struct migration *m, struct ferry_address *address, struct ferry_err *err)
{
    int rc = ferry_address_kind(address) == FERRY_ADDRESS_FILE
                 ? start(m, address, false, false, err)
                 : err_set(err, EINVAL,
                           "a snapshot goes to file:PATH, not to %s: who reads that would run the "
                           "guest a second time",
                           ferry_address_text(address));

    if (!rc)
        m->stays = true;
    return rc;
}

int migration_check(struct migration *m, struct ferry_address *address, migration_done_fn *done,
                    void *arg, struct ferry_err *err)
{
    int rc = start(m, address, false, true, err);

    if (rc < 0)
        return rc;
    m->done = done;
    m->done_arg = arg;
    return 0;
}

int migration_cancel(struct migration *m, struct ferry_err *err)
{
    struct ferry_move *source = migration_driver_source(&m->driver);
    int rc;

    if (!source)
        return 0;
    rc = ferry_move_cancel(source, err);
    if (rc < 0)
        return rc;
    migration_set_status(m, MIGRATION_CANCELLING);
    migration_driver_kick(&m->driver);
    return 0;
}

bool migration_let_go(const struct migration *m)
{
    return m->let_go;
}

void migration_vm_ends(struct migration *m)
{
    migration_done_fn *done = m->done;
    struct ferry_err err;

    m->done = NULL;
    if (done)
        done(m->done_arg, err_set(&err, ECANCELED, "the VM was told to end, and has ended"), &err);
}

int migration_continue(struct migration *m, const char *state, struct ferry_err *err)
{
    struct ferry_move *source = migration_net_source(m);
    int rc;

    if (!source || strcmp(state, migration_status_name(m->status)) ||
        m->status != MIGRATION_PRE_SWITCHOVER)
        return err_set(err, EINVAL, "Migration not in expected state: %s",
                       migration_status_name(m->status));
    rc = ferry_migrate_source_proceed(source, err);
    if (!rc)
        migration_driver_kick(&m->driver);
    return rc;
}

void migration_drained(struct migration *m)
{
    if (migration_driver_source(&m->driver))
        migration_driver_kick(&m->driver);
}

/* --- life --- */

/* The operator stops or runs the guest while it still runs here. */
static void vm_changed(void *arg, enum vm_event event, enum shutdown_cause cause)
{
    struct migration *m = arg;
    struct ferry_move *source = migration_driver_source(&m->driver);
    bool running = vm_run_state(m->vm) == RUN_STATE_RUNNING;
    struct ferry_err err;

    if (event != VM_EVENT_STOP && event != VM_EVENT_RESUME)
        return;
    /* In the pause the migration itself changes the state, and refuses to hear of it. */
    if (source)
        (void)!ferry_move_set_running(source, running, &err);
}

int migration_new(struct migration **ret, struct vm *vm, struct ferry_err *err)
{
    struct migration *m = calloc(1, sizeof(*m));
    int rc;

    if (!m)
        return err_set(err, ENOMEM, "out of memory");
    m->vm = vm;
    m->listen_fd = m->listen_mail = m->mail = -1;
    migration_params_init(&m->params);
    host_id(m->host);
    rc = vm_observe(vm, vm_changed, m, err);
    if (!rc)
        rc = announcer_new(&m->announcer, vm, err);
    if (rc < 0) {
        migration_free(m);
        return rc;
    }
    *ret = m;
    return 0;
}

void migration_free(struct migration *m)
{
    if (!m)
        return;
    migration_driver_stop(&m->driver);
    announcer_free(m->announcer);
    migration_stop_listening(m);
    reaper_free(m->reaper);
    /* The guest ends with us: a target that hangs would stay, and the supervisor with it. */
    if (m->mail >= 0 && !m->let_go)
        reaper_kill(m->mail);
    own_close_fd(&m->mail);
    free(m);
}

void migration_set_fault(struct migration *m, const struct fault *fault)
{
    m->fault = *fault;
}

void migration_set_exit_on_error(struct migration *m, bool exit_on_error)
{
    m->exit_on_error = exit_on_error;
}

void migration_set_again(struct migration *m, bool again)
{
    m->again = again;
}

void migration_set_any_file(struct migration *m, bool any_file)
{
    m->any_file = any_file;
}

void migration_set_catch_up(struct migration *m, bool catch_up)
{
    m->catch_up = catch_up;
}

void migration_set_this_host(struct migration *m, const struct this_host *this_host)
{
    m->this_host = this_host;
}

void migration_set_insecure(struct migration *m, bool insecure)
{
    m->insecure = insecure;
}
