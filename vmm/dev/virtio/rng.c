/* SPDX-License-Identifier: Apache-2.0 */
/* Entropy source (virtio 1.2, section 5.4): fills what the guest gives from getrandom(2). */
#include <errno.h>
#include <sys/random.h>

#include "base/num.h"
#include "vmm/dev/virtio/device.h"
#include "vmm/dev/virtio/state.h"

#define RNG_QUEUE_NUM     8u
/* Most bytes of one request: it is filled with the machine lock held. The guest asks for more. */
#define RNG_REQUEST_BYTES 4096u
#define RNG_TURN_REQUESTS 16u

struct virtio_rng {
    struct virtio_dev v; /* first, and all */
};

static uint32_t rng_fill(const struct virtio_chain *chain)
{
    uint64_t want = num_min(chain->in_bytes, RNG_REQUEST_BYTES);
    uint32_t filled = 0;

    for (uint32_t i = chain->out_count; filled < want; i++) {
        size_t n = num_min(want - filled, chain->iov[i].iov_len), at = 0;

        while (at < n) {
            ssize_t r = getrandom((uint8_t *)chain->iov[i].iov_base + at, n - at, 0);

            if (r < 0 && errno != EINTR)
                return filled;
            at += r > 0 ? (size_t)r : 0;
        }
        filled += (uint32_t)n;
    }
    return filled;
}

static void rng_kick(struct virtio_dev *v, uint32_t index)
{
    struct virtio_queue *q = &v->queues[index];

    for (uint32_t i = 0; virtqueue_pop(v, q, v->chain) > 0; i++) {
        uint32_t filled = rng_fill(v->chain);

        virtqueue_mark_written(v, v->chain, filled);
        virtqueue_push(v, q, v->chain->head, filled);
        if (i == RNG_TURN_REQUESTS) {
            virtio_kick_later(v, index);
            break;
        }
    }
    virtqueue_want_kick(v, q, true);
    virtqueue_interrupt(v, q);
    /* One that came before the wish was visible. */
    if (virtqueue_available(v, q) > 0)
        virtio_kick_later(v, index);
}

static void rng_post_load(void *obj)
{
    virtio_state_post_load(obj);
    virtio_state_rewind(obj);
}

static const struct ferry_field blob_fields[] = {
    VIRTIO_STATE_COMMON(struct virtio_rng),
};
static const struct ferry_table blob_table = {
    VIRTIO_STATE_TABLE(blob_fields, virtio_state_check, rng_post_load),
};
static const struct ferry_field rng_fields[] = {
    FERRY_SELF(struct virtio_rng, "virtio", &blob_table),
};
static const struct ferry_table rng_table = {
    .name = "virtio-rng",
    .version = 1,
    .minimum_version = 1,
    FERRY_FIELDS(rng_fields),
};

static const struct virtio_queue_owner rng_owner = {.kick = rng_kick};

static const struct virtio_type rng_type = {
    .dev = VIRTIO_DEV("virtio-rng", struct virtio_rng, virtio_dev_destroy, &rng_table),
    .device_id = 4,
};

static int rng_new(struct dev **ret, const struct virtio_params *params, struct ferry_err *err)
{
    static const struct virtio_queue_spec queue = {RNG_QUEUE_NUM, &rng_owner};
    uint64_t features = params->place.legacy ? VIRTIO_BIT(VIRTIO_F_ANY_LAYOUT) : 0;
    struct virtio_dev *v;
    int rc = virtio_dev_new(&v, &rng_type, params, features, 0, &queue, 1, err);

    if (rc)
        return rc;
    virtio_dev_reset(&v->dev);
    *ret = &v->dev;
    return 0;
}

static const struct prop rng_props[] = {
    VIRTIO_PROPS,
    {.name = "rng", .kind = PROP_IGNORED, .whose = OF_HOST},
    {0},
};
static const struct config_virtio rng_defaults = VIRTIO_DEFAULTS;

const struct virtio_kind virtio_rng_device = {
    .kind = {.name = "virtio-rng-device",
             .what = "random number generator",
             .bus = DEVICE_BUS_VIRTIO_MMIO,
             .props = rng_props,
             .config_bytes = sizeof(rng_defaults),
             .defaults = &rng_defaults},
    .create = rng_new,
};
