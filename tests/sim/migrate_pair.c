/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit.h"

#include "tests/sim/migrate_pair.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
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

static int pair_open(void *opaque, bool dry_run, struct ferry_err *err)
{
    struct migrate_pair *p = opaque;

    *(dry_run ? &p->looked : &p->opened) += 1;
    assert_string_equal(p->described, TOY_DESCRIPTION);
    if (!p->open_err.errnum)
        return 0;
    *err = p->open_err;
    return -err->errnum;
}

void migrate_pair_init_sized(struct migrate_pair *p, bool threads, uint64_t ram_bytes)
{
    memset(p, 0, sizeof(*p));
    p->threads = threads;
    p->now_ns = 1;
    p->step_ns = 100000;
    p->from.id = 1;
    p->to.id = 2;
    p->from.threaded = p->to.threaded = threads;
    p->from.ram_bytes = p->to.ram_bytes = ram_bytes;
    p->from.scribble_pages = 200;
    toy_fresh(&p->from);
    toy_empty(&p->to);
    p->listening = -1;
    for (unsigned i = 0; i < MIGRATE_PAIR_WIRES; i++)
        p->wires[i].fds[0] = p->wires[i].fds[1] = -1;
    for (int way = 0; way < 2; way++)
        p->cut_at_bytes[way] = p->stop_at_bytes[way] = SIZE_MAX;
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
        .open = pair_open,
        .no_threads = !threads,
        .clock = pair_clock,
        .opaque = p,
    };
}

void migrate_pair_init(struct migrate_pair *p, bool threads)
{
    migrate_pair_init_sized(p, threads, TOY_RAM_BYTES);
}

void migrate_pair_multifd(struct migrate_pair *p, unsigned channels, const char *compression)
{
    assert_true(channels < MIGRATE_PAIR_WIRES);
    p->source_params.capabilities.multifd = p->target_params.capabilities.multifd = true;
    p->source_params.parameters.multifd_channels = channels;
    p->target_params.parameters.multifd_channels = channels;
    p->source_params.parameters.multifd_compression = compression;
    p->target_params.parameters.multifd_compression = compression;
    strcpy(p->dir, "/tmp/ferry-wires-XXXXXX");
    assert_non_null(mkdtemp(p->dir));
}

/* --- Wires --- */

static void pair_hang_up(struct migrate_pair_wire *w)
{
    own_close_fd(&w->fds[0]);
    own_close_fd(&w->fds[1]);
    w->cut = true;
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

static struct sockaddr_un pair_place(const struct migrate_pair *p, const char *name)
{
    struct sockaddr_un place = {.sun_family = AF_UNIX};

    snprintf(place.sun_path, sizeof(place.sun_path), "%s/%s", p->dir, name);
    return place;
}

static struct ferry_address *pair_address(const struct migrate_pair *p, const char *name)
{
    struct sockaddr_un place = pair_place(p, name);
    struct ferry_address *a;
    struct ferry_err err;

    assert_int_equal(ferry_address_unix(&a, place.sun_path, &err), 0);
    return a;
}

/* The source connects to the test, which connects to the target. */
static void pair_start_many(struct migrate_pair *p)
{
    struct sockaddr_un place = pair_place(p, "from");
    struct ferry_address *there = pair_address(p, "to");
    struct ferry_listener *listener;
    struct ferry_err err;

    own_close_fd(&p->listening);
    unlink(place.sun_path);
    p->listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(p->listening, (struct sockaddr *)&place, sizeof(place)), 0);
    assert_int_equal(listen(p->listening, 8), 0);
    assert_int_equal(ferry_listener_new(&listener, there, &err), 0);
    ferry_address_free(there);
    ferry_address_free(p->address);
    p->address = pair_address(p, "from");
    assert_int_equal(ferry_migrate_target_new(&p->target, &p->target_params, &listener, NULL, &err),
                     0);
    assert_int_equal(
        ferry_migrate_source_new(&p->source, &p->source_params, p->address, NULL, &err), 0);
}

static bool pair_accept(struct migrate_pair *p)
{
    struct sockaddr_un place = pair_place(p, "to");
    int fd = p->listening < 0 ? -1 : accept4(p->listening, NULL, NULL, SOCK_CLOEXEC);
    struct migrate_pair_wire *w = &p->wires[p->wire_count];

    if (fd < 0)
        return false;
    assert_true(p->wire_count < MIGRATE_PAIR_WIRES);
    w->fds[0] = fd;
    w->fds[1] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    /* A target that is gone listens no more. */
    if (connect(w->fds[1], (struct sockaddr *)&place, sizeof(place)) < 0)
        pair_hang_up(w);
    p->wire_count++;
    return true;
}

static void pair_end_both(struct migrate_pair *p)
{
    ferry_move_free(p->source);
    ferry_move_free(p->target);
    p->source = NULL;
    p->target = NULL;
}

void migrate_pair_start(struct migrate_pair *p)
{
    struct ferry_chan *chan[2];
    struct ferry_err err;

    pair_end_both(p);
    for (int i = 0; i < 300; i++)
        if (!p->threads)
            toy_tick(&p->from);
    for (unsigned i = 0; i < MIGRATE_PAIR_WIRES; i++) {
        pair_hang_up(&p->wires[i]);
        p->wires[i] = (struct migrate_pair_wire){.fds = {-1, -1}};
    }
    p->wire_count = 0;
    p->points = 0;
    p->source_status = p->target_status = FERRY_MOVE_BUSY;
    if (p->source_params.capabilities.multifd) {
        pair_start_many(p);
        return;
    }
    p->wire_count = 1;
    for (int i = 0; i < 2; i++)
        chan[i] = pair_end(&p->wires[0].fds[i]);
    assert_int_equal(ferry_migrate_source_new(&p->source, &p->source_params, NULL, &chan[0], &err),
                     0);
    assert_int_equal(ferry_migrate_target_new(&p->target, &p->target_params, NULL, &chan[1], &err),
                     0);
}

/* What can go on in one direction of a wire. Returns whether something did. */
static bool pair_forward(struct migrate_pair *p, unsigned wire, int way)
{
    struct migrate_pair_wire *w = &p->wires[wire];
    int from = w->fds[way], to = w->fds[!way];
    static const size_t most = 65536;
    char data[65536];
    size_t room = most;
    ssize_t n, sent;

    if (from < 0 || to < 0)
        return false;
    if (p->wires[p->cut_wire].passed_bytes[way] >= p->stop_at_bytes[way])
        return false;
    if (wire == p->cut_wire && p->cut_at_bytes[way] - w->passed_bytes[way] < room)
        room = p->cut_at_bytes[way] - w->passed_bytes[way];
    if (wire == p->cut_wire && p->stop_at_bytes[way] - w->passed_bytes[way] < room)
        room = p->stop_at_bytes[way] - w->passed_bytes[way];
    if (room == 0) {
        pair_hang_up(w);
        return true;
    }
    n = recv(from, data, room, MSG_DONTWAIT | MSG_PEEK);
    if (n < 0)
        return false;
    if (n == 0) {
        shutdown(to, SHUT_WR);
        return false;
    }
    sent = send(to, data, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno == EAGAIN)
        return false;
    /* Who is gone needs no bytes. */
    if (sent < 0)
        sent = n;
    assert_int_equal(recv(from, data, (size_t)sent, MSG_DONTWAIT), sent);
    w->passed_bytes[way] += (size_t)sent;
    return true;
}

static bool pair_forward_all(struct migrate_pair *p, int way)
{
    bool moved = false;

    for (unsigned i = 0; i < p->wire_count; i++)
        moved |= pair_forward(p, i, way);
    return moved;
}

void migrate_pair_step(struct migrate_pair *p)
{
    bool moved = false;

    /* With threads both toys tick by themselves. */
    if (!p->threads)
        toy_tick(&p->from);
    if (p->source_status == FERRY_MOVE_BUSY)
        p->source_status = ferry_move_step(p->source, &p->source_err);
    moved |= pair_accept(p);
    moved |= pair_forward_all(p, PAIR_THERE);
    if (p->target_status == FERRY_MOVE_BUSY)
        p->target_status = ferry_move_step(p->target, &p->target_err);
    moved |= pair_forward_all(p, PAIR_BACK);
    /* Who has ended has hung up. */
    p->now_ns += p->step_ns;
    if (!moved && p->threads) {
        struct pollfd wait[4] = {{.fd = p->wires[0].fds[0], .events = POLLIN},
                                 {.fd = p->wires[0].fds[1], .events = POLLIN},
                                 {.fd = ferry_move_fd(p->source), .events = POLLIN},
                                 {.fd = ferry_move_fd(p->target), .events = POLLIN}};

        (void)!poll(wait, 4, 1);
    }
}

void migrate_pair_run(struct migrate_pair *p, int limit_ms)
{
    int64_t end_ns = clock_monotonic_ns() + (int64_t)limit_ms * 1000000;

    while (p->source_status == FERRY_MOVE_BUSY || p->target_status == FERRY_MOVE_BUSY) {
        migrate_pair_step(p);
        if (clock_monotonic_ns() > end_ns)
            fail_msg("source %d, target %d after %d ms", (int)p->source_status,
                     (int)p->target_status, limit_ms);
    }
}

void migrate_pair_check_moved(struct migrate_pair *p, bool running)
{
    if (p->source_status != FERRY_MOVE_DONE || p->target_status != FERRY_MOVE_DONE)
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
                        ferry_ram_size_bytes(p->from.region) - FERRY_PAGE_BYTES);
}

void migrate_pair_check_stayed(struct migrate_pair *p)
{
    assert_true(atomic_load(&p->from.running));
    assert_false(atomic_load(&p->to.running));
    assert_int_equal(atomic_load(&p->from.memory->broken), 0);
    assert_true(toy_pipe_works(&p->from));
    assert_false(p->from.pipe.quiesced);
}

void migrate_pair_again(struct migrate_pair *p)
{
    for (int way = 0; way < 2; way++)
        p->cut_at_bytes[way] = p->stop_at_bytes[way] = SIZE_MAX;
    p->act = NULL;
    p->step_ns = 100000;
    migrate_pair_start(p);
    migrate_pair_run(p, 20000);
    migrate_pair_check_moved(p, true);
}

void migrate_pair_free(struct migrate_pair *p)
{
    pair_end_both(p);
    ferry_address_free(p->address);
    for (unsigned i = 0; i < MIGRATE_PAIR_WIRES; i++)
        pair_hang_up(&p->wires[i]);
    own_close_fd(&p->listening);
    if (p->dir[0]) {
        unlink(pair_place(p, "from").sun_path);
        rmdir(p->dir);
    }
    toy_free(&p->from);
    toy_free(&p->to);
}
