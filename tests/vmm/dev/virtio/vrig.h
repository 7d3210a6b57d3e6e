/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A machine with guest memory around one virtio device, and the driver's side of its rings: the
 * tests are the guest.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/dev/virtio/virtio.h"

#define VRIG_RAM_GPA   UINT64_C(0x80000000)
#define VRIG_RAM_BYTES (UINT64_C(128) << 20)
#define VRIG_ROM_GPA   UINT64_C(0x1000)
#define VRIG_QUEUES    8u
#define VRIG_SLOT      7u
#define VRIG_SLOT_GPA  UINT64_C(0x10008000)

#define DESC_NEXT     1u
#define DESC_WRITE    2u
#define DESC_INDIRECT 4u

/* A ring as the driver sees it. */
struct vring {
    uint32_t index;
    uint32_t num;
    uint64_t desc_gpa, avail_gpa, used_gpa;
    uint16_t avail_idx;
    uint16_t seen; /* used entries taken */
};

struct vrig {
    struct loop *loop;
    struct machine_lock lock;
    struct ferry_ram *ram;
    struct guestmem mem;
    struct dev_env env;
    struct virtio_params params;
    union {
        struct config_virtio virtio;
        struct config_disk disk;
        struct config_balloon balloon;
    } config;
    struct dev *dev; /* whoever makes it; freed by vrig_free */
    struct vring rings[VRIG_QUEUES];
    bool legacy;
    int irq_level;
    int irqs; /* how often the device said high */
    int drained;
    int calm;
    void *user; /* of the test */
};

/* Device options as the command line has them by default. */
struct vrig *vrig_new(bool legacy);
void vrig_free(struct vrig *r);
/* The loop, until *done or a second is over. */
void vrig_run_until(struct vrig *r, const int *done, int at_least);
void vrig_run_for_ms(struct vrig *r, int ms);

uint32_t vrig_read(struct vrig *r, uint64_t offset);
uint64_t vrig_read_size(struct vrig *r, uint64_t offset, unsigned size_bytes);
void vrig_write(struct vrig *r, uint64_t offset, uint32_t value);
/* As a hart does it: what is put off is written again. */
void vrig_write_size(struct vrig *r, uint64_t offset, unsigned size_bytes, uint64_t value);
/* Once: 0 or -EAGAIN. */
int vrig_try_write(struct vrig *r, uint64_t offset, uint32_t value);
uint8_t *vrig_mem(struct vrig *r, uint64_t gpa);

/* Reset, negotiate exactly these features (VERSION_1 is added), queues of num, DRIVER_OK. */
void vrig_start(struct vrig *r, uint64_t features, uint32_t queue_count, uint32_t num);
/* Only a part of that. */
void vrig_negotiate(struct vrig *r, uint64_t features);
struct vring *vrig_queue(struct vrig *r, uint32_t index, uint32_t num);
void vrig_driver_ok(struct vrig *r);

/* A descriptor of a table anywhere; of the ring's own. */
void vring_at(struct vrig *r, uint64_t table_gpa, uint32_t i, uint64_t gpa, uint32_t bytes,
              uint16_t flags, uint16_t next);
void vring_desc(struct vrig *r, struct vring *q, uint32_t i, uint64_t gpa, uint32_t bytes,
                uint16_t flags, uint16_t next);
void vring_offer(struct vrig *r, struct vring *q, uint16_t head);
void vring_kick(struct vrig *r, struct vring *q);
uint16_t vring_used(struct vrig *r, const struct vring *q);
/* Wait for the next used entry; its length. -1: none within 2 s. */
int64_t vring_take(struct vrig *r, struct vring *q, uint32_t *head);

bool vrig_broken(struct vrig *r);
