/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/migrate/burial.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/thread.h"

struct burial {
    struct sender *sender; /* owned, as the other two */
    struct multifd_out *multifd;
    struct ferry_chan *chan;
    int notify;
    pthread_t thread;
    atomic_bool over;
};

static void bury(struct burial *b)
{
    sender_free(b->sender);
    multifd_out_free(b->multifd);
    ferry_chan_free(b->chan);
}

static void *burial_run(void *arg)
{
    struct burial *b = arg;
    uint64_t one = 1;

    bury(b);
    atomic_store(&b->over, true);
    (void)!write(b->notify, &one, sizeof(one));
    return NULL;
}

struct burial *burial_begin(struct sender *sender, struct multifd_out *multifd,
                            struct ferry_chan *chan, int notify)
{
    struct burial here = {.sender = sender, .multifd = multifd, .chan = chan};
    struct burial *b = calloc(1, sizeof(*b));
    int r = -1;

    if (b) {
        b->sender = sender;
        b->multifd = multifd;
        b->chan = chan;
        b->notify = notify;
        r = thread_start(&b->thread, "ferry-burial", burial_run, b);
    }
    if (r == 0)
        return b;
    free(b);
    bury(&here);
    return NULL;
}

bool burial_over(const struct burial *b)
{
    return !b || atomic_load(&b->over);
}

void burial_free(struct burial *b)
{
    if (!b)
        return;
    pthread_join(b->thread, NULL);
    free(b);
}
