/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside vmm/dev/virtio: the disk, between
 *
 *   blk.c           what the guest asks: requests taken apart and checked, config space
 *   blk_requests.c  what the block layer has of them, and those that the host fails
 *   blk_state.c     the saved state
 *
 * With the machine lock held, unless said otherwise.
 */
#pragma once

#include "vmm/backend/block.h"
#include "vmm/dev/virtio/device.h"

#define BLK_SERIAL_BYTES 20u

struct bell;
struct blk_request;

/* Requests of a sender that could not finish them; done again here. Bounds what a stream brings. */
#define BLK_RESUBMIT_MAX 1024u

struct blk_resubmit_entry {
    uint16_t queue;
    uint16_t head;
};

struct blk_resubmit {
    uint32_t count;
    struct blk_resubmit_entry entries[BLK_RESUBMIT_MAX];
};

struct virtio_blk {
    struct virtio_dev v; /* first */
    struct block *block; /* loan */
    char serial[BLK_SERIAL_BYTES];
    bool discard, write_zeroes;   /* offered */
    bool writeback;               /* that switch */
    struct blk_resubmit resubmit; /* taken from the rings, to be done when the guest goes on */
    bool held;                    /* ... not before virtio_blk_retry(): they failed, or came so */
    uint64_t ram_bytes;           /* of the machine: no request can mean more */

    /* Requests that the block layer has (blk_requests.c). */
    struct blk_request *oldest, *newest;
    uint64_t starved; /* queues not looked at for want of room: bit = index */

    enum config_on_error on_read_error, on_write_error;
    void (*on_error)(void *arg, const struct virtio_blk_error *error);
    struct bell *error_bell;
    struct virtio_blk_error error; /* to be told by the main thread */
    bool error_pending;
    int64_t error_next_ns; /* the main thread's */
};

#define BLK_CONFIG_WCE 32u /* offset of the write cache switch in config space */

static inline struct virtio_blk *blk_of(struct virtio_dev *v)
{
    return (struct virtio_blk *)v;
}

enum { BLK_S_OK = 0, BLK_S_IOERR = 1, BLK_S_UNSUPP = 2 };

/* A request as it is taken apart: what is left of the chain's parts. */
struct blk_parse {
    struct virtio_chain *chain;
    struct iovec *out;
    size_t out_count;
    uint64_t out_bytes;
    struct iovec *in;
    uint64_t in_bytes;
    uint8_t *status; /* guest memory */
    uint64_t status_gpa;
    uint32_t queue;
    bool popped; /* from the avail ring; else it is done once more */
};

/* Without the block layer: one of BLK_S_*. */
void blk_finish_now(struct virtio_blk *blk, const struct blk_parse *p, uint8_t result);
/* Copies io, whose parts are guest memory. One that there is no memory for is finished: IOERR. */
void blk_submit(struct virtio_blk *blk, const struct blk_parse *p, const struct block_request *io);
bool blk_has_room(const struct virtio_blk *blk); /* for one more */
/* Queues that were not looked at for want of room. */
void blk_feed(struct virtio_blk *blk);
/*
 * Before a pause. What no worker has begun goes back, the newest first, as rings allow it; what
 * takes long is ended at its next piece. All else is done within moments.
 */
void blk_quiesce(struct virtio_dev *v);
/* Of a queue that is to be reset: nobody waits for them any more. */
void blk_cancel(struct virtio_dev *v, uint32_t index);
/* Main thread, lock not held: tells the operator what failed. */
void blk_error_bell(void *blk);

extern const struct ferry_table virtio_blk_table;
