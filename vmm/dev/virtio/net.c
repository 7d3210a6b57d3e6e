/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Network card (virtio 1.2, section 5.1) with one pair of queues and a control queue. Frames are
 * sent from the thread that kicks and received on the main thread; nothing is ever in flight, so
 * a pause has nothing to wait for: what was not sent stays in the ring, what was not received in
 * the backend.
 */
#include "vmm/dev/virtio/net.h"

#include <errno.h>
#include <string.h>

#include "base/be.h"
#include "base/err.h"
#include "base/iov.h"
#include "base/num.h"

#define NET_RX_NUM       256u
#define NET_TX_NUM       256u
#define NET_CTRL_NUM     64u
#define NET_CONFIG_BYTES 8u /* mac, status */

/* Handled in one turn with the machine lock held: short, because harts that want it cannot stop. */
#define NET_TURN_FRAMES 32u
#define NET_TURN_BYTES  (128u << 10)

/* struct virtio_net_hdr: u8 flags, gso_type, u16 hdr_len, gso_size, csum_start, csum_offset, and
 * in the longer form u16 num_buffers. */
#define NET_HDR_SHORT_BYTES 10u
#define NET_HDR_LONG_BYTES  12u
#define NET_HDR_NUM_BUFFERS 10u

#define NET_FRAME_BYTES_MIN 60u

static struct virtio_net *net_of(struct virtio_dev *v)
{
    return (struct virtio_net *)v;
}

static unsigned header_bytes(const struct virtio_net *n)
{
    bool is_long = virtio_has(&n->v, NET_F_MRG_RXBUF) || virtio_has(&n->v, VIRTIO_F_VERSION_1);

    return is_long ? NET_HDR_LONG_BYTES : NET_HDR_SHORT_BYTES;
}

void virtio_net_set_header(struct virtio_net *n)
{
    uint64_t o = n->guest_offloads;
    unsigned offloads = 0;

    if (!net_has_vnet_hdr(n->net))
        return;
    offloads |= o & VIRTIO_BIT(NET_F_GUEST_CSUM) ? NET_OFFLOAD_CSUM : 0;
    offloads |= o & VIRTIO_BIT(NET_F_GUEST_TSO4) ? NET_OFFLOAD_TSO4 : 0;
    offloads |= o & VIRTIO_BIT(NET_F_GUEST_TSO6) ? NET_OFFLOAD_TSO6 : 0;
    offloads |= o & VIRTIO_BIT(NET_F_GUEST_ECN) ? NET_OFFLOAD_ECN : 0;
    net_set_vnet_hdr(n->net, header_bytes(n), offloads);
}

/* --- To the guest --- */

/* Where the guest will look for the number of buffers of a frame; two bytes, maybe apart. */
struct num_buffers {
    uint8_t *host[2];
    uint64_t gpa[2];
};

/* Scatter n bytes into the writable parts at offset bytes from their beginning. */
static void scatter(const struct virtio_chain *chain, uint64_t offset, const uint8_t *src,
                    uint64_t n)
{
    for (uint32_t i = chain->out_count; n > 0; i++) {
        const struct iovec *part = &chain->iov[i];
        uint64_t run;

        if (offset >= part->iov_len) {
            offset -= part->iov_len;
            continue;
        }
        run = num_min(n, part->iov_len - offset);
        memcpy((uint8_t *)part->iov_base + offset, src, run);
        src += run;
        n -= run;
        offset = 0;
    }
}

static void find_num_buffers(const struct virtio_chain *chain, struct num_buffers *ret)
{
    for (unsigned k = 0; k < 2; k++) {
        uint64_t offset = NET_HDR_NUM_BUFFERS + k;
        uint32_t i = chain->out_count;

        while (offset >= chain->iov[i].iov_len)
            offset -= chain->iov[i++].iov_len;
        ret->host[k] = (uint8_t *)chain->iov[i].iov_base + offset;
        ret->gpa[k] = chain->gpa[i] + offset;
    }
}

static void set_num_buffers(struct virtio_net *n, const struct num_buffers *at, uint16_t count)
{
    uint8_t raw[2];

    le16_store(raw, count);
    for (unsigned k = 0; k < 2; k++) {
        *at->host[k] = raw[k];
        guestmem_mark_dirty(n->v.dev.env->mem, at->gpa[k], 1);
    }
}

enum deliver { DELIVERED, DROPPED, NO_ROOM };

/*
 * header and frame into as many buffers as it takes. Without mergeable buffers the first must hold
 * it all, or the frame is lost.
 */
static enum deliver deliver_into_ring(struct virtio_net *n, const uint8_t *header,
                                      const uint8_t *frame, size_t bytes)
{
    struct virtio_dev *v = &n->v;
    struct virtio_queue *q = &v->queues[NET_QUEUE_RX];
    unsigned hdr_bytes = header_bytes(n);
    struct num_buffers num_at = {0};
    uint16_t count = 0;
    size_t done = 0;

    while (done < bytes || count == 0) {
        uint64_t room, offset = count == 0 ? hdr_bytes : 0;
        size_t run;

        if (virtqueue_pop(v, q, v->chain) <= 0) {
            /* Not published: as if nothing had happened. */
            for (; count > 0; count--)
                virtqueue_unpop(q);
            return v->broken ? DROPPED : NO_ROOM;
        }
        if (v->chain->in_bytes <= offset) {
            virtio_break(v, "a receive buffer of its driver has only %u writable bytes",
                         (unsigned)v->chain->in_bytes);
            return DROPPED;
        }
        room = v->chain->in_bytes - offset;
        if (!virtio_has(v, NET_F_MRG_RXBUF) && room < bytes) {
            virtqueue_unpop(q);
            return DROPPED;
        }
        run = num_min(room, bytes - done);
        scatter(v->chain, offset, frame + done, run);
        if (count == 0) {
            scatter(v->chain, 0, header, hdr_bytes);
            if (hdr_bytes == NET_HDR_LONG_BYTES)
                find_num_buffers(v->chain, &num_at);
        }
        virtqueue_mark_written(v, v->chain, offset + run);
        virtqueue_fill(v, q, v->chain->head, (uint32_t)(offset + run), count);
        done += run;
        count++;
    }
    if (hdr_bytes == NET_HDR_LONG_BYTES)
        set_num_buffers(n, &num_at, count);
    virtqueue_publish(v, q, count);
    return DELIVERED;
}

static enum deliver deliver(struct virtio_net *n, const uint8_t *frame, size_t bytes)
{
    static const uint8_t no_offloads[NET_HDR_LONG_BYTES] = {0};
    unsigned hdr_bytes = header_bytes(n);
    const uint8_t *header = no_offloads;

    if (n->v.broken)
        return DROPPED;
    if (net_has_vnet_hdr(n->net)) {
        if (bytes < hdr_bytes)
            return DROPPED;
        header = frame;
        frame += hdr_bytes;
        bytes -= hdr_bytes;
    }
    if (!virtqueue_ready(&n->v.queues[NET_QUEUE_RX]))
        return NO_ROOM;
    return virtio_net_filter(n, frame, bytes) ? deliver_into_ring(n, header, frame, bytes)
                                              : DROPPED;
}

static void net_readable(void *client)
{
    struct virtio_net *n = client;
    struct virtio_queue *q = &n->v.queues[NET_QUEUE_RX];
    size_t taken_bytes = 0;
    bool any = false;

    /* Before that its header is not settled. */
    if (!(n->v.status & VIRTIO_STATUS_DRIVER_OK)) {
        net_stall(n->net);
        return;
    }
    for (unsigned i = 0; i < NET_TURN_FRAMES && taken_bytes < NET_TURN_BYTES; i++) {
        size_t bytes;
        const uint8_t *frame = net_peek(n->net, &bytes);
        enum deliver result;

        if (!frame)
            break;
        result = deliver(n, frame, bytes);
        if (result == NO_ROOM) {
            /* The guest kicks when it has made room; look again for what it did meanwhile. */
            virtqueue_want_kick(&n->v, q, true);
            if (virtqueue_available(&n->v, q) > 0)
                result = deliver(n, frame, bytes);
        }
        if (result == NO_ROOM) {
            net_stall(n->net);
            break;
        }
        net_pop(n->net);
        taken_bytes += bytes;
        any |= result == DELIVERED;
    }
    if (any)
        virtqueue_interrupt(&n->v, q);
}

/* --- From the guest --- */

/* 1: gone, 0: later, -EINVAL: broken. */
static int send_chain(struct virtio_net *n, struct virtio_chain *chain)
{
    unsigned hdr_bytes = header_bytes(n);
    struct iovec *iov = chain->iov;
    size_t count = chain->out_count;

    if (chain->out_bytes < hdr_bytes) {
        virtio_break(&n->v, "a frame of its driver is %u bytes long, shorter than its header",
                     (unsigned)chain->out_bytes);
        return -EINVAL;
    }
    if (!net_has_vnet_hdr(n->net))
        iov_advance(&iov, &count, hdr_bytes);
    if (count == 0)
        return 1; /* nothing but a header */
    return net_send(n->net, iov, count) == -EAGAIN ? 0 : 1;
}

static void net_transmit(struct virtio_dev *v, uint32_t index)
{
    struct virtio_net *n = net_of(v);
    struct virtio_queue *q = &v->queues[index];
    uint64_t sent_bytes = 0;
    unsigned frames = 0;
    int sent = 1;

    if (!(v->status & VIRTIO_STATUS_DRIVER_OK) || v->broken)
        return;
    do {
        virtqueue_want_kick(v, q, false);
        while (frames < NET_TURN_FRAMES && sent_bytes < NET_TURN_BYTES &&
               virtqueue_pop(v, q, v->chain) > 0) {
            uint64_t bytes = v->chain->out_bytes;

            sent = send_chain(n, v->chain);
            if (sent <= 0)
                break;
            virtqueue_push(v, q, v->chain->head, 0);
            sent_bytes += bytes;
            frames++;
        }
        if (v->broken)
            return;
        if (sent == 0) {
            /* net_writable() goes on. */
            virtqueue_unpop(q);
            break;
        }
        if (frames == NET_TURN_FRAMES || sent_bytes >= NET_TURN_BYTES) {
            virtio_kick_later(v, index);
            break;
        }
        virtqueue_want_kick(v, q, true);
    } while (virtqueue_available(v, q) > 0);
    virtqueue_interrupt(v, q);
}

static void net_writable(void *client)
{
    struct virtio_net *n = client;

    virtio_kick(&n->v, NET_QUEUE_TX);
}

static void net_has_room(struct virtio_dev *v, uint32_t index)
{
    net_want(net_of(v)->net);
}

static const struct virtio_queue_owner net_rx = {.kick = net_has_room};
static const struct virtio_queue_owner net_tx = {.kick = net_transmit};
static const struct virtio_queue_owner net_ctrl = {.kick = virtio_net_control};

/* --- Config, features, link --- */

static void net_config_get(struct virtio_dev *v)
{
    const struct virtio_net *n = net_of(v);

    memcpy(v->config, n->mac.bytes, NET_MAC_BYTES);
    le16_store(v->config + NET_MAC_BYTES, n->status);
}

static void net_config_set(struct virtio_dev *v, uint32_t offset, uint32_t size_bytes)
{
    /* The address is the guest's to write unless there is a command for it. */
    if (!virtio_has(v, VIRTIO_F_VERSION_1) && !virtio_has(v, NET_F_CTRL_MAC_ADDR))
        memcpy(net_of(v)->mac.bytes, v->config, NET_MAC_BYTES);
}

static void net_link(void *client, bool up)
{
    struct virtio_net *n = client;
    uint16_t status = (uint16_t)(n->status & ~NET_STATUS_LINK_UP);

    status |= up ? NET_STATUS_LINK_UP : 0;
    if (status == n->status)
        return;
    n->status = status;
    virtio_config_changed(&n->v);
}

static void net_features_set(struct virtio_dev *v)
{
    struct virtio_net *n = net_of(v);

    n->guest_offloads = v->features & NET_GUEST_OFFLOADS;
    virtio_net_filter_reset(n);
    virtio_net_set_header(n);
}

static void net_reset(struct virtio_dev *v)
{
    struct virtio_net *n = net_of(v);

    net_forget(n->net);
    n->mac = n->own_mac;
    n->status = net_link_up(n->net) ? NET_STATUS_LINK_UP : 0;
}

static void net_resume(struct virtio_dev *v)
{
    struct virtio_net *n = net_of(v);

    virtio_net_set_header(n);
    net_link(n, net_link_up(n->net));
}

static const struct net_client_ops net_client = {
    .readable = net_readable,
    .writable = net_writable,
    .link = net_link,
};

static void net_destroy(struct dev *d)
{
    struct virtio_net *n = (struct virtio_net *)d;

    if (n->net)
        net_set_client(n->net, NULL, NULL);
    virtio_dev_destroy(d);
}

static int net_fact_at(const struct virtio_dev *v, size_t index, struct ferry_fact *ret)
{
    const struct virtio_net *n = (const struct virtio_net *)v;

    if (index > 0)
        return -ENOENT;
    strcpy(ret->name, "offloads");
    strcpy(ret->value, net_has_vnet_hdr(n->net) ? "on" : "off");
    return 0;
}

static const struct virtio_type net_type = {
    .dev = VIRTIO_DEV("virtio-net", struct virtio_net, net_destroy, &virtio_net_table),
    .device_id = 1,
    .config_get = net_config_get,
    .config_set = net_config_set,
    .features_set = net_features_set,
    .reset = net_reset,
    .resume = net_resume,
    .fact_at = net_fact_at,
};

/* --- After a move --- */

/* "Who am I", which nobody has to answer: switches learn behind which port the sender is. */
static void build_rarp(uint8_t *frame, const struct net_mac *mac)
{
    static const uint8_t request[] = {0x80, 0x35, /* RARP */
                                      0,    1,    8, 0,
                                      6,    4,    0, 3 /* Ethernet, IPv4, reverse request */};

    memset(frame, 0xff, NET_MAC_BYTES);
    memcpy(frame + 6, mac->bytes, NET_MAC_BYTES);
    memcpy(frame + 12, request, sizeof(request));
    memcpy(frame + 22, mac->bytes, NET_MAC_BYTES);
    memcpy(frame + 32, mac->bytes, NET_MAC_BYTES);
}

void virtio_net_announce(struct dev *d)
{
    uint8_t header[NET_HDR_LONG_BYTES] = {0}, frame[NET_FRAME_BYTES_MIN] = {0};
    struct virtio_net *n = (struct virtio_net *)d;
    struct iovec iov[] = {{header, 0}, {frame, sizeof(frame)}};

    if (d->type != &net_type.dev)
        return;
    if (net_has_vnet_hdr(n->net))
        iov[0].iov_len = header_bytes(n);
    build_rarp(frame, &n->mac);
    /* One that does not go out now has successors. */
    (void)net_send(n->net, iov, 2);
    if (!(n->v.status & VIRTIO_STATUS_DRIVER_OK) || !virtio_has(&n->v, NET_F_GUEST_ANNOUNCE) ||
        (n->status & NET_STATUS_ANNOUNCE))
        return;
    n->status |= NET_STATUS_ANNOUNCE;
    virtio_config_changed(&n->v);
}

/* --- Life --- */

static int card_new(struct dev **ret, const struct virtio_params *params, struct ferry_err *err)
{
    const struct config_card *config = (const struct config_card *)params->config;
    static const struct virtio_queue_spec queues[NET_QUEUES] = {
        [NET_QUEUE_RX] = {NET_RX_NUM, &net_rx},
        [NET_QUEUE_TX] = {NET_TX_NUM, &net_tx},
        [NET_QUEUE_CTRL] = {NET_CTRL_NUM, &net_ctrl},
    };
    static const struct net_mac none = {0};
    uint64_t features = VIRTIO_BIT(NET_F_MAC) | VIRTIO_BIT(NET_F_CTRL_GUEST_OFFLOADS) |
                        VIRTIO_BIT(NET_F_MRG_RXBUF) | VIRTIO_BIT(NET_F_STATUS) |
                        VIRTIO_BIT(NET_F_CTRL_VQ) | VIRTIO_BIT(NET_F_CTRL_RX) |
                        VIRTIO_BIT(NET_F_CTRL_VLAN) | VIRTIO_BIT(NET_F_CTRL_RX_EXTRA) |
                        VIRTIO_BIT(NET_F_GUEST_ANNOUNCE) | VIRTIO_BIT(NET_F_CTRL_MAC_ADDR);
    struct virtio_dev *v;
    struct virtio_net *n;
    int rc;

    if (params->place.legacy)
        features |= VIRTIO_BIT(NET_F_GSO) | VIRTIO_BIT(VIRTIO_F_ANY_LAYOUT);
    if (net_has_vnet_hdr(params->net))
        features |= NET_GUEST_OFFLOADS | VIRTIO_BIT(NET_F_CSUM) | VIRTIO_BIT(NET_F_HOST_TSO4) |
                    VIRTIO_BIT(NET_F_HOST_TSO6) | VIRTIO_BIT(NET_F_HOST_ECN);
    rc = virtio_dev_new(&v, &net_type, params, features, NET_CONFIG_BYTES, queues, NET_QUEUES, err);
    if (rc)
        return rc;
    n = net_of(v);
    n->net = params->net;
    memcpy(n->own_mac.bytes, config->mac, NET_MAC_BYTES);
    if (memcmp(&n->own_mac, &none, sizeof(none)) == 0)
        n->own_mac = (struct net_mac){{0x52, 0x54, 0x00, 0x12, 0x34, 0x56}};
    net_set_client(params->net, &net_client, n);
    virtio_dev_reset(&v->dev);
    *ret = &v->dev;
    return 0;
}

/* --- As a kind --- */

#define CARD(member) .offset = offsetof(struct config_card, member)
static const struct prop card_props[] = {
    VIRTIO_PROPS,
    {.name = "netdev", .kind = PROP_STRING, VIRTIO_PROP(device.backend), .whose = OF_GUEST},
    {.name = "mac", .kind = PROP_MAC, CARD(mac), .whose = OF_GUEST, .is_compared = true},
    {0},
};
#undef CARD
static const struct config_card card_defaults = {.virtio = VIRTIO_DEFAULTS};

static int card_check(const struct config_device *d, struct ferry_err *err)
{
    if (config_card_of(d)->mac[0] & 1)
        return err_set(err, EINVAL, "mac is a multicast address: the first byte must be even");
    return 0;
}

const struct virtio_kind virtio_net_device = {
    .kind = {.name = "virtio-net-device",
             .what = "network card",
             .bus = DEVICE_BUS_VIRTIO_MMIO,
             .backend = DEVICE_USES_NETDEV,
             .props = card_props,
             .config_bytes = sizeof(card_defaults),
             .defaults = &card_defaults,
             .check = card_check},
    .create = card_new,
};
