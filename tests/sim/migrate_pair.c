/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit.h"

#include "tests/sim/migrate_pair.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/own.h"

static int64_t pair_clock(void *opaque)
{
    struct migrate_pair *p = opaque;

    return p->threads ? clock_monotonic_ns() : p->now_ns;
}

static void pair_trace(void *opaque, enum ferry_migrate_point point)
{
    struct migrate_pair *p = opaque;

    p->points |= 1u << point;
    if (p->act && p->act_at == point)
        p->act(p);
}

static int pair_build(void *opaque, const char *description, struct ferry_vm **vm,
                      struct ferry_err *err)
{
    struct migrate_pair *p = opaque;

    snprintf(p->described, sizeof(p->described), "%s", description);
    if (p->build_err.errnum) {
        *err = p->build_err;
        return -err->errnum;
    }
    *vm = p->to.vm;
    return 0;
}

void migrate_pair_init(struct migrate_pair *p, bool threads)
{
    memset(p, 0, sizeof(*p));
    p->threads = threads;
    p->now_ns = 1;
    p->from.id = 1;
    p->to.id = 2;
    p->from.threaded = p->to.threaded = threads;
    p->from.scribble_pages = 200;
    toy_fresh(&p->from);
    p->to.threaded = false;
    toy_fresh(&p->to);
    atomic_store(&p->to.running, false);
    p->to.threaded = threads;
    p->to.counter = p->to.blob = (struct toy_counter){0};
    memset(p->to.memory, 0, sizeof(*p->to.memory));
    p->to.pipe.in_use = false;
    p->wire[0] = p->wire[1] = -1;
    p->cut_at_bytes[0] = p->cut_at_bytes[1] = SIZE_MAX;
    p->source_params = (struct ferry_migrate_source_params){
        .size_bytes = sizeof(p->source_params),
        .vm = p->from.vm,
        .description = TOY_DESCRIPTION,
        .version = "1.0",
        .running = true,
        .no_threads = !threads,
        .trace = pair_trace,
        .clock = pair_clock,
        .opaque = p,
    };
    p->target_params = (struct ferry_migrate_target_params){
        .size_bytes = sizeof(p->target_params),
        .version = "1.1",
        .build = pair_build,
        .no_threads = !threads,
        .clock = pair_clock,
        .opaque = p,
    };
}

/* A channel to one end of the wire. */
static struct ferry_chan *pair_end(int *wire)
{
    struct ferry_chan *chan;
    struct ferry_err err;
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
    *wire = fds[0];
    assert_int_equal(ferry_chan_from_fd(&chan, &fds[1], &err), 0);
    return chan;
}

void migrate_pair_start(struct migrate_pair *p)
{
    struct ferry_chan *chan[2];
    struct ferry_err err;

    for (int i = 0; i < 300; i++)
        if (!p->threads)
            toy_tick(&p->from);
    for (int i = 0; i < 2; i++) {
        own_close_fd(&p->wire[i]);
        chan[i] = pair_end(&p->wire[i]);
        p->passed_bytes[i] = 0;
    }
    p->cut = false;
    p->points = 0;
    p->source_status = p->target_status = FERRY_MIGRATE_BUSY;
    assert_int_equal(ferry_migrate_source_new(&p->source, &p->source_params, NULL, &chan[0], &err),
                     0);
    assert_int_equal(ferry_migrate_target_new(&p->target, &p->target_params, NULL, &chan[1], &err),
                     0);
}

static void pair_hang_up(struct migrate_pair *p)
{
    own_close_fd(&p->wire[0]);
    own_close_fd(&p->wire[1]);
    p->cut = true;
}

/* What can go on in one direction. Returns whether something did. */
static bool pair_forward(struct migrate_pair *p, int way)
{
    int from = p->wire[way], to = p->wire[!way];
    char data[65536];
    size_t room = sizeof(data);
    struct pollfd can = {.fd = to, .events = POLLOUT};
    ssize_t n;

    if (from < 0 || to < 0)
        return false;
    if (p->cut_at_bytes[way] - p->passed_bytes[way] < room)
        room = p->cut_at_bytes[way] - p->passed_bytes[way];
    if (room == 0) {
        pair_hang_up(p);
        return true;
    }
    if (poll(&can, 1, 0) != 1 || !(can.revents & POLLOUT))
        return false;
    n = recv(from, data, room, MSG_DONTWAIT);
    if (n < 0)
        return false;
    if (n == 0) {
        shutdown(to, SHUT_WR);
        return false;
    }
    for (ssize_t at = 0; at < n;) {
        ssize_t sent = send(to, data + at, (size_t)(n - at), MSG_NOSIGNAL | MSG_DONTWAIT);

        if (sent < 0 && errno != EAGAIN)
            break; /* who is gone needs no bytes */
        at += sent > 0 ? sent : 0;
        if (sent < 0) {
            struct ferry_err err;

            /* The reader must take some before the rest fits. */
            if (p->target_status == FERRY_MIGRATE_BUSY)
                p->target_status = ferry_migrate_target_step(p->target, &err);
        }
    }
    p->passed_bytes[way] += (size_t)n;
    return true;
}

void migrate_pair_step(struct migrate_pair *p)
{
    bool moved = false;

    /* With threads both toys tick by themselves. */
    if (!p->threads)
        toy_tick(&p->from);
    if (p->source_status == FERRY_MIGRATE_BUSY)
        p->source_status = ferry_migrate_source_step(p->source, &p->source_err);
    moved |= pair_forward(p, 0);
    if (p->target_status == FERRY_MIGRATE_BUSY)
        p->target_status = ferry_migrate_target_step(p->target, &p->target_err);
    moved |= pair_forward(p, 1);
    /* Who has ended has hung up. */
    p->now_ns += 100000;
    if (!moved && p->threads) {
        struct pollfd wait[4] = {{.fd = p->wire[0], .events = POLLIN},
                                 {.fd = p->wire[1], .events = POLLIN},
                                 {.fd = ferry_migrate_source_fd(p->source), .events = POLLIN},
                                 {.fd = ferry_migrate_target_fd(p->target), .events = POLLIN}};

        (void)!poll(wait, 4, 1);
    }
}

void migrate_pair_run(struct migrate_pair *p, int limit_ms)
{
    int64_t end_ns = clock_monotonic_ns() + (int64_t)limit_ms * 1000000;

    while (p->source_status == FERRY_MIGRATE_BUSY || p->target_status == FERRY_MIGRATE_BUSY) {
        migrate_pair_step(p);
        if (clock_monotonic_ns() > end_ns)
            fail_msg("source %d, target %d after %d ms", (int)p->source_status,
                     (int)p->target_status, limit_ms);
    }
}

void migrate_pair_check_moved(struct migrate_pair *p, bool running)
{
    if (p->source_status != FERRY_MIGRATE_DONE || p->target_status != FERRY_MIGRATE_DONE)
        fail_msg("source %d (%s), target %d (%s)", (int)p->source_status, p->source_err.text,
                 (int)p->target_status, p->target_err.text);
    assert_false(atomic_load(&p->from.running));
    assert_int_equal(atomic_load(&p->to.running), running);
    if (running)
        p->to.vm ? toy_tick(&p->to) : (void)0;
    assert_int_equal(atomic_load(&p->to.memory->broken), 0);
    assert_true(p->to.counter.ticks >= 300 || p->threads);
    assert_int_equal(p->to.blob.mode, 3);
    /* Everything behind the first page, which ticks. */
    assert_memory_equal(ferry_ram_host(p->from.region) + FERRY_PAGE_BYTES,
                        ferry_ram_host(p->to.region) + FERRY_PAGE_BYTES,
                        TOY_RAM_BYTES - FERRY_PAGE_BYTES);
}

void migrate_pair_check_stayed(struct migrate_pair *p)
{
    assert_true(atomic_load(&p->from.running));
    assert_false(atomic_load(&p->to.running));
    assert_int_equal(atomic_load(&p->from.memory->broken), 0);
    assert_true(toy_pipe_works(&p->from));
    assert_false(p->from.pipe.quiesced);
}

void migrate_pair_free(struct migrate_pair *p)
{
    ferry_migrate_source_free(p->source);
    ferry_migrate_target_free(p->target);
    ferry_address_free(p->address);
    own_close_fd(&p->wire[0]);
    own_close_fd(&p->wire[1]);
    p->source = NULL;
    p->target = NULL;
    toy_free(&p->from);
    toy_free(&p->to);
}
