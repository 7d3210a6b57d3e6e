/* SPDX-License-Identifier: Apache-2.0 */
/* The network card over a backend that does as the tests say. */
#include "tests/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/be.h"
#include "tests/vmm/dev/virtio/vrig.h"
#include "vmm/backend/net_type.h"
#include "vmm/dev/virtio/mmio.h"
#include "vmm/dev/virtio/net.h"

#define RX_GPA     (VRIG_RAM_GPA + 0x100000)
#define TX_GPA     (VRIG_RAM_GPA + 0x200000)
#define CTRL_GPA   (VRIG_RAM_GPA + 0x300000)
#define ANSWER_GPA (VRIG_RAM_GPA + 0x310000)
#define NUM        16u
#define WIRE_MAX   1024u

#define MRG    VIRTIO_BIT(NET_F_MRG_RXBUF)
#define CTRL   (VIRTIO_BIT(NET_F_CTRL_VQ) | VIRTIO_BIT(NET_F_CTRL_RX) | VIRTIO_BIT(NET_F_CTRL_VLAN))
#define STATUS VIRTIO_BIT(NET_F_STATUS)

/* What the fake backend's wire has: frames to come, frames that went. */
struct wire {
    struct net *net;
    const uint8_t *coming[WIRE_MAX];
    size_t coming_bytes[WIRE_MAX];
    unsigned next, count;
    uint8_t went[WIRE_MAX][128];
    size_t went_bytes[WIRE_MAX];
    unsigned went_count;
    unsigned room; /* sends until it is full */
    unsigned hdr_bytes, offloads;
};

struct fix {
    struct vrig *r;
    struct net *net;
    struct wire wire;
    struct vring *rx, *tx, *ctrl;
    unsigned hdr_bytes;
};

/* The path of a fake is its wire. */
static struct wire *wire_of(struct net *n)
{
    struct wire *w;

    memcpy(&w, n->rx, sizeof(w));
    return w;
}

static const uint8_t *wire_peek(struct net *n, bool fill, size_t *ret_bytes)
{
    struct wire *w = wire_of(n);

    if (w->next == w->count)
        return NULL;
    *ret_bytes = w->coming_bytes[w->next];
    return w->coming[w->next];
}

static void wire_pop(struct net *n)
{
    wire_of(n)->next++;
}

static int wire_send(struct net *n, const struct iovec *iov, size_t iov_count)
{
    struct wire *w = wire_of(n);
    size_t at = 0;

    if (w->room == 0)
        return -EAGAIN;
    w->room--;
    assert_true(w->went_count < WIRE_MAX);
    for (size_t i = 0; i < iov_count; i++) {
        assert_true(at + iov[i].iov_len <= sizeof(w->went[0]));
        memcpy(w->went[w->went_count] + at, iov[i].iov_base, iov[i].iov_len);
        at += iov[i].iov_len;
    }
    w->went_bytes[w->went_count++] = at;
    return 0;
}

static int wire_flush(struct net *n)
{
    return wire_of(n)->room ? 0 : -EAGAIN;
}

static void wire_set_vnet_hdr(struct net *n, unsigned bytes, unsigned offloads)
{
    wire_of(n)->hdr_bytes = bytes;
    wire_of(n)->offloads = offloads;
}

static const struct net_type plain_type = {
    .fd_names = {"fake"},
    .peek = wire_peek,
    .pop = wire_pop,
    .send = wire_send,
    .flush = wire_flush,
};
static const struct net_type vnet_type = {
    .vnet_hdr = true,
    .fd_names = {"fake"},
    .peek = wire_peek,
    .pop = wire_pop,
    .send = wire_send,
    .flush = wire_flush,
    .set_vnet_hdr = wire_set_vnet_hdr,
};

static struct fix *fix_new(bool legacy, const struct net_type *type)
{
    struct fix *f = calloc(1, sizeof(*f));
    struct config_netdev config = {
        .id = (char *)(uintptr_t) "n0", .type = CONFIG_NETDEV_STREAM, .fd = -1};
    struct wire *w;
    struct ferry_err err;

    assert_non_null(f);
    f->r = vrig_new(legacy);
    assert_int_equal(net_new(&f->net, &config, f->r->loop, &f->r->lock, &err), 0);
    w = &f->wire;
    memcpy(f->net->rx, &w, sizeof(w));
    f->net->type = type;
    f->net->fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    f->wire.room = WIRE_MAX;
    f->r->params.net = f->net;
    assert_int_equal(virtio_net_device.create(&f->r->dev, &f->r->params, &err), 0);
    net_part(f->net).ops->resume(f->net);
    f->r->dev->type->part_ops->resume(f->r->dev);
    vrig_run_for_ms(f->r, 1);
    return f;
}

static void fix_free(struct fix *f)
{
    dev_free(f->r->dev);
    f->r->dev = NULL;
    net_free(f->net);
    vrig_free(f->r);
    free(f);
}

static void start(struct fix *f, uint64_t features)
{
    bool is_long = (features & MRG) || !f->r->legacy;

    vrig_start(f->r, features, 3, NUM);
    f->rx = &f->r->rings[0];
    f->tx = &f->r->rings[1];
    f->ctrl = &f->r->rings[2];
    f->hdr_bytes = is_long ? 12 : 10;
}

static struct fix *started(bool legacy, uint64_t features)
{
    struct fix *f = fix_new(legacy, &plain_type);

    start(f, features);
    return f;
}

static void arrive(struct fix *f, const uint8_t *frame, size_t bytes)
{
    unsigned at = f->wire.count++ % WIRE_MAX;

    f->wire.coming[at] = frame;
    f->wire.coming_bytes[at] = bytes;
    machine_lock(&f->r->lock);
    if (!f->net->stalled)
        f->net->client_ops->readable(f->net->client);
    machine_unlock(&f->r->lock);
}

/* A receive buffer of one part in descriptor i. */
static void offer_rx(struct fix *f, uint16_t i, uint32_t bytes)
{
    memset(vrig_mem(f->r, RX_GPA + i * 0x1000u), 0xee, bytes < 0x1000 ? bytes : 0x1000);
    vring_desc(f->r, f->rx, i, RX_GPA + i * 0x1000u, bytes, DESC_WRITE, 0);
    vring_offer(f->r, f->rx, i);
}

static void kick_rx(struct fix *f)
{
    vring_kick(f->r, f->rx);
    vrig_run_for_ms(f->r, 2);
}

/* A frame to the card (its default address), numbered. */
static void make_frame(uint8_t *frame, size_t bytes, uint8_t number)
{
    static const uint8_t mac[6] = {0x52, 0x54, 0x00, 0x12, 0x34, 0x56};

    for (size_t i = 0; i < bytes; i++)
        frame[i] = (uint8_t)(number + i * 3);
    memcpy(frame, mac, 6);
    frame[12] = 8;
    frame[13] = 0;
}

/* --- To the guest --- */

static void a_frame_fills_as_many_buffers_as_it_takes(void **state)
{
    for (int legacy = 0; legacy < 2; legacy++) {
        struct fix *f = started(legacy, MRG);
        uint8_t frame[2500], got[2500];
        size_t at = 0;

        make_frame(frame, sizeof(frame), 1);
        for (uint16_t i = 0; i < 5; i++)
            offer_rx(f, i, 1000);
        kick_rx(f);
        arrive(f, frame, sizeof(frame));
        assert_int_equal(vring_used(f->r, f->rx), 3);
        assert_int_equal(f->r->irqs, 1);
        for (uint16_t i = 0; i < 3; i++) {
            size_t skip = i == 0 ? 12 : 0;
            uint32_t head;
            int64_t bytes = vring_take(f->r, f->rx, &head);

            assert_int_equal(head, i);
            assert_int_equal(bytes, i < 2 ? 1000 : 512);
            memcpy(got + at, vrig_mem(f->r, RX_GPA + i * 0x1000u) + skip, (size_t)bytes - skip);
            at += (size_t)bytes - skip;
        }
        assert_int_equal(at, sizeof(frame));
        assert_memory_equal(got, frame, sizeof(frame));
        assert_memory_equal(vrig_mem(f->r, RX_GPA), "\0\0\0\0\0\0\0\0\0\0\3\0", 12);
        fix_free(f);
    }
}

static void the_count_of_buffers_may_lie_across_two_parts(void **state)
{
    struct fix *f = started(true, MRG);
    uint8_t frame[100];

    make_frame(frame, sizeof(frame), 1);
    vring_desc(f->r, f->rx, 0, RX_GPA, 11, DESC_WRITE | DESC_NEXT, 1);
    vring_desc(f->r, f->rx, 1, RX_GPA + 0x1000, 200, DESC_WRITE, 0);
    vring_offer(f->r, f->rx, 0);
    kick_rx(f);
    arrive(f, frame, sizeof(frame));
    assert_int_equal(vring_take(f->r, f->rx, NULL), 112);
    assert_int_equal(*vrig_mem(f->r, RX_GPA + 10), 1);
    assert_int_equal(*vrig_mem(f->r, RX_GPA + 0x1000), 0);
    assert_memory_equal(vrig_mem(f->r, RX_GPA + 0x1001), frame, sizeof(frame));
    fix_free(f);
}

static void without_merging_one_buffer_holds_it_or_it_is_lost(void **state)
{
    for (int legacy = 0; legacy < 2; legacy++) {
        struct fix *f = started(legacy, 0);
        uint8_t big[1500], small[60];

        make_frame(big, sizeof(big), 1);
        make_frame(small, sizeof(small), 2);
        offer_rx(f, 0, 1000);
        kick_rx(f);
        arrive(f, big, sizeof(big));
        assert_int_equal(vring_used(f->r, f->rx), 0);
        arrive(f, small, sizeof(small)); /* the buffer is still there */
        assert_int_equal(vring_take(f->r, f->rx, NULL), f->hdr_bytes + sizeof(small));
        assert_memory_equal(vrig_mem(f->r, RX_GPA + f->hdr_bytes), small, sizeof(small));
        if (!legacy)
            assert_int_equal(le16_load(vrig_mem(f->r, RX_GPA + 10)), 1);
        assert_false(vrig_broken(f->r));
        fix_free(f);
    }
}

static void frames_wait_for_room_and_leave_no_trace(void **state)
{
    for (int event_idx = 0; event_idx < 2; event_idx++) {
        struct fix *f = started(true, MRG | (event_idx ? VIRTIO_BIT(VIRTIO_F_EVENT_IDX) : 0));
        uint8_t frame[2500], second[60];

        make_frame(frame, sizeof(frame), 1);
        make_frame(second, sizeof(second), 9);
        offer_rx(f, 0, 1000);
        offer_rx(f, 1, 1000);
        kick_rx(f);
        arrive(f, frame, sizeof(frame));
        arrive(f, second, sizeof(second));
        assert_int_equal(vring_used(f->r, f->rx), 0);
        assert_int_equal(f->wire.next, 0);
        assert_true(f->net->stalled);
        offer_rx(f, 2, 1000);
        kick_rx(f);
        assert_int_equal(vring_used(f->r, f->rx), 3);
        assert_memory_equal(vrig_mem(f->r, RX_GPA + 12), frame, 988);
        offer_rx(f, 3, 1000);
        kick_rx(f);
        assert_int_equal(vring_used(f->r, f->rx), 4);
        assert_memory_equal(vrig_mem(f->r, RX_GPA + 0x3000 + 12), second, sizeof(second));
        fix_free(f);
    }
}

static void nothing_is_received_before_the_driver_is_ready(void **state)
{
    struct fix *f = fix_new(true, &plain_type);
    uint8_t frame[60];

    make_frame(frame, sizeof(frame), 1);
    arrive(f, frame, sizeof(frame));
    assert_int_equal(f->wire.next, 0);
    vrig_negotiate(f->r, MRG);
    f->rx = vrig_queue(f->r, 0, NUM);
    offer_rx(f, 0, 1000);
    kick_rx(f);
    assert_int_equal(vring_used(f->r, f->rx), 0);
    vrig_driver_ok(f->r);
    vrig_run_for_ms(f->r, 2);
    assert_int_equal(vring_used(f->r, f->rx), 1);
    fix_free(f);
}

static void a_receive_buffer_that_holds_nothing_breaks_the_card(void **state)
{
    for (int kind = 0; kind < 2; kind++) {
        struct fix *f = started(false, MRG);
        uint8_t frame[60];

        make_frame(frame, sizeof(frame), 1);
        if (kind == 0) {
            offer_rx(f, 0, 12); /* just the header */
        } else {
            vring_desc(f->r, f->rx, 0, RX_GPA, 1000, 0, 0); /* not writable */
            vring_offer(f->r, f->rx, 0);
        }
        kick_rx(f);
        arrive(f, frame, sizeof(frame));
        assert_true(vrig_broken(f->r));
        /* Frames go on being lost, not kept. */
        arrive(f, frame, sizeof(frame));
        assert_int_equal(f->wire.next, 2);
        start(f, MRG);
        offer_rx(f, 0, 1000);
        kick_rx(f);
        arrive(f, frame, sizeof(frame));
        assert_int_equal(vring_used(f->r, f->rx), 1);
        fix_free(f);
    }
}

/* --- From the guest --- */

static void send_frame(struct fix *f, uint16_t at, uint8_t number, bool kick)
{
    uint64_t gpa = TX_GPA + at * 0x100u;

    memset(vrig_mem(f->r, gpa), 0, f->hdr_bytes);
    make_frame(vrig_mem(f->r, gpa + f->hdr_bytes), 60, number);
    vring_desc(f->r, f->tx, at, gpa, f->hdr_bytes + 60, 0, 0);
    vring_offer(f->r, f->tx, at);
    if (kick)
        vring_kick(f->r, f->tx);
}

static void went(struct fix *f, unsigned i, uint8_t number)
{
    uint8_t frame[60];

    make_frame(frame, sizeof(frame), number);
    assert_true(i < f->wire.went_count);
    assert_int_equal(f->wire.went_bytes[i], sizeof(frame));
    assert_memory_equal(f->wire.went[i], frame, sizeof(frame));
}

static void frames_go_without_their_header(void **state)
{
    for (int legacy = 0; legacy < 2; legacy++) {
        struct fix *f = started(legacy, MRG);

        send_frame(f, 0, 1, true);
        assert_int_equal(vring_take(f->r, f->tx, NULL), 0);
        went(f, 0, 1);
        /* The header cut in two, and parts of the frame. */
        make_frame(vrig_mem(f->r, TX_GPA + 12), 60, 2);
        vring_desc(f->r, f->tx, 1, TX_GPA, 7, DESC_NEXT, 2);
        vring_desc(f->r, f->tx, 2, TX_GPA + 7, 30, DESC_NEXT, 3);
        vring_desc(f->r, f->tx, 3, TX_GPA + 37, 35, 0, 0);
        vring_offer(f->r, f->tx, 1);
        vring_kick(f->r, f->tx);
        assert_int_equal(vring_take(f->r, f->tx, NULL), 0);
        went(f, 1, 2);
        /* Only a header: nothing goes. */
        vring_desc(f->r, f->tx, 4, TX_GPA, 12, 0, 0);
        vring_offer(f->r, f->tx, 4);
        vring_kick(f->r, f->tx);
        assert_int_equal(vring_take(f->r, f->tx, NULL), 0);
        assert_int_equal(f->wire.went_count, 2);
        assert_int_equal(f->r->irqs, 3);
        fix_free(f);
    }
}

static void a_frame_shorter_than_its_header_breaks_the_card(void **state)
{
    struct fix *f = started(false, MRG);

    vring_desc(f->r, f->tx, 0, TX_GPA, 11, 0, 0);
    vring_offer(f->r, f->tx, 0);
    vring_kick(f->r, f->tx);
    assert_true(vrig_broken(f->r));
    start(f, MRG);
    send_frame(f, 0, 1, true);
    went(f, 0, 1);
    fix_free(f);
}

static void a_full_wire_keeps_frames_in_the_ring(void **state)
{
    struct fix *f = started(true, MRG);

    f->wire.room = 2;
    for (uint16_t i = 0; i < 5; i++)
        send_frame(f, i, (uint8_t)i, true);
    assert_int_equal(f->wire.went_count, 2);
    assert_int_equal(vring_used(f->r, f->tx), 2);
    assert_int_equal(((struct virtio_dev *)f->r->dev)->queues[1].last_avail, 2);
    assert_int_equal(((struct virtio_dev *)f->r->dev)->queues[1].in_use, 0);
    f->wire.room = WIRE_MAX;
    machine_lock(&f->r->lock);
    f->net->client_ops->writable(f->net->client);
    machine_unlock(&f->r->lock);
    assert_int_equal(vring_used(f->r, f->tx), 5);
    for (unsigned i = 0; i < 5; i++)
        went(f, i, (uint8_t)i);
    fix_free(f);
}

static void a_pause_keeps_frames_in_the_ring(void **state)
{
    struct fix *f = started(true, MRG);

    net_part(f->net).ops->pause(f->net);
    send_frame(f, 0, 1, true);
    assert_int_equal(vring_used(f->r, f->tx), 0);
    /* In either order of the parts. */
    f->r->dev->type->part_ops->resume(f->r->dev);
    net_part(f->net).ops->resume(f->net);
    vrig_run_for_ms(f->r, 2);
    assert_int_equal(vring_used(f->r, f->tx), 1);
    went(f, 0, 1);
    fix_free(f);
}

static void a_long_burst_goes_on_in_the_main_thread(void **state)
{
    struct fix *f = fix_new(true, &plain_type);

    vrig_start(f->r, MRG, 2, 1024);
    f->tx = &f->r->rings[1];
    f->hdr_bytes = 12;
    for (unsigned i = 0; i < 700; i++)
        send_frame(f, (uint16_t)i, (uint8_t)i, false);
    vring_kick(f->r, f->tx);
    assert_in_range(f->wire.went_count, 1, 100);
    vrig_run_for_ms(f->r, 20);
    assert_int_equal(f->wire.went_count, 700);
    assert_int_equal(vring_used(f->r, f->tx), 700);
    for (unsigned i = 0; i < 700; i++)
        went(f, i, (uint8_t)i);
    fix_free(f);
}

/* --- Control --- */

static int command(struct fix *f, uint8_t class, uint8_t number, const void *arguments,
                   size_t bytes)
{
    *vrig_mem(f->r, CTRL_GPA) = class;
    *vrig_mem(f->r, CTRL_GPA + 1) = number;
    memcpy(vrig_mem(f->r, CTRL_GPA + 0x100), arguments, bytes);
    vring_desc(f->r, f->ctrl, 0, CTRL_GPA, 2, DESC_NEXT, bytes ? 1 : 2);
    vring_desc(f->r, f->ctrl, 1, CTRL_GPA + 0x100, (uint32_t)bytes, DESC_NEXT, 2);
    vring_desc(f->r, f->ctrl, 2, ANSWER_GPA, 1, DESC_WRITE, 0);
    *vrig_mem(f->r, ANSWER_GPA) = 0xee;
    vring_offer(f->r, f->ctrl, 0);
    vring_kick(f->r, f->ctrl);
    assert_int_equal(vring_take(f->r, f->ctrl, NULL), 1);
    return *vrig_mem(f->r, ANSWER_GPA);
}

static bool passes(struct fix *f, const char *mac, int vlan)
{
    struct virtio_net *n = (struct virtio_net *)f->r->dev;
    uint8_t frame[64] = {0};

    for (unsigned i = 0; i < 6; i++)
        frame[i] = (uint8_t)strtoul(mac + 3 * i, NULL, 16);
    if (vlan >= 0) {
        be16_store(frame + 12, 0x8100);
        be16_store(frame + 14, (uint16_t)vlan);
    }
    return virtio_net_filter(n, frame, sizeof(frame));
}

#define OWN_MAC   "52:54:00:12:34:56"
#define OTHER_MAC "52:54:00:00:00:01"
#define MULTICAST "33:33:00:00:00:01"
#define BROADCAST "ff:ff:ff:ff:ff:ff"

static void the_filter_does_as_it_is_told(void **state)
{
    struct fix *f = started(true, CTRL | MRG);
    uint8_t table[4 + 6 + 4 + 6] = {1, 0, 0, 0, 0x52, 0x54, 0, 0, 0, 1,
                                    1, 0, 0, 0, 0x33, 0x33, 0, 0, 0, 1};
    uint8_t vlan[2] = {5, 0};

    assert_true(passes(f, OTHER_MAC, 7)); /* promiscuous at first */
    assert_int_equal(command(f, 0, 0, "\0", 1), 0);
    assert_true(passes(f, OWN_MAC, -1));
    assert_true(passes(f, BROADCAST, -1));
    assert_false(passes(f, OTHER_MAC, -1));
    assert_false(passes(f, MULTICAST, -1));
    assert_false(passes(f, OWN_MAC, 5));

    assert_int_equal(command(f, 2, 0, vlan, 2), 0);
    assert_true(passes(f, OWN_MAC, 5));
    assert_false(passes(f, OWN_MAC, 6));
    assert_int_equal(command(f, 2, 1, vlan, 2), 0);
    assert_false(passes(f, OWN_MAC, 5));

    assert_int_equal(command(f, 1, 0, table, sizeof(table)), 0);
    assert_true(passes(f, OTHER_MAC, -1));
    assert_true(passes(f, MULTICAST, -1));
    assert_false(passes(f, "33:33:00:00:00:02", -1));
    assert_int_equal(command(f, 0, 1, "\1", 1), 0); /* all multicast */
    assert_true(passes(f, "33:33:00:00:00:02", -1));
    assert_int_equal(command(f, 0, 3, "\1", 1), 0); /* none */
    assert_false(passes(f, MULTICAST, -1));
    assert_int_equal(command(f, 0, 2, "\1", 1), 0); /* all unicast */
    assert_true(passes(f, "52:00:00:00:00:09", -1));
    assert_int_equal(command(f, 0, 4, "\1", 1), 0); /* none */
    assert_false(passes(f, OWN_MAC, -1));
    assert_int_equal(command(f, 0, 5, "\1", 1), 0);
    assert_false(passes(f, BROADCAST, -1));

    /* A reset forgets all of it. */
    start(f, MRG);
    assert_true(passes(f, OTHER_MAC, 7));
    fix_free(f);
}

static void tables_that_are_too_long_let_everything_pass(void **state)
{
    struct fix *f = started(true, CTRL | MRG);
    uint8_t *table = calloc(1, 0x8000);

    assert_non_null(table);
    assert_int_equal(command(f, 0, 0, "\0", 1), 0);
    /* 65 unicast, no multicast. */
    le32_store(table, 65);
    assert_int_equal(command(f, 1, 0, table, 4 + 65 * 6 + 4), 0);
    assert_true(passes(f, OTHER_MAC, -1));
    assert_false(passes(f, MULTICAST, -1));
    /* Longer than is looked at. */
    le32_store(table, 2000);
    assert_int_equal(command(f, 1, 0, table, 4 + 2000 * 6 + 4), 0);
    assert_true(passes(f, OTHER_MAC, -1));
    assert_true(passes(f, MULTICAST, -1));
    /* And back. */
    memset(table, 0, 8);
    assert_int_equal(command(f, 1, 0, table, 8), 0);
    assert_false(passes(f, OTHER_MAC, -1));
    assert_false(passes(f, MULTICAST, -1));
    free(table);
    fix_free(f);
}

static void commands_that_make_no_sense_are_refused(void **state)
{
    static const uint8_t lies[] = {0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0};
    static const uint8_t one_short[] = {1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 1, 0, 0, 0, 1, 2, 3, 4, 5};
    struct fix *f = started(true, CTRL | MRG);

    assert_int_equal(command(f, 0, 0, "", 0), 1);
    assert_int_equal(command(f, 0, 0, "\0\0", 2), 1);
    assert_int_equal(command(f, 0, 6, "\0", 1), 1);
    assert_int_equal(command(f, 1, 0, "", 0), 1);
    assert_int_equal(command(f, 1, 0, lies, 3), 1);
    assert_int_equal(command(f, 1, 0, lies, sizeof(lies)), 1);
    assert_int_equal(command(f, 1, 0, one_short, sizeof(one_short)), 1);
    assert_int_equal(command(f, 1, 0, one_short, 10), 1);
    assert_int_equal(command(f, 1, 1, lies, 5), 1);
    assert_int_equal(command(f, 1, 2, lies, 6), 1);
    assert_int_equal(command(f, 2, 0, "\0\x10", 2), 1); /* VLAN 4096 */
    assert_int_equal(command(f, 2, 0, "\0", 1), 1);
    assert_int_equal(command(f, 2, 2, "\0\0", 2), 1);
    assert_int_equal(command(f, 3, 0, "", 0), 1); /* nothing was announced */
    assert_int_equal(command(f, 4, 0, "\2\0", 2), 1);
    assert_int_equal(command(f, 5, 0, lies, 8), 1);
    assert_int_equal(command(f, 255, 255, lies, 8), 1);
    assert_false(vrig_broken(f->r));

    vring_desc(f->r, f->ctrl, 0, CTRL_GPA, 2, 0, 0); /* no room for an answer */
    vring_offer(f->r, f->ctrl, 0);
    vring_kick(f->r, f->ctrl);
    assert_true(vrig_broken(f->r));
    fix_free(f);
}

static void an_announcement_is_acknowledged(void **state)
{
    struct fix *f = started(true, CTRL | MRG | STATUS);
    struct virtio_net *n = (struct virtio_net *)f->r->dev;

    n->status |= NET_STATUS_ANNOUNCE;
    assert_int_equal(vrig_read_size(f->r, 0x106, 2), 3);
    assert_int_equal(command(f, 3, 0, "", 0), 0);
    assert_int_equal(vrig_read_size(f->r, 0x106, 2), 1);
    fix_free(f);
}

static void announce(struct fix *f)
{
    machine_lock(&f->r->lock);
    virtio_net_announce(f->r->dev);
    machine_unlock(&f->r->lock);
}

static void a_card_that_moved_says_where_it_is(void **state)
{
    static const uint8_t rarp[60] = {
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x52, 0x54, 0x00, 0x12, 0x34, 0x56, /* to all */
        0x80, 0x35, 0,    1,    8,    0,    6,    4,    0,    3,                /* "who am I" */
        0x52, 0x54, 0x00, 0x12, 0x34, 0x56, 0,    0,    0,    0,                /* sender */
        0x52, 0x54, 0x00, 0x12, 0x34, 0x56, 0,    0,    0,    0,
    };
    struct fix *f = started(true, CTRL | MRG | STATUS | VIRTIO_BIT(NET_F_GUEST_ANNOUNCE));

    announce(f);
    assert_int_equal(f->wire.went_count, 1);
    assert_int_equal(f->wire.went_bytes[0], sizeof(rarp));
    assert_memory_equal(f->wire.went[0], rarp, sizeof(rarp));
    /* The driver is asked as well, and not again before it has answered. */
    assert_int_equal(vrig_read_size(f->r, 0x106, 2), 3);
    assert_int_equal(vrig_read(f->r, VIRTIO_MMIO_R_ISR) & VIRTIO_ISR_CONFIG, VIRTIO_ISR_CONFIG);
    vrig_write(f->r, VIRTIO_MMIO_R_ISR_ACK, 3);
    announce(f);
    assert_int_equal(f->wire.went_count, 2);
    assert_int_equal(vrig_read(f->r, VIRTIO_MMIO_R_ISR), 0);
    assert_int_equal(command(f, 3, 0, "", 0), 0);
    announce(f);
    assert_int_equal(vrig_read_size(f->r, 0x106, 2), 3);
    fix_free(f);
}

static void a_driver_that_cannot_announce_is_not_asked(void **state)
{
    struct fix *f = fix_new(false, &vnet_type);

    start(f, CTRL | MRG | STATUS);
    announce(f);
    assert_int_equal(f->wire.went_bytes[0], 12 + 60);
    assert_int_equal(vrig_read_size(f->r, 0x106, 2), 1);
    f->wire.room = 0;
    announce(f); /* the wire is full: nothing to be said of it */
    assert_int_equal(f->wire.went_count, 1);
    fix_free(f);
}

/* --- Config --- */

static void the_address_can_be_changed_until_a_reset(void **state)
{
    struct fix *f = started(true, MRG);

    assert_int_equal(vrig_read_size(f->r, 0x100, 4), 0x12005452);
    vrig_write_size(f->r, 0x105, 1, 0x99);
    assert_int_equal(vrig_read_size(f->r, 0x104, 2), 0x9934);
    start(f, CTRL | MRG | VIRTIO_BIT(NET_F_CTRL_MAC_ADDR));
    assert_int_equal(vrig_read_size(f->r, 0x104, 2), 0x5634);
    vrig_write_size(f->r, 0x105, 1, 0x99); /* there is a command for it */
    assert_int_equal(vrig_read_size(f->r, 0x104, 2), 0x5634);
    assert_int_equal(command(f, 1, 1, "\x02\0\0\0\0\x07", 6), 0);
    assert_int_equal(vrig_read_size(f->r, 0x104, 2), 0x0700);
    assert_int_equal(command(f, 0, 0, "\0", 1), 0);
    assert_true(passes(f, "02:00:00:00:00:07", -1));
    assert_false(passes(f, OWN_MAC, -1));
    fix_free(f);
}

static void the_guest_sees_the_link(void **state)
{
    struct fix *f = started(false, MRG | STATUS);
    uint32_t generation = vrig_read(f->r, VIRTIO_MMIO_R_GENERATION);

    assert_int_equal(vrig_read_size(f->r, 0x106, 2), 1);
    machine_lock(&f->r->lock);
    net_lose(f->net, "test");
    machine_unlock(&f->r->lock);
    vrig_run_for_ms(f->r, 2);
    assert_int_equal(vrig_read_size(f->r, 0x106, 2), 0);
    assert_int_equal(vrig_read(f->r, VIRTIO_MMIO_R_ISR), 3);
    assert_int_equal(vrig_read(f->r, VIRTIO_MMIO_R_GENERATION), generation + 1);
    /* What it sends is lost, and given back. */
    send_frame(f, 0, 1, true);
    assert_int_equal(vring_take(f->r, f->tx, NULL), 0);
    assert_int_equal(f->wire.went_count, 0);
    fix_free(f);
}

/* --- Backends with frame headers --- */

static void headers_pass_through_to_a_backend_that_has_them(void **state)
{
    struct fix *f = fix_new(false, &vnet_type);
    uint64_t offloads = VIRTIO_BIT(NET_F_CSUM) | VIRTIO_BIT(NET_F_GUEST_CSUM) |
                        VIRTIO_BIT(NET_F_GUEST_TSO4) | VIRTIO_BIT(NET_F_HOST_TSO4) |
                        VIRTIO_BIT(NET_F_CTRL_GUEST_OFFLOADS);
    uint8_t in[12 + 60] = {1, 1, 54, 0, 0xb4, 5, 34, 0, 16, 0, 0, 0}, argument[8];

    assert_int_equal(vrig_read(f->r, VIRTIO_MMIO_R_HOST_FEATURES) & offloads, offloads);
    start(f, MRG | CTRL | offloads);
    assert_int_equal(f->wire.hdr_bytes, 12);
    assert_int_equal(f->wire.offloads, NET_OFFLOAD_CSUM | NET_OFFLOAD_TSO4);
    make_frame(in + 12, 60, 3);
    offer_rx(f, 0, 1000);
    kick_rx(f);
    arrive(f, in, sizeof(in));
    assert_int_equal(vring_take(f->r, f->rx, NULL), sizeof(in));
    in[10] = 1; /* buffers */
    assert_memory_equal(vrig_mem(f->r, RX_GPA), in, sizeof(in));
    arrive(f, in, 11); /* no whole header: lost */
    assert_false(vrig_broken(f->r));

    memcpy(vrig_mem(f->r, TX_GPA), in, sizeof(in));
    vring_desc(f->r, f->tx, 0, TX_GPA, sizeof(in), 0, 0);
    vring_offer(f->r, f->tx, 0);
    vring_kick(f->r, f->tx);
    assert_int_equal(f->wire.went_bytes[0], sizeof(in));
    assert_memory_equal(f->wire.went[0], in, sizeof(in));

    le64_store(argument, VIRTIO_BIT(NET_F_GUEST_CSUM));
    assert_int_equal(command(f, 5, 0, argument, 8), 0);
    assert_int_equal(f->wire.offloads, NET_OFFLOAD_CSUM);
    le64_store(argument, VIRTIO_BIT(NET_F_GUEST_TSO6)); /* not negotiated */
    assert_int_equal(command(f, 5, 0, argument, 8), 1);
    vrig_write(f->r, VIRTIO_MMIO_R_STATUS, 0);
    assert_int_equal(f->wire.hdr_bytes, 10);
    assert_int_equal(f->wire.offloads, 0);
    fix_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_frame_fills_as_many_buffers_as_it_takes),
        cmocka_unit_test(the_count_of_buffers_may_lie_across_two_parts),
        cmocka_unit_test(without_merging_one_buffer_holds_it_or_it_is_lost),
        cmocka_unit_test(frames_wait_for_room_and_leave_no_trace),
        cmocka_unit_test(nothing_is_received_before_the_driver_is_ready),
        cmocka_unit_test(a_receive_buffer_that_holds_nothing_breaks_the_card),
        cmocka_unit_test(frames_go_without_their_header),
        cmocka_unit_test(a_frame_shorter_than_its_header_breaks_the_card),
        cmocka_unit_test(a_full_wire_keeps_frames_in_the_ring),
        cmocka_unit_test(a_pause_keeps_frames_in_the_ring),
        cmocka_unit_test(a_long_burst_goes_on_in_the_main_thread),
        cmocka_unit_test(the_filter_does_as_it_is_told),
        cmocka_unit_test(tables_that_are_too_long_let_everything_pass),
        cmocka_unit_test(commands_that_make_no_sense_are_refused),
        cmocka_unit_test(an_announcement_is_acknowledged),
        cmocka_unit_test(a_card_that_moved_says_where_it_is),
        cmocka_unit_test(a_driver_that_cannot_announce_is_not_asked),
        cmocka_unit_test(the_address_can_be_changed_until_a_reset),
        cmocka_unit_test(the_guest_sees_the_link),
        cmocka_unit_test(headers_pass_through_to_a_backend_that_has_them),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
