/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ownership that can be seen where it is declared.
 *
 *     OWN_FD int fd = open(...);         closed at scope exit unless given away
 *     OWN_MEM char *p = malloc(...);     freed at scope exit unless given away
 *     obj->fd = take_fd(&fd);            give away: the source becomes -1 / NULL
 *
 * A bare `int fd` parameter is a loan; a function that takes ownership takes `int *fd`.
 */
#pragma once

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static inline int take_fd(int *fd)
{
    int taken = *fd;

    *fd = -1;
    return taken;
}

/* Close *fd if open, keep errno, set it to -1. */
static inline void own_close_fd(int *fd)
{
    int saved_errno = errno;

    if (*fd >= 0)
        close(*fd);
    *fd = -1;
    errno = saved_errno;
}

static inline void own_free(void *p)
{
    free(*(void **)p);
}

#define OWN_FD          __attribute__((cleanup(own_close_fd)))
#define OWN_MEM         __attribute__((cleanup(own_free)))
#define OWN(destructor) __attribute__((cleanup(destructor)))
#define TAKE_PTR(p)                 \
    ({                              \
        __typeof__(p) taken_ = (p); \
        (p) = NULL;                 \
        taken_;                     \
    })
