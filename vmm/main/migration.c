/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/main/migration.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <ferry/ferry.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/own.h"
#include "vmm/backend/unix_socket.h"
#include "vmm/main/migration_driver.h"
#include "vmm/main/migration_params.h"
#include "vmm/main/reaper.h"
#include "vmm/main/spawn.h"
#include "vmm/main/vm_internal.h"

#define OBSERVERS_MAX  4
/* For a target that failed to end by itself, so that its exit status can be told. */
#define CHILD_GRACE_NS (INT64_C(500) * 1000000)

struct migration {
    struct vm *vm;
    struct migration_params params;
    struct fault fault;
    bool supervised;
    bool exit_on_error;

    struct {
        migration_observer_fn *fn;
        void *arg;
    } observers[OBSERVERS_MAX];
    size_t observer_count;

    enum migration_status status;
    bool incoming;
    struct ferry_err error;
    int64_t start_ns, setup_end_ns, end_ns;
    struct ferry_ledger ledger;
    bool have_ledger;

    struct migration_driver driver; /* of source or target */
    struct ferry_live_source *source;
    char *description;     /* of the source's machine, while it is sent */
    enum run_state before; /* run state to go back to */
    /* A handover that `ferry update` asked for. */
    migration_done_fn *done;
    void *done_arg;
    char *binary; /* NULL = the running one */
    pid_t child;
    struct reaper *reaper;

    struct ferry_live_target *target;
    int listen_fd;
    struct loop_watch *listen_watch;
    char listen_path[sizeof(((struct sockaddr_un *)0)->sun_path)];
};

/* --- status --- */

static const char *const status_names[] = {
    [MIGRATION_NONE] = "none",
    [MIGRATION_SETUP] = "setup",
    [MIGRATION_CANCELLING] = "cancelling",
    [MIGRATION_CANCELLED] = "cancelled",
    [MIGRATION_ACTIVE] = "active",
    [MIGRATION_DEVICE] = "device",
    [MIGRATION_COMPLETED] = "completed",
    [MIGRATION_FAILED] = "failed",
};

const char *migration_status_name(enum migration_status status)
{
    return status_names[status];
}

static bool is_running(const struct migration *m)
{
    return m->status == MIGRATION_SETUP || m->status == MIGRATION_ACTIVE ||
           m->status == MIGRATION_DEVICE || m->status == MIGRATION_CANCELLING;
}

static void set_status(struct migration *m, enum migration_status status)
{
    if (m->status == status)
        return;
    m->status = status;
    for (size_t i = 0; i < m->observer_count; i++)
        m->observers[i].fn(m->observers[i].arg, status);
}

int migration_observe(struct migration *m, migration_observer_fn *fn, void *arg,
                      struct ferry_err *err)
{
    if (m->observer_count == OBSERVERS_MAX)
        return err_set(err, ENOSPC, "more than %d observers of a migration", OBSERVERS_MAX);
    m->observers[m->observer_count].fn = fn;
    m->observers[m->observer_count++].arg = arg;
    return 0;
}

void migration_info(const struct migration *m, struct migration_info *ret)
{
    int64_t end_ns = is_running(m) ? clock_monotonic_ns() : m->end_ns;

    *ret = (struct migration_info){
        .status = m->status,
        .incoming = m->incoming,
        .error_desc = m->status == MIGRATION_FAILED ? m->error.text : NULL,
        .setup_ns = m->setup_end_ns ? m->setup_end_ns - m->start_ns : 0,
        .total_ns = m->start_ns ? end_ns - m->start_ns : 0,
        .downtime_ns = m->have_ledger ? m->ledger.total_ns : 0,
        .ledger = m->have_ledger ? &m->ledger : NULL,
        .runner_pid = m->incoming ? (int)getpid() : (int)m->child,
        .socket_path = m->listen_fd >= 0 ? m->listen_path : NULL,
    };
}

/* --- capabilities and parameters --- */

bool migration_capability(const struct migration *m, size_t index)
{
    return m->params.capabilities[index];
}

int migration_set_capabilities(struct migration *m, const char *const *names, const bool *states,
                               size_t count, struct ferry_err *err)
{
    if (is_running(m))
        return err_set(err, EBUSY, "There's a migration process in progress");
    return migration_params_set_capabilities(&m->params, names, states, count, err);
}

void migration_param_get(const struct migration *m, size_t index, struct migration_value *ret)
{
    *ret = (struct migration_value){.num = m->params.num[index], .str = m->params.str[index]};
}

int migration_params_set(struct migration *m, const size_t *indexes,
                         const struct migration_value *values, size_t count, struct ferry_err *err)
{
    return migration_params_set_values(&m->params, indexes, values, count, err);
}

/* --- source --- */

static void finish(struct migration *m, enum migration_status status)
{
    migration_driver_stop(&m->driver);
    m->end_ns = clock_monotonic_ns();
    set_status(m, status);
}

static void source_release(struct migration *m)
{
    ferry_live_source_free(m->source);
    m->source = NULL;
    free(m->description);
    m->description = NULL;
    free(m->binary);
    m->binary = NULL;
}

/* The operator hears of it when the target's end has been heard of. */
static void report_failure(void *arg, const char *end)
{
    struct migration *m = arg;
    migration_done_fn *done = m->done;

    if (strlen(m->error.text) + strlen(end) < sizeof(m->error.text))
        strcat(m->error.text, end);
    reaper_free(m->reaper);
    m->reaper = NULL;
    m->child = 0;
    m->done = NULL;
    finish(m, m->status == MIGRATION_CANCELLING ? MIGRATION_CANCELLED : MIGRATION_FAILED);
    if (done)
        done(m->done_arg, -m->error.errnum, &m->error);
}

static void source_failed(struct migration *m, bool lost)
{
    struct ferry_err err;

    if (lost)
        vm_set_run_state(m->vm, RUN_STATE_POSTMIGRATE);
    else if (vm_run_state(m->vm) == RUN_STATE_FINISH_MIGRATE)
        vm_set_run_state(m->vm, m->before);
    vm_retry_requests(m->vm);
    migration_driver_stop(&m->driver);
    source_release(m);
    if (!m->child || reaper_new(&m->reaper, vm_loop(m->vm), m->child, CHILD_GRACE_NS,
                                report_failure, m, &err) < 0)
        report_failure(m, "");
}

static void end_after_update(struct migration *m, char *binary)
{
    if (!m->supervised)
        spawn_become_waiter(binary);
    vm_exit(m->vm, 0);
}

static void source_done(struct migration *m)
{
    migration_done_fn *done = m->done;
    OWN_MEM char *binary = TAKE_PTR(m->binary);

    m->ledger = *ferry_live_source_ledger(m->source);
    m->have_ledger = true;
    vm_set_run_state(m->vm, RUN_STATE_POSTMIGRATE);
    set_status(m, MIGRATION_DEVICE);
    m->done = NULL;
    source_release(m);
    finish(m, MIGRATION_COMPLETED);
    if (!done)
        return;
    done(m->done_arg, 0, NULL);
    end_after_update(m, binary);
}

static void source_trace(void *opaque, enum ferry_live_point point)
{
    struct migration *m = opaque;

    fault_at(&m->fault, point);
    if (point == FERRY_LIVE_READY_RECEIVED) {
        m->setup_end_ns = clock_monotonic_ns();
        if (m->status == MIGRATION_SETUP)
            set_status(m, MIGRATION_ACTIVE);
    }
    if (point == FERRY_LIVE_QUIESCED) {
        m->before = vm_run_state(m->vm);
        vm_handover_begin(m->vm);
    }
}

static int source_step(void *obj)
{
    struct migration *m = obj;

    switch (ferry_live_source_step(m->source, &m->error)) {
    case FERRY_LIVE_BUSY:
        return 0;
    case FERRY_LIVE_DONE:
        source_done(m);
        return 1;
    case FERRY_LIVE_FAILED:
        source_failed(m, false);
        return 1;
    case FERRY_LIVE_LOST:
        source_failed(m, true);
        return 1;
    }
    return 0;
}

static int source_fd(void *obj)
{
    return ferry_live_source_fd(((struct migration *)obj)->source);
}

static short source_events(void *obj)
{
    return ferry_live_source_events(((struct migration *)obj)->source);
}

static int64_t source_deadline_ns(void *obj)
{
    return ferry_live_source_deadline_ns(((struct migration *)obj)->source);
}

static const struct migration_driver_ops source_driver = {
    .fd = source_fd,
    .events = source_events,
    .deadline_ns = source_deadline_ns,
    .step = source_step,
};

static int may_start(struct migration *m, struct ferry_err *err)
{
    if (is_running(m))
        return err_set(err, EBUSY, "There's a migration process in progress");
    if (vm_run_state(m->vm) == RUN_STATE_INMIGRATE)
        return err_set(err, EINVAL, "Guest is waiting for an incoming migration");
    if (vm_run_state(m->vm) == RUN_STATE_POSTMIGRATE)
        return err_set(err, EINVAL,
                       "Can't migrate the vm that was paused due to previous migration");
    return 0;
}

/* Takes *fd on success. */
static int source_start(struct migration *m, int *fd, int64_t prepare_timeout_ns,
                        struct ferry_err *err)
{
    struct ferry_live_source_params params = {
        .size_bytes = sizeof(params),
        .vm = vm_parts(m->vm),
        .owner = vm_owner(m->vm),
        .version = FERRY_VERSION,
        .running = vm_run_state(m->vm) == RUN_STATE_RUNNING,
        .prepare_timeout_ns = prepare_timeout_ns,
        .trace = source_trace,
        .opaque = m,
    };
    int rc;

    m->description = options_to_json(vm_options(m->vm));
    if (!m->description)
        return err_set(err, ENOMEM, "out of memory");
    params.description = m->description;
    rc = ferry_live_source_new(&m->source, &params, fd, err);
    if (!rc)
        rc = migration_driver_start(&m->driver, vm_loop(m->vm), &source_driver, m, err);
    if (rc < 0) {
        source_release(m);
        return rc;
    }
    m->incoming = false;
    m->error = (struct ferry_err){0};
    m->start_ns = clock_monotonic_ns();
    m->setup_end_ns = m->end_ns = 0;
    m->have_ledger = false;
    set_status(m, MIGRATION_SETUP);
    return 0;
}

/* The path of "unix:PATH"; anything else is refused by name. */
static int parse_unix(const char *uri, const char **path, struct ferry_err *err)
{
    static const char prefix[] = "unix:";

    if (strncmp(uri, prefix, sizeof(prefix) - 1))
        return err_set(err, EINVAL,
                       "unknown migration protocol: %s (this version of ferry serves unix:PATH)",
                       uri);
    *path = uri + sizeof(prefix) - 1;
    return 0;
}

int migration_start_uri(struct migration *m, const char *uri, struct ferry_err *err)
{
    OWN_FD int fd = -1;
    const char *path = NULL;
    int rc = may_start(m, err);

    if (!rc)
        rc = parse_unix(uri, &path, err);
    if (rc < 0)
        return rc;
    if (!m->params.num[MIGRATION_PARAM_LOCAL])
        return err_set(err, ENOTSUP,
                       "this version of ferry hands a VM over on one host: set the parameter "
                       "'local' to true and start 'ferry receive %s' on the other side",
                       uri);
    rc = unix_connect(path, &fd, err);
    return rc < 0 ? rc : source_start(m, &fd, 0, err);
}

int migration_update(struct migration *m, const char *binary, int64_t prepare_timeout_ns,
                     migration_done_fn *done, void *arg, struct ferry_err *err)
{
    OWN_FD int ours = -1;
    OWN_FD int theirs = -1;
    OWN_MEM char *copy = binary ? strdup(binary) : NULL;
    int pair[2];
    int rc = may_start(m, err);

    if (rc < 0)
        return rc;
    if (binary && !copy)
        return err_set(err, ENOMEM, "out of memory");
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return err_sys(err, errno, "cannot make a socket pair");
    ours = pair[0];
    theirs = pair[1];
    rc = spawn_target(&m->child, binary, theirs, err);
    if (!rc)
        rc = source_start(m, &ours, prepare_timeout_ns, err);
    if (rc < 0) {
        m->child = 0;
        return rc;
    }
    m->binary = TAKE_PTR(copy);
    m->done = done;
    m->done_arg = arg;
    return 0;
}

int migration_cancel(struct migration *m, struct ferry_err *err)
{
    int rc;

    if (!m->source)
        return 0;
    rc = ferry_live_source_cancel(m->source, err);
    if (rc < 0)
        return rc;
    set_status(m, MIGRATION_CANCELLING);
    migration_driver_kick(&m->driver);
    return 0;
}

void migration_drained(struct migration *m)
{
    if (m->source)
        migration_driver_kick(&m->driver);
}

/* --- target --- */

static void stop_listening(struct migration *m)
{
    if (m->listen_watch)
        loop_watch_free(m->listen_watch);
    m->listen_watch = NULL;
    if (m->listen_fd >= 0)
        unlink(m->listen_path);
    own_close_fd(&m->listen_fd);
}

static int target_take_region(void *arg, struct ferry_ram *ram, const char *name,
                              uint64_t size_bytes, struct ferry_ram_region **ret,
                              struct ferry_err *err)
{
    struct migration *m = arg;

    return ferry_live_target_take_region(m->target, ram, name, size_bytes, ret, err);
}

static int target_build(void *opaque, struct ferry_live_target *t, const char *description,
                        struct ferry_vm **ret, struct ferry_err *err)
{
    struct migration *m = opaque;
    const struct vm_arrived arrived = {.take_region = target_take_region, .arg = m};
    struct options o = {0};
    int rc = options_from_json(&o, description, err);

    m->target = t;
    if (!rc)
        rc = vm_build(m->vm, &o, &arrived, err);
    options_free(&o);
    if (rc < 0)
        return rc;
    *ret = vm_parts(m->vm);
    return 0;
}

static void target_clock_advance(void *opaque, int64_t pause_ns)
{
    struct migration *m = opaque;

    vm_clock_advance(m->vm, pause_ns);
}

static void target_trace(void *opaque, enum ferry_live_point point)
{
    struct migration *m = opaque;

    fault_at(&m->fault, point);
    if (point == FERRY_LIVE_HELLO_RECEIVED)
        set_status(m, MIGRATION_ACTIVE);
}

static void target_failed(struct migration *m)
{
    ferry_live_target_free(m->target);
    m->target = NULL;
    log_error("receiving a VM: %s", m->error.text);
    finish(m, MIGRATION_FAILED);
    if (m->exit_on_error)
        vm_exit(m->vm, 1);
}

static void target_done(struct migration *m)
{
    bool running = ferry_live_target_running(m->target);

    m->ledger = *ferry_live_target_ledger(m->target);
    m->have_ledger = true;
    vm_set_owner(m->vm, ferry_live_target_take_owner(m->target));
    ferry_live_target_free(m->target);
    m->target = NULL;
    vm_arrived(m->vm, running);
    finish(m, MIGRATION_COMPLETED);
}

static int target_step(void *obj)
{
    struct migration *m = obj;

    switch (ferry_live_target_step(m->target, &m->error)) {
    case FERRY_LIVE_BUSY:
        return 0;
    case FERRY_LIVE_DONE:
        target_done(m);
        return 1;
    default:
        target_failed(m);
        return 1;
    }
}

static int target_fd(void *obj)
{
    return ferry_live_target_fd(((struct migration *)obj)->target);
}

static short target_events(void *obj)
{
    return ferry_live_target_events(((struct migration *)obj)->target);
}

static int64_t target_deadline_ns(void *obj)
{
    return ferry_live_target_deadline_ns(((struct migration *)obj)->target);
}

static const struct migration_driver_ops target_driver = {
    .fd = target_fd,
    .events = target_events,
    .deadline_ns = target_deadline_ns,
    .step = target_step,
};

int migration_incoming_fd(struct migration *m, int *fd, struct ferry_err *err)
{
    const struct ferry_live_target_params params = {
        .size_bytes = sizeof(params),
        .version = FERRY_VERSION,
        .build = target_build,
        .clock_advance = target_clock_advance,
        .trace = target_trace,
        .opaque = m,
    };
    int rc = ferry_live_target_new(&m->target, &params, fd, err);

    if (rc < 0)
        return rc;
    rc = migration_driver_start(&m->driver, vm_loop(m->vm), &target_driver, m, err);
    if (rc < 0) {
        ferry_live_target_free(m->target);
        m->target = NULL;
        return rc;
    }
    m->incoming = true;
    m->error = (struct ferry_err){0};
    set_status(m, MIGRATION_SETUP);
    return 0;
}

static void incoming_connection(void *arg, short revents)
{
    struct migration *m = arg;
    OWN_FD int fd = accept4(m->listen_fd, NULL, NULL, SOCK_CLOEXEC);

    if (fd < 0)
        return;
    stop_listening(m);
    if (migration_incoming_fd(m, &fd, &m->error) < 0)
        target_failed(m);
}

int migration_incoming_uri(struct migration *m, const char *uri, struct ferry_err *err)
{
    OWN_FD int fd = -1;
    const char *path = NULL;
    int rc = parse_unix(uri, &path, err);

    if (rc < 0)
        return rc;
    if (vm_run_state(m->vm) != RUN_STATE_INMIGRATE)
        return err_set(err, EINVAL, "'-incoming' was not specified on the command line");
    if (is_running(m) || m->listen_fd >= 0)
        return err_set(err, EBUSY, "The incoming migration has already been started");
    rc = unix_listen(path, &fd, err);
    if (!rc)
        rc = loop_watch_new(&m->listen_watch, vm_loop(m->vm), fd, POLLIN, incoming_connection, m,
                            err);
    if (rc < 0)
        return rc;
    snprintf(m->listen_path, sizeof(m->listen_path), "%s", path);
    m->listen_fd = take_fd(&fd);
    m->incoming = true;
    set_status(m, MIGRATION_SETUP);
    return 0;
}

/* --- life --- */

/* The operator stops or runs the guest while the target still prepares. */
static void vm_changed(void *arg, enum vm_event event, enum shutdown_cause cause)
{
    struct migration *m = arg;
    bool running = vm_run_state(m->vm) == RUN_STATE_RUNNING;
    struct ferry_err err;

    /* In the pause the handover itself changes the state, and refuses to hear of it. */
    if (m->source && ferry_live_source_set_running(m->source, running, &err) < 0)
        return;
}

int migration_new(struct migration **ret, struct vm *vm, struct ferry_err *err)
{
    struct migration *m = calloc(1, sizeof(*m));
    int rc;

    if (!m)
        return err_set(err, ENOMEM, "out of memory");
    m->vm = vm;
    m->listen_fd = -1;
    migration_params_init(&m->params);
    rc = vm_observe(vm, vm_changed, m, err);
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
    stop_listening(m);
    reaper_free(m->reaper);
    source_release(m);
    ferry_live_target_free(m->target);
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

void migration_set_supervised(struct migration *m)
{
    m->supervised = true;
}
