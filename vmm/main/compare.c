/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/main/compare.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/differences.h"

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
    for (size_t i = 0; i < c->drive_count; i++)
        if (!strcmp(c->drives[i].id, d->backend))
            return &c->drives[i];
    return NULL;
}

static const struct config_netdev *netdev_of(const struct vm_config *c,
                                             const struct config_device *d)
{
    for (size_t i = 0; d->backend && i < c->netdev_count; i++)
        if (!strcmp(c->netdevs[i].id, d->backend))
            return &c->netdevs[i];
    return NULL;
}

static void compare_blk(struct differences *d, const char *where, const struct vm_config *theirs,
                        const struct config_device *a, const struct vm_config *ours,
                        const struct config_device *b)
{
    const struct config_drive *there = drive_of(theirs, a), *here = drive_of(ours, b);
    uint32_t queues_there = a->num_queues ? a->num_queues : 1;
    uint32_t queues_here = b->num_queues ? b->num_queues : 1;

    if (queues_there != queues_here)
        differences_add(d, "%snum-queues is %" PRIu32 " there and %" PRIu32 " here", where,
                        queues_there, queues_here);
    compare_flag(d, where, "discard", a->discard, b->discard);
    compare_flag(d, where, "write-zeroes", a->write_zeroes, b->write_zeroes);
    compare_text(d, where, "serial", a->serial, b->serial);
    if (there && here)
        compare_flag(d, where, "readonly", there->readonly, here->readonly);
}

static void compare_net(struct differences *d, const char *where, const struct vm_config *theirs,
                        const struct config_device *a, const struct vm_config *ours,
                        const struct config_device *b)
{
    const struct config_netdev *there = netdev_of(theirs, a), *here = netdev_of(ours, b);
    char macs[2][18];

    for (size_t i = 0; i < 2; i++) {
        const uint8_t *mac = i ? b->mac : a->mac;

        snprintf(macs[i], sizeof(macs[i]), "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2],
                 mac[3], mac[4], mac[5]);
    }
    compare_text(d, where, "mac", macs[0], macs[1]);
    /* Only a TAP has offloads, which the guest sees. */
    if (there && here && there->type != here->type)
        differences_add(d, "%snetdev is a %s there and a %s here", where,
                        there->type == CONFIG_NETDEV_TAP ? "TAP" : "stream",
                        here->type == CONFIG_NETDEV_TAP ? "TAP" : "stream");
}

static void compare_device(struct differences *d, const struct vm_config *theirs,
                           const struct config_device *a, const struct vm_config *ours,
                           const struct config_device *b)
{
    static const char *const kinds[] = {[CONFIG_DEVICE_BLK] = "disk",
                                        [CONFIG_DEVICE_NET] = "network card",
                                        [CONFIG_DEVICE_RNG] = "random number generator"};
    char where[64];

    snprintf(where, sizeof(where), "%s on virtio-mmio-bus.%d: ", kinds[a->type], a->slot);
    compare_flag(d, where, "event_idx", a->event_idx, b->event_idx);
    compare_flag(d, where, "indirect_desc", a->indirect_desc, b->indirect_desc);
    if (a->type == CONFIG_DEVICE_BLK)
        compare_blk(d, where, theirs, a, ours, b);
    else if (a->type == CONFIG_DEVICE_NET)
        compare_net(d, where, theirs, a, ours, b);
}

int config_compare(const struct vm_config *theirs, const struct vm_config *ours,
                   struct ferry_err *err)
{
    struct differences d = {0};

    compare_text(&d, "-M virt: ", "compat", theirs->compat, ours->compat);
    compare_flag(&d, "virtio-mmio: ", "force-legacy", theirs->force_legacy, ours->force_legacy);
    for (size_t i = 0; i < theirs->device_count; i++)
        for (size_t k = 0; k < ours->device_count; k++)
            if (theirs->devices[i].slot == ours->devices[k].slot &&
                theirs->devices[i].type == ours->devices[k].type)
                compare_device(&d, theirs, &theirs->devices[i], ours, &ours->devices[k]);
    return differences_end(&d, err);
}
