/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The disk's requests while the block layer has them: submitted, taken back before a pause or a
 * reset, finished on a worker's thread, and kept or told of when the host fails them.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/nospace.h"
#include "vmm/backend/bell.h"
#include "vmm/dev/virtio/blk.h"

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

void blk_finish_now(struct virtio_blk *blk, const struct blk_parse *p, uint8_t result)
{
    blk_finish(blk, p->queue, p->chain->head, p->status, p->status_gpa,
               (uint32_t)p->chain->in_bytes, result);
}

/* --- Requests that the block layer has --- */

bool blk_has_room(const struct virtio_blk *blk)
{
    return blk->v.inflight + blk->resubmit.count < BLK_INFLIGHT_MAX;
}

void blk_feed(struct virtio_blk *blk)
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

void blk_quiesce(struct virtio_dev *v)
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

void blk_cancel(struct virtio_dev *v, uint32_t index)
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
        return is_nospace(-io->result) ? VIRTIO_BLK_STOP : VIRTIO_BLK_REPORT;
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

void blk_error_bell(void *arg)
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

/* --- Giving them to the block layer --- */

void blk_submit(struct virtio_blk *blk, const struct blk_parse *p, const struct block_request *io)
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
