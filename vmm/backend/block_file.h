/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A raw image file or block device: opening, checking and doing requests, without threads. For
 * block.c. Requests may be done from several threads at once.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ferry/err.h>

#include "vmm/backend/block.h"
#include "vmm/machine/config.h"

struct block_file {
    int fd;               /* owned; -1 until attached */
    uint64_t size_bytes;  /* 0 until attached */
    uint32_t align_bytes; /* of O_DIRECT; 1 without */
    bool direct;
    bool readonly;
    bool discard;
    bool no_flush;
    bool guessed;                   /* nobody said that it is raw */
    atomic_bool stop;               /* every request is cancelled */
    atomic_int flush_failed;        /* errno of the first flush that failed; 0: none has */
    const struct allow_list *allow; /* loan */
    /* Held while part of a block that O_DIRECT can only write whole is changed. */
    pthread_mutex_t rmw;
};

int block_file_init(struct block_file *f, const struct config_drive *config,
                    struct ferry_err *err) FERRY_MUST_CHECK;
void block_file_close(struct block_file *f);
/* fresh: for a guest that starts; one that comes from elsewhere may have written what it likes. */
int block_file_open(struct block_file *f, const char *path, bool locking, bool fresh,
                    struct ferry_err *err) FERRY_MUST_CHECK;
/* Takes *fd on success. */
int block_file_adopt(struct block_file *f, int *fd, const char *path, bool locking,
                     struct ferry_err *err) FERRY_MUST_CHECK;
/*
 * Blocks, but looks at req->cancelled and stop between two pieces. 0 or a negative errno; -ENOTSUP:
 * this image cannot do that; -ECANCELED: part of it may have been done.
 */
int block_file_do(struct block_file *f, struct block_request *req) FERRY_MUST_CHECK;
