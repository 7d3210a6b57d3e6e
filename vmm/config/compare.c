/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/config/compare.h"

#include <stdio.h>
#include <string.h>

#include "base/differences.h"
#include "vmm/config/props.h"
#include "vmm/machine/device_kind.h"
#include "vmm/machine/machine_type.h"

static const char *on_off(bool on)
{
    return on ? "on" : "off";
}

static void compare_flag(struct differences *d, const char *where, const char *name, bool theirs,
                         bool ours)
{
    if (theirs != ours)
        differences_add(d, "%s%s is %s there and %s here", where, name, on_off(theirs),
                        on_off(ours));
}

static const char *text_or_none(const char *text)
{
    return text ? text : "none";
}

static void compare_text(struct differences *d, const char *where, const char *name,
                         const char *theirs, const char *ours)
{
    if (strcmp(theirs ? theirs : "", ours ? ours : ""))
        differences_add(d, "%s%s is %.40s there and %.40s here", where, name, text_or_none(theirs),
                        text_or_none(ours));
}

static const struct config_drive *drive_of(const struct vm_config *c, const struct config_device *d)
{
    for (size_t i = 0; d->kind->backend == DEVICE_USES_DRIVE && i < c->drive_count; i++)
        if (!strcmp(c->drives[i].id, d->backend))
            return &c->drives[i];
    return NULL;
}

static const struct config_netdev *netdev_of(const struct vm_config *c,
                                             const struct config_device *d)
{
    for (size_t i = 0; d->kind->backend == DEVICE_USES_NETDEV && i < c->netdev_count; i++)
        if (!strcmp(c->netdevs[i].id, d->backend))
            return &c->netdevs[i];
    return NULL;
}

/* What of the backend the guest sees. */
static void compare_backends(struct differences *d, const char *where,
                             const struct vm_config *theirs, const struct config_device *a,
                             const struct vm_config *ours, const struct config_device *b)
{
    const struct config_drive *drive_there = drive_of(theirs, a), *drive_here = drive_of(ours, b);
    const struct config_netdev *there = netdev_of(theirs, a), *here = netdev_of(ours, b);

    if (drive_there && drive_here)
        compare_flag(d, where, "readonly", drive_there->readonly, drive_here->readonly);
    /* Only a TAP has offloads. */
    if (there && here && there->type != here->type)
        differences_add(d, "%snetdev is a %s there and a %s here", where,
                        there->type == CONFIG_NETDEV_TAP ? "TAP" : "stream",
                        here->type == CONFIG_NETDEV_TAP ? "TAP" : "stream");
}

static void compare_device(struct differences *d, const struct vm_config *theirs,
                           const struct config_device *a, const struct vm_config *ours,
                           const struct config_device *b)
{
    char where[64], there[PROP_TEXT_BYTES], here[PROP_TEXT_BYTES];

    snprintf(where, sizeof(where), a->bus ? "%s on %s: " : "%s: ", a->kind->what, a->bus);
    for (const struct prop *p = a->kind->props; p->name; p++)
        if (p->is_compared)
            compare_text(d, where, p->name, props_text(p, a, there), props_text(p, b, here));
    compare_backends(d, where, theirs, a, ours, b);
}

int config_compare(const struct vm_config *theirs, const struct vm_config *ours,
                   struct ferry_err *err)
{
    struct differences d = {0};
    char where[64];

    snprintf(where, sizeof(where), "-M %s: ", theirs->machine->name);
    compare_text(&d, "-M: ", "type", theirs->machine->name, ours->machine->name);
    compare_text(&d, where, "compat", theirs->compat, ours->compat);
    compare_text(&d, "-rtc: ", "clock", theirs->rtc_clock == 2 ? "vm" : "host",
                 ours->rtc_clock == 2 ? "vm" : "host");
    compare_flag(&d, "virtio-mmio: ", "force-legacy", theirs->force_legacy, ours->force_legacy);
    for (size_t i = 0; i < theirs->device_count; i++)
        for (size_t k = 0; k < ours->device_count; k++)
            if (theirs->devices[i]->slot == ours->devices[k]->slot &&
                theirs->devices[i]->kind == ours->devices[k]->kind)
                compare_device(&d, theirs, theirs->devices[i], ours, ours->devices[k]);
    return differences_end(&d, err);
}

/* Whose peer is the same socket; NULL: nobody's. */
static const struct config_netdev *same_peer(const struct vm_config *theirs,
                                             const struct config_netdev *n)
{
    for (size_t i = 0; n->type == CONFIG_NETDEV_STREAM && i < theirs->netdev_count; i++)
        if (theirs->netdevs[i].type == CONFIG_NETDEV_STREAM && !theirs->netdevs[i].server &&
            !strcmp(theirs->netdevs[i].path, n->path))
            return &theirs->netdevs[i];
    return NULL;
}

int config_compare_peers(const struct vm_config *theirs, const struct vm_config *ours,
                         struct ferry_err *err)
{
    struct differences d = {0};

    for (size_t i = 0; i < ours->netdev_count; i++) {
        const struct config_netdev *here = &ours->netdevs[i], *there = same_peer(theirs, here);

        if (!there || here->server || (there->reconnect_ms && here->reconnect_ms))
            continue;
        differences_add(&d,
                        "netdev \"%s\": the VM has %.107s on this same host, and passt serves one "
                        "VM at a time: 'ferry update' keeps the connection, --net-socket %s=PATH "
                        "gives another passt, reconnect-ms on both sides passes it on",
                        here->id, here->path, here->id);
    }
    return differences_end(&d, err);
}
