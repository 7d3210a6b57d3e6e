/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Saved state that all virtio devices share, with QEMU's layout. A device's section is one table
 * named "virtio" and nothing else. What is its transport's (T) stands before, inside and behind:
 *
 *     T: its registers                                          VIRTIO_STATE_COMMON
 *     status, features, config
 *     queues; T says what each has
 *     the device's own part
 *     subsections "virtio/..."; T has one of them               virtio_subsections
 *
 * A transport has two tables for that, in <transport>_state.c. Its registers are members of struct
 * virtio_dev, because a table names members of one object.
 *
 * The used indices are not in it: they are read from guest memory, which is loaded before.
 */
#pragma once

#include <ferry/state.h>

#include "vmm/dev/virtio/device.h"

/* A line for each transport, with .present if there is more than one. */
extern const struct ferry_table virtio_mmio_common_table;
extern const struct ferry_table virtio_mmio_extra_table; /* in virtio/extra_state */
#define VIRTIO_STATE_COMMON(T) FERRY_SELF(T, "common", &virtio_mmio_common_table)

/* The fields that follow the transport's own, whose table for a queue is queue_table_. */
#define VIRTIO_STATE_FIELDS(queue_table_)                                                   \
    FERRY_U8(struct virtio_dev, status),                                                    \
        FERRY_U8(struct virtio_dev, isr, .max = VIRTIO_ISR_QUEUE | VIRTIO_ISR_CONFIG),      \
        FERRY_U16(struct virtio_dev, queue_sel, .max = VIRTIO_WIRE_QUEUES - 1),             \
        FERRY_U32(struct virtio_dev, wire_features_low, .wire_name = "guest_features_low"), \
        FERRY_U32(struct virtio_dev, wire_config_bytes, .wire_name = "config_len"),         \
        FERRY_VBYTES(struct virtio_dev, config, wire_config_bytes),                         \
        FERRY_U32(struct virtio_dev, wire_queue_count, .wire_name = "queues_len"),          \
        FERRY_STRUCT_VARRAY(struct virtio_dev, queues, wire_queue_count, queue_table_)

/* Arrays of queues in subsections have this many, used or not. */
#define VIRTIO_WIRE_QUEUES 1024u
#define VIRTIO_WIRE_ABSENT (VIRTIO_WIRE_QUEUES - VIRTIO_QUEUES_MAX)

extern const struct ferry_table *const virtio_subsections[];

/*
 * Before a save, harts stopped: a device whose rings contradict it breaks. Its reader would refuse
 * such a state, and a guest that wants to stay where it is could so forbid its own move.
 */
void virtio_state_settle(struct virtio_dev *v);

/* The hooks of every table named "virtio". */
void virtio_state_pre_save(void *obj);
void virtio_state_pre_load(void *scratch);
int virtio_state_check(const void *scratch, struct ferry_err *err);
void virtio_state_post_load(void *obj);

/* After a load: what was taken from a ring and not given back is taken again. For devices that
 * finish requests in order and may do one twice. */
void virtio_state_rewind(struct virtio_dev *v);

/* For checks: requests of a queue that were taken and not finished. */
uint16_t virtio_state_taken(const struct virtio_dev *scratch, uint32_t index);

/* check_ and post_load_ begin with virtio_state_check() and virtio_state_post_load(). */
#define VIRTIO_STATE_TABLE(fields_, check_, post_load_)                          \
    .name = "virtio", .version = 1, .minimum_version = 1, FERRY_FIELDS(fields_), \
    .subsections = virtio_subsections, .pre_save = virtio_state_pre_save,        \
    .pre_load = virtio_state_pre_load, .check = (check_), .post_load = (post_load_)
