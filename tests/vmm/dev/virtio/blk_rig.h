/* SPDX-License-Identifier: Apache-2.0 */
/* A disk of 16 MiB in a vrig, and its driver: one request at a time, or several in flight. */
#pragma once

#include "tests/vmm/dev/virtio/vrig.h"
#include "vmm/dev/virtio/blk.h"
#include "vmm/dev/virtio/mmio.h"

#define DISK_BYTES (UINT64_C(16) << 20)
#define HEADER_GPA (VRIG_RAM_GPA + 0x1000)
#define DATA_GPA   (VRIG_RAM_GPA + 0x100000)
#define STATUS_GPA (VRIG_RAM_GPA + 0x2000)

enum { IN = 0, OUT = 1, SCSI = 2, FLUSH = 4, GET_ID = 8, DISCARD = 11, WRITE_ZEROES = 13 };
enum { OK = 0, IOERR = 1, UNSUPP = 2, NONE = 0xff };

#define F_RO         VIRTIO_BIT(5)
#define F_FLUSH      VIRTIO_BIT(9)
#define F_CONFIG_WCE VIRTIO_BIT(11)
#define F_MQ         VIRTIO_BIT(12)

struct fix {
    struct vrig *r;
    struct block *block;
    char path[40];
    int fd; /* of the image */
    struct vring *q;
    int errors;                    /* that the operator would have heard of */
    struct virtio_blk_error error; /* the last */
};

struct fix *fix_new(bool legacy, bool readonly, uint32_t num_queues);
struct fix *fix_new_of(bool legacy, bool readonly, uint32_t num_queues, uint64_t disk_bytes);
/* Waits for what is in flight. */
void fix_free(struct fix *f);
/* One queue of 16, the driver has started. */
struct fix *started(bool legacy, uint64_t features);

uint64_t data_of(uint16_t at);
/* Offer a request with `bytes` of data at data_of(at), in descriptors at, at + 1, at + 2. */
void offer(struct fix *f, struct vring *q, uint16_t at, uint32_t type, uint64_t sector,
           uint32_t bytes, bool to_guest);
/* The status of a request that was offered at this place. */
uint8_t status_of(struct fix *f, uint16_t at);
/* Offer at 0, kick, wait: its status. */
int run(struct fix *f, uint32_t type, uint64_t sector, uint32_t bytes, bool to_guest);
void fill(uint8_t *p, size_t n, unsigned seed);
const struct ferry_part_ops *ops(struct fix *f);
/* The guest runs from now on. */
void retry(struct fix *f);
