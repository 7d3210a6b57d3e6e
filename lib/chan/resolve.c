/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/chan/resolve.h"

#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "base/own.h"
#include "base/thread.h"

struct resolve {
    atomic_int users; /* the asker and the thread; the last one frees */
    atomic_bool done;
    char *host, *port;
    struct addrinfo hints;
    struct addrinfo *found;
    int failure; /* of getaddrinfo */
    int eventfd; /* rung by the thread; when that is heard, the asker's alone */
};

void resolve_leave(struct resolve *r)
{
    if (!r || atomic_fetch_sub(&r->users, 1) > 1)
        return;
    if (r->found)
        freeaddrinfo(r->found);
    free(r->host);
    free(r->port);
    own_close_fd(&r->eventfd);
    free(r);
}

static void resolve_look(struct resolve *r)
{
    uint64_t one = 1;

    r->failure = getaddrinfo(r->host[0] ? r->host : NULL, r->port, &r->hints, &r->found);
    atomic_store(&r->done, true);
    (void)!write(r->eventfd, &one, sizeof(one));
}

static void *resolve_thread(void *arg)
{
    resolve_look(arg);
    resolve_leave(arg);
    return NULL;
}

static int resolve_in_thread(struct resolve *r)
{
    pthread_t thread;
    int rc;

    atomic_store(&r->users, 2);
    rc = thread_start(&thread, "ferry-lookup", resolve_thread, r);
    if (rc < 0) {
        atomic_store(&r->users, 1);
        return rc;
    }
    pthread_detach(thread);
    return 0;
}

int resolve_start(struct resolve **ret, const char *host, const char *port, bool passive,
                  struct ferry_err *err)
{
    struct resolve *r = calloc(1, sizeof(*r));
    int failure;

    if (!r)
        return err_set(err, ENOMEM, "no memory to look up a name");
    atomic_init(&r->users, 1);
    r->hints = (struct addrinfo){
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = passive ? AI_PASSIVE : 0};
    r->host = strdup(host);
    r->port = strdup(port);
    r->eventfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (!r->host || !r->port || r->eventfd < 0) {
        resolve_leave(r);
        return err_set(err, ENOMEM, "no memory to look up a name");
    }
    r->hints.ai_flags |= AI_NUMERICHOST;
    resolve_look(r);
    if (r->failure == EAI_NONAME || r->failure == EAI_ADDRFAMILY) {
        uint64_t count;

        r->hints.ai_flags &= ~AI_NUMERICHOST;
        atomic_store(&r->done, false);
        (void)!read(r->eventfd, &count, sizeof(count));
        failure = resolve_in_thread(r);
        if (failure < 0) {
            resolve_leave(r);
            return err_sys(err, -failure, "no thread to look up '%s'", host);
        }
    }
    *ret = r;
    return 0;
}

int resolve_fd(const struct resolve *r)
{
    return r->eventfd;
}

int resolve_result(struct resolve *r, struct addrinfo **ret, struct ferry_err *err)
{
    uint64_t count;

    if (read(r->eventfd, &count, sizeof(count)) < 0 || !atomic_load(&r->done))
        return -EAGAIN;
    /* The asker has told an epoll of it, and may do so once more: no other thread may close it. */
    own_close_fd(&r->eventfd);
    if (r->failure)
        return err_set(err, EHOSTUNREACH, "address resolution failed for %s:%s: %s", r->host,
                       r->port, gai_strerror(r->failure));
    *ret = TAKE_PTR(r->found);
    return 0;
}
