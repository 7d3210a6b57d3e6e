/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit.h"

#include "tests/vmm/dev/virtio/vrig.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/be.h"
#include "base/clock.h"
#include "vmm/dev/virtio/device.h"
#include "vmm/dev/virtio/mmio.h"

/* Rings live here, one megabyte apart; the tests use what is below. */
#define RINGS_GPA    (VRIG_RAM_GPA + (UINT64_C(64) << 20))
#define RING_STRIDE  (UINT64_C(1) << 20)
#define PAGE_BYTES   4096u
#define STATUS_STEPS 3u /* ACKNOWLEDGE, DRIVER */

static void line(void *controller, unsigned source, bool level)
{
    struct vrig *r = controller;

    r->irq_level = level;
    r->irqs += level;
}

static void drained(void *arg)
{
    ((struct vrig *)arg)->drained++;
}

static void calm(void *arg)
{
    ((struct vrig *)arg)->calm++;
}

static void disk_error(void *arg, const struct virtio_blk_error *error)
{
}

struct vrig *vrig_new(bool legacy)
{
    struct vrig *r = calloc(1, sizeof(*r));
    struct ferry_ram_region *region;
    struct ferry_err err;

    assert_non_null(r);
    machine_lock_init(&r->lock);
    assert_int_equal(loop_new(&r->loop, &err), 0);
    assert_int_equal(ferry_ram_new(&r->ram, &err), 0);
    assert_int_equal(ferry_ram_add(r->ram, "ram", VRIG_RAM_BYTES, &region, &err), 0);
    assert_int_equal(guestmem_add(&r->mem, VRIG_RAM_GPA, region, false, &err), 0);
    assert_int_equal(ferry_ram_add(r->ram, "rom", PAGE_BYTES, &region, &err), 0);
    assert_int_equal(guestmem_add(&r->mem, VRIG_ROM_GPA, region, true, &err), 0);
    r->legacy = legacy;
    r->env = (struct dev_env){.mem = &r->mem, .loop = r->loop, .lock = &r->lock};
    r->config.disk = (struct config_disk){
        .virtio = {.event_idx = true, .indirect_desc = true},
        .num_queues = 1,
        .discard = true,
        .write_zeroes = true,
    };
    r->params = (struct virtio_params){
        .env = &r->env,
        .place = virtio_mmio_place(VRIG_SLOT, VRIG_SLOT_GPA,
                                   (struct irq_line){.set = line, .controller = r}, legacy),
        .config = &r->config.virtio,
        .on_drained = drained,
        .on_calm = calm,
        .on_disk_error = disk_error,
        .arg = r,
    };
    return r;
}

void vrig_free(struct vrig *r)
{
    dev_free(r->dev);
    loop_free(r->loop);
    ferry_ram_free(r->ram);
    machine_lock_destroy(&r->lock);
    free(r);
}

static void tick(void *arg)
{
    loop_stop(arg);
}

void vrig_run_for_ms(struct vrig *r, int ms)
{
    struct loop_timer *t;
    struct ferry_err err;

    assert_int_equal(loop_timer_new(&t, r->loop, tick, r->loop, &err), 0);
    loop_timer_set(t, clock_monotonic_ns() + ms * 1000000LL);
    loop_run(r->loop);
    loop_timer_free(t);
}

void vrig_run_until(struct vrig *r, const int *done, int at_least)
{
    for (int i = 0; i < 1000 && *done < at_least; i++)
        vrig_run_for_ms(r, 1);
}

/* --- Registers --- */

uint64_t vrig_read_size(struct vrig *r, uint64_t offset, unsigned size_bytes)
{
    uint64_t value = UINT64_MAX;

    machine_lock(&r->lock);
    assert_int_equal(r->dev->region.ops->read(r->dev, offset, size_bytes, &value), 0);
    machine_unlock(&r->lock);
    return value;
}

void vrig_write_size(struct vrig *r, uint64_t offset, unsigned size_bytes, uint64_t value)
{
    struct timespec nap = {.tv_nsec = 100000};
    int rc;

    for (;;) {
        machine_lock(&r->lock);
        rc = r->dev->region.ops->write(r->dev, offset, size_bytes, value);
        machine_unlock(&r->lock);
        if (rc != -EAGAIN)
            break;
        nanosleep(&nap, NULL);
    }
    assert_int_equal(rc, 0);
}

int vrig_try_write(struct vrig *r, uint64_t offset, uint32_t value)
{
    int rc;

    machine_lock(&r->lock);
    rc = r->dev->region.ops->write(r->dev, offset, 4, value);
    machine_unlock(&r->lock);
    return rc;
}

uint32_t vrig_read(struct vrig *r, uint64_t offset)
{
    return (uint32_t)vrig_read_size(r, offset, 4);
}

void vrig_write(struct vrig *r, uint64_t offset, uint32_t value)
{
    vrig_write_size(r, offset, 4, value);
}

uint8_t *vrig_mem(struct vrig *r, uint64_t gpa)
{
    uint8_t *p = guestmem_ptr(&r->mem, gpa, 1, false);

    assert_non_null(p);
    return p;
}

bool vrig_broken(struct vrig *r)
{
    return ((struct virtio_dev *)r->dev)->broken;
}

/* --- The driver --- */

void vrig_negotiate(struct vrig *r, uint64_t features)
{
    vrig_write(r, VIRTIO_MMIO_R_STATUS, 0);
    vrig_write(r, VIRTIO_MMIO_R_STATUS, STATUS_STEPS);
    if (r->legacy)
        vrig_write(r, VIRTIO_MMIO_R_PAGE_SIZE, PAGE_BYTES);
    else
        features |= VIRTIO_BIT(VIRTIO_F_VERSION_1);
    vrig_write(r, VIRTIO_MMIO_R_GUEST_SEL, 1);
    vrig_write(r, VIRTIO_MMIO_R_GUEST_FEATURES, (uint32_t)(features >> 32));
    vrig_write(r, VIRTIO_MMIO_R_GUEST_SEL, 0);
    vrig_write(r, VIRTIO_MMIO_R_GUEST_FEATURES, (uint32_t)features);
    if (!r->legacy)
        vrig_write(r, VIRTIO_MMIO_R_STATUS, STATUS_STEPS | VIRTIO_STATUS_FEATURES_OK);
}

struct vring *vrig_queue(struct vrig *r, uint32_t index, uint32_t num)
{
    struct vring *q = &r->rings[index];
    uint64_t base = RINGS_GPA + index * RING_STRIDE;

    *q = (struct vring){.index = index, .num = num, .desc_gpa = base};
    q->avail_gpa = base + 16ull * num;
    q->used_gpa = (q->avail_gpa + 6 + 2ull * num + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1ull);
    memset(vrig_mem(r, base), 0, q->used_gpa + 6 + 8ull * num - base);
    vrig_write(r, VIRTIO_MMIO_R_QUEUE_SEL, index);
    vrig_write(r, VIRTIO_MMIO_R_QUEUE_NUM, num);
    if (r->legacy) {
        vrig_write(r, VIRTIO_MMIO_R_QUEUE_ALIGN, PAGE_BYTES);
        vrig_write(r, VIRTIO_MMIO_R_QUEUE_PFN, (uint32_t)(base / PAGE_BYTES));
        return q;
    }
    vrig_write(r, VIRTIO_MMIO_R_DESC_LOW, (uint32_t)q->desc_gpa);
    vrig_write(r, VIRTIO_MMIO_R_DESC_HIGH, (uint32_t)(q->desc_gpa >> 32));
    vrig_write(r, VIRTIO_MMIO_R_AVAIL_LOW, (uint32_t)q->avail_gpa);
    vrig_write(r, VIRTIO_MMIO_R_AVAIL_HIGH, (uint32_t)(q->avail_gpa >> 32));
    vrig_write(r, VIRTIO_MMIO_R_USED_LOW, (uint32_t)q->used_gpa);
    vrig_write(r, VIRTIO_MMIO_R_USED_HIGH, (uint32_t)(q->used_gpa >> 32));
    vrig_write(r, VIRTIO_MMIO_R_QUEUE_READY, 1);
    return q;
}

void vrig_driver_ok(struct vrig *r)
{
    vrig_write(r, VIRTIO_MMIO_R_STATUS,
               vrig_read(r, VIRTIO_MMIO_R_STATUS) | VIRTIO_STATUS_DRIVER_OK);
}

void vrig_start(struct vrig *r, uint64_t features, uint32_t queue_count, uint32_t num)
{
    vrig_negotiate(r, features);
    for (uint32_t i = 0; i < queue_count; i++)
        vrig_queue(r, i, num);
    vrig_driver_ok(r);
}

void vring_at(struct vrig *r, uint64_t table_gpa, uint32_t i, uint64_t gpa, uint32_t bytes,
              uint16_t flags, uint16_t next)
{
    uint8_t *d = vrig_mem(r, table_gpa + 16 * i);

    le64_store(d, gpa);
    le32_store(d + 8, bytes);
    le16_store(d + 12, flags);
    le16_store(d + 14, next);
}

void vring_desc(struct vrig *r, struct vring *q, uint32_t i, uint64_t gpa, uint32_t bytes,
                uint16_t flags, uint16_t next)
{
    vring_at(r, q->desc_gpa, i, gpa, bytes, flags, next);
}

void vring_offer(struct vrig *r, struct vring *q, uint16_t head)
{
    uint8_t *avail = vrig_mem(r, q->avail_gpa);

    le16_store(avail + 4 + 2 * (q->avail_idx % q->num), head);
    q->avail_idx++;
    __atomic_store_n((uint16_t *)(void *)(avail + 2), htole16(q->avail_idx), __ATOMIC_RELEASE);
}

void vring_kick(struct vrig *r, struct vring *q)
{
    vrig_write(r, VIRTIO_MMIO_R_QUEUE_NOTIFY, q->index);
}

uint16_t vring_used(struct vrig *r, const struct vring *q)
{
    const uint8_t *idx = vrig_mem(r, q->used_gpa + 2);

    return le16toh(__atomic_load_n((const uint16_t *)(const void *)idx, __ATOMIC_ACQUIRE));
}

int64_t vring_take(struct vrig *r, struct vring *q, uint32_t *head)
{
    struct timespec nap = {.tv_nsec = 100000};
    const uint8_t *elem;

    for (int i = 0; i < 20000 && vring_used(r, q) == q->seen; i++)
        nanosleep(&nap, NULL);
    if (vring_used(r, q) == q->seen)
        return -1;
    elem = vrig_mem(r, q->used_gpa + 4 + 8 * (q->seen % q->num));
    q->seen++;
    if (head)
        *head = le32_load(elem);
    /* Let the thread that pushed it leave the lock: what it does after is seen, too. */
    machine_lock(&r->lock);
    machine_unlock(&r->lock);
    return le32_load(elem + 4);
}
