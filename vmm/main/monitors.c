/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/main/monitors.h"

#include <errno.h>
#include <stdlib.h>

#include "base/err.h"
#include "vmm/backend/chardev.h"
#include "vmm/machine/vm.h"
#include "vmm/main/board.h"
#include "vmm/main/options.h"
#include "vmm/main/supervisor_link.h"
#include "vmm/main/vm_internal.h"
#include "vmm/qmp/command.h"
#include "vmm/qmp/monitor.h"

struct monitors {
    struct monitor *monitor;
    struct monitor_env env;
    struct vm_config own_config; /* only chardevs and monitors */
    struct chardev *own;
};

static struct chardev *chardev_at(void *arg, size_t index)
{
    return board_chardev(arg, index);
}

static struct block *block_at(void *arg, size_t index)
{
    return board_block(arg, index);
}

static int ask(void *arg, const char *words, int client, size_t words_bytes, int *ret_mail,
               struct ferry_err *err)
{
    return supervisor_link_ask(arg, words, client, words_bytes, ret_mail, err);
}

int monitors_new(struct monitors **ret, struct vm *vm, struct migration *migration,
                 struct ferry_err *err)
{
    struct monitors *m = calloc(1, sizeof(*m));
    int rc;

    if (!m)
        return err_set(err, ENOMEM, "out of memory");
    m->env = (struct monitor_env){
        .vm = vm,
        .migration = migration,
        .fds = vm_fds(vm),
        .ask = ask,
        .ask_arg = vm_supervisor(vm),
    };
    rc = monitor_new(&m->monitor, vm_loop(vm), &qmp_ferry_table, &m->env, err);
    if (rc < 0) {
        free(m);
        return rc;
    }
    *ret = m;
    return 0;
}

void monitors_free(struct monitors *m)
{
    if (!m)
        return;
    monitor_free(m->monitor);
    chardev_free(m->own);
    config_free(&m->own_config);
    free(m);
}

int monitors_open_own(struct monitors *m, struct loop *loop, const char *qmp, struct ferry_err *err)
{
    struct chardev_params params = {.config = &m->own_config.chardevs[0], .loop = loop};
    struct ferry_part part;
    int rc;

    if (m->own)
        return err_set(err, EBUSY, "one monitor of its own is what a target can have");
    rc = option_qmp(&m->own_config, qmp, err);
    if (!rc && !m->own_config.monitor_count)
        rc = err_set(err, EINVAL, "'%s' is no monitor", qmp);
    if (!rc)
        rc = chardev_new(&m->own, &params, err);
    if (!rc)
        rc = chardev_open(m->own, err);
    if (!rc)
        rc = monitor_attach(m->monitor, m->own, false, err);
    if (rc < 0)
        return err_prefix(err, "-qmp %s", qmp);
    part = chardev_part(m->own);
    part.ops->resume(part.obj);
    return 0;
}

int monitors_attach(struct monitors *m, struct board *board, const struct vm_config *config,
                    struct ferry_err *err)
{
    m->env.ram = board_ram(board);
    m->env.chardev_at = chardev_at;
    m->env.block_at = block_at;
    m->env.arg = board;
    monitor_set_env(m->monitor, &m->env);
    for (size_t i = 0; i < config->monitor_count; i++) {
        struct chardev *chardev = board_find_chardev(board, config->monitors[i].chardev);
        int rc = monitor_attach(m->monitor, chardev, config->monitors[i].pretty, err);

        if (rc < 0)
            return rc;
    }
    return 0;
}
