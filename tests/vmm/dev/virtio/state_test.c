/* SPDX-License-Identifier: Apache-2.0 */
/* Saved state of the virtio devices: the contract, what is refused, and QEMU's own recordings. */
#include "tests/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/be.h"
#include "base/buf.h"
#include "lib/state/state.h"
#include "tests/contract/contract.h"
#include "tests/vmm/dev/virtio/vrig.h"
#include "vmm/backend/block.h"
#include "vmm/backend/net.h"
#include "vmm/dev/virtio/blk.h"
#include "vmm/dev/virtio/mmio.h"
#include "vmm/dev/virtio/net.h"
#include "vmm/dev/virtio/state.h"

#define DISK_BYTES  (16u << 20)
#define STIRRED_IDX 3u /* where the rings of a stirred device stand */
#define STIRRED_NUM 4u

enum kind { BLK, NET, RNG, BALLOON, INPUT };

struct model {
    enum kind kind;
    bool legacy;
    bool multi_queue;
    bool vnet; /* a backend with frame headers */
};

/* A device and all that it needs; found again from its env. */
struct world {
    struct vrig *r;
    struct net *net;
    int interrupts; /* of a line that interrupt() is behind */
};

/* One for all worlds, which only ask for its size: the contract makes thousands of them. */
static struct block *disk;

static int make_disk(void **state)
{
    struct ferry_err err;
    char path[] = "/tmp/ferry-state-XXXXXX";
    struct config_drive config = {.id = (char *)(uintptr_t) "d0", .path = path};
    int fd = mkstemp(path), rc;

    assert_true(fd >= 0 && ftruncate(fd, DISK_BYTES) == 0);
    close(fd);
    rc = block_new(&disk, &config, &err);
    if (rc == 0)
        rc = block_open(disk, &err);
    unlink(path);
    return rc;
}

static int free_disk(void **state)
{
    block_free(disk);
    return 0;
}

static struct world *world_new(const struct model *m)
{
    struct world *w = calloc(1, sizeof(*w));
    struct config_netdev config = {
        .id = (char *)(uintptr_t) "n0",
        .type = m->vnet ? CONFIG_NETDEV_TAP : CONFIG_NETDEV_STREAM,
        .fd = -1,
    };
    struct ferry_err err = {0};
    int rc = 0;

    assert_non_null(w);
    w->r = vrig_new(m->legacy);
    w->r->config.disk.num_queues = m->multi_queue ? 2 : 1;
    switch (m->kind) {
    case BLK:
        w->r->params.block = disk;
        rc = virtio_blk_device.create(&w->r->dev, &w->r->params, &err);
        break;
    case NET:
        assert_int_equal(net_new(&w->net, &config, w->r->loop, &w->r->lock, &err), 0);
        w->r->params.net = w->net;
        rc = virtio_net_device.create(&w->r->dev, &w->r->params, &err);
        break;
    case RNG:
        rc = virtio_rng_device.create(&w->r->dev, &w->r->params, &err);
        break;
    case BALLOON:
        w->r->config.balloon.page_poison = w->r->config.balloon.free_page_reporting = !m->legacy;
        rc = virtio_balloon_device.create(&w->r->dev, &w->r->params, &err);
        break;
    case INPUT:
        rc = virtio_keyboard_device.create(&w->r->dev, &w->r->params, &err);
        break;
    }
    assert_int_equal(rc, 0);
    /* So that a stream from a stirred device finds in this memory what it says. */
    vrig_negotiate(w->r, 0);
    for (uint32_t i = 0; i < 3; i++) {
        struct vring *q = &w->r->rings[i];

        vrig_queue(w->r, i, STIRRED_NUM);
        le16_store(vrig_mem(w->r, q->used_gpa + 2), STIRRED_IDX);
    }
    virtio_dev_reset(w->r->dev);
    w->r->dev->env = &w->r->env;
    return w;
}

static void world_free(struct world *w)
{
    dev_free(w->r->dev);
    w->r->dev = NULL;
    net_free(w->net);
    vrig_free(w->r);
    free(w);
}

/* --- The contract --- */

/* Worlds by device, for the contract's destroy(). */
static void *contract_make(void *arg)
{
    struct world *w = world_new(arg);

    /* The line is not used: it leads home. */
    w->r->dev->irq.controller = w;
    w->r->dev->irq.set = NULL;
    return w->r->dev;
}

static void contract_destroy(void *obj)
{
    world_free(((struct dev *)obj)->irq.controller);
}

static struct virtio_dev *start(void *obj)
{
    struct virtio_dev *v = obj;
    struct world *w = v->dev.irq.controller;
    uint64_t all = v->legacy ? v->host_features : v->host_features & ~VIRTIO_BIT(5);

    vrig_negotiate(w->r, all);
    for (uint32_t i = 0; i < v->queue_count && i < 3; i++) {
        vrig_queue(w->r, i, STIRRED_NUM);
        le16_store(vrig_mem(w->r, w->r->rings[i].used_gpa + 2), STIRRED_IDX);
        vrig_write(w->r, VIRTIO_MMIO_R_QUEUE_SEL, i);
        if (v->legacy)
            vrig_write(w->r, VIRTIO_MMIO_R_QUEUE_PFN, vrig_read(w->r, VIRTIO_MMIO_R_QUEUE_PFN));
        else
            vrig_write(w->r, VIRTIO_MMIO_R_QUEUE_READY, 1);
        v->queues[i].last_avail = STIRRED_IDX;
        le16_store(vrig_mem(w->r, w->r->rings[i].avail_gpa + 2), STIRRED_IDX);
    }
    vrig_driver_ok(w->r);
    vrig_read(w->r, VIRTIO_MMIO_R_CONFIG);
    v->isr = 1;
    return v;
}

static void stir(void *obj)
{
    struct virtio_dev *v = start(obj);

    assert_true(v->features != 0);
    assert_true(virtqueue_ready(&v->queues[0]));
}

static void stir_broken(void *obj)
{
    start(obj)->broken = true;
}

/* ... by a request that was taken: nobody takes it again. */
static void stir_broken_by_request(void *obj)
{
    struct virtio_dev *v = start(obj);

    v->queues[0].last_avail++;
    v->broken = true;
}

static void stir_net(void *obj)
{
    struct virtio_net *n = (struct virtio_net *)start(obj);

    n->mac_count = 2;
    memset(n->macs, 0x33, 2 * sizeof(n->macs[0]));
    n->vlans[7] = 0x80;
    n->promisc = 0;
    n->allmulti = 1;
    n->status = 3;
    n->guest_offloads = n->v.features & NET_GUEST_OFFLOADS;
}

/* With what its subsection is for. */
static void stir_balloon(void *obj)
{
    stir(obj);
    ((struct virtio_dev *)obj)->features = ((struct virtio_dev *)obj)->host_features;
}

static void run_contract(struct model m, void (*how)(void *obj))
{
    struct world *w = world_new(&m);
    struct contract_case c = {
        .table = w->r->dev->type->table,
        .obj_bytes = w->r->dev->type->size_bytes,
        .make = contract_make,
        .stir = how,
        .destroy = contract_destroy,
        .arg = &m,
    };

    world_free(w);
    contract_run(&c);
}

static void legacy_devices_keep_the_contract(void **state)
{
    run_contract((struct model){BLK, .legacy = true}, stir);
    run_contract((struct model){BLK, .legacy = true}, NULL);
    run_contract((struct model){BLK, .legacy = true, .multi_queue = true}, stir_broken);
    run_contract((struct model){NET, .legacy = true}, stir_net);
    run_contract((struct model){NET, .legacy = true, .vnet = true}, stir_net);
    run_contract((struct model){RNG, .legacy = true}, stir);
    run_contract((struct model){BALLOON, .legacy = true}, stir);
    run_contract((struct model){INPUT}, stir);
}

static void modern_devices_keep_the_contract(void **state)
{
    run_contract((struct model){BLK}, stir);
    run_contract((struct model){NET}, stir_net);
    run_contract((struct model){BALLOON}, stir_balloon);
    run_contract((struct model){RNG}, stir_broken);
    run_contract((struct model){RNG}, stir_broken_by_request);
    run_contract((struct model){NET}, stir_broken_by_request);
}

/* --- What the tables cannot say --- */

static void spoil_features(void *obj)
{
    start(obj)->features |= 1;
}
static void spoil_queue_count(void *obj)
{
    struct virtio_dev *v = start(obj);

    v->queues[v->queue_count].num = 1;
    v->queue_count++;
}
static void spoil_num(void *obj)
{
    start(obj)->queues[0].num = 0;
}
static void spoil_align(void *obj)
{
    start(obj)->queues[0].align = 12;
}
static void spoil_ring(void *obj)
{
    start(obj)->queues[0].desc_gpa = VRIG_RAM_GPA + VRIG_RAM_BYTES - 32;
}
static void spoil_last_avail(void *obj)
{
    start(obj)->queues[0].last_avail = STIRRED_IDX + STIRRED_NUM + 1;
}
static void spoil_listed(void *obj)
{
    start(obj)->queues[0].last_avail = STIRRED_IDX + 1;
}
static void spoil_capacity(void *obj)
{
    struct virtio_dev *v = start(obj);

    virtio_type(v)->config_get(v);
    le64_store(v->config, le64_load(v->config) * 2);
}
static void spoil_block_size(void *obj)
{
    struct virtio_dev *v = start(obj);

    virtio_type(v)->config_get(v);
    le32_store(v->config + 20, 4096);
}
static void spoil_offloads(void *obj)
{
    struct virtio_net *n = (struct virtio_net *)start(obj);

    n->guest_offloads = 2;
}

static void refuses(struct model m, void (*spoil)(void *obj), const char *text)
{
    struct world *w = world_new(&m);
    struct contract_case c = {
        .table = w->r->dev->type->table,
        .obj_bytes = w->r->dev->type->size_bytes,
        .make = contract_make,
        .destroy = contract_destroy,
        .arg = &m,
    };

    world_free(w);
    contract_refuses(&c, spoil, text);
}

static void senseless_state_is_refused(void **state)
{
    for (int legacy = 0; legacy < 2; legacy++) {
        refuses((struct model){BLK, legacy}, spoil_features, "of which 0x1 are not offered");
        refuses((struct model){BLK, legacy}, spoil_queue_count, "num-queues");
        refuses((struct model){BLK, legacy}, spoil_num, "queue 0 has no entries");
        refuses((struct model){BLK, legacy}, spoil_ring, "not in guest memory");
        refuses((struct model){BLK, legacy}, spoil_last_avail, "entries apart");
        refuses((struct model){BLK, legacy}, spoil_listed, "but 0 are listed");
        refuses((struct model){BLK, legacy}, spoil_capacity,
                "the guest has seen its disk with capacity");
        refuses((struct model){BLK, legacy}, spoil_block_size,
                "logical_block_size 4096, here it is 512");
        refuses((struct model){NET, legacy}, spoil_offloads, "not negotiated");
    }
    refuses((struct model){BLK, true}, spoil_align, "power of two");
}

/* --- Moves --- */

static void spoil_used_index(struct world *w)
{
    le16_store(vrig_mem(w->r, w->r->rings[0].used_gpa + 2), STIRRED_IDX + 100);
}

/* From one world, as left by `before` and a pause, to another with the same rings. */
static struct world *move(const struct model *m, void (*before)(struct world *w), bool broken)
{
    struct world *from = world_new(m), *to = world_new(m);
    struct virtio_dev *v = (struct virtio_dev *)from->r->dev;
    struct dev *d = to->r->dev;
    struct buf state = {0};
    struct ferry_err err = {0};
    struct rd in;

    v->dev.irq.controller = from;
    v->dev.irq.set = NULL;
    start(v);
    if (before)
        before(from);
    virtio_part_ops.pause(v);
    assert_int_equal(v->broken, broken);
    assert_int_equal(state_save(d->type->table, v, &state, NULL, &err), 0);
    in = rd_make(state.data, state.len_bytes);
    if (state_load(d->type->table, d, d->type->size_bytes, d->type->table->version, &in, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(((struct virtio_dev *)d)->broken, broken);
    buf_free(&state);
    world_free(from);
    return to;
}

/* Its reader would refuse what contradicts the rings: the guest could not be moved any more. */
static void a_driver_that_spoils_its_rings_does_not_forbid_a_move(void **state)
{
    for (int legacy = 0; legacy < 2; legacy++) {
        for (enum kind kind = BLK; kind <= (legacy ? BALLOON : INPUT); kind++) {
            world_free(move(&(struct model){kind, legacy}, NULL, false));
            world_free(move(&(struct model){kind, legacy}, spoil_used_index, true));
        }
    }
}

/* The interrupt controller does not save the level of its lines. */
static void a_line_that_was_high_is_high_after_a_move(void **state)
{
    for (int legacy = 0; legacy < 2; legacy++) {
        for (enum kind kind = BLK; kind <= (legacy ? BALLOON : INPUT); kind++) {
            struct world *w = move(&(struct model){kind, legacy}, NULL, false);

            assert_int_equal(w->r->irq_level, 1);
            vrig_write(w->r, VIRTIO_MMIO_R_ISR_ACK, 1);
            assert_int_equal(w->r->irq_level, 0);
            world_free(w);
        }
    }
}

static void switch_cache_off_and_reset(struct world *w)
{
    vrig_write_size(w->r, VIRTIO_MMIO_R_CONFIG + BLK_CONFIG_WCE, 1, 0);
    assert_int_equal(vrig_read_size(w->r, VIRTIO_MMIO_R_CONFIG + BLK_CONFIG_WCE, 1), 0);
    vrig_write(w->r, VIRTIO_MMIO_R_STATUS, 0);
}

static void a_cache_that_a_reset_switched_on_is_on_after_a_move(void **state)
{
    for (int legacy = 0; legacy < 2; legacy++) {
        struct model m = {BLK, legacy};
        struct world *w = move(&m, switch_cache_off_and_reset, false);

        assert_int_equal(vrig_read_size(w->r, VIRTIO_MMIO_R_CONFIG + BLK_CONFIG_WCE, 1), 1);
        world_free(w);
    }
}

static void interrupt(void *controller, unsigned source, bool level)
{
    ((struct world *)controller)->interrupts += level;
}

/* Its reader breaks the device; the source may still go on, and its driver has heard nothing. */
static void a_senseless_request_is_saved_in_silence(void **state)
{
    struct world *w = world_new(&(struct model){BLK});
    struct virtio_blk *blk = (struct virtio_blk *)w->r->dev;
    struct ferry_err err = {0};
    struct buf out = {0};

    blk->v.dev.irq = (struct irq_line){.set = interrupt, .controller = w};
    start(blk);
    blk->v.isr = 0;
    /* Its descriptor names no memory. */
    blk->resubmit = (struct blk_resubmit){.count = 1};
    w->interrupts = 0;
    assert_int_equal(state_save(&virtio_blk_table, blk, &out, NULL, &err), 0);
    assert_int_equal(w->interrupts, 0);
    assert_int_equal(blk->v.isr, 0);
    assert_false(blk->v.broken);
    buf_free(&out);
    world_free(w);
}

/* --- QEMU's recordings --- */

struct recording {
    const char *file;
    const char *device;
    enum kind kind;
    uint32_t version;
    size_t bytes;
};
static const struct recording recordings[] = {
    {"virt-10.0.2-default", "virtio-mmio@0000000010008000/virtio-blk", BLK, 2, 4277},
    {"virt-10.0.2-default", "virtio-mmio@0000000010007000/virtio-net", NET, 11, 4834},
    {"virt-10.0.2-default", "virtio-mmio@0000000010006000/virtio-rng", RNG, 1, 81},
    {"virt-10.0.13-default", "virtio-mmio@0000000010008000/virtio-blk", BLK, 2, 160},
    {"virt-10.0.13-default", "virtio-mmio@0000000010007000/virtio-net", NET, 11, 717},
    {"virt-10.0.13-default", "virtio-mmio@0000000010006000/virtio-rng", RNG, 1, 81},
    {"virt-10.0.2-mincpu", "virtio-mmio@0000000010008000/virtio-blk", BLK, 2, 4277},
    {"virt-10.0.2-mincpu", "virtio-mmio@0000000010007000/virtio-net", NET, 11, 4834},
};

/* The payload of a section, followed by its footer. */
static uint8_t *section(const struct recording *rec)
{
    char path[256];
    struct stat st;
    uint8_t *map, *at, *copy;
    int fd;

    snprintf(path, sizeof(path), TEST_DATA_DIR "/qemu/%s.devstate.bin", rec->file);
    fd = open(path, O_RDONLY);
    assert_true(fd >= 0 && fstat(fd, &st) == 0);
    map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    assert_true(map != MAP_FAILED);
    at = memmem(map, (size_t)st.st_size, rec->device, strlen(rec->device));
    assert_non_null(at);
    at += strlen(rec->device);
    assert_int_equal(be32_load(at), 0);
    assert_int_equal(be32_load(at + 4), rec->version);
    at += 8;
    assert_int_equal(at[rec->bytes], 0x7e);
    copy = malloc(rec->bytes);
    assert_non_null(copy);
    memcpy(copy, at, rec->bytes);
    munmap(map, (size_t)st.st_size);
    close(fd);
    return copy;
}

/* The recording has no RAM; the devices in it were idle: used indices are where avail ones are. */
static void finish_in_memory(struct vrig *r, const uint8_t *payload)
{
    size_t config_bytes = be32_load(payload + 20);
    const uint8_t *queues = payload + 24 + config_bytes;

    for (uint32_t i = 0; i < be32_load(queues); i++) {
        const uint8_t *q = queues + 4 + 18 * i;
        uint64_t num = be32_load(q), desc = be64_load(q + 8);
        uint64_t used = (desc + 18 * num + 4 + 4095) & ~UINT64_C(4095);

        if (desc)
            le16_store(vrig_mem(r, used + 2), be16_load(q + 16));
    }
}

static void qemu_s_state_loads_and_is_saved_the_same(void **state)
{
    for (size_t i = 0; i < sizeof(recordings) / sizeof(recordings[0]); i++) {
        const struct recording *rec = &recordings[i];
        struct world *w = world_new(&(struct model){rec->kind, .legacy = true});
        struct dev *d = w->r->dev;
        uint8_t *payload = section(rec);
        struct rd in = rd_make(payload, rec->bytes);
        struct buf out = {0};
        struct ferry_err err = {0};

        print_message("%s %s\n", rec->file, rec->device);
        finish_in_memory(w->r, payload);
        if (state_load(d->type->table, d, d->type->size_bytes, rec->version, &in, &err) < 0)
            fail_msg("%s", err.text);
        assert_int_equal(rd_left(&in), 0);
        assert_int_equal(state_save(d->type->table, d, &out, NULL, &err), 0);
        assert_int_equal(out.len_bytes, rec->bytes);
        assert_memory_equal(out.data, payload, rec->bytes);
        buf_free(&out);
        free(payload);
        world_free(w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(legacy_devices_keep_the_contract),
        cmocka_unit_test(modern_devices_keep_the_contract),
        cmocka_unit_test(senseless_state_is_refused),
        cmocka_unit_test(a_driver_that_spoils_its_rings_does_not_forbid_a_move),
        cmocka_unit_test(a_line_that_was_high_is_high_after_a_move),
        cmocka_unit_test(a_cache_that_a_reset_switched_on_is_on_after_a_move),
        cmocka_unit_test(a_senseless_request_is_saved_in_silence),
        cmocka_unit_test(qemu_s_state_loads_and_is_saved_the_same),
    };

    return cmocka_run_group_tests(tests, make_disk, free_disk);
}
