/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Layout, all little endian:
 *
 *   descriptor  16 bytes: u64 address, u32 length, u16 flags, u16 next
 *   avail       u16 flags, u16 idx, u16 ring[num], u16 used_event
 *   used        u16 flags, u16 idx, {u32 id, u32 length} ring[num], u16 avail_event
 */
#include "vmm/dev/virtio/queue.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/be.h"
#include "base/num.h"
#include "vmm/dev/virtio/device.h"

#define DESC_BYTES      16u
#define DESC_F_NEXT     1u
#define DESC_F_WRITE    2u
#define DESC_F_INDIRECT 4u

#define AVAIL_F_NO_INTERRUPT 1u
#define USED_F_NO_NOTIFY     1u

#define USED_ELEM_BYTES 8u
#define RING_HEAD_BYTES 4u /* flags and idx */

struct desc {
    uint64_t gpa;
    uint32_t bytes;
    uint16_t flags;
    uint16_t next;
};

static uint64_t avail_bytes(const struct virtio_queue *q)
{
    return RING_HEAD_BYTES + 2ull * q->num + 2;
}

static uint64_t used_bytes(const struct virtio_queue *q)
{
    return RING_HEAD_BYTES + (uint64_t)USED_ELEM_BYTES * q->num + 2;
}

/* --- Ring fields. Aligned (virtqueue_map checks), so that 16 bit accesses are single ones. --- */

static uint16_t ring_load16(const uint8_t *p)
{
    return le16toh(__atomic_load_n((const uint16_t *)(const void *)p, __ATOMIC_ACQUIRE));
}

static void ring_store16(uint8_t *p, uint16_t v)
{
    __atomic_store_n((uint16_t *)(void *)p, htole16(v), __ATOMIC_RELEASE);
}

static uint16_t avail_idx(const struct virtio_queue *q)
{
    return ring_load16(q->avail + 2);
}

static uint16_t used_event(const struct virtio_queue *q)
{
    return ring_load16(q->avail + RING_HEAD_BYTES + 2 * q->num);
}

static void used_dirty(struct virtio_dev *v, const struct virtio_queue *q, const uint8_t *p,
                       size_t n)
{
    guestmem_mark_dirty(v->dev.env->mem, q->used_gpa + (uint64_t)(p - q->used), n);
}

/* --- Set-up --- */

void virtqueue_layout_legacy(struct virtio_queue *q)
{
    if (q->desc_gpa == 0) {
        q->avail_gpa = q->used_gpa = 0;
        return;
    }
    q->avail_gpa = q->desc_gpa + (uint64_t)q->num * DESC_BYTES;
    q->used_gpa = num_align_up(q->avail_gpa + RING_HEAD_BYTES + 2ull * q->num, q->align);
}

int virtqueue_map(struct virtio_queue *q, const struct guestmem *mem)
{
    uint8_t *desc, *avail, *used;

    q->desc = q->avail = q->used = NULL;
    if (q->num == 0 || q->desc_gpa == 0)
        return 0;
    if (q->desc_gpa % DESC_BYTES || q->avail_gpa % 2 || q->used_gpa % 4)
        return -EFAULT;
    desc = guestmem_ptr(mem, q->desc_gpa, (size_t)q->num * DESC_BYTES, false);
    avail = guestmem_ptr(mem, q->avail_gpa, avail_bytes(q), false);
    used = guestmem_ptr(mem, q->used_gpa, used_bytes(q), true);
    if (!desc || !avail || !used)
        return -EFAULT;
    q->desc = desc;
    q->avail = avail;
    q->used = used;
    q->used_idx = ring_load16(used + 2);
    return 0;
}

void virtqueue_reset(struct virtio_queue *q)
{
    *q = (struct virtio_queue){
        .owner = q->owner,
        .num = q->num_default,
        .num_default = q->num_default,
        .num_max = q->num_max,
        .align = VIRTIO_RING_ALIGN,
    };
}

/* --- Taking requests --- */

int virtqueue_available(struct virtio_dev *v, struct virtio_queue *q)
{
    uint16_t n;

    if (!virtqueue_ready(q) || v->broken)
        return 0;
    n = (uint16_t)(avail_idx(q) - q->last_avail);
    if (n > q->num) {
        virtio_break(v, "its driver made %u requests available in a ring of %u", n, q->num);
        return -EINVAL;
    }
    return n;
}

static struct desc desc_read(const uint8_t *table, uint32_t index)
{
    uint8_t raw[DESC_BYTES];

    /* One copy: what is checked below is what is used. */
    memcpy(raw, table + (size_t)index * DESC_BYTES, sizeof(raw));
    return (struct desc){
        .gpa = le64_load(raw),
        .bytes = le32_load(raw + 8),
        .flags = le16_load(raw + 12),
        .next = le16_load(raw + 14),
    };
}

static int chain_add(struct virtio_dev *v, struct virtio_chain *chain, const struct desc *d)
{
    bool write = d->flags & DESC_F_WRITE;
    uint32_t at = chain->out_count + chain->in_count;
    void *host;

    if (at == VIRTIO_CHAIN_MAX) {
        virtio_break(v, "a request of its driver has more than %u parts", VIRTIO_CHAIN_MAX);
        return -EINVAL;
    }
    if (!write && chain->in_count > 0) {
        virtio_break(v, "a request of its driver has a readable part behind a writable one");
        return -EINVAL;
    }
    host = guestmem_ptr(v->dev.env->mem, d->gpa, d->bytes, write);
    if (!host) {
        virtio_break(v,
                     "a request of its driver names %" PRIu32 " bytes at 0x%" PRIx64
                     ", which is not %smemory",
                     d->bytes, d->gpa, write ? "writable " : "");
        return -EINVAL;
    }
    chain->iov[at] = (struct iovec){.iov_base = host, .iov_len = d->bytes};
    chain->gpa[at] = d->gpa;
    if (write) {
        chain->in_count++;
        chain->in_bytes += d->bytes;
    } else {
        chain->out_count++;
        chain->out_bytes += d->bytes;
    }
    return 0;
}

/* Follow one table of `count` descriptors from `index` on. *indirect is set if the chain is one. */
static int chain_walk(struct virtio_dev *v, const uint8_t *table, uint32_t count, uint32_t index,
                      bool nested, struct virtio_chain *chain, struct desc *indirect)
{
    for (uint32_t seen = 0;; seen++) {
        struct desc d;

        if (index >= count) {
            virtio_break(v, "its driver named descriptor %" PRIu32 " of %" PRIu32, index, count);
            return -EINVAL;
        }
        if (seen == count) {
            virtio_break(v, "a request of its driver runs in a circle");
            return -EINVAL;
        }
        d = desc_read(table, index);
        if (d.flags & DESC_F_INDIRECT) {
            if (nested || seen > 0 || (d.flags & DESC_F_NEXT)) {
                virtio_break(v, "a request of its driver has an indirect table inside a chain");
                return -EINVAL;
            }
            *indirect = d;
            return 0;
        }
        if (chain_add(v, chain, &d) < 0)
            return -EINVAL;
        if (!(d.flags & DESC_F_NEXT))
            return 0;
        index = d.next;
    }
}

int virtqueue_chain(struct virtio_dev *v, struct virtio_queue *q, uint16_t head,
                    struct virtio_chain *ret)
{
    struct desc indirect = {0};
    uint32_t count;
    uint8_t *table;

    ret->head = head;
    ret->out_count = ret->in_count = 0;
    ret->out_bytes = ret->in_bytes = 0;
    if (chain_walk(v, q->desc, q->num, head, false, ret, &indirect) < 0)
        return -EINVAL;
    if (!(indirect.flags & DESC_F_INDIRECT))
        return 0;

    count = indirect.bytes / DESC_BYTES;
    if (count == 0 || count > VIRTIO_CHAIN_MAX || indirect.bytes % DESC_BYTES) {
        virtio_break(v,
                     "its driver made an indirect table of %" PRIu32 " bytes, not 1 to %u times %u",
                     indirect.bytes, VIRTIO_CHAIN_MAX, DESC_BYTES);
        return -EINVAL;
    }
    table = guestmem_ptr(v->dev.env->mem, indirect.gpa, indirect.bytes, false);
    if (!table) {
        virtio_break(v, "its driver put an indirect table at 0x%" PRIx64 ", which is not memory",
                     indirect.gpa);
        return -EINVAL;
    }
    return chain_walk(v, table, count, 0, true, ret, &indirect);
}

int virtqueue_pop(struct virtio_dev *v, struct virtio_queue *q, struct virtio_chain *ret)
{
    int available = virtqueue_available(v, q);
    uint16_t head;

    if (available <= 0)
        return available;
    if (q->in_use >= q->num) {
        virtio_break(v, "its driver has more than %" PRIu32 " requests in a ring of as many",
                     q->num);
        return -EINVAL;
    }
    head = ring_load16(q->avail + RING_HEAD_BYTES + 2 * (q->last_avail % q->num));
    if (virtqueue_chain(v, q, head, ret) < 0)
        return -EINVAL;
    q->last_avail++;
    q->in_use++;
    return 1;
}

void virtqueue_unpop(struct virtio_queue *q)
{
    q->last_avail--;
    q->in_use--;
}

/* --- Giving them back --- */

void virtqueue_mark_written(struct virtio_dev *v, const struct virtio_chain *chain, uint64_t bytes)
{
    for (uint32_t i = chain->out_count; i < chain->out_count + chain->in_count && bytes > 0; i++) {
        size_t n = num_min(bytes, chain->iov[i].iov_len);

        guestmem_mark_dirty(v->dev.env->mem, chain->gpa[i], n);
        bytes -= n;
    }
}

void virtqueue_fill(struct virtio_dev *v, struct virtio_queue *q, uint16_t head, uint32_t bytes,
                    uint16_t ahead)
{
    uint16_t slot = (uint16_t)(q->used_idx + ahead) % q->num;
    uint8_t *elem;

    if (!virtqueue_ready(q))
        return;
    elem = q->used + RING_HEAD_BYTES + (size_t)slot * USED_ELEM_BYTES;
    le32_store(elem, head);
    le32_store(elem + 4, bytes);
    used_dirty(v, q, elem, USED_ELEM_BYTES);
}

void virtqueue_publish(struct virtio_dev *v, struct virtio_queue *q, uint16_t count)
{
    q->in_use -= count;
    if (!virtqueue_ready(q))
        return;
    q->unsignalled = true;
    q->used_idx += count;
    ring_store16(q->used + 2, q->used_idx);
    used_dirty(v, q, q->used, RING_HEAD_BYTES);
}

void virtqueue_push(struct virtio_dev *v, struct virtio_queue *q, uint16_t head, uint32_t bytes)
{
    virtqueue_fill(v, q, head, bytes, 0);
    virtqueue_publish(v, q, 1);
}

static bool interrupt_wanted(struct virtio_dev *v, struct virtio_queue *q)
{
    uint16_t old = q->signalled_used, event;
    bool valid = q->signalled_valid;

    /* The used index must be visible before the guest's wish is read: it writes the one and then
     * looks at the other. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (virtio_has(v, VIRTIO_F_NOTIFY_ON_EMPTY) && q->in_use == 0 && avail_idx(q) == q->last_avail)
        return true;
    if (!virtio_has(v, VIRTIO_F_EVENT_IDX))
        return !(ring_load16(q->avail) & AVAIL_F_NO_INTERRUPT);
    q->signalled_used = q->used_idx;
    q->signalled_valid = true;
    event = used_event(q);
    return !valid || (uint16_t)(q->used_idx - event - 1) < (uint16_t)(q->used_idx - old);
}

void virtqueue_interrupt(struct virtio_dev *v, struct virtio_queue *q)
{
    if (!virtqueue_ready(q) || !q->unsignalled)
        return;
    q->unsignalled = false;
    if (interrupt_wanted(v, q))
        virtio_interrupt(v, (uint32_t)(q - v->queues));
}

void virtqueue_want_kick(struct virtio_dev *v, struct virtio_queue *q, bool want)
{
    uint8_t *avail_event;

    if (!virtqueue_ready(q))
        return;
    if (virtio_has(v, VIRTIO_F_EVENT_IDX)) {
        /* Not wanting is an old index left where it is. */
        if (!want)
            return;
        avail_event = q->used + RING_HEAD_BYTES + (size_t)q->num * USED_ELEM_BYTES;
        ring_store16(avail_event, q->last_avail);
        used_dirty(v, q, avail_event, 2);
    } else {
        ring_store16(q->used, want ? 0 : USED_F_NO_NOTIFY);
        used_dirty(v, q, q->used, 2);
    }
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}
