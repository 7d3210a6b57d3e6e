/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Source and target of a migration in one process, with two toys and the test in the middle of the
 * wires: it forwards bytes, stops and cuts. With `threads` unset one thread does everything, under
 * a clock that only the test moves.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ferry/migrate.h>

#include "tests/sim/toy.h"

/* The main channel and three with pages. */
#define MIGRATE_PAIR_WIRES 4

enum migrate_pair_way { PAIR_THERE = 0, PAIR_BACK };

struct migrate_pair_wire {
    int fds[2];             /* the test's ends: [0] to the source, [1] to the target */
    size_t passed_bytes[2]; /* of each way */
    bool cut;
};

struct migrate_pair {
    struct toy from, to;
    struct ferry_migrate_source_params source_params;
    struct ferry_migrate_target_params target_params;
    struct ferry_address *address; /* the source's, if it has one; owned */
    struct ferry_move *source;
    struct ferry_move *target;
    enum ferry_move_status source_status, target_status;
    struct ferry_err source_err, target_err;
    bool threads;
    int64_t now_ns;  /* without threads */
    int64_t step_ns; /* what a step adds to it */
    struct migrate_pair_wire wires[MIGRATE_PAIR_WIRES];
    unsigned wire_count;
    unsigned cut_wire;       /* the one that is cut or stopped */
    size_t cut_at_bytes[2];  /* then both of its ends hang up; SIZE_MAX: never */
    size_t stop_at_bytes[2]; /* then nobody reads this way any more, on any wire */
    /* With multifd: where the source connects to, and where the target listens. */
    char dir[32];
    int listening;
    unsigned points; /* trace points of the source, or'ed as bits */
    /* At this point of the source, when it is not 0. */
    enum ferry_migrate_point act_at;
    void (*act)(struct migrate_pair *p);
    char described[64];         /* what build was told */
    struct ferry_err build_err; /* with errnum: build refuses */
    unsigned opened, looked;    /* how often the target opened, and was asked in a dry run */
    struct ferry_err open_err;  /* with errnum: open refuses */
};

/* Both toys are fresh, the target's does not run; the params are filled in. */
void migrate_pair_init(struct migrate_pair *p, bool threads);
/* With so much RAM. */
void migrate_pair_init_sized(struct migrate_pair *p, bool threads, uint64_t ram_bytes);
/* Both sides shall use so many channels besides the main one. */
void migrate_pair_multifd(struct migrate_pair *p, unsigned channels, const char *compression);
/* Ends what was before: may be called again. */
void migrate_pair_start(struct migrate_pair *p);
/* One turn of the source, the wire and the target. */
void migrate_pair_step(struct migrate_pair *p);
/* Until both have ended; fails the test after limit_ms of real time. */
void migrate_pair_run(struct migrate_pair *p, int limit_ms);
/* The guest is in the target, whole, and runs there if `running`. */
void migrate_pair_check_moved(struct migrate_pair *p, bool running);
/* The guest is in the source, whole, and runs. */
void migrate_pair_check_stayed(struct migrate_pair *p);
/* Nothing cuts or stops the wires any more; the same toys, once more: the guest gets there. */
void migrate_pair_again(struct migrate_pair *p);
void migrate_pair_free(struct migrate_pair *p);
