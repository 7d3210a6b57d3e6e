/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/migrate/session.h"

#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/own.h"

int session_init(struct session *s, ferry_migrate_clock_fn *clock, void *opaque,
                 struct ferry_err *err)
{
    s->clock = clock;
    s->opaque = opaque;
    for (size_t i = 0; i < SESSION_SLOTS; i++)
        s->slots[i].fd = -1;
    s->notify = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    s->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (s->notify < 0 || s->epoll < 0)
        return err_sys(err, errno, "cannot make what a migration waits with");
    session_watch(s, SESSION_NOTIFY, s->notify, POLLIN);
    return 0;
}

void session_free(struct session *s)
{
    own_close_fd(&s->notify);
    own_close_fd(&s->epoll);
}

void session_watch(struct session *s, enum session_slot slot, int fd, short events)
{
    /* The numbers of POLLIN and POLLOUT are those of EPOLLIN and EPOLLOUT. */
    struct epoll_event e = {.events = (uint32_t)(uint16_t)events, .data.u32 = slot};

    if (!events)
        fd = -1;
    if (s->slots[slot].fd >= 0 && s->slots[slot].fd != fd)
        (void)!epoll_ctl(s->epoll, EPOLL_CTL_DEL, s->slots[slot].fd, NULL);
    /*
     * Told again even if nothing seems new: an fd may have been closed, and another have got its
     * number. Fails for a regular file, for which nobody waits.
     */
    if (fd >= 0 && epoll_ctl(s->epoll, EPOLL_CTL_MOD, fd, &e) < 0 &&
        epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &e) < 0)
        fd = -1;
    s->slots[slot].fd = fd;
    s->slots[slot].events = events;
}

void session_watch_edge(struct session *s, int fd, bool on)
{
    struct epoll_event e = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET, .data.u32 = SESSION_SLOTS};

    /* Fails for what is not waited for. */
    (void)!epoll_ctl(s->epoll, on ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, fd, &e);
}

void session_noticed(struct session *s)
{
    uint64_t count;

    (void)!read(s->notify, &count, sizeof(count));
}

int64_t session_clock(void *session)
{
    const struct session *s = session;

    return s->clock ? s->clock(s->opaque) : clock_monotonic_ns();
}
