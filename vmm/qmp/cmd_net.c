/* SPDX-License-Identifier: Apache-2.0 */
/* The network: what netdevs are connected to, and whether the guest's links are up. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "vmm/backend/net.h"
#include "vmm/machine/device_kind.h"
#include "vmm/machine/vm.h"
#include "vmm/qmp/cmd.h"
#include "vmm/qmp/hmp.h"
#include "vmm/qmp/json_build.h"
#include "vmm/qmp/monitor.h"

const struct qmp_type qmp_type_set_link_args = {.kind = QMP_KIND_OBJECT,
                                                QMP_MEMBERS({"name", &qmp_str}, {"up", &qmp_bool})};
const struct qmp_type qmp_type_netdev_connected_data = {
    .kind = QMP_KIND_OBJECT,
    QMP_MEMBERS({"netdev-id", &qmp_str}, {"addr", &qmp_type_socket_address})};
const struct qmp_type qmp_type_netdev_disconnected_data = {.kind = QMP_KIND_OBJECT,
                                                           QMP_MEMBERS({"netdev-id", &qmp_str})};

static const struct qmp_type netdev_info = {
    .name = "FerryNetdevInfo",
    .kind = QMP_KIND_OBJECT,
    QMP_MEMBERS({"id", &qmp_str}, {"type", &qmp_str}, {"where", &qmp_str, true},
                {"server", &qmp_bool}, {"connected", &qmp_bool},
                {"seconds", &qmp_int, true} /* it has been so; absent: since before this process */,
                {"reconnect-ms", &qmp_int}, {"link-up", &qmp_bool}, {"link-set-off", &qmp_bool})};
const struct qmp_type qmp_type_netdev_list = {.kind = QMP_KIND_ARRAY, .element = &netdev_info};

static struct net *netdev_at(const struct monitor_env *env, size_t i)
{
    return env->netdev_at ? env->netdev_at(env->arg, i) : NULL;
}

static struct json_object *netdev_json(const struct net *n)
{
    struct json_object *info = json_object_new_object();
    struct net_status s;

    net_status(n, &s);
    json_put_str(info, "id", s.id);
    json_put_str(info, "type", s.type);
    if (s.where)
        json_put_str(info, "where", s.where);
    json_put_bool(info, "server", s.server);
    json_put_bool(info, "connected", s.connected);
    if (s.since_ns)
        json_put_int(info, "seconds", (clock_monotonic_ns() - s.since_ns) / 1000000000);
    json_put_int(info, "reconnect-ms", s.reconnect_ms);
    json_put_bool(info, "link-up", s.link_up);
    json_put_bool(info, "link-set-off", s.link_off);
    return info;
}

QMP_HANDLER(qmp_run_netdevs)
{
    const struct monitor_env *env = monitor_env(call->monitor);
    struct net *n;

    *ret = json_object_new_array();
    for (size_t i = 0; (n = netdev_at(env, i)); i++)
        json_object_array_add(*ret, netdev_json(n));
    return 0;
}

/* --- set_link --- */

/* The netdev behind a card that has this ID; NULL: none. */
static const char *behind_card(const struct vm_config *c, const char *id)
{
    for (size_t i = 0; i < c->device_count; i++)
        if (config_card_of(c->devices[i]) && c->devices[i]->id && !strcmp(c->devices[i]->id, id))
            return c->devices[i]->backend;
    return NULL;
}

QMP_HANDLER(qmp_run_set_link)
{
    const struct monitor_env *env = monitor_env(call->monitor);
    const char *name = qmp_get_str(args, "name");
    const char *id = behind_card(vm_config(env->vm), name);
    struct net *n;

    for (size_t i = 0; (n = netdev_at(env, i)); i++) {
        if (strcmp(net_id(n), id ? id : name) != 0)
            continue;
        net_set_link(n, json_object_get_boolean(qmp_get(args, "up")));
        return 0;
    }
    call->error_class = QMP_DEVICE_NOT_FOUND;
    return err_set(err, ENODEV, "Device '%.100s' not found", name);
}

/* --- For people --- */

static void print_netdev(struct buf *out, const struct net *n)
{
    struct net_status s;

    net_status(n, &s);
    buf_printf(out, " \\ %s: index=0,type=%s,", s.id, s.type);
    if (strcmp(s.type, "stream") == 0)
        buf_printf(out, "%s%s\r\n", s.connected ? "unix:" : "",
                   s.connected && !s.server ? s.where : "");
    else
        buf_printf(out, "ifname=%s,script=no,downscript=no\r\n", s.where ? s.where : "");
}

void hmp_print_network(struct buf *out, const struct monitor_env *env)
{
    const struct vm_config *c = vm_config(env->vm);
    struct net *n;

    for (size_t i = 0, card = 0; i < c->device_count; i++) {
        const struct config_card *d = config_card_of(c->devices[i]);

        if (!d)
            continue;
        if (c->devices[i]->id)
            buf_printf(out, "%s", c->devices[i]->id);
        else
            buf_printf(out, "%s.%zu", c->devices[i]->kind->name, card);
        card++;
        buf_printf(out, ": index=0,type=nic,model=%s,macaddr=%02x:%02x:%02x:%02x:%02x:%02x\r\n",
                   c->devices[i]->kind->name, d->mac[0], d->mac[1], d->mac[2], d->mac[3], d->mac[4],
                   d->mac[5]);
        for (size_t k = 0; (n = netdev_at(env, k)); k++)
            if (!strcmp(net_id(n), c->devices[i]->backend))
                print_netdev(out, n);
    }
}
