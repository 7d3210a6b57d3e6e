/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Source and target in one process, with the test in the middle of the wire: it forwards bytes and
 * fds, cuts, drops, adds and flips them.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ferry/live.h>

#include "tests/sim/toy.h"

enum pair_way { PAIR_TO_TARGET = 0, PAIR_TO_SOURCE = 1 };

struct pair {
    struct toy *from, *to;
    struct ferry_owner *owner;
    struct ferry_move *source;
    struct ferry_move *target;
    enum ferry_move_status source_status, target_status;
    struct ferry_err source_err, target_err;
    int wire[2]; /* the test's ends: [0] to the source, [1] to the target */
    size_t passed_bytes[2];
    size_t passed_fds;

    /* what the wire does; SIZE_MAX = never */
    size_t cut_at_bytes[2]; /* nothing more passes that way, and then both ends hang up */
    size_t drop_fd;         /* the n-th fd does not arrive */
    size_t add_fd_at;       /* one fd too many with the byte after this many */
    size_t flip_bit[2];     /* the n-th bit arrives inverted */
    size_t set_byte_at[2];  /* this byte arrives as set_byte_to */
    uint8_t set_byte_to[2];
    bool cut;

    /* of both sides; may be changed before pair_start */
    int64_t pause_timeout_ns;
    int64_t prepare_timeout_ns;
    const char *description;
    bool paused_guest;
    ferry_live_trace_fn *trace;
    void *trace_arg;
};

void pair_init(struct pair *p); /* defaults; toys are fresh (from) and zeroed (to) */
void pair_start(struct pair *p);
/* Until both sides have ended, or for limit_ms. Returns whether they ended. */
bool pair_run(struct pair *p, int limit_ms);
void pair_step(struct pair *p);
/* Exactly one side runs the guest (or holds it, if it was paused), and it is intact. */
void pair_check_one_owner(struct pair *p);
/* After a handover: the target becomes the source of the next. */
void pair_next(struct pair *p);
void pair_free(struct pair *p);
