/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/dev/virtio/state.h"

#include <errno.h>
#include <inttypes.h>

#include "base/err.h"

/* --- Subsections --- */

static bool is_modern(const void *obj)
{
    return virtio_is_modern(obj);
}

static const struct ferry_field features_fields[] = {
    FERRY_U64(struct virtio_dev, wire_features, .wire_name = "guest_features"),
};
static const struct ferry_table features_table = {
    .name = "virtio/64bit_features",
    .version = 1,
    .minimum_version = 1,
    FERRY_FIELDS(features_fields),
};

static const struct ferry_field rings_fields[] = {
    FERRY_U64(struct virtio_queue, avail_gpa, .wire_name = "vring.avail"),
    FERRY_U64(struct virtio_queue, used_gpa, .wire_name = "vring.used"),
};
static const struct ferry_table rings_table = {
    .name = "virtqueue_state",
    .version = 1,
    .minimum_version = 1,
    FERRY_FIELDS(rings_fields),
};
static const struct ferry_field virtqueues_fields[] = {
    FERRY_STRUCT_ARRAY(struct virtio_dev, queues, &rings_table, .wire_name = "vq"),
    FERRY_UNUSED(VIRTIO_WIRE_ABSENT * 16),
};
static const struct ferry_table virtqueues_table = {
    .name = "virtio/virtqueues",
    .version = 1,
    .minimum_version = 1,
    .needed = is_modern,
    FERRY_FIELDS(virtqueues_fields),
};

static bool ringsize_needed(const void *obj)
{
    const struct virtio_dev *v = obj;

    for (uint32_t i = 0; i < v->queue_count; i++) {
        if (v->queues[i].num != v->queues[i].num_default)
            return true;
    }
    return false;
}
static const struct ferry_field num_default_fields[] = {
    FERRY_U32(struct virtio_queue, num_default, .max = VIRTIO_QUEUE_NUM_MAX,
              .wire_name = "vring.num_default"),
};
static const struct ferry_table num_default_table = {
    .name = "ringsize_state",
    .version = 1,
    .minimum_version = 1,
    FERRY_FIELDS(num_default_fields),
};
static const struct ferry_field ringsize_fields[] = {
    FERRY_STRUCT_ARRAY(struct virtio_dev, queues, &num_default_table, .wire_name = "vq"),
    FERRY_UNUSED(VIRTIO_WIRE_ABSENT * 4),
};
static const struct ferry_table ringsize_table = {
    .name = "virtio/ringsize",
    .version = 1,
    .minimum_version = 1,
    .needed = ringsize_needed,
    FERRY_FIELDS(ringsize_fields),
};

static bool broken_needed(const void *obj)
{
    return ((const struct virtio_dev *)obj)->broken;
}
static const struct ferry_field broken_fields[] = {FERRY_BOOL(struct virtio_dev, broken)};
static const struct ferry_table broken_table = {
    .name = "virtio/broken",
    .version = 1,
    .minimum_version = 1,
    .needed = broken_needed,
    FERRY_FIELDS(broken_fields),
};

static const struct ferry_field extra_fields[] = {
    FERRY_SELF(struct virtio_dev, "extra_state", &virtio_mmio_extra_table),
};
static const struct ferry_table extra_table = {
    .name = "virtio/extra_state",
    .version = 1,
    .minimum_version = 1,
    .needed = is_modern,
    FERRY_FIELDS(extra_fields),
};

static bool started_needed(const void *obj)
{
    return ((const struct virtio_dev *)obj)->started;
}
static const struct ferry_field started_fields[] = {FERRY_BOOL(struct virtio_dev, started)};
static const struct ferry_table started_table = {
    .name = "virtio/started",
    .version = 1,
    .minimum_version = 1,
    .needed = started_needed,
    FERRY_FIELDS(started_fields),
};

const struct ferry_table *const virtio_subsections[] = {
    &features_table,
    &virtqueues_table,
    &ringsize_table,
    &broken_table,
    &extra_table,
    &started_table,
    NULL,
};

/* --- Around a pause --- */

void virtio_state_settle(struct virtio_dev *v)
{
    for (uint32_t i = 0; i < v->queue_count && !v->broken; i++) {
        const struct virtio_queue *q = &v->queues[i];
        struct virtio_queue reader = *q;
        uint16_t finished = (uint16_t)(q->last_avail - q->in_use);

        if (virtqueue_ready(q) &&
            (virtqueue_map(&reader, v->dev.env->mem) < 0 || reader.used_idx != finished))
            virtio_break(v,
                         "its driver made the ring of queue %" PRIu32
                         " say that %u requests are finished, which are %u",
                         i, reader.used_idx, finished);
    }
}

/* --- Hooks --- */

void virtio_state_pre_save(void *obj)
{
    struct virtio_dev *v = obj;

    v->wire_features_low = (uint32_t)v->features;
    v->wire_features = v->features;
    v->wire_config_bytes = v->config_bytes;
    v->wire_queue_count = v->queue_count;
}

void virtio_state_pre_load(void *scratch)
{
    struct virtio_dev *v = scratch;

    /* What the absence of each subsection says. */
    v->wire_features = 0;
    v->started = false;
    v->broken = false;
    for (uint32_t i = 0; i < VIRTIO_QUEUES_MAX; i++) {
        v->queues[i].num_default = 0; /* the same as num */
        v->queues[i].avail_gpa = v->queues[i].used_gpa = 0;
    }
}

static uint64_t loaded_features(const struct virtio_dev *v)
{
    return v->wire_features | v->wire_features_low;
}

/* The queue as it will be; 0 or -EFAULT when its rings are not in memory. */
static int queue_after_load(const struct virtio_dev *v, const struct virtio_queue *loaded,
                            struct virtio_queue *ret)
{
    bool legacy = v->legacy && !(loaded_features(v) & VIRTIO_BIT(VIRTIO_F_VERSION_1));

    *ret = *loaded;
    if (legacy)
        virtqueue_layout_legacy(ret);
    /* Modern rings are in use once the driver has said so. */
    if (!legacy && !ret->reg_ready) {
        ret->desc = ret->avail = ret->used = NULL;
        return 0;
    }
    return virtqueue_map(ret, v->dev.env->mem);
}

static int queue_check(const struct virtio_dev *v, uint32_t index, struct ferry_err *err)
{
    const struct virtio_queue *loaded = &v->queues[index];
    struct virtio_queue q;
    uint16_t taken;

    if (loaded->num == 0)
        return err_set(err, EINVAL, "queue %" PRIu32 " has no entries, but it exists here", index);
    if (v->legacy && (loaded->align == 0 || (loaded->align & (loaded->align - 1))))
        return err_set(err, EINVAL,
                       "queue %" PRIu32 " is aligned to %" PRIu32 ", which is not a power of two",
                       index, loaded->align);
    /* The rings of a broken device may be what broke it; they are not used before a reset. */
    if (v->broken)
        return 0;
    if (queue_after_load(v, loaded, &q) < 0)
        return err_set(err, EINVAL,
                       "the rings of queue %" PRIu32 " with %" PRIu32 " entries at 0x%" PRIx64
                       " are not in guest memory",
                       index, q.num, q.desc_gpa);
    taken = (uint16_t)(q.last_avail - q.used_idx);
    if (virtqueue_ready(&q) && taken > q.num)
        return err_set(err, EINVAL,
                       "queue %" PRIu32 " has taken request %u and finished %u, which is more than "
                       "its %" PRIu32 " entries apart",
                       index, q.last_avail, q.used_idx, q.num);
    return 0;
}

uint16_t virtio_state_taken(const struct virtio_dev *scratch, uint32_t index)
{
    struct virtio_queue q;

    if (queue_after_load(scratch, &scratch->queues[index], &q) < 0 || !virtqueue_ready(&q))
        return 0;
    return (uint16_t)(q.last_avail - q.used_idx);
}

int virtio_state_check(const void *scratch, struct ferry_err *err)
{
    const struct virtio_dev *v = scratch;
    uint64_t features = loaded_features(v);
    uint64_t refused = features & ~v->host_features;
    int rc;

    if (v->wire_features && (uint32_t)v->wire_features != v->wire_features_low)
        return err_set(err, EINVAL,
                       "the low half of features 0x%" PRIx64 " is also given as 0x%" PRIx32,
                       v->wire_features, v->wire_features_low);
    if (refused)
        return err_set(err, EINVAL,
                       "the guest uses features 0x%" PRIx64 " of which 0x%" PRIx64
                       " are not offered here; give the device and its backend the same properties",
                       features, refused);
    if (v->wire_queue_count != v->queue_count)
        return err_set(err, EINVAL,
                       "the stream has %" PRIu32 " queues, here are %" PRIu32
                       "; give the device the same num-queues",
                       v->wire_queue_count, v->queue_count);
    for (uint32_t i = 0; i < v->queue_count; i++) {
        rc = queue_check(v, i, err);
        if (rc)
            return rc;
    }
    return 0;
}

void virtio_state_post_load(void *obj)
{
    struct virtio_dev *v = obj;

    v->features = loaded_features(v);
    v->started |= v->status & VIRTIO_STATUS_DRIVER_OK ? true : false;
    for (uint32_t i = 0; i < v->queue_count; i++) {
        struct virtio_queue *q = &v->queues[i];

        queue_after_load(v, q, q);
        if (q->num_default == 0)
            q->num_default = q->num;
        q->in_use = virtqueue_ready(q) ? (uint16_t)(q->last_avail - q->used_idx) : 0;
        /* Whether the guest was told of the last completion is not known: tell it of the next. */
        q->signalled_valid = false;
    }
    /* The interrupt controller does not save the levels of its lines. */
    v->transport->update_line(v);
}

void virtio_state_rewind(struct virtio_dev *v)
{
    /* The request that broke the device was taken, and nobody takes another before a reset. */
    if (v->broken)
        return;
    for (uint32_t i = 0; i < v->queue_count; i++) {
        v->queues[i].last_avail -= v->queues[i].in_use;
        v->queues[i].in_use = 0;
    }
}
