/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/vmm/qmp/fake_vm.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mail.h"

const char *run_state_name(enum run_state state)
{
    static const char *const names[] = {
        [RUN_STATE_PRELAUNCH] = "prelaunch", [RUN_STATE_INMIGRATE] = "inmigrate",
        [RUN_STATE_RUNNING] = "running",     [RUN_STATE_PAUSED] = "paused",
        [RUN_STATE_SHUTDOWN] = "shutdown",   [RUN_STATE_POSTMIGRATE] = "postmigrate",
    };

    return names[state];
}

const char *shutdown_cause_name(enum shutdown_cause cause)
{
    return cause == SHUTDOWN_CAUSE_GUEST_RESET ? "guest-reset" : "host-qmp-quit";
}

int vm_observe(struct vm *vm, vm_observer_fn *fn, void *arg, struct ferry_err *err)
{
    vm->observer = fn;
    vm->observer_arg = arg;
    return 0;
}

const struct vm_io_error *vm_io_error(const struct vm *vm)
{
    return vm->io_error;
}

const struct vm_netdev *vm_netdev(const struct vm *vm)
{
    return vm->netdev;
}

static const struct accel fake_accel = {.name = "tcg", .target = "riscv64"};
static const struct accel *const fake_accels[] = {&fake_accel, NULL};

const struct machine_type fake_machine = {
    .name = "virt",
    .accels = fake_accels,
    .cpus_path = "/machine/soc0/harts",
};

void fake_vm_tell(struct vm *vm, enum vm_event event, enum shutdown_cause cause)
{
    vm->observer(vm->observer_arg, event, cause);
}

const struct vm_config *vm_config(const struct vm *vm)
{
    return &vm->config;
}

struct loop *vm_loop(const struct vm *vm)
{
    return vm->loop;
}

enum run_state vm_run_state(const struct vm *vm)
{
    return vm->state;
}

int vm_stop(struct vm *vm, struct ferry_err *err)
{
    if (vm->state == RUN_STATE_RUNNING)
        fake_vm_tell(vm, VM_EVENT_STOP, 0);
    vm->state = RUN_STATE_PAUSED;
    return 0;
}

bool vm_settles(struct vm *vm, void (*fn)(void *arg), void *arg)
{
    return vm->busy && loop_post(vm->busy, fn, arg) == 0;
}

int vm_cont(struct vm *vm, struct ferry_err *err)
{
    if (vm->state == RUN_STATE_SHUTDOWN)
        return err_set(err, EINVAL, "Resetting the Virtual Machine is required");
    vm->state = RUN_STATE_RUNNING;
    fake_vm_tell(vm, VM_EVENT_RESUME, 0);
    return 0;
}

int vm_reset(struct vm *vm, struct ferry_err *err)
{
    vm->reset = SHUTDOWN_CAUSE_HOST_QMP_SYSTEM_RESET;
    return 0;
}

int vm_quit(struct vm *vm, struct ferry_err *err)
{
    vm->shutdown = SHUTDOWN_CAUSE_HOST_QMP_QUIT;
    return 0;
}

int vm_powerdown(struct vm *vm, struct ferry_err *err)
{
    fake_vm_tell(vm, VM_EVENT_POWERDOWN, 0);
    return 0;
}

bool vm_set_balloon(struct vm *vm, uint64_t ram_bytes)
{
    vm->balloon_bytes = ram_bytes;
    fake_vm_tell(vm, VM_EVENT_BALLOON, 0);
    return true;
}

bool vm_balloon(struct vm *vm, uint64_t *ret_ram_bytes)
{
    *ret_ram_bytes = vm->balloon_bytes;
    return vm->balloon_bytes != 0;
}

int vm_check_netdev(struct vm *vm, const char *words, struct ferry_err *err)
{
    return vm->refuse.errnum ? err_set(err, vm->refuse.errnum, "%s", vm->refuse.text) : 0;
}

int vm_add_netdev(struct vm *vm, const char *words, int *fd, struct ferry_err *err)
{
    int rc = vm_check_netdev(vm, words, err);

    if (rc)
        return rc;
    snprintf(vm->words, sizeof(vm->words), "%s", words);
    vm->given = *fd >= 0;
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
    return 0;
}

int vm_remove_netdev(struct vm *vm, const char *id, struct ferry_err *err)
{
    if (vm->refuse.errnum)
        return err_set(err, vm->refuse.errnum, "%s", vm->refuse.text);
    snprintf(vm->words, sizeof(vm->words), "%s", id);
    return 0;
}

int vm_check_chardev(struct vm *vm, const char *words, struct ferry_err *err)
{
    return vm_check_netdev(vm, words, err);
}

int vm_add_chardev(struct vm *vm, const char *words, struct ferry_named_fd *fds, size_t count,
                   struct ferry_err *err)
{
    int none = -1;

    return vm_add_netdev(vm, words, count ? &fds[0].fd : &none, err);
}

int vm_remove_chardev(struct vm *vm, const char *id, struct ferry_err *err)
{
    return vm_remove_netdev(vm, id, err);
}

int vm_check_blockdev(struct vm *vm, const char *words, struct ferry_err *err)
{
    return vm_check_netdev(vm, words, err);
}

int vm_add_blockdev(struct vm *vm, const char *words, int *fd, struct ferry_err *err)
{
    return vm_add_netdev(vm, words, fd, err);
}

int vm_remove_blockdev(struct vm *vm, const char *node, struct ferry_err *err)
{
    return vm_remove_netdev(vm, node, err);
}

int vm_override_fence(struct vm *vm, struct ferry_err *err)
{
    return err_set(err, EINVAL, "there is no fence");
}

size_t vm_hart_count(const struct vm *vm)
{
    return vm->config.harts;
}

bool vm_generation(struct vm *vm, uint8_t ret[16])
{
    for (uint8_t i = 0; i < 16; i++)
        ret[i] = (uint8_t)(i * 0x11);
    return vm->generation;
}

int vm_hart_thread_id(const struct vm *vm, size_t index)
{
    return 1000 + (int)index;
}

/* --- Migration --- */

void migration_name_job(struct migration *m, const char *name)
{
    snprintf(m->job, sizeof(m->job), "%s", name);
}

bool migration_job(const struct migration *m, const char *name, enum migration_status *ret,
                   const char **ret_error_desc)
{
    *ret = MIGRATION_FAILED;
    *ret_error_desc = "it was old";
    return !strcmp(name, "old");
}

const char *migration_job_name(const struct migration *m)
{
    return *m->job ? m->job : NULL;
}

const char *migration_status_name(enum migration_status status)
{
    static const char *const names[] = {[MIGRATION_SETUP] = "setup",
                                        [MIGRATION_ACTIVE] = "active",
                                        [MIGRATION_COMPLETED] = "completed",
                                        [MIGRATION_FAILED] = "failed",
                                        [MIGRATION_CANCELLING] = "cancelling"};

    return names[status];
}

void migration_info(const struct migration *m, struct migration_info *ret)
{
    *ret = m->info;
}

bool migration_is_update(const struct migration *m)
{
    return m->update;
}

int migration_observe(struct migration *m, migration_observer_fn *fn, migration_pass_fn *pass,
                      void *arg, struct ferry_err *err)
{
    m->observer = fn;
    m->observer_arg = arg;
    return 0;
}

bool migration_thread(const struct migration *m, size_t index, struct ferry_migrate_thread *ret)
{
    if (m->info.status != MIGRATION_ACTIVE || index > 1)
        return false;
    *ret = (struct ferry_migrate_thread){.name = "mig/src/main", .id = 17};
    if (index == 1)
        *ret = (struct ferry_migrate_thread){.name = "mig/src/send_0", .id = 18};
    return true;
}

bool migration_capability(const struct migration *m, size_t index)
{
    return m->params.capabilities[index];
}

int migration_set_capabilities(struct migration *m, const char *const *names, const bool *states,
                               size_t count, struct ferry_err *err)
{
    return migration_params_set_capabilities(&m->params, names, states, count, false, false, err);
}

void migration_param_get(const struct migration *m, size_t index, struct migration_value *ret)
{
    *ret = (struct migration_value){.num = m->params.num[index], .str = m->params.str[index]};
}

int migration_params_set(struct migration *m, const size_t *indexes,
                         const struct migration_value *values, size_t count, struct ferry_err *err)
{
    return migration_params_set_values(&m->params, indexes, values, count,
                                       m->info.status == MIGRATION_ACTIVE, err);
}

static int fake_start(struct migration *m, const struct ferry_address *address, bool incoming,
                      struct ferry_err *err)
{
    if (m->refuse.errnum)
        return err_set(err, m->refuse.errnum, "%s", m->refuse.text);
    snprintf(m->uri, sizeof(m->uri), "%s", ferry_address_text(address));
    m->incoming = incoming;
    return 0;
}

int migration_start(struct migration *m, struct ferry_address *address, bool resume,
                    struct ferry_err *err)
{
    if (resume)
        return err_set(err, EINVAL, "Cannot resume if there is no paused migration");
    return fake_start(m, address, false, err);
}

int migration_snapshot(struct migration *m, struct ferry_address *address, struct ferry_err *err)
{
    return fake_start(m, address, false, err);
}

int migration_check(struct migration *m, struct ferry_address *address, migration_done_fn *done,
                    void *arg, struct ferry_err *err)
{
    int rc = fake_start(m, address, false, err);

    if (!rc)
        done(arg, 0, NULL);
    return rc;
}

int migration_continue(struct migration *m, const char *state, struct ferry_err *err)
{
    return err_set(err, EINVAL, "Migration not in expected state: %s",
                   migration_status_name(m->info.status));
}

int migration_may_listen(const struct migration *m, struct ferry_err *err)
{
    return 0;
}

int migration_incoming(struct migration *m, struct ferry_address *address, struct ferry_err *err)
{
    return fake_start(m, address, true, err);
}

void migration_set_exit_on_error(struct migration *m, bool exit_on_error)
{
    m->exit_on_error = exit_on_error;
}

int migration_may_start(struct migration *m, struct ferry_err *err)
{
    return m->refuse.errnum ? err_set(err, m->refuse.errnum, "%s", m->refuse.text) : 0;
}

int migration_may_go(struct migration *m, const struct ferry_address *address, bool resume,
                     bool dry_run, struct ferry_err *err)
{
    return 0;
}

int fake_ask(void *arg, const char *words, int client, size_t words_bytes, int *ret_mail,
             struct ferry_err *err)
{
    struct migration *m = arg;
    int pair[2], rc = mail_pair(pair, err);

    if (rc < 0)
        return rc;
    m->asked++;
    snprintf(m->words, sizeof(m->words), "%s", words);
    if (client >= 0) {
        ssize_t n = recv(client, m->words, sizeof(m->words) - 1, MSG_PEEK);

        /* Whole, in the connection still; and used up by whoever reads them. */
        if (n < (ssize_t)words_bytes || words_bytes >= sizeof(m->words) ||
            recv(client, m->words, words_bytes, 0) != (ssize_t)words_bytes)
            snprintf(m->words, sizeof(m->words), "not %zu bytes", words_bytes);
        else
            m->words[words_bytes] = '\0';
    }
    if (mail_send(pair[1], MAIL_HEARD, 0, "", NULL, 0) < 0 ||
        mail_send(pair[1], MAIL_OPENED, 0, "", &pair[1], 1) < 0 ||
        mail_send(pair[1], MAIL_ENDED, 0, "", NULL, 0) < 0)
        rc = err_set(err, EIO, "no mail");
    close(pair[1]);
    /* No loop can watch a file. */
    if (m->unwatchable) {
        close(pair[0]);
        pair[0] = memfd_create("mail", MFD_CLOEXEC);
    }
    *ret_mail = pair[0];
    return rc;
}

int migration_update(struct migration *m, int *mail, int64_t prepare_timeout_ns,
                     migration_done_fn *done, void *arg, struct ferry_err *err)
{
    m->prepare_timeout_ns = prepare_timeout_ns;
    m->done = done;
    m->done_arg = arg;
    return m->on_update ? loop_post(m->loop, m->on_update, m->on_update_arg) : 0;
}

int migration_cancel(struct migration *m, struct ferry_err *err)
{
    m->cancelled = true;
    return 0;
}
