/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control queue (virtio 1.2, 5.1.6.5). A command is readable bytes {u8 class, u8 command,
 * arguments} and one writable byte, 0 = done, 1 = refused.
 */
#include <errno.h>
#include <string.h>

#include "base/be.h"
#include "base/num.h"
#include "vmm/dev/virtio/net.h"

enum { CTRL_RX = 0, CTRL_MAC = 1, CTRL_VLAN = 2, CTRL_ANNOUNCE = 3, CTRL_GUEST_OFFLOADS = 5 };
enum { RX_PROMISC, RX_ALLMULTI, RX_ALLUNI, RX_NOMULTI, RX_NOUNI, RX_NOBCAST };
enum { MAC_TABLE_SET = 0, MAC_ADDR_SET = 1 };
enum { VLAN_ADD = 0, VLAN_DEL = 1 };

#define CTRL_OK            0u
#define CTRL_REFUSED       1u
#define CTRL_HEADER_BYTES  2u
/* Two full tables of addresses and then some; what is beyond is not looked at. */
#define CTRL_COMMAND_BYTES 4096u
#define CTRL_TURN_COMMANDS 16u

#define ETH_HEADER_BYTES 14u
#define ETH_TYPE_VLAN    0x8100u

/* --- The filter --- */

void virtio_net_filter_reset(struct virtio_net *n)
{
    n->promisc = 1;
    n->allmulti = n->alluni = n->nomulti = n->nouni = n->nobcast = 0;
    n->multi_overflow = n->uni_overflow = 0;
    n->mac_count = 0;
    memset(n->macs, 0, sizeof(n->macs));
    /* Without the command to add one, all of them pass. */
    memset(n->vlans, virtio_has(&n->v, NET_F_CTRL_VLAN) ? 0 : 0xff, sizeof(n->vlans));
}

static bool in_table(const struct virtio_net *n, const uint8_t *mac)
{
    for (uint32_t i = 0; i < n->mac_count; i++) {
        if (memcmp(n->macs[i].bytes, mac, NET_MAC_BYTES) == 0)
            return true;
    }
    return false;
}

bool virtio_net_filter(const struct virtio_net *n, const uint8_t *frame, size_t bytes)
{
    static const uint8_t broadcast[NET_MAC_BYTES] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

    if (bytes < ETH_HEADER_BYTES)
        return false;
    if (n->promisc)
        return true;
    if (be16_load(frame + 12) == ETH_TYPE_VLAN && bytes >= ETH_HEADER_BYTES + 2) {
        unsigned id = be16_load(frame + 14) & 0xfff;

        if (!(n->vlans[id / 8] & (1u << (id % 8))))
            return false;
    }
    if (memcmp(frame, broadcast, sizeof(broadcast)) == 0)
        return !n->nobcast;
    if (frame[0] & 1) {
        if (n->nomulti)
            return false;
        return n->allmulti || n->multi_overflow || in_table(n, frame);
    }
    if (n->nouni)
        return false;
    return n->alluni || n->uni_overflow || memcmp(frame, n->mac.bytes, NET_MAC_BYTES) == 0 ||
           in_table(n, frame);
}

/* --- Commands: arguments are a, n bytes of them --- */

static uint8_t command_rx(struct virtio_net *n, uint8_t command, const uint8_t *a, size_t bytes)
{
    uint8_t *modes[] = {
        [RX_PROMISC] = &n->promisc, [RX_ALLMULTI] = &n->allmulti, [RX_ALLUNI] = &n->alluni,
        [RX_NOMULTI] = &n->nomulti, [RX_NOUNI] = &n->nouni,       [RX_NOBCAST] = &n->nobcast,
    };

    if (command >= sizeof(modes) / sizeof(modes[0]) || bytes != 1)
        return CTRL_REFUSED;
    *modes[command] = a[0] != 0;
    return CTRL_OK;
}

/* Arguments as far as they were gathered, and how long they really are. */
struct arguments {
    const uint8_t *at;
    size_t bytes;
    uint64_t real_bytes;
};

static void arguments_skip(struct arguments *a, uint64_t n)
{
    size_t here = num_min(n, a->bytes);

    a->at += here;
    a->bytes -= here;
    a->real_bytes -= n;
}

/* One of the two tables, u32 count and addresses. One that there is no room for is not taken and
 * sets *overflow: then everything of its kind passes. */
static int take_table(struct virtio_net *n, struct arguments *a, uint8_t *overflow)
{
    uint64_t want;
    uint32_t count;

    if (a->real_bytes < 4)
        return -EINVAL;
    if (a->bytes < 4) {
        *overflow = 1; /* behind a first table too long to be gathered */
        return 0;
    }
    count = le32_load(a->at);
    arguments_skip(a, 4);
    want = (uint64_t)count * NET_MAC_BYTES;
    if (want > a->real_bytes)
        return -EINVAL;
    *overflow = count > NET_MACS_MAX - n->mac_count || want > a->bytes;
    if (!*overflow) {
        for (uint32_t i = 0; i < count; i++)
            memcpy(n->macs[n->mac_count + i].bytes, a->at + (size_t)i * NET_MAC_BYTES,
                   NET_MAC_BYTES);
        n->mac_count += count;
    }
    arguments_skip(a, want);
    return 0;
}

static uint8_t command_mac(struct virtio_net *n, uint8_t command, const uint8_t *at, size_t bytes,
                           uint64_t real_bytes)
{
    struct arguments a = {.at = at, .bytes = bytes, .real_bytes = real_bytes};
    struct virtio_net after = *n;

    if (command == MAC_ADDR_SET && bytes == NET_MAC_BYTES) {
        memcpy(n->mac.bytes, at, NET_MAC_BYTES);
        return CTRL_OK;
    }
    if (command != MAC_TABLE_SET)
        return CTRL_REFUSED;
    after.mac_count = 0;
    if (take_table(&after, &a, &after.uni_overflow) < 0 ||
        take_table(&after, &a, &after.multi_overflow) < 0)
        return CTRL_REFUSED;
    n->mac_count = after.mac_count;
    memcpy(n->macs, after.macs, sizeof(n->macs));
    n->uni_overflow = after.uni_overflow;
    n->multi_overflow = after.multi_overflow;
    return CTRL_OK;
}

static uint8_t command_vlan(struct virtio_net *n, uint8_t command, const uint8_t *a, size_t bytes)
{
    unsigned id = bytes == 2 ? le16_load(a) : UINT16_MAX;

    if (id / 8 >= NET_VLANS_BYTES)
        return CTRL_REFUSED;
    if (command == VLAN_ADD)
        n->vlans[id / 8] |= (uint8_t)(1u << (id % 8));
    else if (command == VLAN_DEL)
        n->vlans[id / 8] &= (uint8_t) ~(1u << (id % 8));
    else
        return CTRL_REFUSED;
    return CTRL_OK;
}

static uint8_t command_announce(struct virtio_net *n, uint8_t command)
{
    if (command != 0 || !(n->status & NET_STATUS_ANNOUNCE))
        return CTRL_REFUSED;
    n->status &= (uint16_t)~NET_STATUS_ANNOUNCE;
    return CTRL_OK;
}

static uint8_t command_offloads(struct virtio_net *n, uint8_t command, const uint8_t *a,
                                size_t bytes)
{
    uint64_t offloads = bytes == 8 ? le64_load(a) : UINT64_MAX;

    if (command != 0 || !virtio_has(&n->v, NET_F_CTRL_GUEST_OFFLOADS) ||
        (offloads & ~(n->v.features & NET_GUEST_OFFLOADS)))
        return CTRL_REFUSED;
    n->guest_offloads = offloads;
    virtio_net_set_header(n);
    return CTRL_OK;
}

static uint8_t run_command(struct virtio_net *n, const uint8_t *command, size_t bytes,
                           uint64_t total)
{
    const uint8_t *a = command + CTRL_HEADER_BYTES;

    bytes -= CTRL_HEADER_BYTES;
    switch (command[0]) {
    case CTRL_RX:
        return command_rx(n, command[1], a, bytes);
    case CTRL_MAC:
        return command_mac(n, command[1], a, bytes, total - CTRL_HEADER_BYTES);
    case CTRL_VLAN:
        return command_vlan(n, command[1], a, bytes);
    case CTRL_ANNOUNCE:
        return command_announce(n, command[1]);
    case CTRL_GUEST_OFFLOADS:
        return command_offloads(n, command[1], a, bytes);
    default:
        return CTRL_REFUSED;
    }
}

static size_t gather(const struct virtio_chain *chain, uint8_t *dst, size_t room)
{
    size_t at = 0;

    for (uint32_t i = 0; i < chain->out_count && at < room; i++) {
        size_t run = num_min(room - at, chain->iov[i].iov_len);

        memcpy(dst + at, chain->iov[i].iov_base, run);
        at += run;
    }
    return at;
}

void virtio_net_control(struct virtio_dev *v, uint32_t index)
{
    struct virtio_net *n = (struct virtio_net *)v;
    struct virtio_queue *q = &v->queues[index];
    uint8_t command[CTRL_COMMAND_BYTES];

    for (uint32_t i = 0; virtqueue_pop(v, q, v->chain) > 0; i++) {
        const struct virtio_chain *chain = v->chain;
        size_t bytes = gather(chain, command, sizeof(command));

        if (bytes < CTRL_HEADER_BYTES || chain->in_bytes < 1) {
            virtio_break(v, "a control command of its driver has no room for header or answer");
            return;
        }
        *(uint8_t *)chain->iov[chain->out_count].iov_base =
            run_command(n, command, bytes, chain->out_bytes);
        virtqueue_mark_written(v, chain, 1);
        virtqueue_push(v, q, chain->head, 1);
        if (i == CTRL_TURN_COMMANDS)
            break;
    }
    virtqueue_want_kick(v, q, true);
    virtqueue_interrupt(v, q);
    if (virtqueue_available(v, q) > 0)
        virtio_kick_later(v, index);
}
