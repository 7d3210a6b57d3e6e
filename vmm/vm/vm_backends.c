/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Backends that come and go while the VM lives. Each is in three lists, which change together: the
 * description, which a target is built from; the board's; and that of the parts, which move.
 */
#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "vmm/backend/block.h"
#include "vmm/backend/chardev.h"
#include "vmm/backend/net.h"
#include "vmm/config/description.h"
#include "vmm/config/props.h"
#include "vmm/machine/device_kind.h"
#include "vmm/vm/vm_struct.h"

static int may_change(const struct vm *vm, struct ferry_err *err)
{
    if (!vm->board)
        return err_set(err, EINVAL, "there is no machine yet: it comes with its guest");
    return vm->mover->may_change(vm->migration, err);
}

/* A guest that has not come, or has gone, brings its parts to life when it is here. */
static bool parts_are_in_use(const struct vm *vm)
{
    return vm->state != RUN_STATE_INMIGRATE && vm->state != RUN_STATE_POSTMIGRATE;
}

static int join(struct vm *vm, const struct ferry_part *part, struct ferry_err *err)
{
    int rc = ferry_vm_add_part(vm->parts, part, err);

    if (!rc && part->ops->resume && parts_are_in_use(vm))
        part->ops->resume(part->obj);
    return rc;
}

/* The device that uses a backend; NULL: none. */
static const struct config_device *user_of(const struct vm *vm, enum device_backend kind,
                                           const char *id)
{
    for (size_t i = 0; i < vm->config.device_count; i++) {
        const struct config_device *d = vm->config.devices[i];

        if (d->kind->backend == kind && d->backend && !strcmp(d->backend, id))
            return d;
    }
    return NULL;
}

static int refuse_used(const char *id, const struct config_device *user, struct ferry_err *err)
{
    return err_set(err, EBUSY, "Device '%s' is in use by %s%s%s%s: remove that first", id,
                   user->kind->name, user->id ? " '" : "", user->id ? user->id : "",
                   user->id ? "'" : "");
}

/* --- Netdevs --- */

static int open_netdev(struct vm *vm, int *fd, struct ferry_err *err)
{
    struct ferry_part part;
    struct net *n;
    int rc = board_add_netdev(vm->board, fd, &n, err);

    if (rc)
        return rc;
    part = net_part(n);
    rc = join(vm, &part, err);
    if (rc)
        board_remove_netdev(vm->board, n);
    return rc;
}

static int describe_netdev(struct vm *vm, const char *words, struct ferry_err *err)
{
    int rc = may_change(vm, err);

    return rc ? rc : description_add_netdev(&vm->options, &vm->config, words, err);
}

static void forget_last_netdev(struct vm *vm)
{
    description_remove_netdev(&vm->options, &vm->config, vm->config.netdev_count - 1);
}

int vm_check_netdev(struct vm *vm, const char *words, struct ferry_err *err)
{
    int rc = describe_netdev(vm, words, err);

    if (!rc)
        forget_last_netdev(vm);
    return rc;
}

int vm_add_netdev(struct vm *vm, const char *words, int *fd, struct ferry_err *err)
{
    int rc = describe_netdev(vm, words, err);

    if (rc)
        return rc;
    rc = open_netdev(vm, fd, err);
    if (rc)
        forget_last_netdev(vm);
    return rc;
}

static const char *netdev_candidate(const void *config, size_t i)
{
    const struct vm_config *c = config;

    return i < c->netdev_count ? c->netdevs[i].id : NULL;
}

static int refuse_unknown(const char *id, const char *closest, struct ferry_err *err)
{
    return closest
               ? err_set(err, ENODEV, "Device '%.40s' not found; did you mean '%s'?", id, closest)
               : err_set(err, ENODEV, "Device '%.40s' not found", id);
}

int vm_remove_netdev(struct vm *vm, const char *id, struct ferry_err *err)
{
    const struct vm_config *c = &vm->config;
    const struct config_device *user = user_of(vm, DEVICE_USES_NETDEV, id);
    size_t index = 0;
    struct ferry_part part;
    struct net *n;
    int rc = may_change(vm, err);

    if (rc)
        return rc;
    while (index < c->netdev_count && strcmp(c->netdevs[index].id, id) != 0)
        index++;
    if (index == c->netdev_count)
        return refuse_unknown(id, props_closest(id, netdev_candidate, c), err);
    if (user)
        return refuse_used(id, user, err);
    n = board_find_netdev(vm->board, id);
    part = net_part(n);
    rc = ferry_vm_remove_part(vm->parts, part.idstr, part.instance_id, err);
    if (rc)
        return rc;
    board_remove_netdev(vm->board, n);
    description_remove_netdev(&vm->options, &vm->config, index);
    return 0;
}

/* --- Chardevs --- */

static int describe_chardev(struct vm *vm, const char *words, struct ferry_err *err)
{
    int rc = may_change(vm, err);

    return rc ? rc : description_add_chardev(&vm->options, &vm->config, words, err);
}

static void forget_last_chardev(struct vm *vm)
{
    const struct vm_config *c = &vm->config;
    struct ferry_err ignored;

    (void)!description_remove_chardev(&vm->options, &vm->config,
                                      c->chardevs[c->chardev_count - 1].id, &ignored);
}

int vm_check_chardev(struct vm *vm, const char *words, struct ferry_err *err)
{
    int rc = describe_chardev(vm, words, err);

    if (!rc)
        forget_last_chardev(vm);
    return rc;
}

static int open_chardev(struct vm *vm, struct ferry_named_fd *fds, size_t count,
                        struct ferry_err *err)
{
    struct ferry_part part;
    struct chardev *c;
    int rc = board_add_chardev(vm->board, fds, count, &c, err);

    if (rc)
        return rc;
    part = chardev_part(c);
    rc = join(vm, &part, err);
    if (rc)
        board_remove_chardev(vm->board, c);
    return rc;
}

int vm_add_chardev(struct vm *vm, const char *words, struct ferry_named_fd *fds, size_t count,
                   struct ferry_err *err)
{
    int rc = describe_chardev(vm, words, err);

    if (rc)
        return rc;
    rc = open_chardev(vm, fds, count, err);
    if (rc)
        forget_last_chardev(vm);
    return rc;
}

static const char *chardev_candidate(const void *config, size_t i)
{
    const struct vm_config *c = config;

    return i < c->chardev_count ? c->chardevs[i].id : NULL;
}

static int refuse_chardev(const struct vm *vm, const char *id, struct ferry_err *err)
{
    const char *closest = props_closest(id, chardev_candidate, &vm->config);

    return closest
               ? err_set(err, ENOENT, "Chardev '%.40s' not found; did you mean '%s'?", id, closest)
               : err_set(err, ENOENT, "Chardev '%.40s' not found", id);
}

int vm_remove_chardev(struct vm *vm, const char *id, struct ferry_err *err)
{
    struct chardev *c;
    struct ferry_part part;
    int rc = may_change(vm, err);

    if (rc)
        return rc;
    c = board_find_chardev(vm->board, id);
    if (!c)
        return refuse_chardev(vm, id, err);
    if (chardev_frontend_open(c))
        return err_set(err, EBUSY, "Chardev '%s' is busy", id);
    rc = description_remove_chardev(&vm->options, &vm->config, id, err);
    if (rc)
        return rc;
    part = chardev_part(c);
    rc = ferry_vm_remove_part(vm->parts, part.idstr, part.instance_id, err);
    if (!rc)
        board_remove_chardev(vm->board, c);
    return rc;
}

/* --- Drives --- */

static int describe_drive(struct vm *vm, const char *words, struct ferry_err *err)
{
    int rc = may_change(vm, err);

    return rc ? rc : description_add_drive(&vm->options, &vm->config, words, err);
}

static void forget_last_drive(struct vm *vm)
{
    struct ferry_err ignored;

    (void)!description_remove_drive(&vm->options, &vm->config, vm->config.drive_count - 1,
                                    &ignored);
}

int vm_check_blockdev(struct vm *vm, const char *words, struct ferry_err *err)
{
    int rc = describe_drive(vm, words, err);

    if (!rc)
        forget_last_drive(vm);
    return rc;
}

static int open_drive(struct vm *vm, int *fd, struct ferry_err *err)
{
    struct ferry_part part;
    struct block *d;
    /* Where a guest has not come yet, its source has the lock. */
    int rc = board_add_drive(vm->board, fd, !vm->inactive, &d, err);

    if (rc)
        return rc;
    part = block_part(d);
    rc = join(vm, &part, err);
    if (rc)
        board_remove_drive(vm->board, d);
    return rc;
}

int vm_add_blockdev(struct vm *vm, const char *words, int *fd, struct ferry_err *err)
{
    int rc = describe_drive(vm, words, err);

    if (rc)
        return rc;
    rc = open_drive(vm, fd, err);
    if (rc)
        forget_last_drive(vm);
    return rc;
}

static const char *drive_candidate(const void *config, size_t i)
{
    const struct vm_config *c = config;

    return i < c->drive_count ? c->drives[i].id : NULL;
}

static int refuse_drive(const struct vm *vm, const char *node, struct ferry_err *err)
{
    const char *closest = props_closest(node, drive_candidate, &vm->config);

    return closest ? err_set(err, ENOENT,
                             "Failed to find node with node-name='%.40s'; did you mean '%s'?", node,
                             closest)
                   : err_set(err, ENOENT, "Failed to find node with node-name='%.40s'", node);
}

int vm_remove_blockdev(struct vm *vm, const char *node, struct ferry_err *err)
{
    const struct vm_config *c = &vm->config;
    size_t index = 0;
    struct ferry_part part;
    struct block *d;
    int rc = may_change(vm, err);

    if (rc)
        return rc;
    while (index < c->drive_count && strcmp(c->drives[index].id, node) != 0)
        index++;
    if (index == c->drive_count)
        return refuse_drive(vm, node, err);
    d = board_find_drive(vm->board, node);
    if (user_of(vm, DEVICE_USES_DRIVE, node) || block_is_flushing(d))
        return err_set(err, EBUSY, "Node %s is in use", node);
    rc = description_remove_drive(&vm->options, &vm->config, index, err);
    if (rc)
        return rc;
    part = block_part(d);
    rc = ferry_vm_remove_part(vm->parts, part.idstr, part.instance_id, err);
    if (rc)
        return rc;
    /* Who gave the image to us (add-fd) may have it still, and the lock is with what is open. */
    block_give_lock(d, false);
    board_remove_drive(vm->board, d);
    return 0;
}
