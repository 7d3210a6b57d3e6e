/* SPDX-License-Identifier: Apache-2.0 */
/* The network card's own part of its section, as QEMU has it for one pair of queues. */
#include <errno.h>
#include <inttypes.h>

#include "base/err.h"
#include "vmm/dev/virtio/net.h"
#include "vmm/dev/virtio/state.h"

static const struct ferry_field mac_fields[] = {FERRY_BYTES(struct net_mac, bytes)};
static const struct ferry_table mac_table = {
    .name = "mac",
    .version = 1,
    .minimum_version = 1,
    FERRY_FIELDS(mac_fields),
};

/* Loaded before: the feature is negotiated. */
static bool has_guest_offloads(const void *obj, uint32_t version)
{
    const struct virtio_net *n = obj;

    return n->v.wire_features_low & VIRTIO_BIT(NET_F_CTRL_GUEST_OFFLOADS);
}

static const struct ferry_field device_fields[] = {
    FERRY_STRUCT(struct virtio_net, mac, &mac_table),
    FERRY_U32(struct virtio_net, wire_tx_waiting, .wire_name = "vqs[0].tx_waiting"),
    FERRY_U32(struct virtio_net, wire_mergeable, .wire_name = "mergeable_rx_bufs", .max = 1),
    FERRY_U16(struct virtio_net, status, .max = NET_STATUS_LINK_UP | NET_STATUS_ANNOUNCE),
    FERRY_U8(struct virtio_net, promisc, .max = 1),
    FERRY_U8(struct virtio_net, allmulti, .max = 1),
    FERRY_U32(struct virtio_net, mac_count, .wire_name = "mac_table.in_use"),
    FERRY_STRUCT_VARRAY(struct virtio_net, macs, mac_count, &mac_table,
                        .wire_name = "mac_table.macs"),
    FERRY_BYTES(struct virtio_net, vlans),
    FERRY_U32(struct virtio_net, has_vnet_hdr, .max = 1),
    FERRY_U8(struct virtio_net, multi_overflow, .wire_name = "mac_table.multi_overflow", .max = 1),
    FERRY_U8(struct virtio_net, uni_overflow, .wire_name = "mac_table.uni_overflow", .max = 1),
    FERRY_U8(struct virtio_net, alluni, .max = 1),
    FERRY_U8(struct virtio_net, nomulti, .max = 1),
    FERRY_U8(struct virtio_net, nouni, .max = 1),
    FERRY_U8(struct virtio_net, nobcast, .max = 1),
    FERRY_U8(struct virtio_net, wire_has_ufo, .wire_name = "has_ufo", .max = 1),
    FERRY_U64(struct virtio_net, guest_offloads, .wire_name = "curr_guest_offloads",
              .present = has_guest_offloads),
};
static const struct ferry_table device_table = {
    .name = "virtio-net-device",
    .version = 11,
    .minimum_version = 11,
    FERRY_FIELDS(device_fields),
};

static void net_pre_save(void *obj)
{
    struct virtio_net *n = obj;

    virtio_state_pre_save(obj);
    n->wire_tx_waiting = 0;
    n->wire_mergeable = virtio_has(&n->v, NET_F_MRG_RXBUF);
    n->has_vnet_hdr = net_has_vnet_hdr(n->net);
    n->wire_has_ufo = 0;
}

static void net_pre_load(void *scratch)
{
    struct virtio_net *n = scratch;

    virtio_state_pre_load(scratch);
    n->guest_offloads = 0;
}

static int net_check(const void *scratch, struct ferry_err *err)
{
    const struct virtio_net *n = scratch;
    uint64_t refused = n->guest_offloads & ~(n->v.wire_features_low & NET_GUEST_OFFLOADS);
    int rc = virtio_state_check(scratch, err);

    if (rc)
        return rc;
    if ((n->has_vnet_hdr || n->wire_has_ufo) && !net_has_vnet_hdr(n->net))
        return err_set(err, EINVAL,
                       "the sender's backend has frame headers with offloads, netdev \"%s\" has "
                       "none; use a TAP here or a backend without them there",
                       net_id(n->net));
    if (refused)
        return err_set(err, EINVAL, "guest offloads 0x%" PRIx64 " are on but were not negotiated",
                       refused);
    return 0;
}

static void net_post_load(void *obj)
{
    struct virtio_net *n = obj;

    virtio_state_post_load(obj);
    virtio_state_rewind(obj);
    if (!virtio_has(&n->v, NET_F_CTRL_GUEST_OFFLOADS))
        n->guest_offloads = n->v.features & NET_GUEST_OFFLOADS;
}

static const struct ferry_field blob_fields[] = {
    VIRTIO_STATE_COMMON(struct virtio_net),
    FERRY_SELF(struct virtio_net, "device", &device_table),
};
static const struct ferry_table blob_table = {
    .name = "virtio",
    .version = 1,
    .minimum_version = 1,
    FERRY_FIELDS(blob_fields),
    .subsections = virtio_subsections,
    .pre_save = net_pre_save,
    .pre_load = net_pre_load,
    .check = net_check,
    .post_load = net_post_load,
};
static const struct ferry_field net_fields[] = {
    FERRY_SELF(struct virtio_net, "virtio", &blob_table),
};
const struct ferry_table virtio_net_table = {
    .name = "virtio-net",
    .version = 11,
    .minimum_version = 11,
    FERRY_FIELDS(net_fields),
};
