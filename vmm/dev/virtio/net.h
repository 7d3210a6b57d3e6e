/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside vmm/dev/virtio: the network card, between net.c (frames), net_ctrl.c (the control queue
 * and the filter it sets up) and net_state.c.
 */
#pragma once

#include "vmm/backend/net.h"
#include "vmm/dev/virtio/device.h"

#define NET_F_CSUM                0
#define NET_F_GUEST_CSUM          1
#define NET_F_CTRL_GUEST_OFFLOADS 2
#define NET_F_MAC                 5
#define NET_F_GSO                 6 /* legacy */
#define NET_F_GUEST_TSO4          7
#define NET_F_GUEST_TSO6          8
#define NET_F_GUEST_ECN           9
#define NET_F_HOST_TSO4           11
#define NET_F_HOST_TSO6           12
#define NET_F_HOST_ECN            13
#define NET_F_MRG_RXBUF           15
#define NET_F_STATUS              16
#define NET_F_CTRL_VQ             17
#define NET_F_CTRL_RX             18
#define NET_F_CTRL_VLAN           19
#define NET_F_CTRL_RX_EXTRA       20
#define NET_F_GUEST_ANNOUNCE      21
#define NET_F_CTRL_MAC_ADDR       23

/* What frames to the guest may make use of. */
#define NET_GUEST_OFFLOADS                                                                        \
    (VIRTIO_BIT(NET_F_GUEST_CSUM) | VIRTIO_BIT(NET_F_GUEST_TSO4) | VIRTIO_BIT(NET_F_GUEST_TSO6) | \
     VIRTIO_BIT(NET_F_GUEST_ECN))

#define NET_QUEUE_RX   0u
#define NET_QUEUE_TX   1u
#define NET_QUEUE_CTRL 2u
#define NET_QUEUES     3u

#define NET_STATUS_LINK_UP  1u
#define NET_STATUS_ANNOUNCE 2u

#define NET_MAC_BYTES   6u
#define NET_MACS_MAX    64u
#define NET_VLANS_BYTES 512u /* a bit for each of 4096 */

struct net_mac {
    uint8_t bytes[NET_MAC_BYTES];
};

struct virtio_net {
    struct virtio_dev v;    /* first */
    struct net *net;        /* loan */
    struct net_mac own_mac; /* as configured: what a reset brings back */

    struct net_mac mac;
    uint32_t wire_tx_waiting; /* the queues are looked at after a load anyway */
    uint32_t wire_mergeable;
    uint16_t status;
    uint32_t has_vnet_hdr;
    uint64_t guest_offloads;

    /* The receive filter. Bools, as the stream has them. */
    uint8_t promisc;
    uint8_t allmulti;
    uint32_t mac_count;
    struct net_mac macs[NET_MACS_MAX]; /* unicast, then multicast */
    uint8_t vlans[NET_VLANS_BYTES];
    uint8_t multi_overflow;
    uint8_t uni_overflow;
    uint8_t alluni;
    uint8_t nomulti;
    uint8_t nouni;
    uint8_t nobcast;
    uint8_t wire_has_ufo;
};

extern const struct ferry_table virtio_net_table;

/* Tell the backend what header and offloads the driver has asked for. */
void virtio_net_set_header(struct virtio_net *n);

/* net_ctrl.c */
void virtio_net_filter_reset(struct virtio_net *n);
bool virtio_net_filter(const struct virtio_net *n, const uint8_t *frame, size_t bytes);
void virtio_net_control(struct virtio_dev *v, uint32_t index);
