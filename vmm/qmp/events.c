/* SPDX-License-Identifier: Apache-2.0 */
/* What happens to the VM becomes QMP events; and what the commands keep between calls. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/own.h"
#include "vmm/machine/migration.h"
#include "vmm/machine/vm.h"
#include "vmm/qmp/cmd.h"
#include "vmm/qmp/json_build.h"
#include "vmm/qmp/monitor.h"

struct qmp_state {
    struct monitor *monitor;
    struct dirty_rate *dirty_rate; /* owned */
};

static struct json_object *shutdown_data(enum shutdown_cause cause)
{
    struct json_object *data = json_object_new_object();

    json_put_bool(data, "guest",
                  cause == SHUTDOWN_CAUSE_GUEST_SHUTDOWN || cause == SHUTDOWN_CAUSE_GUEST_RESET);
    json_put_str(data, "reason", shutdown_cause_name(cause));
    return data;
}

static struct json_object *io_error_data(struct monitor *m)
{
    const struct monitor_env *env = monitor_env(m);
    const struct vm_io_error *e = vm_io_error(env->vm);
    const struct config_device *disk = qmp_find_disk(vm_config(env->vm), e->drive);
    struct json_object *data = json_object_new_object();

    json_put(data, "qom-path", qmp_disk_path(disk));
    json_put_str(data, "device", e->drive);
    json_put_str(data, "node-name", e->drive);
    json_put_str(data, "operation", e->write ? "write" : "read");
    json_put_str(data, "action", e->stops ? "stop" : e->ignored ? "ignore" : "report");
    if (disk && qmp_disk_has_status(disk))
        json_put_bool(data, "nospace", e->nospace);
    json_put_str(data, "reason", strerror(e->errnum));
    return data;
}

static void on_vm_event(void *arg, enum vm_event event, enum shutdown_cause cause)
{
    struct monitor *m = ((struct qmp_state *)arg)->monitor;

    switch (event) {
    case VM_EVENT_STOP:
        monitor_event(m, "STOP", NULL);
        break;
    case VM_EVENT_RESUME:
        monitor_event(m, "RESUME", NULL);
        break;
    case VM_EVENT_RESET:
        monitor_event(m, "RESET", shutdown_data(cause));
        break;
    case VM_EVENT_SHUTDOWN:
        monitor_event(m, "SHUTDOWN", shutdown_data(cause));
        break;
    case VM_EVENT_IO_ERROR:
        monitor_event(m, "BLOCK_IO_ERROR", io_error_data(m));
        break;
    case VM_EVENT_POWERDOWN:
        monitor_event(m, "POWERDOWN", NULL);
        break;
    }
}

static bool wants_migration_events(const struct migration *m)
{
    for (size_t i = 0; i < migration_capability_count(); i++)
        if (!strcmp(migration_capability_name(i), "events"))
            return migration_capability(m, i);
    return false;
}

static void on_migration(void *arg, enum migration_status status)
{
    struct monitor *m = ((struct qmp_state *)arg)->monitor;
    struct json_object *data;

    if (!wants_migration_events(monitor_env(m)->migration))
        return;
    data = json_object_new_object();
    json_put_str(data, "status", migration_status_name(status));
    monitor_event(m, "MIGRATION", data);
}

static void on_pass(void *arg, uint64_t pass)
{
    struct monitor *m = ((struct qmp_state *)arg)->monitor;
    struct json_object *data;

    if (!wants_migration_events(monitor_env(m)->migration))
        return;
    data = json_object_new_object();
    json_put_int(data, "pass", (int64_t)pass);
    monitor_event(m, "MIGRATION_PASS", data);
}

int qmp_state_new(struct monitor *m, void **ret, struct ferry_err *err)
{
    struct qmp_state *s = calloc(1, sizeof(*s));
    int rc;

    if (!s)
        return err_set(err, ENOMEM, "no memory for a monitor");
    s->monitor = m;
    rc = dirty_rate_new(&s->dirty_rate, m, err);
    if (!rc)
        rc = vm_observe(monitor_env(m)->vm, on_vm_event, s, err);
    if (!rc)
        rc = migration_observe(monitor_env(m)->migration, on_migration, on_pass, s, err);
    if (rc < 0) {
        qmp_state_free(s);
        return rc;
    }
    *ret = s;
    return 0;
}

void qmp_state_free(void *state)
{
    struct qmp_state *s = state;

    if (!s)
        return;
    dirty_rate_free(s->dirty_rate);
    free(s);
}

struct dirty_rate *qmp_state_dirty_rate(struct monitor *m)
{
    return ((struct qmp_state *)monitor_state(m))->dirty_rate;
}
