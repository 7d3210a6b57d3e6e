/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One chardev for several: a serial line and monitors share a terminal, as QEMU's mux=on.
 *
 * Each of them has a place, which is a chardev like any other to it. What they write goes to the
 * one line; what is typed there goes to the place in focus, and waits for it here, so that a
 * command key (Ctrl-a and another; Ctrl-a h lists them) is seen while a guest does not read. How
 * much waits is bounded: then the rest stays in the kernel.
 *
 *     typed --> [command keys] --> in focus: a place's queue --> its frontend
 *     line  <-- [timestamps]   <-- all of them
 *
 * Whoever gets or loses the focus hears CHARDEV_MUX_IN and CHARDEV_MUX_OUT; that a peer is there
 * (CHARDEV_OPENED) only the one in focus hears, so that a monitor that nobody looks at is silent.
 *
 * In a handover the focus, half a command key, timestamps and what waits go along as an extra
 * (<ferry/part.h>) of its part, "mux/<id>/state"; without it the mux begins anew. Main thread, but
 * for what chardev.h allows any thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <ferry/err.h>
#include <ferry/part.h>

#include "vmm/backend/chardev.h"

#define MUX_PLACES_MAX  4u /* as QEMU */
/* Typed and not taken, of each place. */
#define MUX_QUEUE_BYTES 16384u

struct mux;

struct mux_params {
    struct chardev *line; /* loan; it has no other frontend */
    struct loop *loop;
    size_t places;           /* 1 to MUX_PLACES_MAX */
    size_t focus;            /* at first */
    void (*quit)(void *arg); /* Ctrl-a x */
    void *arg;
};

int mux_new(struct mux **ret, const struct mux_params *params,
            struct ferry_err *err) FERRY_MUST_CHECK;
/* Before the line. NULL is fine. */
void mux_free(struct mux *m);
/* Its part, behind the line's; a loan until mux_free(). */
struct ferry_part mux_part(struct mux *m);

/* A loan; index is below params.places. Its id is the line's, '/' and the index. */
struct chardev *mux_place(const struct mux *m, size_t index);
size_t mux_focus(const struct mux *m);
/* The one that shares this chardev; NULL: it is nobody's or one frontend's. */
struct mux *mux_on(const struct chardev *line);
