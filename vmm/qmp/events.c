/* SPDX-License-Identifier: Apache-2.0 */
/* What happens to the VM becomes QMP events; and what the commands keep between calls. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <ferry/ferry.h>

#include "base/build.h"
#include "base/err.h"
#include "base/own.h"
#include "vmm/machine/migration.h"
#include "vmm/machine/vm.h"
#include "vmm/qmp/cmd.h"
#include "vmm/qmp/json_build.h"
#include "vmm/qmp/monitor.h"

struct qmp_state {
    struct monitor *monitor;
    struct dirty_rate *dirty_rate;  /* owned */
    struct balloon_events *balloon; /* owned */
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
    const struct config_disk *disk = qmp_find_disk(vm_config(env->vm), e->drive);
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

static struct json_object *updated_data(struct monitor *m)
{
    struct json_object *data = json_object_new_object();
    struct migration_info now;
    char own[BUILD_TEXT_BYTES];

    migration_info(monitor_env(m)->migration, &now);
    json_put_str(data, "from", now.peer_build);
    json_put_str(data, "to", build_text(own));
    json_put_int(data, "pause-ns", now.ledger->total_ns);
    json_put_int(data, "pid", now.runner_pid);
    return data;
}

static void netdev_event(struct monitor *m)
{
    const struct vm_netdev *n = vm_netdev(monitor_env(m)->vm);
    struct json_object *data = json_object_new_object(), *addr;

    json_put_str(data, "netdev-id", n->id);
    if (!n->connected) {
        monitor_event(m, "NETDEV_STREAM_DISCONNECTED", data);
        return;
    }
    addr = json_object_new_object();
    json_put_str(addr, "path", n->path ? n->path : ""); /* who came to a server has none */
    json_put_str(addr, "type", "unix");
    json_put(data, "addr", addr);
    monitor_event(m, "NETDEV_STREAM_CONNECTED", data);
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
    case VM_EVENT_UPDATED:
        monitor_event(m, "FERRY_UPDATED", updated_data(m));
        break;
    case VM_EVENT_BALLOON:
        balloon_events_changed(((struct qmp_state *)arg)->balloon);
        break;
    case VM_EVENT_NETDEV:
        netdev_event(m);
        break;
    case VM_EVENT_POWERDOWN:
        monitor_event(m, "POWERDOWN", NULL);
        break;
    }
}

/* Of an update, whose clients go along, there is nothing to see but FERRY_UPDATED. */
static bool shows_migration(const struct migration *m)
{
    if (migration_is_update(m))
        return false;
    for (size_t i = 0; i < migration_capability_count(); i++)
        if (!strcmp(migration_capability_name(i), "events"))
            return migration_capability(m, i);
    return false;
}

static void on_migration(void *arg, enum migration_status status)
{
    struct monitor *m = ((struct qmp_state *)arg)->monitor;
    struct json_object *data;

    if (!shows_migration(monitor_env(m)->migration))
        return;
    data = json_object_new_object();
    json_put_str(data, "status", migration_status_name(status));
    monitor_event(m, "MIGRATION", data);
}

static void on_pass(void *arg, uint64_t pass)
{
    struct monitor *m = ((struct qmp_state *)arg)->monitor;
    struct json_object *data;

    if (!shows_migration(monitor_env(m)->migration))
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
        rc = balloon_events_new(&s->balloon, m, err);
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
    balloon_events_free(s->balloon);
    free(s);
}

struct dirty_rate *qmp_state_dirty_rate(struct monitor *m)
{
    return ((struct qmp_state *)monitor_state(m))->dirty_rate;
}
