/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit.h"

#include "tests/sim/pair.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/own.h"
#include "lib/chan/unixfd.h"
#include "lib/live/owner.h"

void pair_init(struct pair *p)
{
    struct ferry_err err;

    memset(p, 0, sizeof(*p));
    p->from = calloc(1, sizeof(*p->from));
    p->to = calloc(1, sizeof(*p->to));
    p->from->id = 1;
    p->to->id = 2;
    p->cut_at_bytes[0] = p->cut_at_bytes[1] = SIZE_MAX;
    p->flip_bit[0] = p->flip_bit[1] = SIZE_MAX;
    p->set_byte_at[0] = p->set_byte_at[1] = SIZE_MAX;
    p->drop_fd = p->add_fd_at = SIZE_MAX;
    p->pause_timeout_ns = INT64_C(2000000000);
    p->prepare_timeout_ns = INT64_C(2000000000);
    p->description = TOY_DESCRIPTION;
    assert_int_equal(ferry_owner_new(&p->owner, &err), 0);
}

static void pair_socket(int *near, int *far)
{
    struct ferry_err err;
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    assert_int_equal(unixfd_prepare(fds[0], 1 << 20, &err), 0);
    *near = fds[0];
    *far = fds[1];
}

void pair_start(struct pair *p)
{
    struct ferry_err err;
    int fds[2];

    if (!p->from->vm)
        toy_fresh(p->from);
    for (int i = 0; i < 100; i++)
        toy_tick(p->from);
    if (p->paused_guest)
        atomic_store(&p->from->running, false);
    pair_socket(&p->wire[0], &fds[0]);
    pair_socket(&p->wire[1], &fds[1]);

    const struct ferry_live_source_params source = {
        .size_bytes = sizeof(source),
        .vm = p->from->vm,
        .owner = p->owner,
        .description = p->description,
        .version = "1.0",
        .running = !p->paused_guest,
        .prepare_timeout_ns = p->prepare_timeout_ns,
        .pause_timeout_ns = p->pause_timeout_ns,
        .spin_ns = -1, /* who would be answering? */
        .trace = p->trace,
        .opaque = p->trace_arg,
    };
    const struct ferry_live_target_params target = {
        .size_bytes = sizeof(target),
        .version = "1.1",
        .build = toy_build,
        .clock_go_on = toy_clock_go_on,
        .spin_ns = -1,
        .opaque = p->to,
    };

    assert_int_equal(ferry_live_source_new(&p->source, &source, &fds[0], &err), 0);
    assert_int_equal(ferry_live_target_new(&p->target, &target, &fds[1], &err), 0);
    assert_int_equal(fds[0], -1);
    assert_int_equal(fds[1], -1);
}

static void pair_cut(struct pair *p)
{
    p->cut = true;
    for (int i = 0; i < 2; i++)
        own_close_fd(&p->wire[i]);
}

/* Which of fds pass, and with one more where asked. Closes what does not. */
static size_t pair_filter_fds(struct pair *p, enum pair_way way, int *fds, size_t fd_count)
{
    size_t kept = 0;

    for (size_t i = 0; i < fd_count; i++) {
        if (p->passed_fds++ == p->drop_fd)
            close(fds[i]);
        else
            fds[kept++] = fds[i];
    }
    if (way == PAIR_TO_TARGET && p->passed_bytes[way] == p->add_fd_at && kept < 8)
        fds[kept++] = open("/dev/null", O_RDONLY | O_CLOEXEC);
    return kept;
}

/* One read one way. Byte by byte where the test wants something at a byte. */
static void pair_forward(struct pair *p, enum pair_way way)
{
    int from = p->wire[way == PAIR_TO_TARGET ? 0 : 1], to = p->wire[way == PAIR_TO_TARGET ? 1 : 0];
    int fds[UNIXFD_BATCH_MAX];
    uint8_t bytes[4096];
    size_t fd_count, n = sizeof(bytes);
    struct ferry_err err;
    ssize_t got;

    if (p->cut)
        return;
    if (p->passed_bytes[way] >= p->cut_at_bytes[way]) {
        pair_cut(p);
        return;
    }
    if (n > p->cut_at_bytes[way] - p->passed_bytes[way])
        n = p->cut_at_bytes[way] - p->passed_bytes[way];
    if (p->add_fd_at != SIZE_MAX)
        n = 1;
    got = unixfd_recv(from, bytes, n, fds, &fd_count, &err);
    if (got == -EAGAIN)
        return;
    if (got <= 0) {
        pair_cut(p);
        return;
    }
    if (p->flip_bit[way] / 8 >= p->passed_bytes[way] &&
        p->flip_bit[way] / 8 < p->passed_bytes[way] + (size_t)got)
        bytes[p->flip_bit[way] / 8 - p->passed_bytes[way]] ^=
            (uint8_t)(1u << (p->flip_bit[way] % 8));
    if (p->set_byte_at[way] >= p->passed_bytes[way] &&
        p->set_byte_at[way] < p->passed_bytes[way] + (size_t)got)
        bytes[p->set_byte_at[way] - p->passed_bytes[way]] = p->set_byte_to[way];
    fd_count = pair_filter_fds(p, way, fds, fd_count);
    /* A side that has hung up does not get it; it is not the test's business. */
    if (unixfd_send(to, bytes, (size_t)got, fds, fd_count, &err) == -EAGAIN)
        fail_msg("the wire is full");
    for (size_t i = 0; i < fd_count; i++)
        close(fds[i]);
    p->passed_bytes[way] += (size_t)got;
}

void pair_step(struct pair *p)
{
    toy_tick(p->from);
    if (p->source_status == FERRY_MOVE_BUSY)
        p->source_status = ferry_move_step(p->source, &p->source_err);
    pair_forward(p, PAIR_TO_TARGET);
    if (p->target_status == FERRY_MOVE_BUSY)
        p->target_status = ferry_move_step(p->target, &p->target_err);
    pair_forward(p, PAIR_TO_SOURCE);
    toy_tick(p->to);
}

bool pair_run(struct pair *p, int limit_ms)
{
    int64_t end_ns = clock_monotonic_ns() + limit_ms * INT64_C(1000000);

    while (clock_monotonic_ns() < end_ns) {
        if (p->source_status != FERRY_MOVE_BUSY && p->target_status != FERRY_MOVE_BUSY)
            return true;
        pair_step(p);
    }
    return false;
}

void pair_check_one_owner(struct pair *p)
{
    bool here = p->source_status == FERRY_MOVE_FAILED, there = p->target_status == FERRY_MOVE_DONE;
    struct toy *runner = here ? p->from : p->to;

    assert_int_not_equal(here, there);
    assert_int_equal(atomic_load(&p->from->running), here && !p->paused_guest);
    assert_int_equal(atomic_load(&p->to->running), there && !p->paused_guest);
    assert_int_equal(owner_held(p->owner), here);
    assert_int_equal(p->from->pipe.in_use, here);
    assert_int_equal(p->to->pipe.in_use, there);
    assert_false(p->from->pipe.quiesced && here);
    for (int i = 0; i < 100; i++)
        toy_tick(runner);
    assert_int_equal(atomic_load(&runner->memory->broken), 0);
    assert_true(atomic_load(&runner->memory->switches) <= 1);
    assert_int_equal(runner->counter.ticks, atomic_load(&runner->memory->ticks));
    assert_int_equal(runner->blob.mode, 3);
    assert_true(toy_pipe_works(runner));
}

static void pair_hang_up(struct pair *p)
{
    ferry_move_free(p->source);
    ferry_move_free(p->target);
    p->source = NULL;
    p->target = NULL;
    if (!p->cut)
        pair_cut(p);
}

void pair_next(struct pair *p)
{
    struct ferry_owner *owner = ferry_live_target_take_owner(p->target);
    uint32_t id = p->from->id;

    assert_int_equal(p->source_status, FERRY_MOVE_DONE);
    assert_non_null(owner);
    pair_hang_up(p);
    toy_free(p->from);
    free(p->from);
    ferry_owner_free(p->owner);
    p->owner = owner;
    p->from = p->to;
    p->to = calloc(1, sizeof(*p->to));
    p->to->id = id;
    p->source_status = p->target_status = FERRY_MOVE_BUSY;
    p->passed_bytes[0] = p->passed_bytes[1] = p->passed_fds = 0;
    p->cut = false;
}

void pair_free(struct pair *p)
{
    pair_hang_up(p);
    toy_free(p->from);
    toy_free(p->to);
    free(p->from);
    free(p->to);
    ferry_owner_free(p->owner);
}
