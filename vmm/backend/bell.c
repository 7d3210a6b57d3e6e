/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/backend/bell.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>

#include "base/err.h"
#include "base/own.h"

struct bell {
    struct loop_watch *watch;
    int fd; /* owned eventfd; its count is the rings not yet heard */
    loop_fn *fn;
    void *arg;
};

static void bell_heard(void *arg, short revents)
{
    struct bell *b = arg;
    uint64_t rings;

    if (read(b->fd, &rings, sizeof(rings)) == sizeof(rings))
        b->fn(b->arg);
}

int bell_new(struct bell **ret, struct loop *loop, loop_fn *fn, void *arg, struct ferry_err *err)
{
    OWN_MEM struct bell *b = calloc(1, sizeof(*b));
    OWN_FD int fd = -1;
    int rc;

    if (!b)
        return err_set(err, ENOMEM, "no memory for an event");
    fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0)
        return err_sys(err, errno, "creating an event");
    rc = loop_watch_new(&b->watch, loop, fd, POLLIN, bell_heard, b, err);
    if (rc)
        return rc;
    b->fd = take_fd(&fd);
    b->fn = fn;
    b->arg = arg;
    *ret = TAKE_PTR(b);
    return 0;
}

void bell_ring(struct bell *b)
{
    uint64_t one = 1;

    /* Full means that a ring is pending: nothing is lost. */
    while (write(b->fd, &one, sizeof(one)) < 0 && errno == EINTR)
        ;
}

void bell_free(struct bell *b)
{
    if (!b)
        return;
    loop_watch_free(b->watch);
    own_close_fd(&b->fd);
    free(b);
}
