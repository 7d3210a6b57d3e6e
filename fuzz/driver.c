/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz/driver.h"

#include <string.h>

#include "base/be.h"
#include "vmm/dev/virtio/mmio.h"
#include "vmm/virt/memmap.h"

#define STATUS_ACKNOWLEDGE 1u
#define STATUS_DRIVER      2u
#define STATUS_DRIVER_OK   4u
#define STATUS_FEATURES_OK 8u

#define DESC_BYTES      16u
#define DESC_F_NEXT     1u
#define DESC_F_INDIRECT 4u

#define PAGE_BYTES UINT64_C(4096)

static uint64_t slot_gpa(unsigned slot)
{
    return MEMMAP_VIRTIO_GPA + slot * (uint64_t)MEMMAP_VIRTIO_SLOT_BYTES;
}

void driver_write(struct driver *d, unsigned slot, unsigned reg, uint32_t value)
{
    machine_write(d->m, slot_gpa(slot) + reg, 4, value);
}

uint32_t driver_read(struct driver *d, unsigned slot, unsigned reg)
{
    uint64_t value;

    machine_read(d->m, slot_gpa(slot) + reg, 4, &value);
    return (uint32_t)value;
}

static void store16(struct driver *d, uint64_t offset, uint16_t value)
{
    uint8_t raw[2];

    le16_store(raw, value);
    machine_store(d->m, offset, raw, sizeof(raw));
}

static void store_desc(struct driver *d, uint64_t offset, uint64_t gpa, uint32_t bytes,
                       uint16_t flags, uint16_t next)
{
    uint8_t raw[DESC_BYTES];

    le64_store(raw, gpa);
    le32_store(raw + 8, bytes);
    le16_store(raw + 12, flags);
    le16_store(raw + 14, next);
    machine_store(d->m, offset, raw, sizeof(raw));
}

static uint64_t offered(struct driver *d, unsigned slot)
{
    uint64_t features = 0;

    for (unsigned half = 0; half < 1u + d->modern; half++) {
        driver_write(d, slot, VIRTIO_MMIO_R_HOST_SEL, half);
        features |= (uint64_t)driver_read(d, slot, VIRTIO_MMIO_R_HOST_FEATURES) << 32 * half;
    }
    return features;
}

static void accept_features(struct driver *d, unsigned slot, uint64_t features)
{
    for (unsigned half = 0; half < 1u + d->modern; half++) {
        driver_write(d, slot, VIRTIO_MMIO_R_GUEST_SEL, half);
        driver_write(d, slot, VIRTIO_MMIO_R_GUEST_FEATURES, (uint32_t)(features >> 32 * half));
    }
}

static void set_address(struct driver *d, unsigned slot, unsigned reg, uint64_t offset)
{
    driver_write(d, slot, reg, (uint32_t)(MEMMAP_RAM_GPA + offset));
    driver_write(d, slot, reg + 4, (uint32_t)((MEMMAP_RAM_GPA + offset) >> 32));
}

/* The legacy layout, which modern transports take, too. */
static void lay_out(struct driver_queue *q, unsigned slot, unsigned queue, uint16_t num)
{
    uint64_t avail_end;

    *q = (struct driver_queue){.num = num};
    q->desc = DRIVER_RINGS + slot * DRIVER_SLOT_BYTES + queue * (DRIVER_SLOT_BYTES / DRIVER_QUEUES);
    q->avail = q->desc + (uint64_t)num * DESC_BYTES;
    avail_end = q->avail + 4 + 2ull * num + 2;
    q->used = (avail_end + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
}

static void clear_rings(struct driver *d, const struct driver_queue *q)
{
    static const uint8_t zeros[DRIVER_SLOT_BYTES / DRIVER_QUEUES];

    machine_store(d->m, q->desc, zeros, sizeof(zeros));
}

void driver_set_up_queue(struct driver *d, unsigned slot, unsigned queue, uint16_t num)
{
    struct driver_queue *q = &d->queues[slot][queue];

    lay_out(q, slot, queue, num);
    clear_rings(d, q);
    driver_write(d, slot, VIRTIO_MMIO_R_QUEUE_SEL, queue);
    driver_write(d, slot, VIRTIO_MMIO_R_QUEUE_NUM, num);
    if (!d->modern) {
        driver_write(d, slot, VIRTIO_MMIO_R_PAGE_SIZE, (uint32_t)PAGE_BYTES);
        driver_write(d, slot, VIRTIO_MMIO_R_QUEUE_ALIGN, (uint32_t)PAGE_BYTES);
        driver_write(d, slot, VIRTIO_MMIO_R_QUEUE_PFN,
                     (uint32_t)((MEMMAP_RAM_GPA + q->desc) / PAGE_BYTES));
        return;
    }
    set_address(d, slot, VIRTIO_MMIO_R_DESC_LOW, q->desc);
    set_address(d, slot, VIRTIO_MMIO_R_AVAIL_LOW, q->avail);
    set_address(d, slot, VIRTIO_MMIO_R_USED_LOW, q->used);
    driver_write(d, slot, VIRTIO_MMIO_R_QUEUE_READY, 1);
}

void driver_start(struct driver *d, unsigned slot, uint64_t mask, uint16_t num)
{
    uint32_t status = STATUS_ACKNOWLEDGE | STATUS_DRIVER;

    driver_write(d, slot, VIRTIO_MMIO_R_STATUS, 0);
    driver_write(d, slot, VIRTIO_MMIO_R_STATUS, status);
    accept_features(d, slot, offered(d, slot) & mask);
    if (d->modern) {
        status |= STATUS_FEATURES_OK;
        driver_write(d, slot, VIRTIO_MMIO_R_STATUS, status);
    }
    for (unsigned queue = 0; queue < DRIVER_QUEUES; queue++) {
        driver_write(d, slot, VIRTIO_MMIO_R_QUEUE_SEL, queue);
        if (driver_read(d, slot, VIRTIO_MMIO_R_QUEUE_NUM_MAX))
            driver_set_up_queue(d, slot, queue, num);
    }
    driver_write(d, slot, VIRTIO_MMIO_R_STATUS, status | STATUS_DRIVER_OK);
}

/* Descriptors are used in turn, whether the device is done with them or not. */
static uint16_t put_table(struct driver *d, struct driver_queue *q, const struct driver_seg *segs,
                          unsigned count)
{
    uint16_t head = q->next_desc;

    for (unsigned i = 0; i < count; i++) {
        uint16_t at = q->next_desc, next = (uint16_t)((at + 1) % q->num);
        uint16_t more = i + 1 < count ? DESC_F_NEXT : 0;

        store_desc(d, q->desc + at * DESC_BYTES, segs[i].gpa, segs[i].bytes, segs[i].flags | more,
                   next);
        q->next_desc = next;
    }
    return head;
}

static uint16_t put_indirect(struct driver *d, struct driver_queue *q,
                             const struct driver_seg *segs, unsigned count)
{
    /* Behind the rings there is room for one table. */
    uint64_t table = q->desc + DRIVER_SLOT_BYTES / DRIVER_QUEUES - DRIVER_SEGS_MAX * DESC_BYTES;
    const struct driver_seg indirect = {
        .gpa = MEMMAP_RAM_GPA + table,
        .bytes = count * DESC_BYTES,
        .flags = DESC_F_INDIRECT,
    };

    for (unsigned i = 0; i < count; i++)
        store_desc(d, table + i * DESC_BYTES, segs[i].gpa, segs[i].bytes,
                   segs[i].flags | (i + 1 < count ? DESC_F_NEXT : 0), (uint16_t)(i + 1));
    return put_table(d, q, &indirect, 1);
}

void driver_put(struct driver *d, unsigned slot, unsigned queue, const struct driver_seg *segs,
                unsigned count, bool indirect)
{
    struct driver_queue *q = &d->queues[slot][queue];
    uint16_t head;

    if (!q->num || !count)
        return;
    head = indirect ? put_indirect(d, q, segs, count) : put_table(d, q, segs, count);
    store16(d, q->avail + 4 + 2ull * (q->avail_idx % q->num), head);
    store16(d, q->avail + 2, ++q->avail_idx);
}

void driver_kick(struct driver *d, unsigned slot, unsigned queue)
{
    driver_write(d, slot, VIRTIO_MMIO_R_QUEUE_NOTIFY, queue);
}
