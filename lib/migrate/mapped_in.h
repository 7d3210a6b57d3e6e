/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A target's RAM out of a mapped-ram file (format: lib/wire/mapped.h): one block after the other,
 * its pages by threads side by side. The receiver calls it.
 *
 *     mapped_in_begin() for each block of the list
 *     mapped_in_next(): 0: wait for `wake` and ask again, 1: the block is there; go on at
 * *end_bytes
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/chan/chan.h"
#include "lib/migrate/crew.h"
#include "lib/migrate/guest.h"
#include "lib/wire/mapped.h"

struct mapped_in;

struct mapped_in_params {
    const struct ferry_chan *chan; /* loans; a regular file */
    const struct guest_ram *guest;
    unsigned channels; /* that read pages, at least 1 */
    bool direct_io;    /* past the host's page cache */
    bool thread;
    /* Only grow; any thread. */
    atomic_uint_fast64_t *bytes, *zero_pages, *normal_pages;
};

int mapped_in_new(struct mapped_in **ret, const struct mapped_in_params *params,
                  struct ferry_err *err) FERRY_MUST_CHECK;
void mapped_in_free(struct mapped_in *m);
/* As crew_wake(). */
void mapped_in_wake(struct mapped_in *m, void (*wake)(void *arg), void *arg);

/* A block whose header ends at position_bytes of the file. Believes nothing of it. */
int mapped_in_begin(struct mapped_in *m, size_t block, const struct mapped_header *header,
                    uint64_t position_bytes, struct ferry_err *err) FERRY_MUST_CHECK;
int mapped_in_next(struct mapped_in *m, uint64_t *end_bytes,
                   struct ferry_err *err) FERRY_MUST_CHECK;
