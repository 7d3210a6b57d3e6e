/* SPDX-License-Identifier: Apache-2.0 */
/* How much RAM the guest shall have, and has, without what its balloon holds. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "vmm/machine/loop.h"
#include "vmm/machine/vm.h"
#include "vmm/qmp/cmd.h"
#include "vmm/qmp/hmp.h"
#include "vmm/qmp/json_build.h"
#include "vmm/qmp/monitor.h"

#define EVENT_PERIOD_NS INT64_C(1000000000)

const struct qmp_type qmp_type_balloon_args = {.kind = QMP_KIND_OBJECT,
                                               QMP_MEMBERS({"value", &qmp_int})};
const struct qmp_type qmp_type_balloon_info = {
    .name = "BalloonInfo", .kind = QMP_KIND_OBJECT, QMP_MEMBERS({"actual", &qmp_int})};

static int find_balloon(const struct monitor_env *env, uint64_t *ret_bytes, struct ferry_err *err)
{
    if (vm_balloon(env->vm, ret_bytes))
        return 0;
    return err_set(err, ENODEV, "No balloon device has been activated");
}

QMP_HANDLER(qmp_run_balloon)
{
    const struct monitor_env *env = monitor_env(call->monitor);
    int64_t bytes = json_object_get_int64(qmp_get(args, "value"));
    uint64_t now_bytes;
    int rc = find_balloon(env, &now_bytes, err);

    call->error_class = rc ? QMP_DEVICE_NOT_ACTIVE : QMP_GENERIC_ERROR;
    if (!rc && bytes <= 0)
        rc = err_set(err, EINVAL, "Parameter 'target' expects a size");
    if (!rc)
        vm_set_balloon(env->vm, (uint64_t)bytes);
    return rc;
}

QMP_HANDLER(qmp_run_query_balloon)
{
    uint64_t bytes;
    int rc = find_balloon(monitor_env(call->monitor), &bytes, err);

    call->error_class = QMP_DEVICE_NOT_ACTIVE;
    if (rc)
        return rc;
    *ret = json_object_new_object();
    json_put_uint(*ret, "actual", bytes);
    return 0;
}

int hmp_print_balloon(struct buf *out, const struct monitor_env *env, struct ferry_err *err)
{
    uint64_t bytes;
    int rc = find_balloon(env, &bytes, err);

    if (!rc)
        buf_printf(out, "balloon: actual=%" PRIu64 "\r\n", bytes >> 20);
    return rc;
}

/* --- Events: a driver tells of each 256 pages, an operator is told once a second --- */

struct balloon_events {
    struct monitor *monitor; /* loan */
    struct loop_timer *timer;
    int64_t next_ns; /* not before */
    bool pending;
};

static void tell(void *arg)
{
    struct balloon_events *b = arg;
    struct json_object *data;
    uint64_t bytes;

    if (!b->pending || !vm_balloon(monitor_env(b->monitor)->vm, &bytes))
        return;
    b->pending = false;
    b->next_ns = clock_monotonic_ns() + EVENT_PERIOD_NS;
    data = json_object_new_object();
    json_put_uint(data, "actual", bytes);
    monitor_event(b->monitor, "BALLOON_CHANGE", data);
}

int balloon_events_new(struct balloon_events **ret, struct monitor *m, struct ferry_err *err)
{
    struct balloon_events *b = calloc(1, sizeof(*b));
    int rc;

    if (!b)
        return err_set(err, ENOMEM, "no memory for a monitor");
    b->monitor = m;
    rc = loop_timer_new(&b->timer, monitor_loop(m), tell, b, err);
    if (rc < 0) {
        free(b);
        return rc;
    }
    *ret = b;
    return 0;
}

void balloon_events_free(struct balloon_events *b)
{
    if (!b)
        return;
    loop_timer_free(b->timer);
    free(b);
}

void balloon_events_changed(struct balloon_events *b)
{
    b->pending = true;
    if (clock_monotonic_ns() >= b->next_ns)
        tell(b);
    else
        loop_timer_set(b->timer, b->next_ns);
}
