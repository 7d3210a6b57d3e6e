/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "base/err.h"
#include "vmm/machine/vm.h"
#include "vmm/qmp/cmd.h"
#include "vmm/qmp/json_build.h"
#include "vmm/qmp/monitor.h"

/* QEMU's states; this machine knows some of them. */
const struct qmp_type qmp_type_run_state = {
    .name = "RunState",
    .kind = QMP_KIND_ENUM,
    QMP_VALUES("debug", "inmigrate", "internal-error", "io-error", "paused", "postmigrate",
               "prelaunch", "finish-migrate", "restore-vm", "running", "save-vm", "shutdown",
               "suspended", "watchdog", "guest-panicked", "colo")};
const struct qmp_type qmp_type_status = {
    .name = "StatusInfo",
    .kind = QMP_KIND_OBJECT,
    QMP_MEMBERS({"running", &qmp_bool}, {"status", &qmp_type_run_state})};
const struct qmp_type qmp_type_shutdown_data = {
    .kind = QMP_KIND_OBJECT, QMP_MEMBERS({"guest", &qmp_bool}, {"reason", &qmp_str})};

static struct vm *call_vm(const struct qmp_call *call)
{
    return monitor_env(call->monitor)->vm;
}

QMP_HANDLER(qmp_run_query_status)
{
    enum run_state state = vm_run_state(call_vm(call));

    *ret = json_object_new_object();
    json_put_str(*ret, "status", run_state_name(state));
    json_put_bool(*ret, "running", state == RUN_STATE_RUNNING);
    return 0;
}

static void disks_have_settled(void *arg)
{
    qmp_call_finish(arg, 0, NULL, NULL);
}

/* The answer says also that nothing is written to the images any more: they may be copied. */
QMP_HANDLER(qmp_run_stop)
{
    int rc = vm_stop(call_vm(call), err);

    if (rc < 0)
        return rc;
    /* An update waits for the disks, too. */
    call->updated = QMP_UPDATED_DONE;
    return vm_settles(call_vm(call), disks_have_settled, call) ? QMP_DEFERRED : 0;
}

QMP_HANDLER(qmp_run_cont)
{
    return vm_cont(call_vm(call), err);
}

QMP_HANDLER(qmp_run_quit)
{
    return vm_quit(call_vm(call), err);
}

QMP_HANDLER(qmp_run_system_reset)
{
    return vm_reset(call_vm(call), err);
}

QMP_HANDLER(qmp_run_system_powerdown)
{
    return vm_powerdown(call_vm(call), err);
}

QMP_HANDLER(qmp_run_system_wakeup)
{
    return err_set(err, ENOTSUP, "wake-up from suspend is not supported by this guest");
}
