/* SPDX-License-Identifier: Apache-2.0 */
/* What virtio-mmio has in the section of its device. */
#include "vmm/dev/virtio/state.h"

#define PAGE_SHIFT_MAX 31

/* --- Before and inside what virtio has --- */

static const struct ferry_field queue_fields[] = {
    FERRY_U32(struct virtio_queue, num, .max = VIRTIO_QUEUE_NUM_MAX),
    FERRY_U32(struct virtio_queue, align),
    FERRY_U64(struct virtio_queue, desc_gpa, .wire_name = "desc"),
    FERRY_U16(struct virtio_queue, last_avail, .wire_name = "last_avail_idx"),
};
static const struct ferry_table queue_table = {
    .name = "queue",
    .version = 1,
    .minimum_version = 1,
    FERRY_FIELDS(queue_fields),
};

static const struct ferry_field common_fields[] = {
    FERRY_U32(struct virtio_dev, mmio.host_features_sel, .wire_name = "host_features_sel",
              .max = 1),
    FERRY_U32(struct virtio_dev, mmio.guest_features_sel, .wire_name = "guest_features_sel",
              .max = 1),
    FERRY_U32(struct virtio_dev, mmio.guest_page_shift, .wire_name = "guest_page_shift",
              .max = PAGE_SHIFT_MAX),
    VIRTIO_STATE_FIELDS(&queue_table),
};
const struct ferry_table virtio_mmio_common_table = {
    .name = "virtio-common",
    .version = 1,
    .minimum_version = 1,
    FERRY_FIELDS(common_fields),
};

/* --- In virtio/extra_state --- */

static const struct ferry_field registers_fields[] = {
    FERRY_U16(struct virtio_queue, reg_num, .wire_name = "num", .max = VIRTIO_QUEUE_NUM_MAX),
    FERRY_BOOL(struct virtio_queue, reg_ready, .wire_name = "enabled"),
    FERRY_U32_ARRAY(struct virtio_queue, reg_desc, .wire_name = "desc"),
    FERRY_U32_ARRAY(struct virtio_queue, reg_avail, .wire_name = "avail"),
    FERRY_U32_ARRAY(struct virtio_queue, reg_used, .wire_name = "used"),
};
static const struct ferry_table registers_table = {
    .name = "virtio_mmio/queue_state",
    .version = 1,
    .minimum_version = 1,
    FERRY_FIELDS(registers_fields),
};
static const struct ferry_field modern_fields[] = {
    FERRY_U32_ARRAY(struct virtio_dev, guest_features),
    FERRY_STRUCT_ARRAY(struct virtio_dev, queues, &registers_table, .wire_name = "vqs"),
    FERRY_UNUSED(VIRTIO_WIRE_ABSENT * 27),
};
static const struct ferry_table modern_table = {
    .name = "virtio_mmio/state",
    .version = 1,
    .minimum_version = 1,
    FERRY_FIELDS(modern_fields),
};
static const struct ferry_table *const extra_subsections[] = {&modern_table, NULL};
const struct ferry_table virtio_mmio_extra_table = {
    .name = "virtio_mmio",
    .version = 1,
    .minimum_version = 1,
    .subsections = extra_subsections,
};
