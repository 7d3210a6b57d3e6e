/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A toy VM: RAM, a few parts, and a guest that checks itself. Built the same way in the source and
 * in the target, from a description.
 *
 * The guest counts in RAM and in a device register at once; the two must agree wherever it runs.
 * It ticks when the test says so (one process holds both sides) or in a thread (kill tests).
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <ferry/live.h>
#include <ferry/part.h>
#include <ferry/ram.h>

#define TOY_RAM_BYTES    (UINT64_C(4) << 20)
#define TOY_DESCRIPTION  "toy, 4 MiB"
#define TOY_VISITORS_MAX 4

/* What the guest keeps in RAM. */
struct toy_memory {
    _Atomic uint64_t ticks;
    _Atomic uint32_t runner;   /* id of who ticked last */
    _Atomic uint32_t switches; /* how often that changed: two runners make it thousands */
    _Atomic uint32_t broken;   /* RAM and register disagreed */
};

struct toy_counter {
    uint64_t ticks;
    uint8_t mode;
};

struct toy_pipe {
    int fds[2]; /* "pipe/read", "pipe/write": owned */
    bool in_use;
    bool busy; /* a request is in flight: quiesce answers 1 */
    bool quiesced;
};

struct toy {
    uint32_t id;
    uint64_t ram_bytes; /* 0: TOY_RAM_BYTES */
    struct ferry_ram *ram;
    struct ferry_vm *vm;
    struct toy_memory *memory;
    struct toy_counter counter;
    struct toy_counter blob; /* mode is a device register that the loader bounds */
    struct toy_pipe pipe;
    struct toy_pipe extra; /* only with_extra: declares one more pipe */
    bool with_extra;
    int visitors[TOY_VISITORS_MAX]; /* "visitors/0" and so on, what not every target takes: owned */
    int visitor_count;
    bool refuse_visitors;
    bool refuse_adopt;
    struct ferry_ram_region *region;
    uint32_t scribble_pages; /* each tick writes to one of so many pages behind the first */
    uint64_t scribbles;
    int64_t stopped_ns; /* when pause stopped it, or clock_go_on was told that it did */
    atomic_bool running;
    bool threaded;
    pthread_t thread;
    bool thread_started;
};

void toy_fresh(struct toy *t); /* RAM of its own, pipe opened, running */
void toy_empty(struct toy *t); /* the same, but nothing in it and not running: a target's */
/* build() of a struct ferry_live_target_params whose opaque is a zeroed struct toy (with options).
 */
int toy_build(void *opaque, struct ferry_move *target, const char *description,
              struct ferry_vm **ret, struct ferry_err *err);
void toy_clock_go_on(void *opaque, int64_t stopped_ns);
void toy_run(struct toy *t); /* start the harts */
void toy_tick(struct toy *t);
void toy_free(struct toy *t);
/* Does the pipe carry a byte? */
bool toy_pipe_works(struct toy *t);
