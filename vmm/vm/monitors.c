/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/vm/monitors.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "base/own.h"
#include "vmm/backend/chardev.h"
#include "vmm/board/board.h"
#include "vmm/config/options.h"
#include "vmm/dev/kinds.h"
#include "vmm/machine/migration.h"
#include "vmm/machine/vm.h"
#include "vmm/qmp/command.h"
#include "vmm/qmp/monitor.h"
#include "vmm/supervisor/supervisor_link.h"
#include "vmm/vm/mover.h"
#include "vmm/vm/vm_internal.h"

struct monitors {
    struct monitor *monitor;
    struct monitor_env env;
    struct options own_options;  /* of the monitor of this process: -chardev, -mon */
    struct vm_config own_config; /* its chardev only */
    struct chardev *own;
    bool joined;         /* it is one of the VM's */
    struct board *board; /* a loan; NULL: there is no machine yet */
};

/* The board has none of a monitor that joined before the VM has gone through an update. */
static struct chardev *chardev_at(void *arg, size_t index)
{
    const struct monitors *m = arg;
    struct chardev *c = board_chardev(m->board, index);

    return !c && m->joined && (index == 0 || board_chardev(m->board, index - 1)) ? m->own : c;
}

static struct block *block_at(void *arg, size_t index)
{
    return board_block(((const struct monitors *)arg)->board, index);
}

static struct net *netdev_at(void *arg, size_t index)
{
    return board_netdev(((const struct monitors *)arg)->board, index);
}

static int ask(void *arg, const char *words, int client, size_t words_bytes, int *ret_mail,
               struct ferry_err *err)
{
    return supervisor_link_ask(arg, words, client, words_bytes, ret_mail, err);
}

static bool is_replaced(void *vm)
{
    return vm_mover(vm)->is_update(vm_migration(vm));
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
        .kind_at = device_kind_at,
        .ask = ask,
        .ask_arg = vm_supervisor(vm),
        .is_replaced = is_replaced,
        .drained = vm_drained,
        .update_arg = vm,
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
    options_free(&m->own_options);
    free(m);
}

struct ferry_part monitors_part(struct monitors *m)
{
    return monitor_part(m->monitor);
}

void monitors_take_clients(struct monitors *m)
{
    monitor_arrived(m->monitor);
}

void monitors_answer_clients(struct monitors *m)
{
    monitor_answer_arrived(m->monitor);
}

void monitors_resume(struct monitors *m)
{
    monitor_resume_chardevs(m->monitor);
}

void monitors_keep_clients(struct monitors *m)
{
    struct ferry_part part = monitor_part(m->monitor);

    part.ops->resume(part.obj);
}

/* With a name that no machine which comes has given to one of its own. */
static int describe_own(struct monitors *m, const char *qmp, struct ferry_err *err)
{
    OWN_MEM char *text = NULL;
    char id[32], mon[64];
    int rc;

    snprintf(id, sizeof(id), "receive-%d", (int)getpid());
    snprintf(mon, sizeof(mon), "chardev=%s,mode=control", id);
    if (!strcmp(qmp, "none") || !strncmp(qmp, "chardev:", 8))
        return err_set(err, EINVAL, "'%s' is no monitor", qmp);
    text = option_chardev_text(qmp, id, err);
    if (!text)
        return -err->errnum;
    rc = options_add(&m->own_options, "chardev", text, err);
    if (!rc)
        rc = options_add(&m->own_options, "mon", mon, err);
    return rc ? rc : option_chardev(&m->own_config, m->own_options.list[0].value, err);
}

int monitors_open_own(struct monitors *m, struct loop *loop, const char *qmp, struct ferry_err *err)
{
    struct chardev_params params = {
        .config = &m->own_config.chardevs[0],
        .loop = loop,
        .drained = m->env.drained,
        .arg = m->env.update_arg,
    };
    int rc;

    if (m->own)
        return err_set(err, EBUSY, "one monitor of its own is what a target can have");
    rc = describe_own(m, qmp, err);
    if (!rc)
        rc = chardev_new(&m->own, &params, err);
    if (!rc)
        rc = chardev_open(m->own, err);
    if (!rc)
        rc = monitor_attach(m->monitor, m->own, false, err);
    if (rc < 0)
        return err_prefix(err, "-qmp %s", qmp);
    monitors_resume(m);
    return 0;
}

/* As the next process will read it. */
static int join(struct monitors *m, struct options *description, struct ferry_vm *parts,
                struct ferry_err *err)
{
    struct ferry_part part = chardev_part(m->own);
    struct vm_config config;
    int rc = 0;

    for (size_t i = 0; !rc && i < m->own_options.count; i++)
        rc = options_add(description, m->own_options.list[i].name, m->own_options.list[i].value,
                         err);
    if (!rc)
        rc = config_from_options(&config, description, err);
    if (rc < 0)
        return rc;
    config_free(&config);
    return ferry_vm_add_part(parts, &part, err);
}

void monitors_join(struct monitors *m, struct options *description, struct ferry_vm *parts)
{
    size_t count = description->count;
    struct ferry_err err;

    if (!m->own || m->joined)
        return;
    m->joined = join(m, description, parts, &err) == 0;
    if (m->joined)
        return;
    options_cut(description, count);
    log_warn("the monitor that 'receive -qmp' opened ends with the first update: %s", err.text);
}

int monitors_attach(struct monitors *m, struct board *board, const struct vm_config *config,
                    struct ferry_err *err)
{
    m->env.ram = board_ram(board);
    m->env.chardev_at = chardev_at;
    m->env.block_at = block_at;
    m->env.netdev_at = netdev_at;
    m->env.arg = m;
    m->board = board;
    monitor_set_env(m->monitor, &m->env);
    for (size_t i = 0; i < config->monitor_count; i++) {
        struct chardev *chardev = board_monitor_line(board, i);
        int rc = config->monitors[i].human
                     ? monitor_attach_human(m->monitor, chardev, err)
                     : monitor_attach(m->monitor, chardev, config->monitors[i].pretty, err);

        if (rc < 0)
            return rc;
    }
    return 0;
}
