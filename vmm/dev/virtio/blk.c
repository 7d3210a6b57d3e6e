/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Disk (virtio 1.2, section 5.2). A request is readable bytes {u32 type, u32, u64 sector, data or
 * ranges}, then writable bytes {data, u8 status}. Reading and writing go straight between the
 * image and guest memory on the block layer's threads, which complete them here.
 */
#include "vmm/dev/virtio/blk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/be.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/num.h"
#include "vmm/dev/virtio/mmio.h"

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
enum { BLK_S_OK = 0, BLK_S_IOERR = 1, BLK_S_UNSUPP = 2 };

#define BLK_HEADER_BYTES 16u
#define BLK_RANGE_BYTES  16u
#define BLK_RANGE_UNMAP  1u

#define BLK_QUEUE_NUM     256u
#define BLK_SEG_MAX       (BLK_QUEUE_NUM - 2) /* one part for the header, one for the status */
#define BLK_RANGE_MAX     0x3fffffu           /* sectors of one discard or write-zeroes */
#define BLK_TURN_REQUESTS 32u /* taken with the machine lock held; the rest a moment later */
#define BLK_CONFIG_ALL    57u
#define BLK_CONFIG_BASE   36u /* without discard and write-zeroes */

/* What the block layer has of ours at most: bounds its memory, and what is to be cancelled. */
#define BLK_INFLIGHT_MAX   256u
/* A request of less is let finish before a pause; the host's worker does it in one piece. */
#define BLK_LONG_BYTES     (1u << 20)
/* How often the operator hears of errors that do not stop the guest. */
#define BLK_ERROR_EVERY_NS INT64_C(1000000000)

/* A request that the block layer has; linked from the oldest to the newest. */
struct blk_request {
    struct block_request io; /* first */
    struct virtio_blk *blk;
    struct blk_request *older, *newer;
    uint8_t *status; /* guest memory */
    uint64_t status_gpa;
    uint32_t in_bytes;
    uint16_t queue;
    uint16_t head;
    uint16_t avail; /* its place in the avail ring */
    bool popped;    /* from there; else it is done once more */
    bool reads;     /* stores into the parts */
    size_t part_count;
    struct blk_part {
        uint64_t gpa;
        uint64_t bytes;
    } * parts; /* behind iov */
    struct iovec iov[];
};

/* A request as it is taken apart: what is left of the chain's parts. */
struct blk_parse {
    struct virtio_chain *chain;
    struct iovec *out;
    size_t out_count;
    uint64_t out_bytes;
    struct iovec *in;
    uint64_t in_bytes;
    uint8_t *status;
    uint64_t status_gpa;
    uint32_t queue;
    bool popped;
};

static const struct virtio_type blk_type;

static struct virtio_blk *blk_of(struct virtio_dev *v)
{
    return (struct virtio_blk *)v;
}

/* --- Finishing --- */

static void blk_finish(struct virtio_blk *blk, uint32_t queue, uint16_t head, uint8_t *status,
                       uint64_t status_gpa, uint32_t in_bytes, uint8_t result)
{
    struct virtio_queue *q = &blk->v.queues[queue];

    *status = result;
    guestmem_mark_dirty(blk->v.dev.env->mem, status_gpa, 1);
    virtqueue_push(&blk->v, q, head, in_bytes);
    virtqueue_interrupt(&blk->v, q);
}

static void blk_finish_now(struct virtio_blk *blk, const struct blk_parse *p, uint8_t result)
{
    blk_finish(blk, p->queue, p->chain->head, p->status, p->status_gpa,
               (uint32_t)p->chain->in_bytes, result);
}

/* --- Requests that the block layer has --- */

static bool blk_has_room(const struct virtio_blk *blk)
{
    return blk->v.inflight + blk->resubmit.count < BLK_INFLIGHT_MAX;
}

/* Queues that were not looked at for want of room. */
static void blk_feed(struct virtio_blk *blk)
{
    if (!blk->starved || !blk_has_room(blk))
        return;
    for (uint32_t i = 0; i < blk->v.queue_count; i++)
        if (blk->starved & VIRTIO_BIT(i))
            virtio_kick_later(&blk->v, i);
    blk->starved = 0;
}

static void blk_link(struct virtio_blk *blk, struct blk_request *req)
{
    req->newer = NULL;
    req->older = blk->newest;
    *(req->older ? &req->older->newer : &blk->oldest) = req;
    blk->newest = req;
    virtio_inflight_add(&blk->v, req->queue);
}

/* The last thing: a reset that waited for it happens here. */
static void blk_drop(struct virtio_blk *blk, struct blk_request *req)
{
    uint16_t queue = req->queue;

    *(req->older ? &req->older->newer : &blk->oldest) = req->newer;
    *(req->newer ? &req->newer->older : &blk->newest) = req->older;
    free(req);
    virtio_inflight_done(&blk->v, queue);
    blk_feed(blk);
}

static void blk_park(struct virtio_blk *blk, const struct blk_request *req)
{
    blk->resubmit.entries[blk->resubmit.count++] =
        (struct blk_resubmit_entry){.queue = req->queue, .head = req->head};
}

/* Nothing was popped after it. */
static bool blk_is_last(const struct virtio_blk *blk, const struct blk_request *req)
{
    return req->popped && (uint16_t)(req->avail + 1) == blk->v.queues[req->queue].last_avail;
}

/* To be done later, from the beginning: it may be popped again, or is kept. */
static void blk_give_back(struct virtio_blk *blk, const struct blk_request *req)
{
    if (blk_is_last(blk, req))
        virtqueue_unpop(&blk->v.queues[req->queue]);
    else
        blk_park(blk, req);
}

/*
 * Before a pause. What no worker has begun goes back, the newest first, as rings allow it; what
 * takes long is ended at its next piece. All else is done within moments.
 */
static void blk_quiesce(struct virtio_dev *v)
{
    struct virtio_blk *blk = blk_of(v);
    struct blk_request *older;

    for (struct blk_request *req = blk->newest; req; req = older) {
        older = req->older;
        if (!blk_is_last(blk, req) && req->io.length_bytes <= BLK_LONG_BYTES)
            continue;
        if (block_cancel(blk->block, &req->io)) {
            blk_give_back(blk, req);
            blk_drop(blk, req);
        }
    }
}

/* Of a queue that is to be reset: nobody waits for them any more. */
static void blk_cancel(struct virtio_dev *v, uint32_t index)
{
    struct virtio_blk *blk = blk_of(v);
    struct blk_request *newer;

    for (struct blk_request *req = blk->oldest; req; req = newer) {
        newer = req->newer;
        if (req->queue == index && block_cancel(blk->block, &req->io))
            blk_drop(blk, req);
    }
}

/* --- When the host fails --- */

static void blk_report(struct virtio_blk *blk, const struct block_request *io,
                       enum virtio_blk_action action)
{
    bool stops = action == VIRTIO_BLK_STOP;

    /* One at a time; that the guest stops must be heard. */
    if (blk->error_pending && (blk->error.action == VIRTIO_BLK_STOP || !stops))
        return;
    blk->error = (struct virtio_blk_error){
        .block = blk->block,
        .write = io->op != BLOCK_READ,
        .action = action,
        .errnum = -io->result,
    };
    blk->error_pending = true;
    bell_ring(blk->error_bell);
}

static enum virtio_blk_action blk_action(const struct virtio_blk *blk,
                                         const struct block_request *io)
{
    enum config_on_error wanted = io->op == BLOCK_READ ? blk->on_read_error : blk->on_write_error;

    switch (wanted) {
    case CONFIG_ON_ERROR_IGNORE:
        return VIRTIO_BLK_IGNORE;
    case CONFIG_ON_ERROR_STOP:
        return VIRTIO_BLK_STOP;
    case CONFIG_ON_ERROR_ENOSPC:
        return block_is_nospace(-io->result) ? VIRTIO_BLK_STOP : VIRTIO_BLK_REPORT;
    default:
        return VIRTIO_BLK_REPORT;
    }
}

/* true: the request is kept, for when the guest goes on. */
static bool blk_keep_failed(struct virtio_blk *blk, struct blk_request *req)
{
    enum virtio_blk_action action = blk_action(blk, &req->io);

    blk_report(blk, &req->io, action);
    if (action == VIRTIO_BLK_IGNORE)
        req->io.result = 0;
    if (action != VIRTIO_BLK_STOP)
        return false;
    blk->held = true;
    blk_park(blk, req);
    return true;
}

/* Main thread. */
static void blk_error_bell(void *arg)
{
    struct virtio_blk *blk = arg;
    struct virtio_blk_error error;
    int64_t now_ns = clock_monotonic_ns();
    bool told;

    machine_lock(blk->v.dev.env->lock);
    error = blk->error;
    /* A guest that makes requests fail on purpose must not fill anybody's log. */
    told = blk->error_pending && (error.action == VIRTIO_BLK_STOP || now_ns >= blk->error_next_ns);
    blk->error_pending = false;
    machine_unlock(blk->v.dev.env->lock);
    if (!told)
        return;
    blk->error_next_ns = now_ns + BLK_ERROR_EVERY_NS;
    blk->on_error(blk->v.arg, &error);
}

/* On a worker thread. */
static void blk_io_done(struct block_request *io)
{
    struct blk_request *req = (struct blk_request *)io;
    struct virtio_blk *blk = req->blk;
    const struct dev_env *env = blk->v.dev.env;
    bool over = true;

    machine_lock(env->lock);
    if (req->reads) {
        for (size_t i = 0; i < req->part_count; i++)
            guestmem_mark_dirty(env->mem, req->parts[i].gpa, req->parts[i].bytes);
    }
    if (blk->v.resetting || blk->v.queues[req->queue].resetting) {
        over = false; /* the driver has forgotten it */
    } else if (io->result == -ECANCELED) {
        blk_give_back(blk, req);
        over = false;
    } else if (io->result < 0 && io->result != -ENOTSUP) {
        over = !blk_keep_failed(blk, req);
    }
    if (over)
        blk_finish(blk, req->queue, req->head, req->status, req->status_gpa, req->in_bytes,
                   io->result == 0          ? BLK_S_OK
                   : io->result == -ENOTSUP ? BLK_S_UNSUPP
                                            : BLK_S_IOERR);
    blk_drop(blk, req);
    machine_unlock(env->lock);
}

/* --- Starting --- */

/* A driver that does not flush must find each write on stable storage. */
static bool blk_write_through(const struct virtio_blk *blk)
{
    if (virtio_has(&blk->v, BLK_F_CONFIG_WCE))
        return !blk->writeback;
    return !virtio_has(&blk->v, BLK_F_FLUSH);
}

static void blk_submit(struct virtio_blk *blk, const struct blk_parse *p,
                       const struct block_request *io)
{
    const struct virtio_chain *chain = p->chain;
    size_t n = io->iov_count, at = 0;
    struct blk_request *req;

    req = calloc(1, sizeof(*req) + n * (sizeof(req->iov[0]) + sizeof(req->parts[0])));
    if (!req) {
        blk_finish_now(blk, p, BLK_S_IOERR);
        return;
    }
    req->io = *io;
    req->io.done = blk_io_done;
    req->io.iov = req->iov;
    req->blk = blk;
    req->status = p->status;
    req->status_gpa = p->status_gpa;
    req->in_bytes = (uint32_t)chain->in_bytes;
    req->queue = (uint16_t)p->queue;
    req->head = chain->head;
    req->reads = io->op == BLOCK_READ;
    req->parts = (struct blk_part *)(void *)&req->iov[n];
    for (size_t i = 0; i < n; i++) {
        if (io->iov[i].iov_len == 0)
            continue;
        req->iov[at] = io->iov[i];
        if (req->reads)
            req->parts[at] = (struct blk_part){
                .gpa = chain->gpa[chain->out_count + i],
                .bytes = io->iov[i].iov_len,
            };
        at++;
    }
    req->io.iov_count = at;
    req->part_count = at;
    req->popped = p->popped;
    req->avail = (uint16_t)(blk->v.queues[p->queue].last_avail - 1);
    blk_link(blk, req);
    block_submit(blk->block, &req->io);
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

static void blk_queue_notify(struct virtio_dev *v, uint32_t index)
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

static const struct virtio_type blk_type = {
    .dev = VIRTIO_DEV("virtio-blk", struct virtio_blk, blk_destroy, &virtio_blk_table),
    .device_id = 2,
    .config_get = blk_config_get,
    .config_set = blk_config_set,
    .queue_notify = blk_queue_notify,
    .reset = blk_reset,
    .queue_reset = blk_queue_reset,
    .cancel = blk_cancel,
    .quiesce = blk_quiesce,
    .resume = blk_resume,
};

int virtio_blk_new(struct dev **ret, const struct virtio_params *params, struct block *block,
                   struct ferry_err *err)
{
    const struct config_device *config = params->config;
    uint32_t queue_count = config->num_queues ? config->num_queues : 1;
    uint32_t nums[VIRTIO_QUEUES_MAX];
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
        nums[i] = BLK_QUEUE_NUM;
    if (params->legacy)
        features |= VIRTIO_BIT(BLK_F_SCSI);
    if (block_readonly(block))
        features |= VIRTIO_BIT(BLK_F_RO);
    if (queue_count > 1)
        features |= VIRTIO_BIT(BLK_F_MQ);
    if (config->discard)
        features |= VIRTIO_BIT(BLK_F_DISCARD);
    if (config->write_zeroes)
        features |= VIRTIO_BIT(BLK_F_WRITE_ZEROES);
    rc = virtio_dev_new(&v, &blk_type, params, features, ranges ? BLK_CONFIG_ALL : BLK_CONFIG_BASE,
                        nums, queue_count, err);
    if (rc)
        return rc;
    blk = blk_of(v);
    rc = bell_new(&blk->error_bell, params->env->loop, blk_error_bell, blk, err);
    if (rc) {
        dev_free(&v->dev);
        return rc;
    }
    blk->block = block;
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
