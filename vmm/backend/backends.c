/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/backend/backends.h"

#include <string.h>

#include "base/clock.h"
#include "vmm/backend/chardev_mux.h"

/* How long an end waits for disks that are at work. */
#define STOP_PATIENCE_NS INT64_C(200000000)

/* How many places a chardev with mux=on has: the serial line's is the first, if it is there. */
static size_t count_places(const struct vm_config *c, const char *id, bool is_serial)
{
    size_t count = is_serial;

    for (size_t i = 0; i < c->monitor_count; i++)
        count += !strcmp(c->monitors[i].chardev, id);
    return count;
}

static bool is_serials(const struct vm_config *c, const char *id)
{
    return c->serial_chardev && !strcmp(c->serial_chardev, id);
}

static int new_mux(struct backends *b, size_t index, bool is_serial,
                   const struct backends_params *params, struct ferry_err *err)
{
    const struct vm_config *c = params->config;
    size_t places = count_places(c, c->chardevs[index].id, is_serial);
    /* As QEMU: a serial line is in focus, else the last monitor. */
    struct mux_params mux_params = {
        .line = b->chardevs[index],
        .loop = params->loop,
        .places = places,
        .focus = is_serial ? 0 : places - 1,
        .quit = params->quit,
        .arg = params->arg,
    };

    return c->chardevs[index].mux && places ? mux_new(&b->muxes[index], &mux_params, err) : 0;
}

/* --- Each is the config's next. --- */

static int new_chardev(struct backends *b, const struct backends_params *params,
                       struct ferry_err *err)
{
    const struct vm_config *c = params->config;
    size_t index = b->chardev_count;
    bool is_serial = is_serials(c, c->chardevs[index].id);
    struct chardev_params chardev_params = {
        .config = &c->chardevs[index],
        .loop = params->loop,
        .escape = c->escape && is_serial,
        .quit = params->quit,
        .client_came = params->client_came,
        .drained = params->drained,
        .arg = params->arg,
    };
    int rc = chardev_new(&b->chardevs[index], &chardev_params, err);

    if (rc)
        return rc;
    b->muxes[index] = NULL;
    b->chardev_count++;
    return new_mux(b, index, is_serial, params, err);
}

static int new_drive(struct backends *b, const struct backends_params *params,
                     struct ferry_err *err)
{
    size_t index = b->drive_count;
    int rc = block_new_with(&b->drives[index], &params->config->drives[index], params->thread_begin,
                            err);

    if (!rc)
        b->drive_count++;
    return rc;
}

static int new_netdev(struct backends *b, const struct backends_params *params,
                      struct ferry_err *err)
{
    const struct config_netdev *config = &params->config->netdevs[b->netdev_count];
    int rc = net_new(&b->netdevs[b->netdev_count], config, params->loop, params->lock, err);

    if (rc)
        return rc;
    if (params->net_host)
        net_set_host(b->netdevs[b->netdev_count], params->net_host);
    b->netdev_count++;
    return 0;
}

int backends_new(struct backends *b, const struct backends_params *params, struct ferry_err *err)
{
    const struct vm_config *c = params->config;

    for (size_t i = 0; i < c->chardev_count; i++) {
        int rc = new_chardev(b, params, err);

        if (rc)
            return rc;
    }
    for (size_t i = 0; i < c->drive_count; i++) {
        int rc = new_drive(b, params, err);

        if (rc)
            return rc;
    }
    for (size_t i = 0; i < c->netdev_count; i++) {
        int rc = new_netdev(b, params, err);

        if (rc)
            return rc;
    }
    return 0;
}

int backends_add_chardev(struct backends *b, const struct backends_params *params,
                         struct ferry_named_fd *fds, size_t count, struct chardev **ret,
                         struct ferry_err *err)
{
    struct chardev *c;
    int rc = new_chardev(b, params, err);

    if (rc)
        return rc;
    c = b->chardevs[b->chardev_count - 1];
    rc = count ? chardev_open_with(c, fds, count, err) : chardev_open(c, err);
    if (rc)
        backends_remove_chardev(b, c);
    else
        *ret = c;
    return rc;
}

void backends_remove_chardev(struct backends *b, struct chardev *c)
{
    size_t i = 0, behind;

    while (b->chardevs[i] != c)
        i++;
    mux_free(b->muxes[i]);
    behind = --b->chardev_count - i;
    memmove(&b->chardevs[i], &b->chardevs[i + 1], behind * sizeof(b->chardevs[0]));
    memmove(&b->muxes[i], &b->muxes[i + 1], behind * sizeof(b->muxes[0]));
    chardev_free(c);
}

int backends_add_drive(struct backends *b, const struct backends_params *params, int *fd, bool lock,
                       struct block **ret, struct ferry_err *err)
{
    struct block *d;
    int rc = new_drive(b, params, err);

    if (rc)
        return rc;
    d = b->drives[b->drive_count - 1];
    if (*fd >= 0)
        rc = block_open_with(d, fd, lock, err);
    else
        rc = lock ? block_open(d, err) : block_open_unlocked(d, err);
    if (rc)
        backends_remove_drive(b, d);
    else
        *ret = d;
    return rc;
}

void backends_remove_drive(struct backends *b, struct block *d)
{
    size_t i = 0;

    while (b->drives[i] != d)
        i++;
    b->drive_count--;
    memmove(&b->drives[i], &b->drives[i + 1], (b->drive_count - i) * sizeof(b->drives[0]));
    block_free(d);
}

int backends_add_netdev(struct backends *b, const struct backends_params *params, int *fd,
                        struct net **ret, struct ferry_err *err)
{
    struct net *n;
    int rc = new_netdev(b, params, err);

    if (rc)
        return rc;
    n = b->netdevs[b->netdev_count - 1];
    rc = *fd < 0 ? net_open(n, err) : net_open_with(n, fd, err);
    if (rc)
        backends_remove_netdev(b, n);
    else
        *ret = n;
    return rc;
}

void backends_remove_netdev(struct backends *b, struct net *n)
{
    size_t i = 0;

    while (b->netdevs[i] != n)
        i++;
    b->netdev_count--;
    memmove(&b->netdevs[i], &b->netdevs[i + 1], (b->netdev_count - i) * sizeof(b->netdevs[0]));
    net_free(n);
}

void backends_free(struct backends *b)
{
    while (b->netdev_count > 0)
        net_free(b->netdevs[--b->netdev_count]);
    while (b->drive_count > 0)
        block_free(b->drives[--b->drive_count]);
    backends_free_chardevs(b);
}

/* All write what they have at the same time: files that hang are waited for once. */
void backends_free_chardevs(struct backends *b)
{
    for (size_t i = 0; i < b->chardev_count; i++)
        chardev_end(b->chardevs[i]);
    while (b->chardev_count > 0) {
        b->chardev_count--;
        mux_free(b->muxes[b->chardev_count]);
        chardev_free(b->chardevs[b->chardev_count]);
    }
}

bool backends_stop_drives(struct backends *b)
{
    int64_t deadline_ns = clock_monotonic_ns() + STOP_PATIENCE_NS;
    bool stopped = true;

    for (size_t i = 0; i < b->drive_count; i++)
        (void)block_stop(b->drives[i], 0);
    for (size_t i = 0; i < b->drive_count; i++)
        stopped &= block_stop(b->drives[i], deadline_ns);
    return stopped;
}

static int open_with(struct backends *b, int (*open_drive)(struct block *, struct ferry_err *),
                     struct ferry_err *err)
{
    int rc = 0;

    for (size_t i = 0; !rc && i < b->drive_count; i++)
        rc = open_drive(b->drives[i], err);
    for (size_t i = 0; !rc && i < b->netdev_count; i++)
        rc = net_open(b->netdevs[i], err);
    for (size_t i = 0; !rc && i < b->chardev_count; i++)
        rc = chardev_open(b->chardevs[i], err);
    return rc;
}

int backends_open(struct backends *b, struct ferry_err *err)
{
    return open_with(b, block_open, err);
}

int backends_open_unlocked(struct backends *b, struct ferry_err *err)
{
    return open_with(b, block_open_unlocked, err);
}

void backends_give_locks(struct backends *b, bool claim)
{
    b->claimed = claim;
    for (size_t i = 0; i < b->drive_count; i++)
        block_give_lock(b->drives[i], claim);
}

bool backends_are_idle(struct backends *b, struct bell *bell)
{
    bool idle = true;

    /* Each that is not: the bell rings for each. */
    for (size_t i = 0; i < b->drive_count; i++)
        idle &= block_is_idle(b->drives[i], bell);
    return idle;
}

void backends_flush_begin(struct backends *b, struct bell *bell)
{
    for (size_t i = 0; i < b->drive_count; i++)
        block_flush_begin(b->drives[i], bell);
}

int backends_flush_result(struct backends *b, struct ferry_err *err)
{
    int result = 0;

    for (size_t i = 0; i < b->drive_count && result >= 0; i++) {
        int rc = block_flush_result(b->drives[i], err);

        if (rc)
            result = rc;
    }
    return result;
}

int backends_take_locks(struct backends *b, struct ferry_err *err)
{
    for (size_t i = 0; i < b->drive_count; i++) {
        int rc = block_take_lock(b->drives[i], err);

        if (rc < 0) {
            backends_give_locks(b, b->claimed);
            return rc;
        }
    }
    return 0;
}

bool backends_await_client(const struct backends *b)
{
    for (size_t i = 0; i < b->chardev_count; i++)
        if (chardev_awaits_client(b->chardevs[i]))
            return true;
    return false;
}

int backends_add_parts(struct backends *b, struct ferry_vm *vm, struct ferry_err *err)
{
    struct ferry_part part;
    int rc = 0;

    for (size_t i = 0; !rc && i < b->drive_count; i++) {
        part = block_part(b->drives[i]);
        rc = ferry_vm_add_part(vm, &part, err);
    }
    for (size_t i = 0; !rc && i < b->netdev_count; i++) {
        part = net_part(b->netdevs[i]);
        rc = ferry_vm_add_part(vm, &part, err);
    }
    for (size_t i = 0; !rc && i < b->chardev_count; i++) {
        part = chardev_part(b->chardevs[i]);
        rc = ferry_vm_add_part(vm, &part, err);
        if (!rc && b->muxes[i]) {
            part = mux_part(b->muxes[i]);
            rc = ferry_vm_add_part(vm, &part, err);
        }
    }
    return rc;
}

struct chardev *backends_find_chardev(const struct backends *b, const char *id)
{
    for (size_t i = 0; i < b->chardev_count; i++) {
        if (!strcmp(chardev_id(b->chardevs[i]), id))
            return b->chardevs[i];
    }
    return NULL;
}

/* place: if it is shared. */
static struct chardev *find_line(const struct backends *b, const char *id, size_t place)
{
    for (size_t i = 0; id && i < b->chardev_count; i++)
        if (!strcmp(chardev_id(b->chardevs[i]), id))
            return b->muxes[i] ? mux_place(b->muxes[i], place) : b->chardevs[i];
    return NULL;
}

struct chardev *backends_serial_line(const struct backends *b, const struct vm_config *c)
{
    return find_line(b, c->serial_chardev, 0);
}

struct chardev *backends_monitor_line(const struct backends *b, const struct vm_config *c,
                                      size_t index)
{
    const char *id = c->monitors[index].chardev;
    size_t place = is_serials(c, id);

    for (size_t i = 0; i < index; i++)
        place += !strcmp(c->monitors[i].chardev, id);
    return find_line(b, id, place);
}

struct block *backends_find_drive(const struct backends *b, const char *id)
{
    for (size_t i = 0; i < b->drive_count; i++) {
        if (!strcmp(block_id(b->drives[i]), id))
            return b->drives[i];
    }
    return NULL;
}

struct net *backends_find_netdev(const struct backends *b, const char *id)
{
    for (size_t i = 0; i < b->netdev_count; i++) {
        if (!strcmp(net_id(b->netdevs[i]), id))
            return b->netdevs[i];
    }
    return NULL;
}
