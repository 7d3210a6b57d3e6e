/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads that work off runs of pages, each run by one of them, in no order: for pages that have
 * places of their own. Without threads, whoever calls crew_step() does.
 *
 *     crew_room() ? crew_put() : wait for `wake`
 *     wait until it is idle: then every run has been worked off
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ferry/err.h>

/* What one system call moves: 1 MiB. */
#define CREW_RUN_PAGES 256u

struct crew;

struct crew_run {
    size_t block;
    uint64_t page, pages; /* at most CREW_RUN_PAGES */
};

struct crew_params {
    unsigned threads; /* 0: crew_step() */
    const char *name; /* of the threads */
    /* On any of the threads; a failure ends everything. */
    int (*work)(void *self, const struct crew_run *run, struct ferry_err *err);
    void *self;
};

int crew_new(struct crew **ret, const struct crew_params *params,
             struct ferry_err *err) FERRY_MUST_CHECK;
/* No run is begun any more; what was not begun is forgotten. */
void crew_leave(struct crew *c);
/* Ends the threads. */
void crew_free(struct crew *c);
/* Called on a thread of the crew when something was worked off or has failed; NULL: no more. */
void crew_wake(struct crew *c, void (*wake)(void *arg), void *arg);
bool crew_room(struct crew *c);
/* Only when there is room. */
void crew_put(struct crew *c, const struct crew_run *run);
/* 1: nothing is left, 0: something is, or the first failure. */
int crew_idle(struct crew *c, struct ferry_err *err) FERRY_MUST_CHECK;
/* 0: there are no more. */
int crew_thread_id(const struct crew *c, size_t index);
/* Without threads: works off one run, if there is one. */
void crew_step(struct crew *c);
