/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A source's RAM in a mapped-ram file (format: lib/wire/mapped.h): the list with its jumps, pages
 * to their places, in the end the bitmaps. Threads write pages side by side, since each has its
 * place; the sender deals them out, and everything else is called by it, too.
 *
 *     mapped_out_begin()
 *     mapped_out_room() ? mapped_out_pages() : wait for `wake`
 *     wait until it is idle at the end of each round; then after the last one mapped_out_end()
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/chan/chan.h"
#include "lib/migrate/crew.h"
#include "lib/migrate/guest.h"

struct mapped_out;

struct mapped_out_params {
    struct ferry_chan *chan; /* loans; a regular file */
    const struct guest_ram *guest;
    unsigned channels;   /* that write pages, at least 1 */
    bool direct_io;      /* pages go past the host's page cache */
    bool look_for_zeros; /* else every page that was ever touched is written */
    bool thread;
    /* Only grow; any thread. */
    atomic_uint_fast64_t *bytes, *zero_pages, *normal_pages;
};

int mapped_out_new(struct mapped_out **ret, const struct mapped_out_params *params,
                   struct ferry_err *err) FERRY_MUST_CHECK;
void mapped_out_free(struct mapped_out *m);
/* As crew_wake(). */
void mapped_out_wake(struct mapped_out *m, void (*wake)(void *arg), void *arg);

/* The section START of RAM, whole: the channel goes on behind the last block's pages. */
int mapped_out_begin(struct mapped_out *m, uint32_t section_id,
                     struct ferry_err *err) FERRY_MUST_CHECK;
bool mapped_out_room(struct mapped_out *m);
/* 1 to CREW_RUN_PAGES pages of a block that may be something else than zeros; if there is room. */
void mapped_out_pages(struct mapped_out *m, size_t block, uint64_t page, uint64_t pages);
/* As crew_idle(). */
int mapped_out_idle(struct mapped_out *m, struct ferry_err *err) FERRY_MUST_CHECK;
/* As crew_leave(). */
void mapped_out_leave(struct mapped_out *m);
/* As crew_thread_id(). */
int mapped_out_thread_id(const struct mapped_out *m, size_t index);
/* Without threads: writes some. */
void mapped_out_step(struct mapped_out *m);
/* Only when it is idle: the bitmaps, which make the file a whole one. */
int mapped_out_end(struct mapped_out *m, struct ferry_err *err) FERRY_MUST_CHECK;
