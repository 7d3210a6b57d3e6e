/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest gone mad: random bytes in rings, descriptors and buffers, random writes to registers,
 * all devices, both layouts. Nothing may crash, hang, or write outside guest memory (the
 * sanitizers watch); after a reset each device works as if nothing had happened. Seeds are fixed.
 */
#include "tests/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/be.h"
#include "tests/vmm/dev/virtio/vrig.h"
#include "vmm/backend/block.h"
#include "vmm/backend/net_type.h"
#include "vmm/dev/virtio/device.h"
#include "vmm/dev/virtio/mmio.h"

#define ROUNDS     400
#define STEPS      120
#define DISK_BYTES (1u << 20)
/* A little memory, so that random addresses often meet. */
#define PLAY_GPA   VRIG_RAM_GPA
#define PLAY_BYTES (64u << 10)

struct chaos {
    struct vrig *r;
    struct block *block;
    struct net *net;
    uint64_t random;
    uint8_t frame[2000];
};

static uint32_t roll(struct chaos *c, uint32_t sides)
{
    c->random ^= c->random << 13;
    c->random ^= c->random >> 7;
    c->random ^= c->random << 17;
    return (uint32_t)(c->random >> 11) % sides;
}

/* A backend that never ends: frames of any length come, some go. */
static const uint8_t *noise_peek(struct net *n, bool fill, size_t *ret_bytes)
{
    n->rx_bytes = n->rx_bytes * 1103515245u + 12345u;
    if (n->rx_bytes % 7 == 0)
        return NULL;
    *ret_bytes = n->rx_bytes / 7 % 2000;
    return n->rx + 1000;
}
static void noise_pop(struct net *n)
{
}
static int noise_send(struct net *n, const struct iovec *iov, size_t iov_count)
{
    size_t sum = 0;

    for (size_t i = 0; i < iov_count; i++)
        sum += iov[i].iov_len ? *(const uint8_t *)iov[i].iov_base : 0;
    return sum % 5 == 0 ? -EAGAIN : 0;
}
static int noise_flush(struct net *n)
{
    return 0;
}
static const struct net_type noise_type = {
    .fd_names = {"noise"},
    .peek = noise_peek,
    .pop = noise_pop,
    .send = noise_send,
    .flush = noise_flush,
};

static uint64_t some_gpa(struct chaos *c)
{
    switch (roll(c, 12)) {
    case 0:
        return VRIG_ROM_GPA + roll(c, 4096);
    case 1:
        return VRIG_RAM_GPA + VRIG_RAM_BYTES - roll(c, 64);
    case 2:
        return c->random;
    default:
        return PLAY_GPA + roll(c, PLAY_BYTES);
    }
}

static void scribble(struct chaos *c)
{
    uint8_t *p = vrig_mem(c->r, PLAY_GPA + (roll(c, PLAY_BYTES - 64) & ~15u));

    switch (roll(c, 4)) {
    case 0: /* a descriptor, nearly right */
        le64_store(p, some_gpa(c));
        le32_store(p + 8, roll(c, 8) ? roll(c, 4096) : (uint32_t)c->random);
        le16_store(p + 12, (uint16_t)roll(c, 8));
        le16_store(p + 14, (uint16_t)roll(c, 20));
        break;
    case 1: /* a request of the disk */
        le32_store(p, roll(c, 15));
        le64_store(p + 8, roll(c, 3000));
        break;
    case 2: /* indices */
        le16_store(p + 2, (uint16_t)roll(c, 70000));
        break;
    default:
        for (unsigned i = 0; i < 16; i++)
            p[i] = (uint8_t)roll(c, 256);
        break;
    }
}

/* A request that most devices can do something with: header, data, a byte for the answer. */
static void good_request(struct chaos *c)
{
    struct vring *q = &c->r->rings[roll(c, 3)];
    uint16_t at = (uint16_t)(roll(c, 4) * 3);
    uint64_t header_gpa = PLAY_GPA + 0xc000 + at * 16u;
    uint8_t *header = vrig_mem(c->r, header_gpa);

    if (q->num == 0)
        return;
    le32_store(header, roll(c, 15));
    le64_store(header + 8, roll(c, 2100));
    vring_desc(c->r, q, at, header_gpa, 16, DESC_NEXT, at + 1);
    vring_desc(c->r, q, at + 1u, PLAY_GPA + 0xd000 + roll(c, 4096), 512 * (1 + roll(c, 4)),
               DESC_NEXT | (roll(c, 2) ? DESC_WRITE : 0), at + 2);
    vring_desc(c->r, q, at + 2u, PLAY_GPA + 0xf000 + at, 1, DESC_WRITE, 0);
    vring_offer(c->r, q, at);
    vring_kick(c->r, q);
}

static void step(struct chaos *c)
{
    static const uint16_t registers[] = {0x014, 0x020, 0x024, 0x028, 0x030, 0x038, 0x03c, 0x040,
                                         0x044, 0x050, 0x050, 0x050, 0x064, 0x070, 0x080, 0x084,
                                         0x090, 0x094, 0x0a0, 0x0a4, 0x0c0, 0x100, 0x104};
    uint32_t value = (uint32_t)c->random;
    uint16_t offset;

    if (roll(c, 4)) {
        good_request(c);
        return;
    }
    switch (roll(c, 8)) {
    case 0:
        offset = registers[roll(c, sizeof(registers) / sizeof(registers[0]))];
        /* Mostly values that make sense somewhere. */
        if (roll(c, 3))
            value = (uint32_t[]){
                0, 1, 2, 4, 7, 8, 15, 16, 64, 1024, 4096, 0x80000, 0x80001}[roll(c, 13)];
        vrig_write(c->r, offset, value);
        break;
    case 1:
        vrig_write(c->r, VIRTIO_MMIO_R_QUEUE_NOTIFY, roll(c, 4));
        break;
    case 2:
        vrig_read_size(c->r, roll(c, 128) * 4, 4);
        break;
    case 3: { /* one more request in a random queue */
        struct vring *q = &c->r->rings[roll(c, 3)];

        if (q->num) {
            vring_desc(c->r, q, roll(c, q->num), some_gpa(c), roll(c, 2000), (uint16_t)roll(c, 8),
                       (uint16_t)roll(c, q->num + 1));
            vring_offer(c->r, q, (uint16_t)roll(c, q->num));
            vring_kick(c->r, q);
        }
        break;
    }
    case 4:
        vrig_run_for_ms(c->r, 0);
        break;
    default:
        scribble(c);
        break;
    }
}

/* Rings inside the play ground, where scribbles hit them. */
static void begin(struct chaos *c, uint32_t queues)
{
    struct virtio_dev *v = (struct virtio_dev *)c->r->dev;

    vrig_start(c->r, v->host_features & UINT32_MAX, queues, 16);
    if (!c->r->legacy || roll(c, 2))
        return;
    for (uint32_t i = 0; i < queues; i++) {
        struct vring *q = &c->r->rings[i];
        uint64_t base = PLAY_GPA + i * 0x4000;

        vrig_write(c->r, VIRTIO_MMIO_R_QUEUE_SEL, i);
        vrig_write(c->r, VIRTIO_MMIO_R_QUEUE_PFN, (uint32_t)(base >> 12));
        *q = (struct vring){.index = i,
                            .num = 16,
                            .desc_gpa = base,
                            .avail_gpa = base + 256,
                            .used_gpa = base + 4096};
    }
}

static void run_chaos(struct chaos *c, uint32_t queues)
{
    c->random = 0x9e3779b97f4a7c15;
    memset(vrig_mem(c->r, PLAY_GPA), 0, PLAY_BYTES);
    for (unsigned i = 0; i < ROUNDS; i++) {
        begin(c, queues);
        for (unsigned k = 0; k < STEPS; k++)
            step(c);
    }
    print_message("%d interrupts\n", c->r->irqs);
    assert_true(c->r->irqs > ROUNDS); /* many of its requests were good */
    vrig_write(c->r, VIRTIO_MMIO_R_STATUS, 0);
    assert_false(vrig_broken(c->r));
    assert_int_equal(((struct virtio_dev *)c->r->dev)->inflight, 0);
}

static void chaos_end(struct chaos *c)
{
    dev_free(c->r->dev);
    c->r->dev = NULL;
    net_free(c->net);
    block_free(c->block);
    vrig_free(c->r);
}

static void the_entropy_source_survives(void **state)
{
    for (int legacy = 0; legacy < 2; legacy++) {
        struct chaos c = {.r = vrig_new(legacy)};
        struct ferry_err err;
        struct vring *q;

        assert_int_equal(virtio_rng_device.create(&c.r->dev, &c.r->params, &err), 0);
        run_chaos(&c, 1);
        vrig_start(c.r, 0, 1, 16);
        q = &c.r->rings[0];
        vring_desc(c.r, q, 0, PLAY_GPA, 8, DESC_WRITE, 0);
        vring_offer(c.r, q, 0);
        vring_kick(c.r, q);
        assert_int_equal(vring_take(c.r, q, NULL), 8);
        chaos_end(&c);
    }
}

static void the_disk_survives(void **state)
{
    for (int legacy = 0; legacy < 2; legacy++) {
        char path[] = "/tmp/ferry-chaos-XXXXXX";
        struct config_drive config = {
            .id = (char *)(uintptr_t) "d0", .path = path, .discard = true, .no_flush = true};
        struct chaos c = {.r = vrig_new(legacy)};
        int fd = mkstemp(path);
        struct ferry_err err;
        struct vring *q;

        assert_true(fd >= 0 && ftruncate(fd, DISK_BYTES) == 0);
        close(fd);
        c.r->config.disk.num_queues = 3;
        assert_int_equal(block_new(&c.block, &config, &err), 0);
        assert_int_equal(block_open(c.block, &err), 0);
        c.r->params.block = c.block;
        assert_int_equal(virtio_blk_device.create(&c.r->dev, &c.r->params, &err), 0);
        run_chaos(&c, 3);
        vrig_start(c.r, 0, 1, 16);
        q = &c.r->rings[0];
        memset(vrig_mem(c.r, PLAY_GPA), 0, 16);
        vring_desc(c.r, q, 0, PLAY_GPA, 16, DESC_NEXT, 1);
        vring_desc(c.r, q, 1, PLAY_GPA + 16, 513, DESC_WRITE, 0);
        vring_offer(c.r, q, 0);
        vring_kick(c.r, q);
        assert_int_equal(vring_take(c.r, q, NULL), 513);
        assert_int_equal(*vrig_mem(c.r, PLAY_GPA + 16 + 512), 0);
        chaos_end(&c);
        unlink(path);
    }
}

static void the_card_survives(void **state)
{
    for (int legacy = 0; legacy < 2; legacy++) {
        struct config_netdev config = {
            .id = (char *)(uintptr_t) "n0", .type = CONFIG_NETDEV_STREAM, .fd = -1};
        struct chaos c = {.r = vrig_new(legacy)};
        struct ferry_err err;
        struct vring *q;

        assert_int_equal(net_new(&c.net, &config, c.r->loop, &c.r->lock, &err), 0);
        c.net->type = &noise_type;
        c.net->fd = open("/dev/null", O_RDWR | O_CLOEXEC);
        c.net->rx_bytes = 1;
        c.r->params.net = c.net;
        assert_int_equal(virtio_net_device.create(&c.r->dev, &c.r->params, &err), 0);
        net_part(c.net).ops->resume(c.net);
        run_chaos(&c, 3);
        vrig_start(c.r, 0, 3, 16);
        q = &c.r->rings[1];
        memset(vrig_mem(c.r, PLAY_GPA), 1, 100);
        vring_desc(c.r, q, 0, PLAY_GPA, 100, 0, 0);
        vring_offer(c.r, q, 0);
        vring_kick(c.r, q);
        assert_int_equal(vring_take(c.r, q, NULL), 0);
        chaos_end(&c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_entropy_source_survives),
        cmocka_unit_test(the_disk_survives),
        cmocka_unit_test(the_card_survives),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
