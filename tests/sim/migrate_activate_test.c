/* SPDX-License-Identifier: Apache-2.0 */
/* What only one side can have at a time goes with the guest, or stays with it. */
#include "tests/unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "tests/sim/migrate_pair.h"

enum holder { NOBODY, SOURCE, TARGET, STRANGER };

struct disk {
    struct migrate_pair pair; /* first: what callbacks are given */
    enum holder holder;
    enum holder comes_between; /* takes it as soon as the source gives it up */
    unsigned tries;            /* of the source, to have it back */
    unsigned settles, gives;   /* what the source was asked for */
    bool slow;                 /* ... and has to be told when that is over */
    unsigned let_go_at;        /* the try before which the target's process has ended; 0: it does
                                  what it should */
};

static int source_gives(void *opaque, struct ferry_err *err)
{
    struct disk *d = opaque;

    assert_false(atomic_load(&d->pair.from.running));
    assert_int_equal(d->holder, SOURCE);
    d->gives++;
    if (d->slow)
        return 1;
    d->holder = d->comes_between;
    return 0;
}

static int source_settles(void *opaque, struct ferry_err *err)
{
    struct disk *d = opaque;

    assert_true(atomic_load(&d->pair.from.running));
    d->settles++;
    return d->slow;
}

static int source_takes(void *opaque, struct ferry_err *err)
{
    struct disk *d = opaque;

    if (++d->tries == d->let_go_at)
        d->holder = NOBODY;
    if (d->holder == SOURCE)
        return 0; /* it was never given */
    if (d->holder != NOBODY)
        return err_set(err, EBUSY, "the disk is in use");
    assert_false(atomic_load(&d->pair.from.running));
    d->holder = SOURCE;
    return 0;
}

static int target_takes(void *opaque, struct ferry_err *err)
{
    struct disk *d = opaque;

    assert_false(atomic_load(&d->pair.to.running));
    assert_int_equal(d->pair.to.counter.ticks, 0);
    if (d->holder != NOBODY)
        return err_set(err, EBUSY, "the disk is in use here");
    d->holder = TARGET;
    return 0;
}

static void target_gives(void *opaque)
{
    struct disk *d = opaque;

    assert_int_equal(d->holder, TARGET);
    if (!d->let_go_at)
        d->holder = NOBODY;
}

static struct disk *disk_new(void)
{
    struct disk *d = calloc(1, sizeof(*d));
    struct migrate_pair *p = &d->pair;

    assert_non_null(d);
    migrate_pair_init(p, false);
    p->from.scribble_pages = 4;
    d->holder = SOURCE;
    p->source_params.settle = source_settles;
    p->source_params.deactivate = source_gives;
    p->source_params.activate = source_takes;
    p->target_params.activate = target_takes;
    p->target_params.deactivate = target_gives;
    return d;
}

static void disk_delete(struct disk *d)
{
    migrate_pair_free(&d->pair);
    free(d);
}

static void disk_again(struct disk *d)
{
    struct migrate_pair *p = &d->pair;

    ferry_move_free(p->source);
    ferry_move_free(p->target);
    p->source = NULL;
    p->target = NULL;
    p->cut_at_bytes[0] = p->cut_at_bytes[1] = SIZE_MAX;
    d->comes_between = NOBODY;
    migrate_pair_start(p);
    migrate_pair_run(p, 20000);
    migrate_pair_check_moved(p, true);
    assert_int_equal(d->holder, TARGET);
}

static void test_it_goes_with_the_guest(void **state)
{
    struct disk *d = disk_new();

    migrate_pair_start(&d->pair);
    migrate_pair_run(&d->pair, 20000);
    migrate_pair_check_moved(&d->pair, true);
    assert_int_equal(d->holder, TARGET);
    assert_int_equal(d->tries, 0);
    disk_delete(d);
}

static void target_cannot(enum ferry_migrate_peer peer)
{
    struct disk *d = disk_new();
    struct migrate_pair *p = &d->pair;

    d->comes_between = STRANGER;
    d->let_go_at = 3;
    p->source_params.peer = peer;
    if (peer == FERRY_MIGRATE_PEER_QEMU) {
        p->target_params.vm = p->to.vm;
        p->target_params.build = NULL;
    }
    migrate_pair_start(p);
    migrate_pair_run(p, 20000);
    assert_int_equal(p->source_status, FERRY_MOVE_FAILED);
    assert_int_equal(p->target_status, FERRY_MOVE_FAILED);
    assert_string_equal(p->target_err.text, "the disk is in use here");
    if (peer == FERRY_MIGRATE_PEER_ANY)
        assert_string_equal(p->source_err.text, "the target refused: the disk is in use here");
    migrate_pair_check_stayed(p);
    assert_int_equal(d->holder, SOURCE);
    assert_int_equal(d->tries, 3);
    d->let_go_at = 0;
    disk_again(d);
    disk_delete(d);
}

static void test_a_target_that_cannot_have_it_refuses(void **state)
{
    target_cannot(FERRY_MIGRATE_PEER_ANY);
    target_cannot(FERRY_MIGRATE_PEER_QEMU);
}

/* Nobody gives it back: the guest must not run, and is whole. */
static void test_what_does_not_come_back_leaves_the_guest_paused(void **state)
{
    struct disk *d = disk_new();
    struct migrate_pair *p = &d->pair;

    d->comes_between = STRANGER;
    p->source_params.pause_timeout_ns = 200000000;
    migrate_pair_start(p);
    migrate_pair_run(p, 20000);
    assert_int_equal(p->source_status, FERRY_MOVE_FAILED);
    assert_string_equal(p->source_err.text,
                        "the target refused: the disk is in use here; the guest stays paused "
                        "here, whole, because this failed: the disk is in use");
    assert_in_range(d->tries, 5, 20);
    assert_false(atomic_load(&p->from.running));
    assert_true(p->from.pipe.quiesced);
    /* What `cont` does. */
    d->holder = SOURCE;
    ferry_vm_resume(p->from.vm);
    toy_run(&p->from);
    migrate_pair_check_stayed(p);
    disk_again(d);
    disk_delete(d);
}

static void test_cancel_while_it_comes_back(void **state)
{
    struct disk *d = disk_new();
    struct migrate_pair *p = &d->pair;
    struct ferry_err err;

    d->comes_between = STRANGER;
    d->let_go_at = 5;
    migrate_pair_start(p);
    while (!d->tries)
        migrate_pair_step(p);
    assert_int_equal(p->source_status, FERRY_MOVE_BUSY);
    assert_int_equal(ferry_move_set_running(p->source, false, &err), -EBUSY);
    assert_int_equal(ferry_move_cancel(p->source, &err), 0);
    migrate_pair_run(p, 20000);
    assert_int_equal(p->source_status, FERRY_MOVE_FAILED);
    migrate_pair_check_stayed(p);
    assert_int_equal(d->holder, SOURCE);
    disk_delete(d);
}

/* --- A disk that takes its time --- */

static struct disk *slow_disk(void)
{
    struct disk *d = disk_new();

    d->slow = true;
    migrate_pair_start(&d->pair);
    return d;
}

static void step_until(struct disk *d, const unsigned *asked)
{
    while (*asked == 0) {
        assert_int_equal(d->pair.source_status, FERRY_MOVE_BUSY);
        migrate_pair_step(&d->pair);
    }
    /* It waits, whatever else happens. */
    for (int i = 0; i < 20; i++)
        migrate_pair_step(&d->pair);
    assert_int_equal(d->pair.source_status, FERRY_MOVE_BUSY);
}

static void answer(struct disk *d, const char *failure)
{
    struct ferry_err err = {0};

    if (failure)
        err_set(&err, EIO, "%s", failure);
    ferry_migrate_source_settled(d->pair.source, failure ? &err : NULL);
}

static void test_the_guest_runs_until_its_disks_are_written(void **state)
{
    struct disk *d = slow_disk();
    struct migrate_pair *p = &d->pair;

    step_until(d, &d->settles);
    assert_true(atomic_load(&p->from.running));
    assert_int_equal(d->gives, 0);
    answer(d, NULL);
    step_until(d, &d->gives);
    assert_false(atomic_load(&p->from.running));
    assert_int_equal(p->target_status, FERRY_MOVE_BUSY);
    d->holder = NOBODY;
    answer(d, NULL);
    migrate_pair_run(p, 20000);
    migrate_pair_check_moved(p, true);
    assert_int_equal(d->settles, 1);
    assert_int_equal(d->gives, 1);
    disk_delete(d);
}

/* In each of the two places: it fails, is too slow, or nobody wants to wait. */
static void test_a_disk_that_cannot_be_written_keeps_the_guest(void **state)
{
    enum { FAILS, HANGS, CANCELLED, ENDS };

    for (int in_pause = 0; in_pause < 2; in_pause++)
        for (int how = 0; how < ENDS; how++) {
            struct disk *d = slow_disk();
            struct migrate_pair *p = &d->pair;
            struct ferry_err err;

            step_until(d, &d->settles);
            if (in_pause) {
                answer(d, NULL);
                step_until(d, &d->gives);
            }
            if (how == FAILS)
                answer(d, "the host has no room");
            if (how == CANCELLED)
                assert_int_equal(ferry_move_cancel(p->source, &err), 0);
            migrate_pair_run(p, 40000);
            assert_int_equal(p->source_status, FERRY_MOVE_FAILED);
            if (how == FAILS)
                assert_string_equal(p->source_err.text, "the host has no room");
            if (how == HANGS)
                assert_string_equal(
                    p->source_err.text,
                    in_pause ? "the host did not write this VM's disk images to stable storage "
                               "within 10000 ms while the source was giving disks up"
                             : "the host did not write this VM's disk images to stable storage "
                               "within 30000 ms while the source was writing disks before the "
                               "pause");
            migrate_pair_check_stayed(p);
            assert_int_equal(d->holder, SOURCE);
            /* Late, and for nobody. */
            answer(d, NULL);
            d->slow = false;
            disk_again(d);
            disk_delete(d);
        }
}

/* Cut after each byte of the end, in either direction: whoever runs the guest has it. */
static void cut_at(int way, size_t at)
{
    struct disk *d = disk_new();
    struct migrate_pair *p = &d->pair;

    p->cut_at_bytes[way] = at;
    migrate_pair_start(p);
    migrate_pair_run(p, 20000);
    if (p->source_status == FERRY_MOVE_FAILED) {
        migrate_pair_check_stayed(p);
        assert_int_equal(d->holder, SOURCE);
        disk_again(d);
    } else if (p->target_status == FERRY_MOVE_DONE) {
        assert_true(atomic_load(&p->to.running));
        assert_int_equal(d->holder, TARGET);
    } else {
        assert_int_equal(p->source_status, FERRY_MOVE_LOST);
        assert_int_equal(d->holder, NOBODY);
    }
    disk_delete(d);
}

static void test_cut_anywhere(void **state)
{
    struct disk *d = disk_new();
    size_t there, back;

    migrate_pair_start(&d->pair);
    migrate_pair_run(&d->pair, 20000);
    there = d->pair.wires[0].passed_bytes[0];
    back = d->pair.wires[0].passed_bytes[1];
    disk_delete(d);
    for (size_t at = there - 100; at < there; at++)
        cut_at(0, at);
    for (size_t at = 0; at < back; at++)
        cut_at(1, at);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_it_goes_with_the_guest),
        cmocka_unit_test(test_a_target_that_cannot_have_it_refuses),
        cmocka_unit_test(test_what_does_not_come_back_leaves_the_guest_paused),
        cmocka_unit_test(test_cancel_while_it_comes_back),
        cmocka_unit_test(test_the_guest_runs_until_its_disks_are_written),
        cmocka_unit_test(test_a_disk_that_cannot_be_written_keeps_the_guest),
        cmocka_unit_test(test_cut_anywhere),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
