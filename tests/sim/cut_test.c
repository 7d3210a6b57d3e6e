/* SPDX-License-Identifier: Apache-2.0 */
/* The wire between source and target is cut, robbed, stuffed and flipped, everywhere. */
#include "tests/unit.h"

#include <stdio.h>
#include <string.h>

#include "tests/sim/pair.h"

/* An ordinary handover's traffic. */
static void measure(size_t bytes[2], size_t *fds)
{
    struct pair p;

    pair_init(&p);
    pair_start(&p);
    assert_true(pair_run(&p, 2000));
    assert_int_equal(p.target_status, FERRY_MOVE_DONE);
    /* RUNNING is underway when both have ended. */
    memcpy(bytes, p.passed_bytes, sizeof(p.passed_bytes));
    *fds = p.passed_fds;
    pair_free(&p);
}

static void cut_everywhere(enum pair_way way)
{
    size_t bytes[2], fds, done = 0, failed = 0;

    measure(bytes, &fds);
    /* Once it has failed for the last time, the guest is there, and each try costs a grace time. */
    for (size_t at = 0; at <= bytes[way]; at += done > 8 ? 16 : 1) {
        struct pair p;

        pair_init(&p);
        p.cut_at_bytes[way] = at;
        pair_start(&p);
        assert_true(pair_run(&p, 5000));
        assert_int_not_equal(p.source_status, FERRY_MOVE_LOST);
        pair_check_one_owner(&p);
        if (p.source_status == FERRY_MOVE_FAILED)
            assert_non_null(strstr(p.source_err.text, "while the source was"));
        done += p.source_status == FERRY_MOVE_DONE;
        failed += p.source_status == FERRY_MOVE_FAILED;
        pair_free(&p);
    }
    /* Before COMMIT it fails, after it the guest is there. */
    assert_true(failed > 20);
    assert_true(done > 0);
}

static void cut_towards_the_target(void **state)
{
    cut_everywhere(PAIR_TO_TARGET);
}

static void cut_towards_the_source(void **state)
{
    cut_everywhere(PAIR_TO_SOURCE);
}

static void every_fd_missing_once(void **state)
{
    size_t bytes[2], fds;

    measure(bytes, &fds);
    assert_int_equal(fds, 4); /* lock, RAM, two of the pipe */
    for (size_t i = 0; i < fds; i++) {
        struct pair p;

        pair_init(&p);
        p.drop_fd = i;
        pair_start(&p);
        assert_true(pair_run(&p, 2000));
        assert_int_equal(p.source_status, FERRY_MOVE_FAILED);
        if (!strstr(p.source_err.text, " of its 2 file descriptors"))
            fail_msg("fd %zu: %s", i, p.source_err.text);
        pair_check_one_owner(&p);
        pair_free(&p);
    }
}

static void one_fd_too_many_at_every_byte(void **state)
{
    size_t bytes[2], fds;

    measure(bytes, &fds);
    for (size_t at = 0; at < bytes[PAIR_TO_TARGET]; at++) {
        struct pair p;

        pair_init(&p);
        p.add_fd_at = at;
        pair_start(&p);
        assert_true(pair_run(&p, 2000));
        assert_int_equal(p.source_status, FERRY_MOVE_FAILED);
        pair_check_one_owner(&p);
        pair_free(&p);
    }
}

/*
 * A bit that flips in a number of the guest's own state is a different, legal state: no checksum
 * guards a local socket. What must hold is that nobody crashes, nobody hangs and one side owns.
 */
static void any_bit_flipped(enum pair_way way)
{
    size_t bytes[2], fds;

    measure(bytes, &fds);
    for (size_t bit = 0; bit < bytes[way] * 8; bit += 3) {
        struct pair p;

        pair_init(&p);
        p.flip_bit[way] = bit;
        p.pause_timeout_ns = p.prepare_timeout_ns = 5000000;
        pair_start(&p);
        assert_true(pair_run(&p, 5000));
        assert_int_not_equal(p.source_status, FERRY_MOVE_LOST);
        assert_int_not_equal(p.source_status == FERRY_MOVE_FAILED,
                             p.target_status == FERRY_MOVE_DONE);
        assert_int_not_equal(p.from->pipe.in_use, p.to->pipe.in_use);
        assert_false(atomic_load(&p.from->running) && atomic_load(&p.to->running));
        pair_free(&p);
    }
}

static void any_bit_towards_the_target_flipped(void **state)
{
    any_bit_flipped(PAIR_TO_TARGET);
}

static void any_bit_towards_the_source_flipped(void **state)
{
    any_bit_flipped(PAIR_TO_SOURCE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cut_towards_the_target),
        cmocka_unit_test(cut_towards_the_source),
        cmocka_unit_test(every_fd_missing_once),
        cmocka_unit_test(one_fd_too_many_at_every_byte),
        cmocka_unit_test(any_bit_towards_the_target_flipped),
        cmocka_unit_test(any_bit_towards_the_source_flipped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
