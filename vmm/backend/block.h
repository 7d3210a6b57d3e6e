/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk image, as the host has it: a raw file or block device, its lock, and a few worker threads
 * that read and write it.
 *
 *   create: copies the description, starts the workers, opens nothing
 *   open (fresh start) or adopt (its part's op, handover): the image is there
 *   submit ... done: requests, any thread; each is done exactly once, on a worker thread, unless
 *   cancel takes it back before
 *
 * Guest memory is read and written in place; the block layer never looks at machine state and
 * takes no machine lock: a request's done() does. The image lock is QEMU's (byte-range locks of
 * the open file description), so that ferry and QEMU keep each other off an image; it travels with
 * the fd.
 *
 * Part "drive/<id>", named fd "<id>/image". Draining is the device's business: it knows what it
 * submitted; the part drains block_flush_begin(), whose failure must not be heard by a process that
 * has given the image away. Section "drive/<id>" is there only in a handover, and only after
 * something failed: that a flush failed is true for as long as the image stays open, in whichever
 * process.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include <ferry/err.h>
#include <ferry/part.h>

#include "vmm/machine/config.h"
#include "vmm/machine/thread.h"

#define BLOCK_SECTOR_BYTES 512u

struct bell;
struct block;

enum block_op {
    BLOCK_READ = 1,
    BLOCK_WRITE,
    BLOCK_FLUSH,
    BLOCK_DISCARD,      /* contents undefined afterwards; may do nothing */
    BLOCK_WRITE_ZEROES, /* zeros afterwards */
};

/* Filled by the submitter, who owns it again when done() is called. */
struct block_request {
    enum block_op op;
    bool unmap; /* WRITE_ZEROES: the space may be given back */
    bool fua;   /* WRITE, WRITE_ZEROES: on stable storage before it is done */
    uint64_t offset_bytes;
    uint64_t length_bytes;
    struct iovec *iov; /* READ, WRITE: length_bytes in total; changed while it is worked on */
    size_t iov_count;
    int result; /* 0 or a negative errno, set before done; -ECANCELED: perhaps done in part */
    void (*done)(struct block_request *req);
    /* The block layer's. */
    struct block_request *next;
    atomic_bool cancelled;
};

/* begin: said by each of its threads when it begins; NULL = nothing. */
int block_new_with(struct block **ret, const struct config_drive *config, thread_begin_fn *begin,
                   struct ferry_err *err) FERRY_MUST_CHECK;
static inline int block_new(struct block **ret, const struct config_drive *config,
                            struct ferry_err *err)
{
    return block_new_with(ret, config, NULL, err);
}
/* Fresh start: open, check and lock the image. The refusal of a locked one says who holds it. */
int block_open(struct block *b, struct ferry_err *err) FERRY_MUST_CHECK;
/*
 * For a guest that arrives as a stream: the image is opened and checked while its source still has
 * the lock, which is taken when the guest starts here.
 */
int block_open_unlocked(struct block *b, struct ferry_err *err) FERRY_MUST_CHECK;
/*
 * Instead of either: another process opened what this one may not, for the same access. lock: as by
 * block_open(). Takes *fd on success.
 */
int block_open_with(struct block *b, int *fd, bool lock, struct ferry_err *err) FERRY_MUST_CHECK;
/* Take the lock, whoever claims the image; fine when it is held. */
int block_take_lock(struct block *b, struct ferry_err *err) FERRY_MUST_CHECK;
/*
 * No request is in flight, and a flush has said that what was written is on stable storage: others
 * may have the image. claim: only the guest that moves, until the lock is given once more, without
 * one.
 */
void block_give_lock(struct block *b, bool claim);

/*
 * For whoever is about to give the image away: what has been written so far goes to stable storage,
 * on a worker; `bell`, a loan for as long as that takes, rings when it is over. While an earlier
 * one is going on, another follows it. Main thread, as the next.
 */
void block_flush_begin(struct block *b, struct bell *bell);
/* 1: going on; 0, or -errno with a sentence. */
int block_flush_result(struct block *b, struct ferry_err *err) FERRY_MUST_CHECK;
/* It goes on: whoever freed the drive would wait for it. */
bool block_is_flushing(struct block *b);
/* Once, when the bell has rung: the part was asked to drain, and has. */
bool block_drained(struct block *b);
/* No request is in flight; false: `bell`, a loan until then or until the drive is freed, rings when
 * that is so. */
bool block_is_idle(struct block *b, struct bell *bell);
/*
 * Begin no request any more, end those in progress early, and wait until deadline_ns
 * (CLOCK_MONOTONIC) for it. false: the host still works on one; then nothing of this drive, its
 * users and guest memory may be freed.
 */
bool block_stop(struct block *b, int64_t deadline_ns);
/* Waits for requests in flight; NULL is fine. */
void block_free(struct block *b);
struct ferry_part block_part(struct block *b);

/* The drive of the description whose image, by its name, is the file that is open as fd; NULL: it
 * is none's. For who asks before the images are locked. */
const struct config_drive *block_find_image(const struct vm_config *c, int fd);

const char *block_id(const struct block *b);
const char *block_path(const struct block *b);
bool block_readonly(const struct block *b);
/* 0 until opened or adopted; a multiple of BLOCK_SECTOR_BYTES. */
uint64_t block_size_bytes(const struct block *b);
/* The same, or of one that is not open what a look at it says; 0: that says nothing. */
uint64_t block_look_bytes(const struct block *b);

/*
 * Any thread. Outside [0, size) is done with -EINVAL, writing to a read-only image with -EROFS;
 * never waits.
 */
void block_submit(struct block *b, struct block_request *req);
/*
 * Any thread. true: no worker had begun it, and it is its submitter's again without done(). false:
 * it is done soon, with -ECANCELED if there was still something to do; the host may have to finish
 * a piece of it first.
 */
bool block_cancel(struct block *b, struct block_request *req);

/* What the operator is shown; of the main thread. Goes with a handover. */
enum block_io_status { BLOCK_IO_OK = 0, BLOCK_IO_FAILED, BLOCK_IO_NOSPACE };
enum block_io_status block_io_status(const struct block *b);
void block_set_io_status(struct block *b, enum block_io_status status);
