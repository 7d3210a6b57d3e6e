/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/backend/writer.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/nospace.h"
#include "base/num.h"
#include "base/own.h"
#include "base/thread.h"
#include "vmm/backend/bell.h"
#include "vmm/backend/loss.h"

struct writer {
    int fd; /* owned */
    pthread_t thread;
    pthread_mutex_t mutex; /* guards the rest; a leaf */
    pthread_cond_t work;   /* for the thread: bytes, or the end */
    pthread_cond_t over_cond;
    struct bell *bell;
    size_t at, used; /* of buffer, a ring: the first byte, how many there are */
    bool writing;    /* what was taken from it last */
    bool want_room;
    bool failed;
    struct loss loss;
    int64_t until_ns; /* by when; 0: it is not to end */
    bool abandoned;   /* nobody waits for the end: the thread frees all */
    bool over;        /* the thread touches nothing any more */
    uint8_t buffer[WRITER_BYTES];
};

static void writer_delete(struct writer *w)
{
    own_close_fd(&w->fd);
    pthread_mutex_destroy(&w->mutex);
    pthread_cond_destroy(&w->work);
    pthread_cond_destroy(&w->over_cond);
    free(w);
}

/* 0, or the errno for which the rest is lost. */
static int writer_write(int fd, const uint8_t *data, size_t n)
{
    while (n > 0) {
        ssize_t r = write(fd, data, n);

        if (r > 0) {
            data += r;
            n -= (size_t)r;
        } else if (r < 0 && errno != EINTR) {
            return errno;
        }
    }
    return 0;
}

/* Locked. What became of a piece; true: somebody has to be told of it. */
static bool writer_note(struct writer *w, int errnum)
{
    if (errnum == 0) {
        loss_end(&w->loss);
        return false;
    }
    /* A full disk is no reason to stop the guest, nor to give up for ever. */
    if (!is_nospace(errnum)) {
        w->failed = true;
        w->used = 0;
    }
    return loss_begin(&w->loss, errnum);
}

static void *writer_run(void *arg)
{
    struct writer *w = arg;
    bool abandoned;

    pthread_mutex_lock(&w->mutex);
    while (!w->abandoned) {
        static const size_t piece_bytes = 4096;
        uint8_t piece[4096];
        size_t n = num_min(num_min(w->used, WRITER_BYTES - w->at), piece_bytes);
        int errnum;
        bool lost;

        if (n == 0) {
            if (w->until_ns)
                break;
            pthread_cond_wait(&w->work, &w->mutex);
            continue;
        }
        memcpy(piece, w->buffer + w->at, n);
        w->at = (w->at + n) % WRITER_BYTES;
        w->used -= n;
        w->writing = true;
        pthread_mutex_unlock(&w->mutex);
        errnum = writer_write(w->fd, piece, n);
        pthread_mutex_lock(&w->mutex);
        w->writing = false;
        lost = writer_note(w, errnum);
        if (w->bell && (lost || w->want_room || w->used == 0)) {
            w->want_room = false;
            bell_ring(w->bell);
        }
    }
    abandoned = w->abandoned;
    w->over = true;
    pthread_cond_signal(&w->over_cond);
    pthread_mutex_unlock(&w->mutex);
    if (abandoned)
        writer_delete(w);
    return NULL;
}

int writer_new(struct writer **ret, struct loop *loop, int fd, loop_fn *changed, void *arg,
               struct ferry_err *err)
{
    struct writer *w = calloc(1, sizeof(*w));
    int rc;

    if (!w)
        return err_set(err, ENOMEM, "no memory to write to a file");
    pthread_mutex_init(&w->mutex, NULL);
    pthread_cond_init(&w->work, NULL);
    thread_cond_init(&w->over_cond);
    w->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    rc = w->fd < 0 ? err_sys(err, errno, "cannot duplicate a file descriptor")
                   : bell_new(&w->bell, loop, changed, arg, err);
    if (rc == 0) {
        rc = thread_start(&w->thread, "ferry-writer", writer_run, w);
        if (rc < 0)
            err_sys(err, -rc, "cannot start a thread that writes to a file");
    }
    if (rc < 0) {
        bell_free(w->bell);
        writer_delete(w);
        return rc;
    }
    *ret = w;
    return 0;
}

size_t writer_put(struct writer *w, const void *data, size_t n)
{
    size_t taken = 0;

    pthread_mutex_lock(&w->mutex);
    if (w->failed)
        taken = n;
    while (taken < n && w->used < WRITER_BYTES) {
        size_t end = (w->at + w->used) % WRITER_BYTES;
        size_t piece = num_min(num_min(n - taken, WRITER_BYTES - w->used), WRITER_BYTES - end);

        memcpy(w->buffer + end, (const uint8_t *)data + taken, piece);
        w->used += piece;
        taken += piece;
    }
    w->want_room |= taken < n;
    pthread_cond_signal(&w->work);
    pthread_mutex_unlock(&w->mutex);
    return taken;
}

bool writer_has_room(struct writer *w)
{
    bool room;

    pthread_mutex_lock(&w->mutex);
    room = w->failed || w->used < WRITER_BYTES;
    pthread_mutex_unlock(&w->mutex);
    return room;
}

size_t writer_room(struct writer *w)
{
    size_t room;

    pthread_mutex_lock(&w->mutex);
    room = w->failed ? SIZE_MAX : WRITER_BYTES - w->used;
    pthread_mutex_unlock(&w->mutex);
    return room;
}

bool writer_is_idle(struct writer *w)
{
    bool idle;

    pthread_mutex_lock(&w->mutex);
    idle = w->used == 0 && !w->writing;
    pthread_mutex_unlock(&w->mutex);
    return idle;
}

bool writer_has_failed(struct writer *w)
{
    bool failed;

    pthread_mutex_lock(&w->mutex);
    failed = w->failed;
    pthread_mutex_unlock(&w->mutex);
    return failed;
}

int writer_take_loss(struct writer *w)
{
    int errnum;

    pthread_mutex_lock(&w->mutex);
    errnum = loss_take(&w->loss);
    pthread_mutex_unlock(&w->mutex);
    return errnum;
}

void writer_end(struct writer *w)
{
    pthread_mutex_lock(&w->mutex);
    if (!w->until_ns)
        w->until_ns = clock_monotonic_ns() + WRITER_GRACE_NS;
    pthread_cond_signal(&w->work);
    pthread_mutex_unlock(&w->mutex);
}

void writer_free(struct writer *w)
{
    struct bell *bell;
    bool over;

    if (!w)
        return;
    writer_end(w);
    pthread_mutex_lock(&w->mutex);
    bell = TAKE_PTR(w->bell);
    while (!w->over && thread_cond_wait_until(&w->over_cond, &w->mutex, w->until_ns))
        continue;
    over = w->over;
    w->abandoned = !over;
    if (!over)
        pthread_detach(w->thread);
    pthread_mutex_unlock(&w->mutex);
    bell_free(bell);
    if (!over)
        return;
    pthread_join(w->thread, NULL);
    writer_delete(w);
}
