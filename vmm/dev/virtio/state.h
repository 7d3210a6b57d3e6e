/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Saved state that all virtio devices share, with QEMU's layout. A device's section is one table
 * named "virtio" and nothing else:
 *
 *     transport registers, status, features, config, queues    virtio_common_table
 *     the device's own part
 *     subsections "virtio/..."                                 virtio_subsections
 *
 * The used indices are not in it: they are read from guest memory, which is loaded before.
 */
#pragma once

#include <ferry/state.h>

#include "vmm/dev/virtio/device.h"

extern const struct ferry_table virtio_common_table;
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
