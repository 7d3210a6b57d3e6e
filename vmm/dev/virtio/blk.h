/* SPDX-License-Identifier: Apache-2.0 */
/* Inside vmm/dev/virtio: the disk, between blk.c (what the guest asks) and blk_state.c. */
#pragma once

#include "vmm/backend/block.h"
#include "vmm/dev/virtio/device.h"

#define BLK_SERIAL_BYTES 20u

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
    bool discard, write_zeroes; /* offered */
    bool writeback;             /* that switch */
    struct blk_resubmit resubmit;
};

#define BLK_CONFIG_WCE 32u /* offset of the write cache switch in config space */

extern const struct ferry_table virtio_blk_table;
