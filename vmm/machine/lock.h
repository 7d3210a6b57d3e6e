/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The machine lock: whoever touches a device's state, its registers, queues or interrupt line,
 * holds it. Harts take it for an MMIO access (the bus does), the main thread for events of a
 * backend, block workers to complete a request. It is not held while host I/O is done.
 * Order: nothing else is taken before it except by the bus; a hart's own lock may be taken inside.
 */
#pragma once

#include <pthread.h>

#include "base/thread.h"

struct machine_lock {
    pthread_mutex_t mutex;
};

static inline void machine_lock_init(struct machine_lock *l)
{
    thread_mutex_init(&l->mutex);
}

static inline void machine_lock_destroy(struct machine_lock *l)
{
    pthread_mutex_destroy(&l->mutex);
}

static inline void machine_lock(struct machine_lock *l)
{
    pthread_mutex_lock(&l->mutex);
}

static inline void machine_unlock(struct machine_lock *l)
{
    pthread_mutex_unlock(&l->mutex);
}
