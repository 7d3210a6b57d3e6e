/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For targets that fuzz whole ends of a migration: toys with little RAM, a clock that nobody but
 * the fuzzer moves, and inputs that are read as a list of things to do. One thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ferry/migrate.h>

#include "fuzz/fuzz.h"
#include "fuzz/script.h"
#include "tests/sim/toy.h"

#define ENGINE_PAGES        8u
#define ENGINE_CHANNELS_MAX 2u

struct engine {
    struct toy from, to;
    unsigned busy_rounds; /* so many rounds in which the guest writes */
    int64_t now_ns;
    struct ferry_migrate_source_params source_params;
    struct ferry_migrate_target_params target_params; /* with build() */
    struct ferry_move *source;
    struct ferry_move *target;
    enum ferry_move_status source_status, target_status;
    struct ferry_err source_err, target_err;
    struct ferry_address *address; /* the source's, if it has one; owned */
};

/* A guest that has run for a while, and a target's empty machine. */
void engine_init(struct engine *e);
void engine_free(struct engine *e);
/* One step, unless it has ended. Each step takes a while. */
void engine_step_source(struct engine *e);
void engine_step_target(struct engine *e);
/* The clock stands at the next deadline of who is busy; false: nobody has one. */
bool engine_wait(struct engine *e);
/* What an end promises, whatever the other one did. Both are freed. */
void engine_check_source(struct engine *e);
void engine_check_target(struct engine *e);
/* Over an untouched channel the guest that runs in `from` gets to `to`, whole. */
void engine_move(struct engine *e);

/* Both ends of a non-blocking connection: one to give away, one for the fuzzer. */
struct ferry_chan *engine_chan(int *fd);
/* Places `which` = 0 and 1 for listeners: one that is the fuzzer's, a socket connected to it. */
struct ferry_address *engine_address(unsigned which);
int engine_listen(unsigned which);
int engine_connect(unsigned which);
