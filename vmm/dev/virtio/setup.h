/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a driver does through the registers of whichever transport: it reads and writes the config
 * space, and sets up queues. Every value is the guest's, none has been checked. Features, status
 * and resets are in device.h.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "vmm/dev/virtio/device.h"

/* Of 1, 2 or 4 bytes; past the end of the config space it reads all ones and is not written. */
uint64_t virtio_config_read(struct virtio_dev *v, uint64_t offset, unsigned size_bytes);
void virtio_config_write(struct virtio_dev *v, uint64_t offset, unsigned size_bytes,
                         uint64_t value);

/* The queue that v->queue_sel says; NULL: there is none. */
struct virtio_queue *virtio_selected(struct virtio_dev *v);
/* May the driver make it so long? */
bool virtio_queue_can_hold(const struct virtio_queue *q, uint32_t num);
/* Modern: what was written to its registers becomes the queue, or it is no queue any more. */
void virtio_queue_set_ready(struct virtio_dev *v, struct virtio_queue *q, bool ready);
/* Legacy: base, length or alignment has changed. */
void virtio_queue_place(struct virtio_dev *v, struct virtio_queue *q);
