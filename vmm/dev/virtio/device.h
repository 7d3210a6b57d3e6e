/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside vmm/dev/virtio: the struct that every virtio device begins with, and what a device is to
 * the files they share.
 *
 * Life of a request: the guest puts a chain into the avail ring and kicks; the queue's owner pops
 * it (virtqueue_pop), which makes it `in use`; sooner or later it is pushed to the used ring with
 * an interrupt if the guest wants one. A device that finishes requests on other threads counts them
 * in `inflight`: a quiesce tells when the last is done. While `quiesced`, a kick must take nothing
 * that it does not finish before it returns.
 *
 * A reset takes as long as what is in flight, since a disk that still reads into guest memory must
 * not do so once the driver has it back; nobody waits for it inside a handler. The driver's store
 * is put off (-EAGAIN), as drivers of this transport do not poll the status; a queue's reset they
 * do poll, so it shows in its register. Other queues are served meanwhile.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/backend/bell.h"
#include "vmm/dev/virtio/kind.h"
#include "vmm/dev/virtio/mmio.h"
#include "vmm/dev/virtio/queue.h"
#include "vmm/dev/virtio/transport.h"
#include "vmm/dev/virtio/virtio.h"

/* Device status (virtio 1.2, 2.1). */
#define VIRTIO_STATUS_DRIVER_OK   0x04u
#define VIRTIO_STATUS_FEATURES_OK 0x08u
#define VIRTIO_STATUS_NEEDS_RESET 0x40u

#define VIRTIO_ISR_QUEUE  0x01u
#define VIRTIO_ISR_CONFIG 0x02u

/* Features of the transport and the rings; feature bit numbers are shared with the device's own. */
#define VIRTIO_F_NOTIFY_ON_EMPTY 24 /* legacy */
#define VIRTIO_F_ANY_LAYOUT      27 /* legacy */
#define VIRTIO_F_INDIRECT_DESC   28
#define VIRTIO_F_EVENT_IDX       29
#define VIRTIO_F_VERSION_1       32
#define VIRTIO_F_RING_RESET      40
#define VIRTIO_BIT(n)            (UINT64_C(1) << (n))

struct virtio_dev;

/* A queue as its device makes it. */
struct virtio_queue_spec {
    uint32_t num; /* its size until the driver says */
    const struct virtio_queue_owner *owner;
};

struct virtio_type {
    struct dev_type dev; /* first */
    uint32_t device_id;
    /* Bring v->config up to date before the guest reads it; may be NULL. */
    void (*config_get)(struct virtio_dev *v);
    /* The guest wrote size_bytes at offset of v->config; may be NULL: it is put back. */
    void (*config_set)(struct virtio_dev *v, uint32_t offset, uint32_t size_bytes);
    /* v->features have changed by negotiation (not by a load); may be NULL. */
    void (*features_set)(struct virtio_dev *v);
    void (*reset)(struct virtio_dev *v); /* may be NULL; nothing is in flight */
    /* Give back to the rings what need not be finished before a pause; may be NULL. */
    void (*quiesce)(struct virtio_dev *v);
    /* Before the queues are looked at again after a load, a pause or a quiesce; may be NULL. */
    void (*resume)(struct virtio_dev *v);
    /* As a part's (<ferry/part.h>): of name only what follows "disk on virtio-mmio-bus.7: ". May be
     * NULL: everything the guest sees is in the options. */
    int (*fact_at)(const struct virtio_dev *v, size_t index, struct ferry_fact *ret);
};

struct virtio_dev {
    struct dev dev;                           /* first */
    const struct virtio_transport *transport; /* loan */
    struct bell *bell;                        /* wakes the main thread for what it has to do here */
    char where[VIRTIO_WHERE_BYTES];           /* of the place */
    bool legacy;                              /* drivers that do not know version 1 are served */
    uint32_t config_bytes;
    uint64_t host_features; /* what is offered */
    uint32_t queue_count;

    /* What a driver has written and reads, through whichever transport; and what only one has. */
    uint16_t queue_sel;
    uint32_t guest_features[2]; /* modern: until FEATURES_OK */
    uint32_t config_generation;
    struct virtio_mmio mmio;

    uint8_t status;
    uint8_t isr;
    bool started; /* DRIVER_OK, or kicked by a legacy driver before it */
    bool broken;  /* the guest broke the rules: nothing but a reset is heard */
    uint64_t features;
    uint8_t config[VIRTIO_CONFIG_BYTES_MAX]; /* as the guest last saw it */
    struct virtio_queue queues[VIRTIO_QUEUES_MAX];

    /* On the wire only (state.c). */
    uint32_t wire_features_low;
    uint64_t wire_features;
    uint32_t wire_config_bytes;
    uint32_t wire_queue_count;

    uint32_t inflight; /* requests other threads work on */
    bool quiesced;
    bool paused;
    bool drain_wanted;  /* on_drained has to be called when inflight is 0 */
    bool resetting;     /* as soon as inflight is 0; no kick is heard */
    bool reset_awaited; /* on_calm has to be called then */
    bool warned;
    uint64_t kicked;     /* queues to look at again, by the main thread: bit = index */
    pthread_cond_t idle; /* inflight is 0 */
    void (*on_drained)(void *arg);
    void (*on_calm)(void *arg);
    void *arg;                  /* of both */
    struct virtio_chain *chain; /* owned; the one being looked at */
};

/* What the constructors of devices share. */
int virtio_dev_new(struct virtio_dev **ret, const struct virtio_type *type,
                   const struct virtio_params *params, uint64_t features, uint32_t config_bytes,
                   const struct virtio_queue_spec *queues, uint32_t queue_count,
                   struct ferry_err *err) FERRY_MUST_CHECK;
int virtio_dev_create(struct dev *d, struct ferry_err *err) FERRY_MUST_CHECK;
void virtio_dev_destroy(struct dev *d);
void virtio_dev_reset(struct dev *d);
bool virtio_dev_reset_begin(struct dev *d);
extern const struct ferry_part_ops virtio_part_ops;

/* struct virtio_type.dev: what is behind every transport, which has the registers. */
#define VIRTIO_DEV(type_name, type, destroy_fn, state_table)                                     \
    {                                                                                            \
        .name = type_name, .size_bytes = sizeof(type), .create = virtio_dev_create,              \
        .destroy = destroy_fn, .reset = virtio_dev_reset, .reset_begin = virtio_dev_reset_begin, \
        .table = state_table, .part_ops = &virtio_part_ops,                                      \
    }

static inline const struct virtio_type *virtio_type(const struct virtio_dev *v)
{
    return (const struct virtio_type *)v->dev.type;
}

static inline bool virtio_has(const struct virtio_dev *v, unsigned feature_bit)
{
    return v->features & VIRTIO_BIT(feature_bit);
}

/* Drivers that know version 1 are served, which does not mean that this one does. */
static inline bool virtio_is_modern(const struct virtio_dev *v)
{
    return v->host_features & VIRTIO_BIT(VIRTIO_F_VERSION_1);
}

/* The driver, as far as it has said. */
static inline bool virtio_driver_is_legacy(const struct virtio_dev *v)
{
    return v->legacy && !virtio_has(v, VIRTIO_F_VERSION_1);
}

/* Returns 0, or -EINVAL if not all are offered; then those that are, are set. */
int virtio_set_features(struct virtio_dev *v, uint64_t features);
/* 0, or -EAGAIN: a reset that is not over. */
int virtio_set_status(struct virtio_dev *v, uint8_t status);
/* Reset by the guest: 0, or -EAGAIN: it happens when nothing is in flight any more. */
int virtio_reset(struct virtio_dev *v);
void virtio_queue_reset(struct virtio_dev *v, uint32_t index);
void virtio_kick(struct virtio_dev *v, uint32_t index);
/* The same later, on the main thread: for handlers that have done enough for one turn. */
void virtio_kick_later(struct virtio_dev *v, uint32_t index);
/* Something of this queue was used: interrupt the driver, whatever it wishes. */
void virtio_interrupt(struct virtio_dev *v, uint32_t index);
void virtio_config_changed(struct virtio_dev *v);
/* The guest broke the rules. The first time the operator reads it. */
void virtio_break(struct virtio_dev *v, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Another thread has one more request of this queue. */
void virtio_inflight_add(struct virtio_dev *v, uint32_t index);
/* One is done, after it was pushed. */
void virtio_inflight_done(struct virtio_dev *v, uint32_t index);
