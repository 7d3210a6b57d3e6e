/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Split virtqueues (virtio 1.2, 2.7), legacy and modern layout, with indirect descriptors and
 * event index.
 *
 * Every byte in a ring is the guest's and may change while it is looked at: each is read once,
 * then bounded. What does not make sense breaks the device (virtio_break), never more. All under
 * the machine lock.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct guestmem;
struct virtio_dev;

#define VIRTIO_CHAIN_MAX  1024u /* parts of one request, those of an indirect table included */
#define VIRTIO_RING_ALIGN 4096u /* of a legacy used ring, unless the driver says otherwise */

/*
 * Who serves a queue: one of a device's own handlers, or what does it in its place. The queues of a
 * device may have different ones. All with the machine lock held.
 */
struct virtio_queue_owner {
    /* There may be requests. NULL: it looks when it has something for the guest. */
    void (*kick)(struct virtio_dev *v, uint32_t index);
    /* kick may take milliseconds: not on a hart, which may have to stop, nor in a pause, but by the
     * main thread, from its loop. */
    bool slow;
    /* The queue is to be reset: end soon what is in flight. NULL: it is short. */
    void (*cancel)(struct virtio_dev *v, uint32_t index);
    /* The queue alone is reset, nothing of it is in flight: forget what is kept of it. NULL:
     * nothing is. */
    void (*reset)(struct virtio_dev *v, uint32_t index);
};

struct virtio_queue {
    const struct virtio_queue_owner *owner; /* loan */
    /* Saved state (state.c). */
    uint32_t num; /* 0: no such queue */
    uint32_t num_default;
    uint32_t num_max; /* for life: the largest that the driver is offered */
    uint32_t align;   /* legacy */
    uint64_t desc_gpa;
    uint64_t avail_gpa;
    uint64_t used_gpa;
    uint16_t last_avail; /* the next one to pop */
    /* What a modern driver has written; it becomes the above when the queue is made ready. */
    uint16_t reg_num;
    bool reg_ready;
    uint32_t reg_desc[2]; /* low, high */
    uint32_t reg_avail[2];
    uint32_t reg_used[2];

    /* Derived. */
    uint8_t *desc; /* host memory of the rings; NULL while there are none */
    uint8_t *avail;
    uint8_t *used;
    uint16_t used_idx;
    uint16_t in_use;   /* popped and not pushed */
    uint16_t inflight; /* of those, what other threads work on */
    bool resetting;    /* by QUEUE_RESET, as soon as inflight is 0; no kick is heard */
    bool unsignalled;  /* published since the guest's wish was last asked */
    uint16_t signalled_used;
    bool signalled_valid; /* false: the next push interrupts whatever the event index says */
};

/* A request as popped. Device-readable parts first, then device-writable ones. */
struct virtio_chain {
    uint16_t head;
    uint32_t out_count;
    uint32_t in_count;
    uint64_t out_bytes;
    uint64_t in_bytes;
    struct iovec iov[VIRTIO_CHAIN_MAX];
    uint64_t gpa[VIRTIO_CHAIN_MAX];
};

/* Look up the rings at their guest addresses; without any, or with senseless ones, the queue is
 * not ready. Returns 0 or -EFAULT; `used_idx` is read from the guest. */
int virtqueue_map(struct virtio_queue *q, const struct guestmem *mem);
void virtqueue_reset(struct virtio_queue *q);
/* Legacy: addresses of the avail and used ring follow from desc_gpa, num and align. */
void virtqueue_layout_legacy(struct virtio_queue *q);

static inline bool virtqueue_ready(const struct virtio_queue *q)
{
    return q->desc != NULL;
}

/* Heads that the guest has made available and nobody has popped; -EINVAL: broken. */
int virtqueue_available(struct virtio_dev *v, struct virtio_queue *q);
/* 1 and the chain, 0: empty, -EINVAL: broken. */
int virtqueue_pop(struct virtio_dev *v, struct virtio_queue *q, struct virtio_chain *ret);
/* Read the chain of a head that was popped before. 0 or -EINVAL: broken. */
int virtqueue_chain(struct virtio_dev *v, struct virtio_queue *q, uint16_t head,
                    struct virtio_chain *ret);
/* Take back the last pop. */
void virtqueue_unpop(struct virtio_queue *q);
/* Bytes of guest memory that were stored, for the dirty log; before the guest is told. */
void virtqueue_mark_written(struct virtio_dev *v, const struct virtio_chain *chain, uint64_t bytes);
/*
 * Put a popped head into the used ring, `ahead` places after the last published one, and publish
 * `count` of them. virtqueue_push() does both for one.
 */
void virtqueue_fill(struct virtio_dev *v, struct virtio_queue *q, uint16_t head, uint32_t bytes,
                    uint16_t ahead);
void virtqueue_publish(struct virtio_dev *v, struct virtio_queue *q, uint16_t count);
void virtqueue_push(struct virtio_dev *v, struct virtio_queue *q, uint16_t head, uint32_t bytes);
/* Interrupt, if the guest wants one for what was pushed since the last time. */
void virtqueue_interrupt(struct virtio_dev *v, struct virtio_queue *q);
/*
 * Ask the guest (not) to kick for what it makes available from now on. Enabling: look whether the
 * queue is empty again afterwards.
 */
void virtqueue_want_kick(struct virtio_dev *v, struct virtio_queue *q, bool want);
