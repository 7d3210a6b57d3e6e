/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtio device (virtio 1.2, section 2): what all of them share. A device is one file beside this
 * one: struct virtio_type says what it does, struct virtio_kind what it is called and how it is
 * made. It is reached through a transport, another file, whose place for it names its section:
 * "virtio-mmio@0000000010008000/virtio-blk".
 *
 *   mmio.c    a transport: registers, interrupt   setup.c   what registers do to config and queues
 *   device.c  status, features, life              queue.c   rings
 *   state.c   saved state
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
#include "vmm/dev/virtio/transport.h"
#include "vmm/machine/config.h"
#include "vmm/machine/device_kind.h"

struct block;
struct net;

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
    struct virtio_place place;
    uint32_t queue_num;   /* size of each queue until the driver says; 0: the device's own */
    bool queue_num_fixed; /* ... which may then make it smaller only */
    const struct config_virtio *config; /* of the device's kind; loan during the call */
    struct block *block;                /* blk: what it uses, a loan for the device's life */
    struct net *net;                    /* net: the same */
    /* The last request in flight after quiesce is done; main thread, lock not held. */
    void (*on_drained)(void *arg);
    /* reset_begin answered false, and now nothing is in flight; the same way. */
    void (*on_calm)(void *arg);
    /* blk: the host failed a request; the same way. The error is a loan during the call. */
    void (*on_disk_error)(void *arg, const struct virtio_blk_error *error);
    /* balloon: the driver has given back or taken pages; the same way. */
    void (*on_balloon_change)(void *arg);
    void *arg; /* of all four */
};

/* A kind of virtio device, and how it is made; what a device's file needs for it is in kind.h. */
struct virtio_kind {
    struct device_kind kind; /* first */
    /*
     * Created, not attached: the backend may not have its fd yet. Free with dev_free(), before the
     * backend.
     */
    int (*create)(struct dev **ret, const struct virtio_params *params,
                  struct ferry_err *err) FERRY_MUST_CHECK;
};

#define VIRTIO_KIND(name) extern const struct virtio_kind name;
#include "vmm/dev/virtio/kinds.def"
#undef VIRTIO_KIND

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
/* The power key, down and up. False: no driver has room for that, or d is no keyboard. Lock held;
 * not while the guest is paused. */
bool virtio_input_press_power(struct dev *d);
/* How much memory the guest shall do without, and how much it does. False: d is no balloon. Lock
 * held. */
bool virtio_balloon_set(struct dev *d, uint64_t bytes);
bool virtio_balloon_get(const struct dev *d, uint64_t *ret_bytes);
/* A slot without a device. It answers magic, version and vendor, and has no saved state: it is no
 * part. config is not used. */
int virtio_empty_new(struct dev **ret, const struct virtio_params *params,
                     struct ferry_err *err) FERRY_MUST_CHECK;
