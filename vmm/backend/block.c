/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/backend/block.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
#include "base/own.h"
#include "base/same_file.h"
#include "base/thread.h"
#include "vmm/backend/allow.h"
#include "vmm/backend/bell.h"
#include "vmm/backend/block_file.h"
#include "vmm/backend/block_lock.h"

/* Requests of one image that the host works on at a time. */
#define BLOCK_WORKERS 4u
#define ERRNO_MAX     4095u

struct block {
    struct block_file file;
    char *id;
    char *path;
    char *idstr; /* "drive/<id>" */
    bool locking;
    bool given;  /* what was written is on stable storage, the lock is not held */
    bool opened; /* by this process: what failed before that does not count */
    uint8_t io_status;
    uint32_t saved_flush_failed; /* on the wire only */

    pthread_t workers[BLOCK_WORKERS];
    thread_begin_fn *begin;
    unsigned worker_count;
    pthread_mutex_t mutex; /* of what follows; innermost, never held while a request is done */
    pthread_cond_t work;
    pthread_cond_t idle; /* CLOCK_MONOTONIC; unfinished is 0 */
    struct block_request *head;
    struct block_request **tail;
    struct bell *idle_bell; /* loan: rung once, then */
    unsigned unfinished;    /* submitted, and done() has not returned */
    bool stopping;

    struct {
        struct block_request req;
        struct bell *bell;
        bool going_on;
        bool again;        /* asked for while it was going on */
        bool drain_wanted; /* the main thread's: block_drained() is to say so */
        int result;
    } flush;
};

/* --- Workers --- */

/* With the mutex. */
static void one_is_finished(struct block *b)
{
    if (--b->unfinished > 0)
        return;
    pthread_cond_broadcast(&b->idle);
    if (b->idle_bell)
        bell_ring(b->idle_bell);
    b->idle_bell = NULL;
}

/* finished: the worker has done one before. */
static struct block_request *next_request(struct block *b, bool finished)
{
    struct block_request *req;

    pthread_mutex_lock(&b->mutex);
    if (finished)
        one_is_finished(b);
    while (!b->head && !b->stopping)
        pthread_cond_wait(&b->work, &b->mutex);
    req = b->head;
    if (req) {
        b->head = req->next;
        if (!b->head)
            b->tail = &b->head;
    }
    pthread_mutex_unlock(&b->mutex);
    return req;
}

static int check_request(const struct block *b, const struct block_request *req)
{
    uint64_t size_bytes = b->file.size_bytes;

    if (atomic_load(&req->cancelled) || atomic_load(&b->file.stop))
        return -ECANCELED;
    if (b->file.fd < 0)
        return -ENOMEDIUM;
    if (req->op != BLOCK_READ && req->op != BLOCK_FLUSH && b->file.readonly)
        return -EROFS;
    if (req->offset_bytes > size_bytes || req->length_bytes > size_bytes - req->offset_bytes)
        return -EINVAL;
    return 0;
}

static void *worker(void *arg)
{
    struct block *b = arg;
    struct block_request *req = NULL;

    if (b->begin)
        b->begin(THREAD_BLOCK);
    while ((req = next_request(b, req != NULL))) {
        req->result = check_request(b, req);
        if (req->result == 0)
            req->result = block_file_do(&b->file, req);
        req->done(req);
    }
    return NULL;
}

static int start_workers(struct block *b, struct ferry_err *err)
{
    char name[THREAD_NAME_BYTES];
    int rc = 0;

    snprintf(name, sizeof(name), "blk/%.11s", b->id);
    while (rc == 0 && b->worker_count < BLOCK_WORKERS) {
        rc = thread_start(&b->workers[b->worker_count], name, worker, b);
        if (rc == 0)
            b->worker_count++;
    }
    return rc ? err_sys(err, -rc, "starting a thread for drive \"%s\"", b->id) : 0;
}

void block_submit(struct block *b, struct block_request *req)
{
    req->next = NULL;
    atomic_store_explicit(&req->cancelled, false, memory_order_relaxed);
    pthread_mutex_lock(&b->mutex);
    *b->tail = req;
    b->tail = &req->next;
    b->unfinished++;
    pthread_cond_signal(&b->work);
    pthread_mutex_unlock(&b->mutex);
}

bool block_cancel(struct block *b, struct block_request *req)
{
    struct block_request **at;
    bool found;

    pthread_mutex_lock(&b->mutex);
    for (at = &b->head; *at && *at != req; at = &(*at)->next)
        ;
    found = *at != NULL;
    if (found) {
        *at = req->next;
        if (!*at)
            b->tail = at;
        one_is_finished(b);
    } else {
        atomic_store(&req->cancelled, true);
    }
    pthread_mutex_unlock(&b->mutex);
    return found;
}

/* --- Flushing for a move --- */

static void flush_done(struct block_request *req);

static void flush_submit(struct block *b)
{
    b->flush.req = (struct block_request){.op = BLOCK_FLUSH, .done = flush_done};
    block_submit(b, &b->flush.req);
}

static void flush_done(struct block_request *req)
{
    struct block *b = (struct block *)(void *)((char *)req - offsetof(struct block, flush.req));
    bool again;

    pthread_mutex_lock(&b->mutex);
    again = b->flush.again && req->result == 0;
    b->flush.again = false;
    b->flush.result = req->result;
    b->flush.going_on = again;
    if (!again)
        bell_ring(b->flush.bell);
    pthread_mutex_unlock(&b->mutex);
    if (again)
        flush_submit(b);
}

void block_flush_begin(struct block *b, struct bell *bell)
{
    bool begin;

    pthread_mutex_lock(&b->mutex);
    begin = !b->flush.going_on && !b->given;
    b->flush.again = b->flush.going_on;
    b->flush.going_on |= begin;
    b->flush.bell = bell;
    pthread_mutex_unlock(&b->mutex);
    if (begin)
        flush_submit(b);
}

int block_flush_result(struct block *b, struct ferry_err *err)
{
    bool going_on;
    int rc;

    pthread_mutex_lock(&b->mutex);
    going_on = b->flush.going_on;
    rc = b->flush.result;
    pthread_mutex_unlock(&b->mutex);
    if (going_on)
        return 1;
    if (b->given || rc == 0)
        return 0;
    return err_set(err, -rc,
                   "drive \"%s\": image \"%s\" could not be written to stable storage, now or "
                   "earlier (%s), and the host has dropped what it could not write; the guest can "
                   "only be shut down, and the image be looked at and opened anew",
                   b->id, b->path, strerror(-rc));
}

bool block_is_flushing(struct block *b)
{
    bool going_on;

    pthread_mutex_lock(&b->mutex);
    going_on = b->flush.going_on;
    pthread_mutex_unlock(&b->mutex);
    return going_on;
}

bool block_drained(struct block *b)
{
    bool drained = b->flush.drain_wanted && !block_is_flushing(b);

    if (drained)
        b->flush.drain_wanted = false;
    return drained;
}

/* --- Life --- */

bool block_is_idle(struct block *b, struct bell *bell)
{
    bool idle;

    pthread_mutex_lock(&b->mutex);
    idle = b->unfinished == 0;
    if (!idle)
        b->idle_bell = bell;
    pthread_mutex_unlock(&b->mutex);
    return idle;
}

bool block_stop(struct block *b, int64_t deadline_ns)
{
    bool idle;

    atomic_store(&b->file.stop, true);
    pthread_mutex_lock(&b->mutex);
    while (b->unfinished > 0 && thread_cond_wait_until(&b->idle, &b->mutex, deadline_ns))
        continue;
    idle = b->unfinished == 0;
    pthread_mutex_unlock(&b->mutex);
    return idle;
}

void block_free(struct block *b)
{
    if (!b)
        return;
    pthread_mutex_lock(&b->mutex);
    b->stopping = true;
    pthread_cond_broadcast(&b->work);
    pthread_mutex_unlock(&b->mutex);
    for (unsigned i = 0; i < b->worker_count; i++)
        pthread_join(b->workers[i], NULL);
    pthread_cond_destroy(&b->work);
    pthread_cond_destroy(&b->idle);
    pthread_mutex_destroy(&b->mutex);
    block_file_close(&b->file);
    free(b->id);
    free(b->path);
    free(b->idstr);
    free(b);
}

static void block_freep(struct block **b)
{
    block_free(*b);
}

int block_new_with(struct block **ret, const struct config_drive *config, thread_begin_fn *begin,
                   struct ferry_err *err)
{
    OWN_MEM struct block *raw = calloc(1, sizeof(*raw));
    OWN(block_freep) struct block *b = NULL;
    int rc;

    if (strlen(config->id) + sizeof("/image") > FERRY_FD_NAME_BYTES)
        return err_set(err, ENAMETOOLONG, "drive id \"%.80s\" is longer than %zu bytes", config->id,
                       FERRY_FD_NAME_BYTES - sizeof("/image"));
    if (!raw)
        return err_set(err, ENOMEM, "no memory for drive \"%s\"", config->id);
    rc = block_file_init(&raw->file, config, err);
    if (rc)
        return rc;
    b = TAKE_PTR(raw);
    pthread_mutex_init(&b->mutex, NULL);
    pthread_cond_init(&b->work, NULL);
    thread_cond_init(&b->idle);
    b->tail = &b->head;
    b->locking = config->locking;
    b->begin = begin;
    b->id = strdup(config->id);
    b->path = strdup(config->path);
    if (!b->id || !b->path || asprintf(&b->idstr, "drive/%s", config->id) < 0) {
        b->idstr = NULL;
        return err_set(err, ENOMEM, "no memory for drive \"%s\"", config->id);
    }
    rc = start_workers(b, err);
    if (rc)
        return rc;
    *ret = TAKE_PTR(b);
    return 0;
}

int block_open(struct block *b, struct ferry_err *err)
{
    int rc = block_file_open(&b->file, b->path, b->locking, true, err);

    if (rc)
        err_prefix(err, "drive \"%s\"", b->id);
    b->opened = true;
    return rc;
}

int block_open_unlocked(struct block *b, struct ferry_err *err)
{
    int rc = block_file_open(&b->file, b->path, false, false, err);

    if (rc)
        err_prefix(err, "drive \"%s\"", b->id);
    b->opened = b->given = true;
    return rc;
}

int block_open_with(struct block *b, int *fd, bool lock, struct ferry_err *err)
{
    int rc = block_file_adopt(&b->file, fd, b->path, lock && b->locking, err);

    if (rc)
        err_prefix(err, "drive \"%s\"", b->id);
    b->opened = true;
    b->given = !lock;
    return rc;
}

int block_take_lock(struct block *b, struct ferry_err *err)
{
    int rc = b->locking ? block_lock(b->file.fd, b->path, b->file.readonly, err) : 0;

    if (rc)
        return err_prefix(err, "drive \"%s\"", b->id);
    b->given = false;
    return 0;
}

void block_give_lock(struct block *b, bool claim)
{
    b->given = true;
    if (!b->locking)
        return;
    block_claim(b->file.fd, claim && !b->file.readonly);
    block_unlock(b->file.fd);
}

enum block_io_status block_io_status(const struct block *b)
{
    return b->io_status;
}

void block_set_io_status(struct block *b, enum block_io_status status)
{
    b->io_status = (uint8_t)status;
}

const struct config_drive *block_find_image(const struct vm_config *c, int fd)
{
    struct stat st, image;

    for (size_t i = 0; fstat(fd, &st) == 0 && i < c->drive_count; i++) {
        const struct config_drive *d = &c->drives[i];

        if (allow_stat(d->allow, d->path, &image) == 0 && same_file(&image, &st))
            return d;
    }
    return NULL;
}

const char *block_id(const struct block *b)
{
    return b->id;
}

const char *block_path(const struct block *b)
{
    return b->path;
}

bool block_readonly(const struct block *b)
{
    return b->file.readonly;
}

uint64_t block_size_bytes(const struct block *b)
{
    return b->file.size_bytes;
}

uint64_t block_look_bytes(const struct block *b)
{
    int64_t size_bytes =
        b->file.fd >= 0 ? (int64_t)b->file.size_bytes : allow_file_bytes(b->file.allow, b->path);

    return size_bytes > 0 ? (uint64_t)size_bytes : 0;
}

/* --- As a part --- */

static void image_name(const struct block *b, char name[FERRY_FD_NAME_BYTES])
{
    snprintf(name, FERRY_FD_NAME_BYTES, "%s/image", b->id);
}

static int block_fd_at(void *obj, size_t index, struct ferry_named_fd *ret)
{
    struct block *b = obj;

    if (index > 0)
        return -ENOENT;
    image_name(b, ret->name);
    ret->fd = b->file.fd;
    return 0;
}

static int block_adopt(void *obj, const char *name, int *fd, struct ferry_err *err)
{
    struct block *b = obj;
    char ours[FERRY_FD_NAME_BYTES];
    int rc;

    image_name(b, ours);
    if (strcmp(name, ours))
        return err_set(err, EINVAL, "drive \"%s\" has no fd \"%s\", only \"%s\"", b->id, name,
                       ours);
    rc = block_file_adopt(&b->file, fd, b->path, b->locking, err);
    if (rc)
        err_prefix(err, "drive \"%s\"", b->id);
    return rc;
}

/* A stream leaves by the lock being given: its target opens the image anew. */
static bool block_needed(const void *obj)
{
    const struct block *b = obj;

    return !b->given && (atomic_load(&b->file.flush_failed) || b->io_status);
}

static void block_pre_save(void *obj)
{
    struct block *b = obj;

    b->saved_flush_failed = (uint32_t)atomic_load(&b->file.flush_failed);
}

static void block_post_load(void *obj)
{
    struct block *b = obj;

    if (!b->opened)
        atomic_store(&b->file.flush_failed, (int)b->saved_flush_failed);
}

static const struct ferry_field block_fields[] = {
    FERRY_U32(struct block, saved_flush_failed, .max = ERRNO_MAX, .wire_name = "flush_failed"),
    FERRY_U8(struct block, io_status, .max = BLOCK_IO_NOSPACE),
};
static const struct ferry_table block_table = {
    .name = "ferry/drive",
    .version = 1,
    .minimum_version = 1,
    .needed = block_needed,
    .pre_save = block_pre_save,
    .post_load = block_post_load,
    FERRY_FIELDS(block_fields),
};

static int block_quiesce(void *obj)
{
    struct block *b = obj;

    b->flush.drain_wanted = block_is_flushing(b);
    return b->flush.drain_wanted;
}

static void block_unquiesce(void *obj)
{
    ((struct block *)obj)->flush.drain_wanted = false;
}

static const struct ferry_part_ops block_part_ops = {.quiesce = block_quiesce,
                                                     .unquiesce = block_unquiesce,
                                                     .fd_at = block_fd_at,
                                                     .adopt = block_adopt};

struct ferry_part block_part(struct block *b)
{
    return (struct ferry_part){
        .idstr = b->idstr,
        .table = &block_table,
        .ops = &block_part_ops,
        .obj = b,
        .obj_bytes = sizeof(*b),
    };
}
