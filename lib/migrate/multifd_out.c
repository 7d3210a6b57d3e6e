/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/migrate/multifd_out.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/own.h"
#include "lib/codec/zero.h"
#include "lib/migrate/lane.h"

/* Enough that a channel never waits for the one who deals out. */
#define OUT_QUEUE 4u

struct out_job {
    size_t block;
    size_t count; /* 0: SYNC */
    uint64_t offsets[WIRE_MULTIFD_PAGES];
};

struct out_lane {
    struct multifd_out *all;
    struct ferry_chan *chan; /* owned */
    struct lane *lane;
    void *compressor;

    /* Guarded by all->lock. */
    struct out_job jobs[OUT_QUEUE];
    size_t first, count;

    /* The lane's. */
    struct multifd_packet packet;
    uint64_t number;
    uint8_t head[MULTIFD_HEAD_BYTES];
    uint8_t *data; /* owned; compressed */
    struct iovec iov[1 + WIRE_MULTIFD_PAGES];
    size_t iov_first, iov_count;
    bool working; /* on the first job */
    atomic_uint_fast64_t bytes, zero_pages, normal_pages;
};

struct multifd_out {
    struct multifd_out_params params;
    struct out_lane *lanes; /* owned */
    unsigned attached;
    void (*wake)(void *arg);
    void *wake_arg;
    pthread_mutex_t lock; /* queues and err */
    bool failed;
    struct ferry_err err;
};

static void out_step(void *self, struct lane_want *want);

int multifd_out_new(struct multifd_out **ret, const struct multifd_out_params *params,
                    struct ferry_err *err)
{
    struct multifd_out *m = calloc(1, sizeof(*m));

    if (!m)
        return err_set(err, ENOMEM, "no memory for channels");
    m->params = *params;
    pthread_mutex_init(&m->lock, NULL);
    m->lanes = calloc(params->channels, sizeof(*m->lanes));
    if (!m->lanes) {
        multifd_out_free(m);
        return err_set(err, ENOMEM, "no memory for %u channels", params->channels);
    }
    *ret = m;
    return 0;
}

void multifd_out_free(struct multifd_out *m)
{
    if (!m)
        return;
    for (unsigned i = 0; i < m->attached; i++) {
        lane_stop(m->lanes[i].lane);
        if (m->lanes[i].compressor)
            m->params.codec->compressor_free(m->lanes[i].compressor);
        ferry_chan_free(m->lanes[i].chan);
        free(m->lanes[i].data);
    }
    free(m->lanes);
    pthread_mutex_destroy(&m->lock);
    free(m);
}

void multifd_out_wake(struct multifd_out *m, void (*wake)(void *arg), void *arg)
{
    pthread_mutex_lock(&m->lock);
    m->wake = wake;
    m->wake_arg = arg;
    pthread_mutex_unlock(&m->lock);
}

int multifd_out_attach(struct multifd_out *m, struct ferry_chan **chan, struct ferry_err *err)
{
    struct out_lane *l = &m->lanes[m->attached];
    const struct codec_ops *codec = m->params.codec;
    struct multifd_hello hello = {.channel = (uint8_t)m->attached};
    int r = 0;

    memcpy(hello.uuid, m->params.uuid, sizeof(hello.uuid));
    l->all = m;
    if (!codec->plain) {
        l->data = malloc(WIRE_MULTIFD_DATA_MAX_BYTES);
        r = l->data
                ? codec->compressor_new(
                      &l->compressor, m->params.level ? m->params.level : codec->level_default, err)
                : err_set(err, ENOMEM, "no memory to compress to");
    }
    multifd_put_hello(l->head, &hello);
    l->iov[0] = (struct iovec){.iov_base = l->head, .iov_len = MULTIFD_HELLO_BYTES};
    l->iov_count = 1;
    if (r == 0) {
        l->chan = *chan;
        m->attached++;
        if (m->params.thread)
            r = lane_start(&l->lane, "ferry-multifd", out_step, l, err);
        if (r < 0) {
            m->attached--;
            l->chan = NULL;
        }
    }
    if (r < 0) {
        if (l->compressor)
            codec->compressor_free(TAKE_PTR(l->compressor));
        free(TAKE_PTR(l->data));
        return r;
    }
    *chan = NULL;
    return 0;
}

bool multifd_out_complete(const struct multifd_out *m)
{
    return m->attached == m->params.channels;
}

/* --- Who deals out --- */

static struct out_lane *out_shortest(struct multifd_out *m)
{
    struct out_lane *best = NULL;

    for (unsigned i = 0; i < m->attached; i++)
        if (!best || m->lanes[i].count < best->count)
            best = &m->lanes[i];
    return best && best->count < OUT_QUEUE ? best : NULL;
}

bool multifd_out_room(struct multifd_out *m)
{
    bool room;

    pthread_mutex_lock(&m->lock);
    room = out_shortest(m) != NULL;
    pthread_mutex_unlock(&m->lock);
    return room;
}

static void out_queue(struct out_lane *l, size_t block, const uint64_t *offsets, size_t n)
{
    struct out_job *job = &l->jobs[(l->first + l->count) % OUT_QUEUE];

    job->block = block;
    job->count = n;
    if (n)
        memcpy(job->offsets, offsets, n * sizeof(*offsets));
    l->count++;
}

void multifd_out_pages(struct multifd_out *m, size_t block, const uint64_t *offsets_bytes, size_t n)
{
    struct out_lane *l;

    pthread_mutex_lock(&m->lock);
    l = out_shortest(m);
    if (l)
        out_queue(l, block, offsets_bytes, n);
    pthread_mutex_unlock(&m->lock);
    if (l && l->lane)
        lane_kick(l->lane);
}

void multifd_out_sync(struct multifd_out *m)
{
    pthread_mutex_lock(&m->lock);
    for (unsigned i = 0; i < m->attached; i++)
        out_queue(&m->lanes[i], 0, NULL, 0);
    pthread_mutex_unlock(&m->lock);
    for (unsigned i = 0; i < m->attached; i++)
        if (m->lanes[i].lane)
            lane_kick(m->lanes[i].lane);
}

int multifd_out_idle(struct multifd_out *m, struct ferry_err *err)
{
    int r = 1;

    pthread_mutex_lock(&m->lock);
    for (unsigned i = 0; i < m->attached; i++)
        if (m->lanes[i].count)
            r = 0;
    if (m->failed) {
        *err = m->err;
        r = -m->err.errnum;
    }
    pthread_mutex_unlock(&m->lock);
    return r;
}

void multifd_out_step(struct multifd_out *m)
{
    for (unsigned i = 0; i < m->attached; i++) {
        struct lane_want want = {.fd = -1, .until_ns = INT64_MAX};

        out_step(&m->lanes[i], &want);
    }
}

int multifd_out_thread_id(const struct multifd_out *m, size_t index)
{
    return index < m->attached ? lane_thread_id(m->lanes[index].lane) : 0;
}

struct multifd_totals multifd_out_totals(const struct multifd_out *m)
{
    struct multifd_totals t = {0};

    for (unsigned i = 0; i < m->attached; i++) {
        t.bytes += atomic_load(&m->lanes[i].bytes);
        t.zero_pages += atomic_load(&m->lanes[i].zero_pages);
        t.normal_pages += atomic_load(&m->lanes[i].normal_pages);
    }
    return t;
}

/* --- A lane --- */

static bool out_is_zero(const struct multifd_out *m, size_t block, uint64_t offset)
{
    return !guest_bit(m->params.guest->backed[block], offset / WIRE_PAGE_BYTES) ||
           zero_check(guest_ram_page(m->params.guest, block, offset), WIRE_PAGE_BYTES);
}

/* The first job as a packet: which pages are zero, and the data. */
static int out_pack(struct out_lane *l, const struct out_job *job, struct ferry_err *err)
{
    struct multifd_out *m = l->all;
    struct multifd_packet *p = &l->packet;
    const uint8_t *pages[WIRE_MULTIFD_PAGES];
    uint64_t zeros[WIRE_MULTIFD_PAGES];

    *p = (struct multifd_packet){.sync = job->count == 0,
                                 .method = m->params.codec->method,
                                 .number = l->number++,
                                 .block = job->block};
    for (size_t i = 0; i < job->count; i++) {
        uint64_t offset = job->offsets[i];

        if (m->params.look_for_zeros && out_is_zero(m, job->block, offset)) {
            zeros[p->zero_count++] = offset;
        } else {
            pages[p->normal_count] = guest_ram_page(m->params.guest, job->block, offset);
            p->offsets[p->normal_count++] = offset;
        }
    }
    if (p->zero_count)
        memcpy(p->offsets + p->normal_count, zeros, p->zero_count * sizeof(zeros[0]));
    l->iov_first = 0;
    l->iov_count = 1;
    if (p->normal_count && m->params.codec->plain) {
        p->data_bytes = p->normal_count * WIRE_PAGE_BYTES;
        for (uint32_t i = 0; i < p->normal_count; i++)
            l->iov[l->iov_count++] =
                (struct iovec){.iov_base = (void *)(uintptr_t)pages[i], .iov_len = WIRE_PAGE_BYTES};
    } else if (p->normal_count) {
        int n = m->params.codec->compress(l->compressor, pages, p->normal_count, l->data, err);

        if (n < 0)
            return n;
        p->data_bytes = (uint32_t)n;
        l->iov[l->iov_count++] = (struct iovec){.iov_base = l->data, .iov_len = (size_t)n};
    }
    multifd_put_head(l->head, p, &m->params.guest->blocks);
    l->iov[0] = (struct iovec){.iov_base = l->head, .iov_len = MULTIFD_HEAD_BYTES};
    atomic_fetch_add(&l->zero_pages, p->zero_count);
    atomic_fetch_add(&l->normal_pages, p->normal_count);
    return 0;
}

/* 1: all of it is gone, 0: wait. */
static int out_send(struct out_lane *l, struct lane_want *want, struct ferry_err *err)
{
    while (l->iov_first < l->iov_count) {
        ssize_t n = chan_send(l->chan, l->iov + l->iov_first, l->iov_count - l->iov_first, err);

        if (n == -EAGAIN) {
            want->fd = chan_fd(l->chan);
            want->events = POLLOUT;
            return 0;
        }
        if (n < 0)
            return (int)n;
        atomic_fetch_add(&l->bytes, (uint64_t)n);
        while (n > 0) {
            struct iovec *v = &l->iov[l->iov_first];
            size_t part = (size_t)n < v->iov_len ? (size_t)n : v->iov_len;

            v->iov_base = (uint8_t *)v->iov_base + part;
            v->iov_len -= part;
            n -= (ssize_t)part;
            if (v->iov_len == 0)
                l->iov_first++;
        }
    }
    return 1;
}

static void out_done(struct out_lane *l, int r, const struct ferry_err *err)
{
    struct multifd_out *m = l->all;

    pthread_mutex_lock(&m->lock);
    if (r < 0 && !m->failed) {
        m->failed = true;
        m->err = *err;
    } else if (r > 0) {
        l->first = (l->first + 1) % OUT_QUEUE;
        l->count--;
    }
    /* Under the lock, so that it can be unset for sure. It only writes to an eventfd. */
    if (m->wake)
        m->wake(m->wake_arg);
    pthread_mutex_unlock(&m->lock);
}

static void out_step(void *self, struct lane_want *want)
{
    struct out_lane *l = self;
    struct multifd_out *m = l->all;
    struct ferry_err err;
    const struct out_job *job;
    int r = 1;

    /* What is under way: the hello, or the packet of the first job. */
    if (l->iov_first < l->iov_count)
        r = out_send(l, want, &err);
    if (r > 0 && l->working) {
        l->working = false;
        out_done(l, 1, NULL);
    }
    if (r > 0) {
        pthread_mutex_lock(&m->lock);
        job = l->count && !m->failed ? &l->jobs[l->first] : NULL;
        pthread_mutex_unlock(&m->lock);
        if (!job)
            return;
        r = out_pack(l, job, &err);
        l->working = r == 0;
        want->more = r == 0;
    }
    if (r < 0)
        out_done(l, r, &err);
}
