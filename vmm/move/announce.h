/* SPDX-License-Identifier: Apache-2.0 */
/*
 * After a move between hosts the network still sends to the old one. The guest's cards tell it
 * better several times, further and further apart: a switch may not listen at once. Main thread.
 */
#pragma once

#include <stdint.h>

#include <ferry/err.h>

struct announcer;
struct vm;

/* Milliseconds; QEMU's parameters announce-*. */
struct announcer_params {
    uint64_t rounds, initial_ms, step_ms, max_ms;
};

int announcer_new(struct announcer **ret, struct vm *vm, struct ferry_err *err) FERRY_MUST_CHECK;
/* NULL is fine. */
void announcer_free(struct announcer *a);
/* The first one now. */
void announcer_start(struct announcer *a, const struct announcer_params *params);
/* The guest leaves, or its machine is about to be saved: no more. */
void announcer_stop(struct announcer *a);
