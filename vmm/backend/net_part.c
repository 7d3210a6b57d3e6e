/* SPDX-License-Identifier: Apache-2.0 */
/* What a netdev has for whoever moves the VM: its file descriptors, and frames that are under way.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "vmm/backend/net_type.h"

/* --- As a part --- */

static void net_pause(void *obj)
{
    struct net *n = obj;

    machine_lock(n->lock);
    n->running = false;
    if (n->redial)
        redial_stop(n->redial);
    net_update_watch(n);
    machine_unlock(n->lock);
}

static void net_resume(void *obj)
{
    struct net *n = obj;

    machine_lock(n->lock);
    n->running = true;
    n->stalled = false;
    n->want_write = n->tx_bytes > 0;
    if (n->redial && n->fd < 0)
        redial_start(n->redial);
    net_update_link(n);
    net_update_watch(n);
    /* Frames that were read or refused before the pause; when the card is resumed, too. */
    n->resumed = true;
    bell_ring(n->bell);
    machine_unlock(n->lock);
}

static int net_fd_at(void *obj, size_t index, struct ferry_named_fd *ret)
{
    const struct net *n = obj;
    size_t count = 1 + (n->server && n->type->fd_names[1]);

    if (index >= count)
        return -ENOENT;
    snprintf(ret->name, sizeof(ret->name), "%s/%s", n->id, n->type->fd_names[index]);
    ret->fd = index == 0 ? n->fd : n->listen_fd;
    return 0;
}

static int net_adopt(void *obj, const char *name, int *fd, struct ferry_err *err)
{
    struct net *n = obj;
    struct ferry_named_fd ours;
    int rc;

    for (size_t i = 0; net_fd_at(n, i, &ours) == 0; i++) {
        if (strcmp(name, ours.name) || ours.fd >= 0)
            continue;
        rc = n->type->adopt(n, n->type->fd_names[i], fd, err);
        if (rc == 0)
            rc = net_prepare_fd(i == 0 ? n->fd : n->listen_fd, err);
        if (rc == 0)
            rc = net_watch(n, err);
        if (rc)
            err_prefix(err, "netdev \"%s\"", n->id);
        n->told_connected = n->fd >= 0;
        n->link_up = n->fd >= 0 && !n->link_off;
        return rc;
    }
    return err_set(err, EINVAL, "netdev \"%s\" does not expect an fd \"%s\"", n->id, name);
}

int net_open_with(struct net *n, int *fd, struct ferry_err *err)
{
    struct ferry_named_fd named;
    int rc = net_fd_at(n, n->server && n->type->fd_names[1] ? 1 : 0, &named);

    if (!rc)
        rc = net_adopt(n, named.name, fd, err);
    if (!rc)
        n->since_ns = clock_monotonic_ns();
    return rc;
}

static const struct ferry_part_ops net_part_ops = {
    .pause = net_pause,
    .resume = net_resume,
    .fd_at = net_fd_at,
    .adopt = net_adopt,
};

/* --- Saved state --- */

static void net_pre_save(void *obj)
{
    struct net *n = obj;

    memmove(n->rx, n->rx + n->rx_at, n->rx_bytes - n->rx_at);
    n->rx_bytes -= n->rx_at;
    n->rx_at = 0;
    memmove(n->tx, n->tx + n->tx_at, n->tx_bytes - n->tx_at);
    n->tx_bytes -= n->tx_at;
    n->tx_at = 0;
}

static void net_post_load(void *obj)
{
    struct net *n = obj;

    n->rx_at = n->tx_at = 0;
}

static bool net_needed(const void *obj)
{
    const struct net *n = obj;

    return n->rx_bytes > n->rx_at || n->tx_bytes > n->tx_at || n->link_off;
}

static bool link_needed(const void *obj)
{
    return ((const struct net *)obj)->link_off;
}

/* The stream may leave it out. */
static void net_pre_load(void *scratch)
{
    ((struct net *)scratch)->link_off = false;
}

static const struct ferry_field link_fields[] = {FERRY_BOOL(struct net, link_off)};
static const struct ferry_table link_table = {
    .name = "netdev/link",
    .version = 1,
    .minimum_version = 1,
    .needed = link_needed,
    FERRY_FIELDS(link_fields),
};
static const struct ferry_table *const net_subsections[] = {&link_table, NULL};

static const struct ferry_field net_fields[] = {
    FERRY_U32(struct net, rx_bytes),
    FERRY_VBYTES(struct net, rx, rx_bytes),
    FERRY_U32(struct net, tx_bytes),
    FERRY_VBYTES(struct net, tx, tx_bytes),
};
static const struct ferry_table net_table = {
    .name = "netdev",
    .version = 1,
    .minimum_version = 1,
    .needed = net_needed,
    .subsections = net_subsections,
    .pre_save = net_pre_save,
    .pre_load = net_pre_load,
    .post_load = net_post_load,
    FERRY_FIELDS(net_fields),
};

struct ferry_part net_part(struct net *n)
{
    return (struct ferry_part){
        .idstr = n->idstr,
        .table = &net_table,
        .ops = &net_part_ops,
        .obj = n,
        .obj_bytes = sizeof(*n),
    };
}
