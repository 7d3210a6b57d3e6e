/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/dev/virtio/setup.h"

#include <string.h>

#include "base/be.h"

/* --- Config space --- */

uint64_t virtio_config_read(struct virtio_dev *v, uint64_t offset, unsigned size_bytes)
{
    uint8_t raw[8] = {0};

    if (offset + size_bytes > v->config_bytes)
        return UINT32_MAX >> (32 - 8 * size_bytes);
    if (virtio_type(v)->config_get)
        virtio_type(v)->config_get(v);
    memcpy(raw, v->config + offset, size_bytes);
    return le64_load(raw);
}

void virtio_config_write(struct virtio_dev *v, uint64_t offset, unsigned size_bytes, uint64_t value)
{
    uint8_t raw[8];

    if (offset + size_bytes > v->config_bytes || !virtio_type(v)->config_set)
        return;
    le64_store(raw, value);
    virtio_type(v)->config_get(v);
    memcpy(v->config + offset, raw, size_bytes);
    virtio_type(v)->config_set(v, (uint32_t)offset, size_bytes);
    virtio_type(v)->config_get(v);
}

/* --- Queues --- */

struct virtio_queue *virtio_selected(struct virtio_dev *v)
{
    return v->queue_sel < v->queue_count ? &v->queues[v->queue_sel] : NULL;
}

bool virtio_queue_can_hold(const struct virtio_queue *q, uint32_t num)
{
    return q->num != 0 && num != 0 && num <= q->num_max;
}

static void map_or_break(struct virtio_dev *v, struct virtio_queue *q)
{
    if (virtqueue_map(q, v->dev.env->mem) < 0)
        virtio_break(v, "its driver put a ring of queue %u where there is no memory",
                     (unsigned)(q - v->queues));
}

void virtio_queue_set_ready(struct virtio_dev *v, struct virtio_queue *q, bool ready)
{
    q->reg_ready = ready;
    if (!ready) {
        q->desc = q->avail = q->used = NULL;
        return;
    }
    if (q->reg_num)
        q->num = q->reg_num;
    q->desc_gpa = (uint64_t)q->reg_desc[1] << 32 | q->reg_desc[0];
    q->avail_gpa = (uint64_t)q->reg_avail[1] << 32 | q->reg_avail[0];
    q->used_gpa = (uint64_t)q->reg_used[1] << 32 | q->reg_used[0];
    map_or_break(v, q);
}

void virtio_queue_place(struct virtio_dev *v, struct virtio_queue *q)
{
    virtqueue_layout_legacy(q);
    map_or_break(v, q);
}
