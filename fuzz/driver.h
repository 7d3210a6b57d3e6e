/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest's virtio driver, as far as a fuzzer needs one to get deep: it negotiates, makes rings in
 * RAM and puts chains into them, all of it right. What is wrong then is the fuzzer's.
 *
 * Each slot has DRIVER_SLOT_BYTES of RAM for its rings from DRIVER_RINGS on; behind all of them,
 * from DRIVER_DATA on, is the data. Offsets are of RAM.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fuzz/machine.h"

#define DRIVER_SLOTS      8u
#define DRIVER_QUEUES     4u
#define DRIVER_NUM_MAX    64u
#define DRIVER_RINGS      UINT64_C(0x400000)
#define DRIVER_SLOT_BYTES UINT64_C(0x10000)
#define DRIVER_DATA       UINT64_C(0x500000)
#define DRIVER_SEGS_MAX   32u

struct driver_seg {
    uint64_t gpa;
    uint32_t bytes;
    uint16_t flags; /* DRIVER_SEG_...; NEXT is the driver's */
};
#define DRIVER_SEG_WRITE 2u

struct driver_queue {
    uint16_t num;
    uint16_t avail_idx;
    uint16_t next_desc;
    uint64_t desc, avail, used; /* offsets */
};

struct driver {
    struct machine *m;
    bool modern;
    struct driver_queue queues[DRIVER_SLOTS][DRIVER_QUEUES];
};

void driver_write(struct driver *d, unsigned slot, unsigned reg, uint32_t value);
uint32_t driver_read(struct driver *d, unsigned slot, unsigned reg);
/* Reset, features (what is offered and in mask), queues of num entries, DRIVER_OK. */
void driver_start(struct driver *d, unsigned slot, uint64_t mask, uint16_t num);
/* One queue alone: again after a reset of it, or while it runs. */
void driver_set_up_queue(struct driver *d, unsigned slot, unsigned queue, uint16_t num);
/* Makes the chain available. Indirect: in a table of its own. */
void driver_put(struct driver *d, unsigned slot, unsigned queue, const struct driver_seg *segs,
                unsigned count, bool indirect);
void driver_kick(struct driver *d, unsigned slot, unsigned queue);
