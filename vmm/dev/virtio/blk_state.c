/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The disk's own part of its section is a list of requests in flight, as QEMU has it:
 *
 *     { u8 1; [u32 queue, with more than one queue]; element }   u8 0
 *
 * ferry finishes what is in flight before it saves, or lets it be popped again. Its list has what
 * failed and stopped the guest, what was too long to be finished, and what was loaded by a guest
 * that has not run yet. An element is the sender's struct in its host's byte order, for a little
 * endian host with 64 bit pointers: u32 head, out_num, in_num, 4 unused bytes, u64 in_addr[1024],
 * out_addr[1024], then {u64 unused, u64 length} in_sg[1024], out_sg[1024]. Only the head says
 * something that is not in the ring, which the guest may not change while the request is in
 * flight; the rest is written for the reader's sake.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/be.h"
#include "base/differences.h"
#include "base/err.h"
#include "vmm/dev/virtio/blk.h"
#include "vmm/dev/virtio/state.h"

#define ELEMENT_PARTS    1024u
#define ELEMENT_IN_ADDR  16u
#define ELEMENT_OUT_ADDR (ELEMENT_IN_ADDR + 8u * ELEMENT_PARTS)
#define ELEMENT_IN_SG    (ELEMENT_OUT_ADDR + 8u * ELEMENT_PARTS)
#define ELEMENT_OUT_SG   (ELEMENT_IN_SG + 16u * ELEMENT_PARTS)
#define ELEMENT_BYTES    (ELEMENT_OUT_SG + 16u * ELEMENT_PARTS)
_Static_assert(ELEMENT_BYTES == 49168, "QEMU's element has this size");

static void element_encode(const struct virtio_chain *chain, uint8_t *raw)
{
    le32_store(raw, chain->head);
    le32_store(raw + 4, chain->out_count);
    le32_store(raw + 8, chain->in_count);
    for (uint32_t i = 0; i < chain->out_count; i++) {
        le64_store(raw + ELEMENT_OUT_ADDR + 8 * i, chain->gpa[i]);
        le64_store(raw + ELEMENT_OUT_SG + 16 * i + 8, chain->iov[i].iov_len);
    }
    for (uint32_t i = 0; i < chain->in_count; i++) {
        le64_store(raw + ELEMENT_IN_ADDR + 8 * i, chain->gpa[chain->out_count + i]);
        le64_store(raw + ELEMENT_IN_SG + 16 * i + 8, chain->iov[chain->out_count + i].iov_len);
    }
}

static void resubmit_save(const void *obj, const void *member, struct ferry_out *out)
{
    const struct virtio_blk *blk = obj;
    const struct blk_resubmit *list = member;
    uint8_t raw[ELEMENT_BYTES];

    for (uint32_t i = 0; i < list->count; i++) {
        const struct blk_resubmit_entry *e = &list->entries[i];
        /* Reading a senseless chain breaks the device, saving changes nothing: on a copy, which
         * has no driver to tell. The reader will break it in its turn. */
        struct virtio_dev v = blk->v;

        v.status &= (uint8_t)~VIRTIO_STATUS_DRIVER_OK;
        memset(raw, 0, sizeof(raw));
        if (virtqueue_chain(&v, &v.queues[e->queue], e->head, v.chain) < 0)
            le32_store(raw, e->head);
        else
            element_encode(v.chain, raw);
        ferry_out_u8(out, 1);
        if (blk->v.queue_count > 1)
            ferry_out_be32(out, e->queue);
        ferry_out_put(out, raw, ELEMENT_BYTES);
    }
    ferry_out_u8(out, 0);
}

static int resubmit_load(const void *scratch, void *member, struct ferry_in *in,
                         struct ferry_err *err)
{
    const struct virtio_blk *blk = scratch;
    struct blk_resubmit *list = member;
    const uint8_t *p;

    list->count = 0;
    while ((p = ferry_in_take(in, 1)) && *p) {
        uint32_t queue = 0, head;

        if (*p != 1)
            return err_set(err, EINVAL, "request %" PRIu32 " of the list begins with %u, not 1",
                           list->count, *p);
        if (list->count == BLK_RESUBMIT_MAX)
            return err_set(err, EINVAL, "more than %u requests are in flight", BLK_RESUBMIT_MAX);
        if (blk->v.queue_count > 1) {
            p = ferry_in_take(in, 4);
            if (!p)
                return err_set(err, EINVAL, "it ends inside a request");
            queue = be32_load(p);
        }
        p = ferry_in_take(in, ELEMENT_BYTES);
        if (!p)
            return err_set(err, EINVAL, "it ends inside a request");
        head = le32_load(p);
        if (queue >= blk->v.queue_count || head >= blk->v.queues[queue].num)
            return err_set(err, EINVAL,
                           "a request in flight has head %" PRIu32 " of queue %" PRIu32
                           ", which does not exist",
                           head, queue);
        list->entries[list->count++] =
            (struct blk_resubmit_entry){.queue = (uint16_t)queue, .head = (uint16_t)head};
    }
    return p ? 0 : err_set(err, EINVAL, "it ends inside the list of requests");
}

static const struct ferry_custom resubmit_custom = {.save = resubmit_save, .load = resubmit_load};

/*
 * What the guest last saw of its disk, if it looked, against this one: a driver asks once, and
 * would go on writing to where the disk has ended. Of a source that is ferry this was compared
 * before.
 */
static int blk_check_config(const struct virtio_blk *blk, struct ferry_err *err)
{
    static const struct {
        const char *name;
        uint32_t offset, bytes;
    } seen[] = {{"capacity in sectors of 512 bytes", 0, 8},
                {"seg-max", 12, 4},
                {"logical_block_size", 20, 4},
                {"exponent of physical_block_size", 24, 1},
                {"num-queues", 34, 2}};
    struct virtio_blk here = *blk;
    struct differences d = {0};

    if (le64_load(blk->v.config) == 0 || block_size_bytes(blk->block) == 0)
        return 0;
    virtio_type(&here.v)->config_get(&here.v);
    for (size_t i = 0; i < sizeof(seen) / sizeof(seen[0]); i++) {
        uint8_t raw[2][8] = {{0}};

        memcpy(raw[0], blk->v.config + seen[i].offset, seen[i].bytes);
        memcpy(raw[1], here.v.config + seen[i].offset, seen[i].bytes);
        if (memcmp(raw[0], raw[1], sizeof(raw[0])))
            differences_add(&d,
                            "the guest has seen its disk with %s %" PRIu64 ", here it is %" PRIu64,
                            seen[i].name, le64_load(raw[0]), le64_load(raw[1]));
    }
    return differences_end(&d, err);
}

/* Every request taken and not finished must be in the list, or the guest waits for it for ever. */
static int blk_check(const void *scratch, struct ferry_err *err)
{
    const struct virtio_blk *blk = scratch;
    int rc = virtio_state_check(scratch, err);

    if (!rc)
        rc = blk_check_config(blk, err);
    if (rc || blk->v.broken)
        return rc;
    for (uint32_t i = 0; i < blk->v.queue_count; i++) {
        uint32_t listed = 0;
        uint16_t taken = virtio_state_taken(&blk->v, i);

        for (uint32_t k = 0; k < blk->resubmit.count; k++)
            listed += blk->resubmit.entries[k].queue == i;
        if (taken != listed)
            return err_set(err, EINVAL,
                           "%u requests of queue %" PRIu32 " are in flight, but %" PRIu32
                           " are listed",
                           taken, i, listed);
    }
    return 0;
}

static void blk_post_load(void *obj)
{
    struct virtio_blk *blk = obj;
    struct virtio_dev *v = obj;

    virtio_state_post_load(obj);
    blk->held = blk->resubmit.count > 0;
    /* All zeros: the guest has never looked, so it has never changed it. */
    blk->writeback = v->config[BLK_CONFIG_WCE] || le64_load(v->config) == 0;
}

static const struct ferry_field blob_fields[] = {
    VIRTIO_STATE_COMMON(struct virtio_blk),
    FERRY_CUSTOM(struct virtio_blk, resubmit, &resubmit_custom, .wire_name = "requests"),
};
static const struct ferry_table blob_table = {
    VIRTIO_STATE_TABLE(blob_fields, blk_check, blk_post_load),
};
static const struct ferry_field blk_fields[] = {
    FERRY_SELF(struct virtio_blk, "virtio", &blob_table),
};
const struct ferry_table virtio_blk_table = {
    .name = "virtio-blk",
    .version = 2,
    .minimum_version = 2,
    FERRY_FIELDS(blk_fields),
};
