/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Disk (virtio 1.2, section 5.2). A request is readable bytes {u32 type, u32, u64 sector, data or
 * ranges}, then writable bytes {data, u8 status}. Here they are taken apart and checked; reading
 * and writing go straight between the image and guest memory on the block layer's threads, and
 * what these have is blk_requests.c's.
 */
#include "vmm/dev/virtio/blk.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/be.h"
#include "base/err.h"
#include "base/num.h"
#include "vmm/backend/bell.h"

#define BLK_F_SEG_MAX      2
#define BLK_F_GEOMETRY     4
#define BLK_F_RO           5
#define BLK_F_BLK_SIZE     6
#define BLK_F_SCSI         7 /* legacy; such requests are refused one by one */
#define BLK_F_FLUSH        9
#define BLK_F_TOPOLOGY     10
#define BLK_F_CONFIG_WCE   11
#define BLK_F_MQ           12
#define BLK_F_DISCARD      13
#define BLK_F_WRITE_ZEROES 14

enum {
    BLK_T_IN = 0,
    BLK_T_OUT = 1,
    BLK_T_FLUSH = 4,
    BLK_T_GET_ID = 8,
    BLK_T_DISCARD = 11,
    BLK_T_WRITE_ZEROES = 13,
};

#define BLK_HEADER_BYTES 16u
#define BLK_RANGE_BYTES  16u
#define BLK_RANGE_UNMAP  1u

#define BLK_QUEUE_NUM     256u
#define BLK_SEG_MAX       (BLK_QUEUE_NUM - 2) /* one part for the header, one for the status */
#define BLK_RANGE_MAX     0x3fffffu           /* sectors of one discard or write-zeroes */
#define BLK_TURN_REQUESTS 32u /* taken with the machine lock held; the rest a moment later */
#define BLK_CONFIG_ALL    57u
#define BLK_CONFIG_BASE   36u /* without discard and write-zeroes */

static const struct virtio_type blk_type;

/* --- Requests --- */

/* A driver that does not flush must find each write on stable storage. */
static bool blk_write_through(const struct virtio_blk *blk)
{
    if (virtio_has(&blk->v, BLK_F_CONFIG_WCE))
        return !blk->writeback;
    return !virtio_has(&blk->v, BLK_F_FLUSH);
}

static bool blk_in_range(const struct virtio_blk *blk, uint64_t sector, uint64_t length_bytes)
{
    uint64_t sectors = block_size_bytes(blk->block) / BLOCK_SECTOR_BYTES;

    return length_bytes % BLOCK_SECTOR_BYTES == 0 && sector <= sectors &&
           length_bytes / BLOCK_SECTOR_BYTES <= sectors - sector;
}

static void blk_start_rw(struct virtio_blk *blk, struct blk_parse *p, bool write, uint64_t sector)
{
    struct block_request io = {
        .op = write ? BLOCK_WRITE : BLOCK_READ,
        .fua = write && blk_write_through(blk),
        .offset_bytes = sector * BLOCK_SECTOR_BYTES,
        .length_bytes = write ? p->out_bytes : p->in_bytes,
        .iov = write ? p->out : p->in,
        .iov_count = write ? p->out_count : p->chain->in_count,
    };

    /* More than all memory is the same memory twice: nobody's request, but long work. */
    if ((write && block_readonly(blk->block)) || !blk_in_range(blk, sector, io.length_bytes) ||
        io.length_bytes > blk->ram_bytes)
        blk_finish_now(blk, p, BLK_S_IOERR);
    else if (io.length_bytes == 0)
        blk_finish_now(blk, p, BLK_S_OK);
    else
        blk_submit(blk, p, &io);
}

/* Copy n bytes off the front of the readable parts. */
static void blk_take_out(struct blk_parse *p, void *dst, size_t n)
{
    uint8_t *to = dst;

    p->out_bytes -= n;
    while (n > 0) {
        size_t run = num_min(n, p->out->iov_len);

        memcpy(to, p->out->iov_base, run);
        p->out->iov_base = (uint8_t *)p->out->iov_base + run;
        p->out->iov_len -= run;
        to += run;
        n -= run;
        if (p->out->iov_len == 0) {
            p->out++;
            p->out_count--;
        }
    }
}

/* One range {u64 sector, u32 sectors, u32 flags}: more are not offered (max segments is 1). */
static void blk_start_range(struct virtio_blk *blk, struct blk_parse *p, bool zeroes)
{
    uint8_t raw[BLK_RANGE_BYTES];
    struct block_request io = {.op = zeroes ? BLOCK_WRITE_ZEROES : BLOCK_DISCARD};
    uint64_t sector, length_bytes;
    uint32_t flags, sectors;

    if (p->out_bytes != BLK_RANGE_BYTES) {
        blk_finish_now(blk, p, p->out_bytes < BLK_RANGE_BYTES ? BLK_S_IOERR : BLK_S_UNSUPP);
        return;
    }
    blk_take_out(p, raw, sizeof(raw));
    sector = le64_load(raw);
    sectors = le32_load(raw + 8);
    flags = le32_load(raw + 12);
    length_bytes = (uint64_t)sectors * BLOCK_SECTOR_BYTES;
    if (flags & ~(zeroes ? BLK_RANGE_UNMAP : 0)) {
        blk_finish_now(blk, p, BLK_S_UNSUPP);
        return;
    }
    if (block_readonly(blk->block) || sectors > BLK_RANGE_MAX ||
        !blk_in_range(blk, sector, length_bytes)) {
        blk_finish_now(blk, p, BLK_S_IOERR);
        return;
    }
    if (sectors == 0) {
        blk_finish_now(blk, p, BLK_S_OK);
        return;
    }
    io.offset_bytes = sector * BLOCK_SECTOR_BYTES;
    io.length_bytes = length_bytes;
    io.unmap = flags & BLK_RANGE_UNMAP;
    io.fua = zeroes && blk_write_through(blk);
    blk_submit(blk, p, &io);
}

static void blk_get_id(struct virtio_blk *blk, struct blk_parse *p)
{
    size_t left = num_min(sizeof(blk->serial), p->in_bytes), at = 0;

    for (uint32_t i = 0; left > 0; i++) {
        size_t run = num_min(left, p->in[i].iov_len);

        memcpy(p->in[i].iov_base, blk->serial + at, run);
        at += run;
        left -= run;
    }
    virtqueue_mark_written(&blk->v, p->chain, at);
    blk_finish_now(blk, p, BLK_S_OK);
}

static void blk_start(struct virtio_blk *blk, uint32_t queue, struct virtio_chain *chain,
                      bool popped)
{
    struct iovec *last = &chain->iov[chain->out_count + chain->in_count - 1];
    struct blk_parse p = {
        .chain = chain,
        .out = chain->iov,
        .out_count = chain->out_count,
        .out_bytes = chain->out_bytes,
        .in = chain->iov + chain->out_count,
        .queue = queue,
        .popped = popped,
    };
    uint8_t header[BLK_HEADER_BYTES];
    uint64_t sector;

    if (chain->out_bytes < BLK_HEADER_BYTES || chain->in_bytes < 1) {
        virtio_break(&blk->v, "a request of its driver has no room for header or status");
        return;
    }
    last->iov_len--;
    p.status = (uint8_t *)last->iov_base + last->iov_len;
    p.status_gpa = chain->gpa[chain->out_count + chain->in_count - 1] + last->iov_len;
    p.in_bytes = chain->in_bytes - 1;
    blk_take_out(&p, header, sizeof(header));
    sector = le64_load(header + 8);

    switch (le32_load(header)) {
    case BLK_T_IN:
        blk_start_rw(blk, &p, false, sector);
        break;
    case BLK_T_OUT:
        blk_start_rw(blk, &p, true, sector);
        break;
    case BLK_T_FLUSH:
        blk_submit(blk, &p, &(struct block_request){.op = BLOCK_FLUSH});
        break;
    case BLK_T_GET_ID:
        blk_get_id(blk, &p);
        break;
    case BLK_T_DISCARD:
        blk_start_range(blk, &p, false);
        break;
    case BLK_T_WRITE_ZEROES:
        blk_start_range(blk, &p, true);
        break;
    default:
        blk_finish_now(blk, &p, BLK_S_UNSUPP);
        break;
    }
}

static void blk_kick(struct virtio_dev *v, uint32_t index)
{
    struct virtio_queue *q = &v->queues[index];
    unsigned budget = BLK_TURN_REQUESTS;

    if (v->quiesced)
        return;
    do {
        virtqueue_want_kick(v, q, false);
        while (budget > 0 && blk_has_room(blk_of(v)) && virtqueue_pop(v, q, v->chain) > 0) {
            blk_start(blk_of(v), index, v->chain, true);
            budget--;
        }
        if (!blk_has_room(blk_of(v))) {
            blk_of(v)->starved |= VIRTIO_BIT(index);
            return;
        }
        if (budget == 0) {
            virtio_kick_later(v, index);
            return;
        }
        virtqueue_want_kick(v, q, true);
    } while (virtqueue_available(v, q) > 0);
}

/* --- Config, features --- */

static void blk_config_get(struct virtio_dev *v)
{
    const struct virtio_blk *blk = blk_of(v);
    uint64_t sectors = block_size_bytes(blk->block) / BLOCK_SECTOR_BYTES;
    uint64_t cylinders = num_min(sectors / (16 * 63), 16383);
    uint8_t *c = v->config;

    memset(c, 0, BLK_CONFIG_ALL);
    le64_store(c, sectors);
    le32_store(c + 12, BLK_SEG_MAX);
    le16_store(c + 16, (uint16_t)cylinders);
    c[18] = 16; /* heads */
    c[19] = 63; /* sectors of a track */
    le32_store(c + 20, BLOCK_SECTOR_BYTES);
    c[BLK_CONFIG_WCE] = blk->writeback;
    le16_store(c + 34, (uint16_t)v->queue_count);
    if (blk->discard) {
        le32_store(c + 36, BLK_RANGE_MAX);
        le32_store(c + 40, 1); /* ranges in a request */
        le32_store(c + 44, 1); /* alignment in sectors */
    }
    if (blk->write_zeroes) {
        le32_store(c + 48, BLK_RANGE_MAX);
        le32_store(c + 52, 1);
        c[56] = 1; /* may unmap */
    }
}

static int blk_fact_at(const struct virtio_dev *v, size_t index, struct ferry_fact *ret)
{
    const struct virtio_blk *blk = (const struct virtio_blk *)v;
    uint64_t capacity = block_look_bytes(blk->block) / BLOCK_SECTOR_BYTES * BLOCK_SECTOR_BYTES;

    switch (index) {
    case 0:
        strcpy(ret->name, "capacity");
        if (capacity)
            snprintf(ret->value, sizeof(ret->value), "%" PRIu64 " bytes", capacity);
        return 0;
    case 1:
        strcpy(ret->name, "logical-block-size");
        snprintf(ret->value, sizeof(ret->value), "%u bytes", BLOCK_SECTOR_BYTES);
        return 0;
    case 2: /* physical_block_exp is 0 */
        strcpy(ret->name, "physical-block-size");
        snprintf(ret->value, sizeof(ret->value), "%u bytes", BLOCK_SECTOR_BYTES);
        return 0;
    default:
        return -ENOENT;
    }
}

static void blk_config_set(struct virtio_dev *v, uint32_t offset, uint32_t size_bytes)
{
    if (virtio_has(v, BLK_F_CONFIG_WCE) && offset <= BLK_CONFIG_WCE &&
        BLK_CONFIG_WCE < offset + size_bytes)
        blk_of(v)->writeback = v->config[BLK_CONFIG_WCE] & 1;
}

static void blk_reset(struct virtio_dev *v)
{
    struct virtio_blk *blk = blk_of(v);

    blk->writeback = true;
    /* Where the guest has looked, the switch travels as what it saw. */
    if (le64_load(v->config))
        v->config[BLK_CONFIG_WCE] = 1;
    blk->resubmit.count = 0;
    blk->held = false;
    blk->starved = 0;
}

static void blk_queue_reset(struct virtio_dev *v, uint32_t index)
{
    struct blk_resubmit *list = &blk_of(v)->resubmit;
    uint32_t kept = 0;

    for (uint32_t i = 0; i < list->count; i++)
        if (list->entries[i].queue != index)
            list->entries[kept++] = list->entries[i];
    list->count = kept;
}

static void blk_resume(struct virtio_dev *v)
{
    struct virtio_blk *blk = blk_of(v);
    struct blk_resubmit list;

    if (v->quiesced || v->paused || blk->held || blk->resubmit.count == 0)
        return;
    list = blk->resubmit; /* what fails again goes into the next one */
    blk->resubmit.count = 0;
    for (uint32_t i = 0; i < list.count && !v->broken; i++) {
        const struct blk_resubmit_entry *e = &list.entries[i];

        if (virtqueue_chain(v, &v->queues[e->queue], e->head, v->chain) == 0)
            blk_start(blk, e->queue, v->chain, false);
    }
    blk_feed(blk);
}

void virtio_blk_retry(struct dev *d)
{
    if (d->type != &blk_type.dev)
        return;
    ((struct virtio_blk *)d)->held = false;
    blk_resume((struct virtio_dev *)d);
}

static void blk_destroy(struct dev *d)
{
    struct virtio_blk *blk = (struct virtio_blk *)d;

    virtio_dev_destroy(d);
    bell_free(blk->error_bell);
}

static const struct virtio_queue_owner blk_owner = {
    .kick = blk_kick,
    .cancel = blk_cancel,
    .reset = blk_queue_reset,
};

static const struct virtio_type blk_type = {
    .dev = VIRTIO_DEV("virtio-blk", struct virtio_blk, blk_destroy, &virtio_blk_table),
    .device_id = 2,
    .config_get = blk_config_get,
    .config_set = blk_config_set,
    .reset = blk_reset,
    .quiesce = blk_quiesce,
    .resume = blk_resume,
    .fact_at = blk_fact_at,
};

static int disk_new(struct dev **ret, const struct virtio_params *params, struct ferry_err *err)
{
    const struct config_disk *config = (const struct config_disk *)params->config;
    uint32_t queue_count = config->num_queues;
    struct virtio_queue_spec queues[VIRTIO_QUEUES_MAX];
    uint64_t features = VIRTIO_BIT(BLK_F_SEG_MAX) | VIRTIO_BIT(BLK_F_GEOMETRY) |
                        VIRTIO_BIT(BLK_F_BLK_SIZE) | VIRTIO_BIT(BLK_F_TOPOLOGY) |
                        VIRTIO_BIT(BLK_F_FLUSH) | VIRTIO_BIT(BLK_F_CONFIG_WCE);
    bool ranges = config->discard || config->write_zeroes;
    struct virtio_dev *v;
    struct virtio_blk *blk;
    int rc;

    if (queue_count > VIRTIO_QUEUES_MAX)
        return err_set(err, EINVAL, "num-queues=%u is more than the %u a disk can have",
                       queue_count, VIRTIO_QUEUES_MAX);
    for (uint32_t i = 0; i < queue_count; i++)
        queues[i] = (struct virtio_queue_spec){BLK_QUEUE_NUM, &blk_owner};
    if (params->place.legacy)
        features |= VIRTIO_BIT(BLK_F_SCSI);
    if (block_readonly(params->block))
        features |= VIRTIO_BIT(BLK_F_RO);
    if (queue_count > 1)
        features |= VIRTIO_BIT(BLK_F_MQ);
    if (config->discard)
        features |= VIRTIO_BIT(BLK_F_DISCARD);
    if (config->write_zeroes)
        features |= VIRTIO_BIT(BLK_F_WRITE_ZEROES);
    rc = virtio_dev_new(&v, &blk_type, params, features, ranges ? BLK_CONFIG_ALL : BLK_CONFIG_BASE,
                        queues, queue_count, err);
    if (rc)
        return rc;
    blk = blk_of(v);
    rc = bell_new(&blk->error_bell, params->env->loop, blk_error_bell, blk, err);
    if (rc) {
        dev_free(&v->dev);
        return rc;
    }
    blk->block = params->block;
    blk->on_error = params->on_disk_error;
    blk->on_read_error = config->on_read_error;
    blk->on_write_error = config->on_write_error;
    for (size_t i = 0; i < params->env->mem->slot_count; i++)
        blk->ram_bytes += params->env->mem->slots[i].size_bytes;
    blk->discard = config->discard;
    blk->write_zeroes = config->write_zeroes;
    if (config->serial)
        memcpy(blk->serial, config->serial, num_min(strlen(config->serial), sizeof(blk->serial)));
    virtio_dev_reset(&v->dev);
    *ret = &v->dev;
    return 0;
}

/* --- As a kind --- */

#define DISK(member) .offset = offsetof(struct config_disk, member)
static const struct prop disk_props[] = {
    VIRTIO_PROPS,
    {.name = "drive", .kind = PROP_STRING, VIRTIO_PROP(device.backend), .whose = OF_GUEST},
    {.name = "num-queues",
     .kind = PROP_U32,
     DISK(num_queues),
     .min = 1,
     .max = 8,
     .whose = OF_GUEST,
     .is_compared = true},
    {.name = "discard", .kind = PROP_BOOL, DISK(discard), .whose = OF_GUEST, .is_compared = true},
    {.name = "write-zeroes",
     .kind = PROP_BOOL,
     DISK(write_zeroes),
     .whose = OF_GUEST,
     .is_compared = true},
    {.name = "serial", .kind = PROP_STRING, DISK(serial), .whose = OF_GUEST, .is_compared = true},
    {.name = "rerror",
     .kind = PROP_ENUM,
     .choices = config_read_errors,
     DISK(on_read_error),
     .whose = OF_GUEST},
    {.name = "werror",
     .kind = PROP_ENUM,
     .choices = config_write_errors,
     DISK(on_write_error),
     .whose = OF_GUEST},
    {0},
};
#undef DISK
static const struct config_disk disk_defaults = {.virtio = VIRTIO_DEFAULTS,
                                                 .num_queues = 1,
                                                 .discard = true,
                                                 .write_zeroes = true,
                                                 .on_read_error = CONFIG_ON_ERROR_AUTO,
                                                 .on_write_error = CONFIG_ON_ERROR_AUTO};

static int disk_check(const struct config_device *d, struct ferry_err *err)
{
    const char *serial = config_disk_of(d)->serial;

    if (serial && strlen(serial) > BLK_SERIAL_BYTES)
        return err_set(err, EINVAL, "serial '%s' is longer than %d characters", serial,
                       BLK_SERIAL_BYTES);
    return 0;
}

const struct virtio_kind virtio_blk_device = {
    .kind = {.name = "virtio-blk-device",
             .what = "disk",
             .bus = DEVICE_BUS_VIRTIO_MMIO,
             .backend = DEVICE_USES_DRIVE,
             .props = disk_props,
             .config_bytes = sizeof(disk_defaults),
             .defaults = &disk_defaults,
             .check = disk_check},
    .create = disk_new,
};
