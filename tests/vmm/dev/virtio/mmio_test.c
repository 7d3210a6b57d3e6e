/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/vmm/dev/virtio/vrig.h"
#include "vmm/backend/block.h"
#include "vmm/backend/net.h"
#include "vmm/dev/virtio/device.h"
#include "vmm/dev/virtio/mmio.h"

#define DISK_BYTES (16u << 20)

/* What QEMU 10 shows; the spec lists them. */
struct device_facts {
    const char *name;
    uint32_t id;
    uint32_t legacy_features;
    uint32_t modern_low, modern_high;
    uint32_t queues;
    uint32_t config_bytes;
};
static const struct device_facts facts[] = {
    {"virtio-net", 1, 0x39bf8064, 0x30bf8024, 0x101, 3, 8},
    {"virtio-blk", 2, 0x31006ed4, 0x30006e54, 0x101, 1, 57},
    {"virtio-rng", 4, 0x39000000, 0x30000000, 0x101, 1, 0},
};

struct bench {
    struct vrig *r;
    struct block *block;
    struct net *net;
    char path[32];
};

static void make(struct bench *b, const struct device_facts *f, bool legacy)
{
    struct ferry_err err = {0};
    int rc;

    *b = (struct bench){.r = vrig_new(legacy)};
    if (f->id == 1) {
        struct config_netdev config = {
            .id = (char *)(uintptr_t) "n0", .type = CONFIG_NETDEV_STREAM, .fd = -1};

        assert_int_equal(net_new(&b->net, &config, b->r->loop, &b->r->lock, &err), 0);
        b->r->params.net = b->net;
        rc = virtio_net_device.create(&b->r->dev, &b->r->params, &err);
    } else if (f->id == 2) {
        struct config_drive config = {.id = (char *)(uintptr_t) "d0", .path = b->path};
        int fd;

        strcpy(b->path, "/tmp/ferry-mmio-XXXXXX");
        fd = mkstemp(b->path);
        assert_true(fd >= 0 && ftruncate(fd, DISK_BYTES) == 0);
        close(fd);
        assert_int_equal(block_new(&b->block, &config, &err), 0);
        assert_int_equal(block_open(b->block, &err), 0);
        b->r->params.block = b->block;
        rc = virtio_blk_device.create(&b->r->dev, &b->r->params, &err);
    } else {
        rc = virtio_rng_device.create(&b->r->dev, &b->r->params, &err);
    }
    assert_int_equal(rc, 0);
}

static void destroy(struct bench *b)
{
    dev_free(b->r->dev);
    b->r->dev = NULL;
    net_free(b->net);
    block_free(b->block);
    if (b->path[0])
        unlink(b->path);
    vrig_free(b->r);
}

static void each_device_shows_what_qemu_shows(void **state)
{
    for (size_t i = 0; i < sizeof(facts) / sizeof(facts[0]); i++) {
        for (int legacy = 0; legacy < 2; legacy++) {
            const struct device_facts *f = &facts[i];
            char idstr[64];
            struct bench b;

            make(&b, f, legacy);
            snprintf(idstr, sizeof(idstr), "virtio-mmio@0000000010008000/%s", f->name);
            assert_string_equal(b.r->dev->idstr, idstr);
            assert_int_equal(vrig_read(b.r, 0x000), 0x74726976);
            assert_int_equal(vrig_read(b.r, 0x004), legacy ? 1 : 2);
            assert_int_equal(vrig_read(b.r, 0x008), f->id);
            assert_int_equal(vrig_read(b.r, 0x00c), 0x554d4551);
            assert_int_equal(vrig_read(b.r, 0x010), legacy ? f->legacy_features : f->modern_low);
            vrig_write(b.r, 0x014, 7); /* any but 0 is 1 */
            assert_int_equal(vrig_read(b.r, 0x010), legacy ? 0 : f->modern_high);
            for (uint32_t q = 0; q < 66; q++) {
                vrig_write(b.r, 0x030, q);
                assert_int_equal(vrig_read(b.r, 0x034), q < f->queues ? 1024 : 0);
            }
            assert_int_equal(vrig_read(b.r, 0x0b0), UINT32_MAX);
            assert_int_equal(vrig_read(b.r, 0x0b4), UINT32_MAX);
            if (f->config_bytes)
                assert_int_not_equal(vrig_read_size(b.r, 0x100 + f->config_bytes - 1, 1), 0xff);
            assert_int_equal(vrig_read_size(b.r, 0x100 + f->config_bytes, 1), 0xff);
            assert_int_equal(vrig_read_size(b.r, 0x1f0, 2), 0xffff);
            assert_int_equal(vrig_read_size(b.r, 0x1f0, 4), UINT32_MAX);
            assert_int_equal(vrig_read_size(b.r, 0x1f0, 8), UINT64_MAX);
            destroy(&b);
        }
    }
}

static void the_disk_config_is_qemu_s(void **state)
{
    /* As captured from QEMU 10.0.2 with a 16 MiB disk. */
    static const uint8_t expected[57] = {
        0x00, 0x80, 0,    0, 0, 0, 0, 0, 0, 0, 0,    0,    0xfe, 0, 0, 0, 0x20, 0,    0x10,
        0x3f, 0x00, 0x02, 0, 0, 0, 0, 0, 0, 0, 0,    0,    0,    1, 0, 1, 0,    0xff, 0xff,
        0x3f, 0,    1,    0, 0, 0, 1, 0, 0, 0, 0xff, 0xff, 0x3f, 0, 1, 0, 0,    0,    1,
    };
    struct bench b;

    make(&b, &facts[1], true);
    for (unsigned i = 0; i < sizeof(expected); i++)
        assert_int_equal(vrig_read_size(b.r, 0x100 + i, 1), expected[i]);
    assert_int_equal(vrig_read_size(b.r, 0x100, 8), DISK_BYTES / 512);
    assert_int_equal(vrig_read_size(b.r, 0x110, 2), 32);
    destroy(&b);
}

static void registers_are_four_bytes_wide(void **state)
{
    struct bench b;

    make(&b, &facts[2], true);
    assert_int_equal(vrig_read_size(b.r, 0, 1), 0);
    assert_int_equal(vrig_read_size(b.r, 0, 2), 0);
    assert_int_equal(vrig_read_size(b.r, 0, 8), UINT64_C(1) << 32 | 0x74726976);
    vrig_write_size(b.r, 0x70, 1, 3);
    vrig_write_size(b.r, 0x70, 2, 3);
    assert_int_equal(vrig_read(b.r, 0x70), 0);
    vrig_write_size(b.r, 0x70, 8, 3);
    assert_int_equal(vrig_read(b.r, 0x70), 3);
    destroy(&b);
}

static void legacy_registers_hold_the_ring(void **state)
{
    struct bench b;

    make(&b, &facts[2], true);
    vrig_write(b.r, 0x28, 4096);
    vrig_write(b.r, 0x30, 0);
    vrig_write(b.r, 0x38, 1024);
    vrig_write(b.r, 0x40, 0x80123);
    assert_int_equal(vrig_read(b.r, 0x40), 0x80123);
    /* Sizes that cannot be are ignored. */
    vrig_write(b.r, 0x38, 0);
    vrig_write(b.r, 0x38, 1025);
    assert_int_equal(((struct virtio_dev *)b.r->dev)->queues[0].num, 1024);
    assert_false(vrig_broken(b.r));
    vrig_write(b.r, 0x70, 7);
    /* The modern ones are not there. */
    vrig_write(b.r, 0x44, 1);
    assert_int_equal(vrig_read(b.r, 0x44), 0);
    assert_int_equal(vrig_read(b.r, 0xfc), 0);
    /* No ring is a reset of the device, but not of the page size. */
    vrig_write(b.r, 0x40, 0);
    assert_int_equal(vrig_read(b.r, 0x70), 0);
    assert_int_equal(vrig_read(b.r, 0x40), 0);
    assert_int_equal(((struct virtio_dev *)b.r->dev)->mmio.guest_page_shift, 12);
    assert_int_equal(((struct virtio_dev *)b.r->dev)->queues[0].num, 8);
    destroy(&b);
}

static void the_machine_s_reset_is_that_of_its_own_registers_too(void **state)
{
    static const struct virtio_mmio none = {0};
    struct virtio_dev *v;
    struct bench b;

    make(&b, &facts[2], true);
    v = (struct virtio_dev *)b.r->dev;
    vrig_write(b.r, 0x14, 1);
    vrig_write(b.r, 0x24, 1);
    vrig_write(b.r, 0x28, 4096);
    vrig_write(b.r, 0x70, 0); /* the driver's is not */
    assert_int_equal(v->mmio.host_features_sel, 1);
    assert_int_equal(v->mmio.guest_features_sel, 1);
    assert_int_equal(v->mmio.guest_page_shift, 12);
    virtio_dev_reset(b.r->dev);
    assert_memory_equal(&v->mmio, &none, sizeof(none));
    destroy(&b);
}

/* QEMU 11.1: the driver is offered the size that the queue has. */
static void a_queue_of_fixed_size_grows_no_further(void **state)
{
    struct vrig *r = vrig_new(true);
    const struct virtio_dev *v;
    struct ferry_err err;

    r->params.queue_num_fixed = true;
    assert_int_equal(virtio_rng_device.create(&r->dev, &r->params, &err), 0);
    v = (struct virtio_dev *)r->dev;
    assert_int_equal(vrig_read(r, VIRTIO_MMIO_R_QUEUE_NUM_MAX), 8);
    vrig_write(r, VIRTIO_MMIO_R_QUEUE_NUM, 16);
    assert_int_equal(v->queues[0].num, 8);
    vrig_write(r, VIRTIO_MMIO_R_QUEUE_NUM, 4);
    assert_int_equal(v->queues[0].num, 4);
    vrig_write(r, VIRTIO_MMIO_R_STATUS, 0);
    assert_int_equal(vrig_read(r, VIRTIO_MMIO_R_QUEUE_NUM_MAX), 8);
    vrig_free(r);
}

static void modern_features_must_be_offered(void **state)
{
    struct bench b;

    make(&b, &facts[2], false);
    /* Without VERSION_1, or with what is not offered: FEATURES_OK does not stick. */
    vrig_write(b.r, 0x70, 3);
    vrig_write(b.r, 0x70, 11);
    assert_int_equal(vrig_read(b.r, 0x70), 3);
    vrig_write(b.r, 0x24, 1);
    vrig_write(b.r, 0x20, 1);
    vrig_write(b.r, 0x24, 0);
    vrig_write(b.r, 0x20, 1);
    vrig_write(b.r, 0x70, 11);
    assert_int_equal(vrig_read(b.r, 0x70), 3);
    vrig_write(b.r, 0x20, UINT32_C(1) << 29);
    vrig_write(b.r, 0x70, 11);
    assert_int_equal(vrig_read(b.r, 0x70), 11);
    assert_int_equal(((struct virtio_dev *)b.r->dev)->features,
                     VIRTIO_BIT(VIRTIO_F_VERSION_1) | VIRTIO_BIT(VIRTIO_F_EVENT_IDX));
    /* Settled now. */
    vrig_write(b.r, 0x20, 0);
    vrig_write(b.r, 0x70, 15);
    assert_true(((struct virtio_dev *)b.r->dev)->features & VIRTIO_BIT(VIRTIO_F_EVENT_IDX));
    /* Legacy registers are not there. */
    vrig_write(b.r, 0x40, 0);
    assert_int_equal(vrig_read(b.r, 0x70), 15);
    assert_int_equal(vrig_read(b.r, 0x40), 0);
    vrig_write(b.r, 0x70, 0);
    assert_int_equal(((struct virtio_dev *)b.r->dev)->features, 0);
    destroy(&b);
}

static void a_modern_queue_can_be_reset_alone(void **state)
{
    struct bench b;

    make(&b, &facts[2], false);
    vrig_start(b.r, VIRTIO_BIT(VIRTIO_F_RING_RESET), 1, 4);
    assert_int_equal(vrig_read(b.r, 0x44), 1);
    vrig_write(b.r, 0xc0, 1);
    assert_int_equal(vrig_read(b.r, 0xc0), 0);
    assert_int_equal(vrig_read(b.r, 0x44), 0);
    assert_int_equal(vrig_read(b.r, 0x70) & 4, 4);
    destroy(&b);
}

static void interrupts_are_acknowledged_bit_by_bit(void **state)
{
    struct bench b;
    struct virtio_dev *v;

    make(&b, &facts[2], false);
    v = (struct virtio_dev *)b.r->dev;
    vrig_start(b.r, 0, 1, 4);
    machine_lock(&b.r->lock);
    virtio_config_changed(v);
    machine_unlock(&b.r->lock);
    assert_int_equal(vrig_read(b.r, 0xfc), 1);
    assert_int_equal(vrig_read(b.r, 0x60), 3);
    assert_int_equal(b.r->irq_level, 1);
    vrig_write(b.r, 0x64, 1);
    assert_int_equal(vrig_read(b.r, 0x60), 2);
    assert_int_equal(b.r->irq_level, 1);
    vrig_write(b.r, 0x64, 2);
    assert_int_equal(b.r->irq_level, 0);
    destroy(&b);
}

static void an_empty_slot_says_so(void **state)
{
    for (int legacy = 0; legacy < 2; legacy++) {
        struct vrig *r = vrig_new(legacy);
        struct ferry_err err;

        assert_int_equal(virtio_empty_new(&r->dev, &r->params, &err), 0);
        assert_int_equal(vrig_read(r, 0), 0x74726976);
        assert_int_equal(vrig_read(r, 4), legacy ? 1 : 2);
        assert_int_equal(vrig_read(r, 12), 0x554d4551);
        for (uint64_t offset = 16; offset < VIRTIO_MMIO_BYTES; offset += 4) {
            vrig_write(r, offset, UINT32_MAX);
            assert_int_equal(vrig_read(r, offset), 0);
        }
        assert_int_equal(vrig_read(r, 8), 0);
        assert_int_equal(vrig_read_size(r, 0, 8) >> 32, legacy ? 1 : 2);
        assert_int_equal(vrig_read_size(r, 8, 8) >> 32, 0x554d4551);
        vrig_free(r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_device_shows_what_qemu_shows),
        cmocka_unit_test(the_disk_config_is_qemu_s),
        cmocka_unit_test(registers_are_four_bytes_wide),
        cmocka_unit_test(legacy_registers_hold_the_ring),
        cmocka_unit_test(the_machine_s_reset_is_that_of_its_own_registers_too),
        cmocka_unit_test(a_queue_of_fixed_size_grows_no_further),
        cmocka_unit_test(modern_features_must_be_offered),
        cmocka_unit_test(a_modern_queue_can_be_reset_alone),
        cmocka_unit_test(interrupts_are_acknowledged_bit_by_bit),
        cmocka_unit_test(an_empty_slot_says_so),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
