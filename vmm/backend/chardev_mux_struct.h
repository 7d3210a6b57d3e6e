/* SPDX-License-Identifier: Apache-2.0 */
/* struct mux from the inside: what it does (chardev_mux.c), how it moves (chardev_mux_move.c).
 * Others include chardev_mux.h. */
#pragma once

#include <pthread.h>

#include "base/buf.h"
#include "vmm/backend/chardev_mux.h"
#include "vmm/backend/chardev_type.h"
#include "vmm/backend/timestamps.h"
#include "vmm/machine/extras.h"

struct mux_place {
    struct chardev base;
    struct config_chardev config; /* an id, for the base */
    char id[FERRY_FD_NAME_BYTES];
    struct mux *mux;
    struct buf queue; /* typed for it and not taken */
    bool closing;     /* the peer is gone, which it hears when the queue is empty */
};

struct mux {
    struct chardev *line;                     /* loan */
    struct mux_place *places[MUX_PLACES_MAX]; /* owned */
    size_t place_count;
    size_t focus;
    bool escape_pending;
    bool refused; /* the line was told that there is no room */
    void (*quit)(void *arg);
    void *arg;
    char idstr[FERRY_FD_NAME_BYTES];
    struct extras_kind extras_kind;
    struct extras extras; /* what was typed, in an update */

    /* Taken before the line's own. Any thread: */
    pthread_mutex_t lock;
    struct timestamps stamps;
};

extern const struct ferry_part_ops mux_part_ops;
/* Of an idstr that is there. */
void mux_extras_init(struct mux *m);

/* Hand on what waits, and take more. */
void mux_pump(struct mux *m);
