/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Registers are 32 bits wide; any other width reads 0 and is ignored when written, as QEMU has it.
 * The device's config space takes 1, 2 and 4. An access of 8 bytes is two of 4.
 */
#include "vmm/dev/virtio/mmio.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "vmm/dev/virtio/setup.h"

/* --- Interrupt: one line for everything --- */

static void mmio_update_line(struct virtio_dev *v)
{
    irq_set(&v->dev.irq, v->isr != 0);
}

static void mmio_interrupt_queue(struct virtio_dev *v, uint32_t index)
{
    mmio_update_line(v);
}

/* --- Read --- */

static uint32_t read_modern(struct virtio_dev *v, uint64_t offset)
{
    const struct virtio_queue *q = virtio_selected(v);

    switch (offset) {
    case VIRTIO_MMIO_R_QUEUE_READY:
        return q && q->reg_ready;
    case VIRTIO_MMIO_R_GENERATION:
        return v->config_generation;
    case VIRTIO_MMIO_R_QUEUE_RESET:
        return q && q->resetting;
    default:
        return 0;
    }
}

static uint32_t read_register(struct virtio_dev *v, uint64_t offset)
{
    const struct virtio_queue *q = virtio_selected(v);

    switch (offset) {
    case VIRTIO_MMIO_R_MAGIC:
        return VIRTIO_MMIO_MAGIC;
    case VIRTIO_MMIO_R_VERSION:
        return v->legacy ? VIRTIO_MMIO_VERSION_LEGACY : VIRTIO_MMIO_VERSION_MODERN;
    case VIRTIO_MMIO_R_DEVICE_ID:
        return virtio_type(v)->device_id;
    case VIRTIO_MMIO_R_VENDOR:
        return VIRTIO_MMIO_VENDOR;
    case VIRTIO_MMIO_R_HOST_FEATURES:
        return (uint32_t)(v->host_features >> (v->mmio.host_features_sel ? 32 : 0));
    case VIRTIO_MMIO_R_QUEUE_NUM_MAX:
        return q && q->num ? q->num_max : 0;
    case VIRTIO_MMIO_R_QUEUE_PFN:
        return v->legacy && q ? (uint32_t)(q->desc_gpa >> v->mmio.guest_page_shift) : 0;
    case VIRTIO_MMIO_R_ISR:
        return v->isr;
    case VIRTIO_MMIO_R_STATUS:
        return v->status;
    case VIRTIO_MMIO_R_SHM_LOW:
    case VIRTIO_MMIO_R_SHM_HIGH:
        return UINT32_MAX; /* no such region */
    default:
        return v->legacy ? 0 : read_modern(v, offset);
    }
}

static int mmio_read(void *dev, uint64_t offset, unsigned size_bytes, uint64_t *ret)
{
    struct virtio_dev *v = dev;
    uint64_t low, high;

    if (size_bytes == 8) {
        if (mmio_read(dev, offset, 4, &low) || mmio_read(dev, offset + 4, 4, &high))
            return -EFAULT;
        *ret = high << 32 | low;
    } else if (offset >= VIRTIO_MMIO_R_CONFIG) {
        *ret = virtio_config_read(v, offset - VIRTIO_MMIO_R_CONFIG, size_bytes);
    } else {
        *ret = size_bytes == 4 ? read_register(v, offset) : 0;
    }
    return 0;
}

/* --- Write --- */

static void set_queue_num(struct virtio_dev *v, struct virtio_queue *q, uint32_t num)
{
    if (!virtio_queue_can_hold(q, num))
        return;
    if (!v->legacy) {
        q->reg_num = (uint16_t)num;
        return;
    }
    q->num = num;
    virtio_queue_place(v, q);
}

static int write_legacy(struct virtio_dev *v, uint64_t offset, uint32_t value)
{
    struct virtio_queue *q = virtio_selected(v);

    switch (offset) {
    case VIRTIO_MMIO_R_GUEST_FEATURES:
        if (v->mmio.guest_features_sel == 0)
            virtio_set_features(v, value);
        break;
    case VIRTIO_MMIO_R_PAGE_SIZE:
        v->mmio.guest_page_shift = value ? (uint32_t)__builtin_ctz(value) : 0;
        break;
    case VIRTIO_MMIO_R_QUEUE_ALIGN:
        /* A power of two, so that the sum in virtqueue_layout_legacy() means something. */
        if (q && value && (value & (value - 1)) == 0) {
            q->align = value;
            virtio_queue_place(v, q);
        }
        break;
    case VIRTIO_MMIO_R_QUEUE_PFN:
        if (value == 0)
            return virtio_reset(v);
        if (q) {
            q->desc_gpa = (uint64_t)value << v->mmio.guest_page_shift;
            virtio_queue_place(v, q);
        }
        break;
    default:
        break;
    }
    return 0;
}

static void write_queue_modern(struct virtio_dev *v, struct virtio_queue *q, uint64_t offset,
                               uint32_t value)
{
    switch (offset) {
    case VIRTIO_MMIO_R_QUEUE_READY:
        virtio_queue_set_ready(v, q, value & 1);
        break;
    case VIRTIO_MMIO_R_DESC_LOW:
    case VIRTIO_MMIO_R_DESC_HIGH:
        q->reg_desc[offset == VIRTIO_MMIO_R_DESC_HIGH] = value;
        break;
    case VIRTIO_MMIO_R_AVAIL_LOW:
    case VIRTIO_MMIO_R_AVAIL_HIGH:
        q->reg_avail[offset == VIRTIO_MMIO_R_AVAIL_HIGH] = value;
        break;
    case VIRTIO_MMIO_R_USED_LOW:
    case VIRTIO_MMIO_R_USED_HIGH:
        q->reg_used[offset == VIRTIO_MMIO_R_USED_HIGH] = value;
        break;
    case VIRTIO_MMIO_R_QUEUE_RESET:
        if (value & 1 && virtio_has(v, VIRTIO_F_RING_RESET))
            virtio_queue_reset(v, (uint32_t)(q - v->queues));
        break;
    default:
        break;
    }
}

static void write_modern(struct virtio_dev *v, uint64_t offset, uint32_t value)
{
    struct virtio_queue *q = virtio_selected(v);

    /* Once FEATURES_OK is set they are settled. */
    if (offset == VIRTIO_MMIO_R_GUEST_FEATURES) {
        if (!(v->status & VIRTIO_STATUS_FEATURES_OK))
            v->guest_features[v->mmio.guest_features_sel] = value;
    } else if (q) {
        write_queue_modern(v, q, offset, value);
    }
}

/* 0, or -EAGAIN: the same once more, later. */
static int write_register(struct virtio_dev *v, uint64_t offset, uint32_t value)
{
    struct virtio_queue *q = virtio_selected(v);

    switch (offset) {
    case VIRTIO_MMIO_R_HOST_SEL:
        v->mmio.host_features_sel = value ? 1 : 0;
        break;
    case VIRTIO_MMIO_R_GUEST_SEL:
        v->mmio.guest_features_sel = value ? 1 : 0;
        break;
    case VIRTIO_MMIO_R_QUEUE_SEL:
        if (value < VIRTIO_QUEUE_NUM_MAX)
            v->queue_sel = (uint16_t)value;
        break;
    case VIRTIO_MMIO_R_QUEUE_NUM:
        if (q)
            set_queue_num(v, q, value);
        break;
    case VIRTIO_MMIO_R_QUEUE_NOTIFY:
        virtio_kick(v, value);
        break;
    case VIRTIO_MMIO_R_ISR_ACK:
        v->isr &= (uint8_t)~value;
        mmio_update_line(v);
        break;
    case VIRTIO_MMIO_R_STATUS:
        return virtio_set_status(v, (uint8_t)value);
    default:
        if (v->legacy)
            return write_legacy(v, offset, value);
        write_modern(v, offset, value);
        break;
    }
    return 0;
}

static int mmio_write(void *dev, uint64_t offset, unsigned size_bytes, uint64_t value)
{
    struct virtio_dev *v = dev;

    if (size_bytes == 8) {
        int rc = mmio_write(dev, offset, 4, value & UINT32_MAX);

        return rc ? rc : mmio_write(dev, offset + 4, 4, value >> 32);
    }
    if (offset >= VIRTIO_MMIO_R_CONFIG)
        virtio_config_write(v, offset - VIRTIO_MMIO_R_CONFIG, size_bytes, value);
    else if (size_bytes == 4)
        return write_register(v, offset, (uint32_t)value);
    return 0;
}

/* --- The slot --- */

static void mmio_reset(struct virtio_dev *v)
{
    v->mmio = (struct virtio_mmio){0};
}

static const struct virtio_transport mmio_transport = {
    .mmio_bytes = VIRTIO_MMIO_BYTES,
    .access_sizes = 1 | 2 | 4 | 8,
    .mmio = {.read = mmio_read, .write = mmio_write},
    .reset = mmio_reset,
    .interrupt_queue = mmio_interrupt_queue,
    .interrupt_config = mmio_update_line,
    .update_line = mmio_update_line,
};

struct virtio_place virtio_mmio_place(unsigned slot, uint64_t gpa, struct irq_line irq, bool legacy)
{
    struct virtio_place place = {
        .transport = &mmio_transport,
        .irq = irq,
        .legacy = legacy,
        .modern = !legacy,
    };

    snprintf(place.path, sizeof(place.path), "virtio-mmio@%016" PRIx64, gpa);
    snprintf(place.where, sizeof(place.where), "virtio-mmio-bus.%u", slot);
    return place;
}
