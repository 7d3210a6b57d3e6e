/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/migrate/multifd_out.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "lib/codec/zero.h"

/* Enough that a channel never waits for the one who deals out. */
#define OUT_QUEUE 4u

struct out_job {
    size_t block;
    size_t count; /* 0: SYNC */
    uint64_t offsets[WIRE_MULTIFD_PAGES];
};

struct out_lane {
    struct multifd_lane base;
    struct multifd_out *all;

    /* Guarded by all->group.lock. */
    struct out_job jobs[OUT_QUEUE];
    size_t first, count;

    /* The lane's. */
    struct multifd_packet packet;
    uint64_t number;
    uint8_t head[MULTIFD_HEAD_BYTES];
    struct iovec iov[1 + WIRE_MULTIFD_PAGES];
    size_t iov_first, iov_count;
    bool working; /* on the first job */
    atomic_bool blocked;
};

struct multifd_out {
    struct multifd_out_params params;
    struct out_lane *lanes; /* owned */
    unsigned attached;
    struct lane_group group;
};

static void out_step(void *self, struct lane_want *want);

int multifd_out_new(struct multifd_out **ret, const struct multifd_out_params *params,
                    struct ferry_err *err)
{
    struct multifd_out *m = calloc(1, sizeof(*m));

    if (!m)
        return err_set(err, ENOMEM, "no memory for channels");
    m->params = *params;
    lane_group_init(&m->group);
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
    for (unsigned i = 0; i < m->attached; i++)
        multifd_lane_end(&m->lanes[i].base);
    free(m->lanes);
    lane_group_free(&m->group);
    free(m);
}

void multifd_out_wake(struct multifd_out *m, void (*wake)(void *arg), void *arg)
{
    lane_group_wake(&m->group, wake, arg);
}

int multifd_out_attach(struct multifd_out *m, struct ferry_chan **chan, struct ferry_err *err)
{
    struct out_lane *l = &m->lanes[m->attached];
    const struct codec_ops *codec = m->params.codec;
    struct multifd_hello hello = {.channel = (uint8_t)m->attached};
    int r = 0;

    memcpy(hello.uuid, m->params.uuid, sizeof(hello.uuid));
    l->all = m;
    l->base.coder_free = codec->compressor_free;
    multifd_put_hello(l->head, &hello);
    l->iov[0] = (struct iovec){.iov_base = l->head, .iov_len = MULTIFD_HELLO_BYTES};
    l->iov_count = 1;
    if (!codec->plain)
        r = codec->compressor_new(&l->base.coder,
                                  m->params.level ? m->params.level : codec->level_default, err);
    if (r == 0)
        r = multifd_lane_start(&l->base, chan, m->params.thread, out_step, err);
    m->attached += r == 0;
    return r;
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

    pthread_mutex_lock(&m->group.lock);
    room = out_shortest(m) != NULL;
    pthread_mutex_unlock(&m->group.lock);
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

    pthread_mutex_lock(&m->group.lock);
    l = out_shortest(m);
    if (l)
        out_queue(l, block, offsets_bytes, n);
    pthread_mutex_unlock(&m->group.lock);
    if (l)
        multifd_lane_kick(&l->base);
}

void multifd_out_sync(struct multifd_out *m)
{
    pthread_mutex_lock(&m->group.lock);
    for (unsigned i = 0; i < m->attached; i++)
        out_queue(&m->lanes[i], 0, NULL, 0);
    pthread_mutex_unlock(&m->group.lock);
    for (unsigned i = 0; i < m->attached; i++)
        multifd_lane_kick(&m->lanes[i].base);
}

int multifd_out_idle(struct multifd_out *m, struct ferry_err *err)
{
    bool idle = true;
    int r;

    pthread_mutex_lock(&m->group.lock);
    for (unsigned i = 0; i < m->attached; i++)
        idle &= m->lanes[i].count == 0;
    r = lane_group_check(&m->group, err);
    pthread_mutex_unlock(&m->group.lock);
    return r < 0 ? r : idle;
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
    return index < m->attached ? lane_thread_id(m->lanes[index].base.lane) : 0;
}

struct multifd_totals multifd_out_totals(const struct multifd_out *m)
{
    struct multifd_totals t = {0};

    for (unsigned i = 0; i < m->attached; i++)
        multifd_lane_add(&m->lanes[i].base, &t);
    return t;
}

bool multifd_out_blocked(const struct multifd_out *m)
{
    bool blocked = false;

    for (unsigned i = 0; i < m->attached; i++)
        blocked |= atomic_load(&m->lanes[i].blocked);
    return blocked;
}

uint64_t multifd_out_queued_bytes(const struct multifd_out *m)
{
    uint64_t n = 0;

    for (unsigned i = 0; i < m->attached; i++)
        n += chan_queued_bytes(m->lanes[i].base.chan);
    return n;
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
        int n =
            m->params.codec->compress(l->base.coder, pages, p->normal_count, l->base.packed, err);

        if (n < 0)
            return n;
        p->data_bytes = (uint32_t)n;
        l->iov[l->iov_count++] = (struct iovec){.iov_base = l->base.packed, .iov_len = (size_t)n};
    }
    multifd_put_head(l->head, p, &m->params.guest->blocks);
    l->iov[0] = (struct iovec){.iov_base = l->head, .iov_len = MULTIFD_HEAD_BYTES};
    atomic_fetch_add(&l->base.zero_pages, p->zero_count);
    atomic_fetch_add(&l->base.normal_pages, p->normal_count);
    return 0;
}

/* 1: all of it is gone, 0: wait. */
static int out_send(struct out_lane *l, struct lane_want *want, struct ferry_err *err)
{
    while (l->iov_first < l->iov_count) {
        ssize_t n =
            chan_send(l->base.chan, l->iov + l->iov_first, l->iov_count - l->iov_first, err);

        atomic_store(&l->blocked, n == -EAGAIN);
        if (n == -EAGAIN) {
            want->fd = chan_fd(l->base.chan);
            want->events = POLLOUT;
            return 0;
        }
        if (n < 0)
            return (int)n;
        atomic_fetch_add(&l->base.bytes, (uint64_t)n);
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

    pthread_mutex_lock(&m->group.lock);
    if (r > 0) {
        l->first = (l->first + 1) % OUT_QUEUE;
        l->count--;
    }
    lane_group_tell(&m->group, r < 0 ? err : NULL);
    pthread_mutex_unlock(&m->group.lock);
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
        pthread_mutex_lock(&m->group.lock);
        job = l->count && !m->group.failed ? &l->jobs[l->first] : NULL;
        pthread_mutex_unlock(&m->group.lock);
        if (!job)
            return;
        r = out_pack(l, job, &err);
        l->working = r == 0;
        want->more = r == 0;
    }
    if (r < 0)
        out_done(l, r, &err);
}
