/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtio device behind an MMIO transport (virtio 1.2, sections 2 and 4.2): what all of them
 * share. A device is one file beside this one: struct virtio_type says which, its constructor
 * below is what the board calls. Section name: "virtio-mmio@<slot address>/virtio-blk".
 *
 *   mmio.c    registers            queue.c   rings
 *   device.c  status, features, interrupt, life      state.c  saved state
 *
 * All of it runs with the machine lock held. A guest can put a device into the state `broken` (it
 * then does nothing but wait for a reset), never the VMM.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ferry/err.h>

#include "vmm/dev/dev.h"
#include "vmm/machine/config.h"

struct block;
struct net;

#define VIRTIO_MMIO_BYTES       0x200u
#define VIRTIO_QUEUES_MAX       64u
#define VIRTIO_QUEUE_NUM_MAX    1024u
#define VIRTIO_CONFIG_BYTES_MAX 64u

/* QEMU's names: what becomes of a request that failed. */
enum virtio_blk_action {
    VIRTIO_BLK_REPORT = 1, /* the guest is told */
    VIRTIO_BLK_IGNORE,     /* the guest is told that it was done */
    VIRTIO_BLK_STOP,       /* it is kept until virtio_blk_retry(); the guest is to be stopped */
};
struct virtio_blk_error {
    struct block *block;
    bool write; /* or flush, discard, write zeroes */
    enum virtio_blk_action action;
    int errnum;
};

/* What the board gives to each constructor. */
struct virtio_params {
    const struct dev_env *env;
    uint64_t slot_gpa; /* of the transport; names the section */
    struct irq_line irq;
    bool legacy;          /* register version 1 */
    uint32_t queue_num;   /* size of each queue until the driver says; 0: the device's own */
    bool queue_num_fixed; /* ... which may then make it smaller only */
    const struct config_device *config; /* loan during the call */
    /* The last request in flight after quiesce is done; main thread, lock not held. */
    void (*on_drained)(void *arg);
    /* reset_begin answered false, and now nothing is in flight; the same way. */
    void (*on_calm)(void *arg);
    /* blk: the host failed a request; the same way. The error is a loan during the call. */
    void (*on_disk_error)(void *arg, const struct virtio_blk_error *error);
    void *arg; /* of all three */
};

/*
 * Created, not attached: the backend may not have its fd yet. The backend is a loan for the
 * device's life. Free with dev_free(), before the backend; register with type->mmio.
 */
int virtio_blk_new(struct dev **ret, const struct virtio_params *params, struct block *block,
                   struct ferry_err *err) FERRY_MUST_CHECK;
int virtio_net_new(struct dev **ret, const struct virtio_params *params, struct net *net,
                   struct ferry_err *err) FERRY_MUST_CHECK;
/*
 * The guest runs from now on: requests that it stopped for, or that came with it undone, are done.
 * Lock held. Devices of other types have none.
 */
void virtio_blk_retry(struct dev *d);
/*
 * Tell the network where the card is now: a RARP frame, and the driver is asked to say it its own
 * way if it can. Lock held. Devices of other types have nothing to tell.
 */
void virtio_net_announce(struct dev *d);
int virtio_rng_new(struct dev **ret, const struct virtio_params *params,
                   struct ferry_err *err) FERRY_MUST_CHECK;
/* A slot without a device. It answers magic, version and vendor, and has no saved state: it is no
 * part. config is not used. */
int virtio_empty_new(struct dev **ret, const struct virtio_params *params,
                     struct ferry_err *err) FERRY_MUST_CHECK;
