/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Output that could not be written and is lost. Whoever has to be told of it is told once, not of
 * every byte: an episode begins with the first loss and ends when something has been written again.
 * A guest that fills its host's disk and makes room in turns makes an episode of each; then one in
 * LOSS_CALM_NS is told. Guarded by whatever guards its owner.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define LOSS_CALM_NS INT64_C(10000000000)

struct loss { /* all zeros at first */
    bool goes_on;
    int64_t told_ns; /* CLOCK_MONOTONIC; 0: never */
    int untold;      /* errno of an episode that nobody has been told of */
};

/* Something was lost, for this errno. True: somebody has to be told of it. */
bool loss_begin(struct loss *l, int errnum);
/* Something was written. */
void loss_end(struct loss *l);
/* The errno to tell of, once; 0: none. */
int loss_take(struct loss *l);
