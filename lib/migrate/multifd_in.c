/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/migrate/multifd_in.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/own.h"
#include "lib/codec/zero.h"

/* Packets of one step. */
#define IN_STEP_PACKETS 8u

enum in_place { IN_HELLO = 0, IN_HEAD, IN_DATA, IN_WAITING, IN_END };

struct in_lane {
    struct multifd_lane base;
    struct multifd_in *all;
    enum in_place place;
    unsigned channel;
    uint8_t head[MULTIFD_HEAD_BYTES];
    size_t have_bytes; /* of hello, head or data */
    struct multifd_packet packet;
    uint8_t *unpacked;  /* owned; a packet's pages that have no memory yet */
    uint64_t waits_for; /* marks that must be passed */
};

struct multifd_in {
    struct multifd_in_params params;
    struct in_lane *lanes; /* owned */
    unsigned attached;
    struct lane_group group; /* its lock guards what follows */
    struct multifd_epochs epochs;
    bool seen[WIRE_MULTIFD_CHANNELS_MAX];
    bool ended[WIRE_MULTIFD_CHANNELS_MAX]; /* the source has closed it */
};

static void in_step(void *self, struct lane_want *want);

int multifd_in_new(struct multifd_in **ret, const struct multifd_in_params *params,
                   struct ferry_err *err)
{
    struct multifd_in *m = calloc(1, sizeof(*m));

    if (!m)
        return err_set(err, ENOMEM, "no memory for channels");
    m->params = *params;
    lane_group_init(&m->group);
    multifd_epochs_init(&m->epochs, params->channels);
    m->lanes = calloc(params->channels, sizeof(*m->lanes));
    if (!m->lanes) {
        multifd_in_free(m);
        return err_set(err, ENOMEM, "no memory for %u channels", params->channels);
    }
    *ret = m;
    return 0;
}

void multifd_in_free(struct multifd_in *m)
{
    if (!m)
        return;
    for (unsigned i = 0; i < m->attached; i++) {
        multifd_lane_end(&m->lanes[i].base);
        free(m->lanes[i].unpacked);
    }
    free(m->lanes);
    lane_group_free(&m->group);
    free(m);
}

void multifd_in_wake(struct multifd_in *m, void (*wake)(void *arg), void *arg)
{
    lane_group_wake(&m->group, wake, arg);
}

int multifd_in_attach(struct multifd_in *m, struct ferry_chan **chan, struct ferry_err *err)
{
    struct in_lane *l = &m->lanes[m->attached];
    const struct codec_ops *codec = m->params.codec;
    int r = 0;

    if (m->attached == m->params.channels)
        return err_set(err, EPROTO, "the source opens more than %u channels", m->params.channels);
    l->all = m;
    l->base.coder_free = codec->decompressor_free;
    if (!codec->plain) {
        l->unpacked = malloc(WIRE_MULTIFD_PAGES * WIRE_PAGE_BYTES);
        r = l->unpacked ? codec->decompressor_new(&l->base.coder, err)
                        : err_set(err, ENOMEM, "no memory for unpacked pages");
    }
    /* Its first step needs the lock: it cannot reach a mark before it can be kicked. */
    pthread_mutex_lock(&m->group.lock);
    if (r == 0)
        r = multifd_lane_start(&l->base, chan, m->params.thread, in_step, err);
    m->attached += r == 0;
    pthread_mutex_unlock(&m->group.lock);
    if (r < 0)
        free(TAKE_PTR(l->unpacked));
    return r;
}

int multifd_in_check(struct multifd_in *m, struct ferry_err *err)
{
    int r;

    pthread_mutex_lock(&m->group.lock);
    r = lane_group_check(&m->group, err);
    pthread_mutex_unlock(&m->group.lock);
    return r;
}

/* With the lock: a mark is not passed yet. Will it ever be? */
static int in_check_ended(const struct multifd_in *m, struct ferry_err *err)
{
    for (unsigned i = 0; i < m->params.channels; i++)
        if (m->ended[i] && m->epochs.syncs[i] <= m->epochs.marks)
            return err_set(err, ECONNRESET,
                           "the source closed channel %u in front of SYNC %" PRIu64, i,
                           m->epochs.marks + 1);
    return 0;
}

int multifd_in_mark(struct multifd_in *m, struct ferry_err *err)
{
    int r;

    pthread_mutex_lock(&m->group.lock);
    r = lane_group_check(&m->group, err);
    if (r == 0)
        r = multifd_epochs_mark(&m->epochs);
    if (r == 0)
        r = in_check_ended(m, err);
    for (unsigned i = 0; r > 0 && i < m->attached; i++)
        multifd_lane_kick(&m->lanes[i].base);
    pthread_mutex_unlock(&m->group.lock);
    return r;
}

unsigned multifd_in_greeted(struct multifd_in *m)
{
    unsigned n = 0;

    pthread_mutex_lock(&m->group.lock);
    for (unsigned i = 0; i < m->params.channels; i++)
        n += m->seen[i];
    pthread_mutex_unlock(&m->group.lock);
    return n;
}

/* What may still come is never read: the guest will run. */
static int in_stop(struct in_lane *l, struct ferry_err *err)
{
    struct ferry_err ignored;
    uint8_t byte;

    lane_stop(TAKE_PTR(l->base.lane));
    if (l->place == IN_END)
        return 0;
    if (l->place == IN_DATA || l->have_bytes || chan_peek(l->base.chan, &byte, 1, &ignored) == 0)
        return err_set(err, EPROTO, "channel %u sends on behind the end of RAM", l->channel);
    return 0;
}

int multifd_in_end(struct multifd_in *m, struct ferry_err *err)
{
    int r;

    pthread_mutex_lock(&m->group.lock);
    r = lane_group_check(&m->group, err);
    if (r == 0)
        r = multifd_epochs_end(&m->epochs, err);
    pthread_mutex_unlock(&m->group.lock);
    for (unsigned i = 0; r == 0 && i < m->attached; i++)
        r = in_stop(&m->lanes[i], err);
    return r;
}

void multifd_in_step(struct multifd_in *m)
{
    for (unsigned i = 0; i < m->attached; i++) {
        struct lane_want want = {.fd = -1, .until_ns = INT64_MAX};

        in_step(&m->lanes[i], &want);
    }
}

struct multifd_totals multifd_in_totals(const struct multifd_in *m)
{
    struct multifd_totals t = {0};

    for (unsigned i = 0; i < m->attached; i++)
        multifd_lane_add(&m->lanes[i].base, &t);
    return t;
}

/* --- A lane --- */

static void in_tell(struct in_lane *l, const struct ferry_err *err)
{
    struct multifd_in *m = l->all;

    pthread_mutex_lock(&m->group.lock);
    lane_group_tell(&m->group, err);
    pthread_mutex_unlock(&m->group.lock);
}

/* The channel was closed: right between two packets, else never. */
static int in_closed(struct in_lane *l, struct ferry_err *err)
{
    if (l->place == IN_HELLO)
        return err_set(err, ECONNRESET,
                       "the source closed a channel that had not said which one it is");
    if (l->place != IN_HEAD || l->have_bytes)
        return err_set(err, ECONNRESET, "the source closed it in the middle of a packet");
    l->place = IN_END;
    pthread_mutex_lock(&l->all->group.lock);
    l->all->ended[l->channel] = true;
    pthread_mutex_unlock(&l->all->group.lock);
    in_tell(l, NULL);
    return 0;
}

/* Up to n bytes in all to `to`: 1: there are n, 0: wait. */
static int in_fill(struct in_lane *l, uint8_t *to, size_t n, struct lane_want *want,
                   struct ferry_err *err)
{
    while (l->have_bytes < n) {
        ssize_t got = chan_recv(l->base.chan, to + l->have_bytes, n - l->have_bytes, err);

        if (got == -EAGAIN) {
            want->fd = chan_fd(l->base.chan);
            want->events = POLLIN;
            return 0;
        }
        if (got < 0)
            return (int)got;
        if (got == 0)
            return in_closed(l, err);
        atomic_fetch_add(&l->base.bytes, (uint64_t)got);
        l->have_bytes += (size_t)got;
    }
    return 1;
}

static int in_hello(struct in_lane *l, struct lane_want *want, struct ferry_err *err)
{
    struct multifd_in *m = l->all;
    struct multifd_hello hello;
    int r = in_fill(l, l->head, MULTIFD_HELLO_BYTES, want, err);

    if (r <= 0)
        return r;
    pthread_mutex_lock(&m->group.lock);
    r = multifd_get_hello(l->head, m->params.uuid, m->params.channels, m->seen, &hello, err);
    pthread_mutex_unlock(&m->group.lock);
    if (r < 0)
        return r;
    l->channel = hello.channel;
    l->have_bytes = 0;
    l->place = IN_HEAD;
    return 1;
}

static int in_head(struct in_lane *l, struct lane_want *want, struct ferry_err *err)
{
    struct multifd_in *m = l->all;
    int r = in_fill(l, l->head, MULTIFD_HEAD_BYTES, want, err);

    /* What cannot become a head is not waited for. */
    if (r >= 0 && l->have_bytes)
        r = multifd_get_head(l->head, l->have_bytes, m->params.codec->method,
                             &m->params.guest->blocks, &l->packet, err);
    if (r <= 0)
        return r;
    pthread_mutex_lock(&m->group.lock);
    r = multifd_epochs_packet(&m->epochs, l->channel, l->packet.sync,
                              l->packet.normal_count + l->packet.zero_count > 0, err);
    l->waits_for = m->epochs.marks + 1;
    pthread_mutex_unlock(&m->group.lock);
    if (r < 0)
        return r;
    l->have_bytes = 0;
    l->place = IN_DATA;
    return 1;
}

/* One page after the other, straight to where they belong. */
static int in_plain(struct in_lane *l, struct lane_want *want, struct ferry_err *err)
{
    const struct multifd_packet *p = &l->packet;

    while (l->have_bytes < p->data_bytes) {
        size_t page = l->have_bytes / WIRE_PAGE_BYTES, in_page = l->have_bytes % WIRE_PAGE_BYTES;
        size_t end = page + 1, before = l->have_bytes;
        uint8_t *to = guest_ram_page(l->all->params.guest, p->block, p->offsets[page]);
        int r;

        if (!to)
            return err_set(err, EINVAL, "a page is not in the block");
        while (end < p->normal_count && p->offsets[end] == p->offsets[end - 1] + WIRE_PAGE_BYTES)
            end++;
        l->have_bytes = in_page;
        r = in_fill(l, to, (end - page) * WIRE_PAGE_BYTES, want, err);
        l->have_bytes = before - in_page + l->have_bytes;
        if (r <= 0)
            return r;
    }
    return 1;
}

/* To where the pages belong, or, where memory has yet to be found, in runs (ferry_ram_fill). */
static int in_unpack(struct in_lane *l, struct ferry_err *err)
{
    const struct guest_ram *g = l->all->params.guest;
    const struct multifd_packet *p = &l->packet;
    uint8_t *pages[WIRE_MULTIFD_PAGES];
    bool fresh[WIRE_MULTIFD_PAGES];
    uint32_t n;
    int r;

    for (uint32_t i = 0; i < p->normal_count; i++) {
        fresh[i] = !guest_bit_shared(g->backed[p->block], p->offsets[i] / WIRE_PAGE_BYTES);
        pages[i] = fresh[i] ? l->unpacked + (size_t)i * WIRE_PAGE_BYTES
                            : guest_ram_page(g, p->block, p->offsets[i]);
    }
    r = l->all->params.codec->decompress(l->base.coder, l->base.packed, p->data_bytes, pages,
                                         p->normal_count, err);
    for (uint32_t i = 0; r >= 0 && i < p->normal_count; i += n) {
        struct iovec iov = {.iov_base = pages[i]};

        for (n = 1; fresh[i] && i + n < p->normal_count && fresh[i + n] &&
                    p->offsets[i + n] == p->offsets[i] + (uint64_t)n * WIRE_PAGE_BYTES;)
            n++;
        iov.iov_len = (size_t)n * WIRE_PAGE_BYTES;
        if (fresh[i])
            r = ferry_ram_fill(g->regions[p->block], p->offsets[i] / WIRE_PAGE_BYTES, &iov, 1, err);
    }
    return r;
}

static int in_data(struct in_lane *l, struct lane_want *want, struct ferry_err *err)
{
    const struct guest_ram *g = l->all->params.guest;
    const struct codec_ops *codec = l->all->params.codec;
    const struct multifd_packet *p = &l->packet;
    int r;

    r = codec->plain ? in_plain(l, want, err)
                     : in_fill(l, l->base.packed, p->data_bytes, want, err);
    if (r <= 0)
        return r;
    if (!codec->plain && p->normal_count) {
        r = in_unpack(l, err);
        if (r < 0)
            return r;
    }
    for (uint32_t i = 0; i < p->normal_count + p->zero_count; i++) {
        uint64_t page = p->offsets[i] / WIRE_PAGE_BYTES;
        uint8_t *to = guest_ram_page(g, p->block, p->offsets[i]);

        if (!to)
            return err_set(err, EINVAL, "a page is not in the block");
        if (i < p->normal_count) {
            guest_bit_set_shared(g->backed[p->block], page);
        } else if (guest_bit_shared(g->backed[p->block], page) &&
                   !zero_check(to, WIRE_PAGE_BYTES)) {
            memset(to, 0, WIRE_PAGE_BYTES);
        }
    }
    atomic_fetch_add(&l->base.normal_pages, p->normal_count);
    atomic_fetch_add(&l->base.zero_pages, p->zero_count);
    l->have_bytes = 0;
    l->place = p->sync ? IN_WAITING : IN_HEAD;
    if (p->sync)
        in_tell(l, NULL);
    return 1;
}

static int in_waiting(struct in_lane *l)
{
    bool passed;

    pthread_mutex_lock(&l->all->group.lock);
    passed = l->all->epochs.marks >= l->waits_for;
    pthread_mutex_unlock(&l->all->group.lock);
    if (passed)
        l->place = IN_HEAD;
    return passed;
}

static void in_step(void *self, struct lane_want *want)
{
    struct in_lane *l = self;
    struct ferry_err err;
    int r = 1;

    for (unsigned i = 0; i < IN_STEP_PACKETS && r > 0; i++) {
        switch (l->place) {
        case IN_HELLO:
            r = in_hello(l, want, &err);
            break;
        case IN_HEAD:
            r = in_head(l, want, &err);
            break;
        case IN_DATA:
            r = in_data(l, want, &err);
            break;
        case IN_WAITING:
            r = in_waiting(l);
            break;
        case IN_END:
            return;
        }
    }
    want->more = r > 0;
    if (r >= 0)
        return;
    if (l->place != IN_HELLO)
        err_prefix(&err, "channel %u", l->channel);
    l->place = IN_END;
    in_tell(l, &err);
}
