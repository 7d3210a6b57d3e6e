/* SPDX-License-Identifier: Apache-2.0 */
/* Inside vmm/dev/virtio: the disk, between blk.c (what the guest asks) and blk_state.c. */
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

    /* Requests that the block layer has (blk.c). */
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

extern const struct ferry_table virtio_blk_table;
