/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "tests/sim/migrate_pair.h"

static struct migrate_pair *pair_new(bool threads)
{
    struct migrate_pair *p = malloc(sizeof(*p));

    assert_non_null(p);
    migrate_pair_init(p, threads);
    return p;
}

static void pair_delete(struct migrate_pair *p)
{
    migrate_pair_free(p);
    free(p);
}

static void test_moves(void **state)
{
    struct ferry_migrate_info info = {.size_bytes = sizeof(info)};
    struct migrate_pair *p = pair_new(false);

    migrate_pair_start(p);
    migrate_pair_run(p, 20000);
    migrate_pair_check_moved(p, true);
    assert_string_equal(p->described, TOY_DESCRIPTION);
    assert_true(toy_pipe_works(&p->to));
    ferry_migrate_source_info(p->source, &info);
    assert_int_equal(info.phase, FERRY_MIGRATE_COMPLETED);
    assert_true(info.peer_is_ferry);
    assert_int_equal(info.ram_total_bytes, TOY_RAM_BYTES);
    assert_true(info.zero_pages > 700);
    assert_in_range(info.normal_pages, 100, 400);
    assert_true(info.rounds >= 2);
    pair_delete(p);
}

static void test_moves_with_threads(void **state)
{
    for (int i = 0; i < 5; i++) {
        struct migrate_pair *p = pair_new(true);

        p->from.scribble_pages = 900;
        migrate_pair_start(p);
        migrate_pair_run(p, 20000);
        atomic_store(&p->to.running, false);
        if (p->to.thread_started)
            pthread_join(p->to.thread, NULL);
        p->to.thread_started = false;
        migrate_pair_check_moved(p, false);
        pair_delete(p);
    }
}

/* The guest runs while a round is sent. */
static void do_tick(struct migrate_pair *p)
{
    if (!p->threads)
        toy_tick(&p->from);
}

static void test_deltas(void **state)
{
    for (int i = 0; i < 6; i++) {
        struct ferry_migrate_info info = {.size_bytes = sizeof(info)};
        struct migrate_pair *p = pair_new(i > 0);

        p->from.scribble_pages = 20;
        p->act_at = FERRY_MIGRATE_ROUND;
        p->act = do_tick;
        p->source_params.capabilities.xbzrle = true;
        p->source_params.parameters.xbzrle_cache_bytes = 64 * 4096;
        p->source_params.parameters.downtime_limit_ns = 1; /* until nothing is left */
        p->source_params.parameters.max_bandwidth_bps = i > 0 ? 20 << 20 : 0;
        migrate_pair_start(p);
        for (int n = 0; n < 300 && p->source_status == FERRY_MOVE_BUSY; n++)
            migrate_pair_step(p);
        const struct ferry_migrate_parameters enough = {.downtime_limit_ns = INT64_C(5000000000)};
        ferry_migrate_source_set_parameters(p->source, &enough);
        migrate_pair_run(p, 20000);
        atomic_store(&p->to.running, false);
        if (p->to.thread_started)
            pthread_join(p->to.thread, NULL);
        p->to.thread_started = false;
        migrate_pair_check_moved(p, false);
        ferry_migrate_source_info(p->source, &info);
        if (info.rounds > 60)
            assert_true(info.xbzrle_pages > 0);
        if (i == 0)
            assert_in_range(info.rounds, 61, 1000);
        pair_delete(p);
    }
}

/* A batch is larger than what the moment allows: what was too much is waited for afterwards. */
static void test_no_faster_than_it_may(void **state)
{
    struct ferry_migrate_info info = {.size_bytes = sizeof(info)};
    struct migrate_pair *p = pair_new(false);

    p->from.scribble_pages = 900;
    p->source_params.parameters.max_bandwidth_bps = 1 << 20;
    p->source_params.parameters.downtime_limit_ns = INT64_C(100000000000);
    for (int i = 0; i < 9000; i++)
        toy_tick(&p->from);
    migrate_pair_start(p);
    migrate_pair_run(p, 20000);
    migrate_pair_check_moved(p, true);
    ferry_migrate_source_info(p->source, &info);
    assert_true(info.precopy_bytes > 3 << 20);
    /* Without the last batch. */
    assert_true((info.precopy_bytes - (2 << 20)) * 1000 / (1 << 20) <=
                (uint64_t)info.total_time_ns / 1000000);
    pair_delete(p);
}

/* As between QEMU and ferry: nobody says COMMIT, SHUT tells the end. */
static void test_without_ferrys_own_messages(void **state)
{
    struct migrate_pair *p = pair_new(false);

    p->source_params.peer = FERRY_MIGRATE_PEER_QEMU;
    p->target_params.vm = p->to.vm;
    p->target_params.build = NULL;
    migrate_pair_start(p);
    migrate_pair_run(p, 20000);
    migrate_pair_check_moved(p, true);
    assert_string_equal(p->described, "");
    pair_delete(p);
}

static void test_without_ferrys_own_messages_it_fails_back(void **state)
{
    struct migrate_pair *p = pair_new(false);

    p->source_params.peer = FERRY_MIGRATE_PEER_QEMU;
    p->target_params.vm = p->to.vm;
    p->target_params.build = NULL;
    p->from.blob.mode = 7;
    migrate_pair_start(p);
    migrate_pair_run(p, 20000);
    assert_int_equal(p->source_status, FERRY_MOVE_FAILED);
    assert_int_equal(p->target_status, FERRY_MOVE_FAILED);
    migrate_pair_check_stayed(p);
    p->from.blob.mode = 3;
    migrate_pair_again(p);
    pair_delete(p);
}

static void test_a_stream_without_a_machine_needs_one(void **state)
{
    struct migrate_pair *p = pair_new(false);

    p->source_params.peer = FERRY_MIGRATE_PEER_QEMU;
    migrate_pair_start(p);
    migrate_pair_run(p, 20000);
    assert_int_equal(p->source_status, FERRY_MOVE_FAILED);
    assert_non_null(strstr(p->target_err.text, "does not say what machine it needs"));
    migrate_pair_check_stayed(p);
    pair_delete(p);
}

static void test_another_uuid_is_refused(void **state)
{
    static const uint8_t one[16] = {1}, two[16] = {2};
    struct migrate_pair *p = pair_new(false);

    p->source_params.capabilities.validate_uuid = true;
    p->source_params.uuid = one;
    p->target_params.uuid = two;
    migrate_pair_start(p);
    migrate_pair_run(p, 20000);
    assert_int_equal(p->source_status, FERRY_MOVE_FAILED);
    assert_non_null(strstr(p->source_err.text, "the target refused: "));
    migrate_pair_check_stayed(p);
    p->target_params.uuid = one;
    migrate_pair_again(p);
    pair_delete(p);
}

static void test_every_difference_is_named(void **state)
{
    struct migrate_pair *p = pair_new(false);
    struct ferry_ram_region *region;
    struct ferry_err err;

    assert_int_equal(ferry_ram_add(p->from.ram, "more.ram", 4096, &region, &err), 0);
    assert_int_equal(ferry_ram_add(p->to.ram, "other.ram", 4096, &region, &err), 0);
    migrate_pair_start(p);
    migrate_pair_run(p, 20000);
    assert_string_equal(p->source_err.text, "the target refused: RAM 'more.ram' is not here; "
                                            "RAM 'other.ram' is only here");
    assert_string_equal(p->target_err.text,
                        "RAM 'more.ram' is not here; RAM 'other.ram' is only here");
    assert_int_equal(p->wires[0].passed_bytes[0] < 4096, 1); /* no page before it */
    migrate_pair_check_stayed(p);
    pair_delete(p);
}

/* The VMM compares what the library does not know; a machine of its own is compared to the end. */
static void test_what_the_vmm_finds_is_named_with_the_rest(void **state)
{
    struct migrate_pair *p = pair_new(false);
    struct ferry_ram_region *region;
    struct ferry_err err;

    assert_int_equal(ferry_ram_add(p->from.ram, "more.ram", 4096, &region, &err), 0);
    p->target_params.vm = p->to.vm;
    err_set(&p->build_err, EINVAL, "a is 1 there and 2 here");
    migrate_pair_start(p);
    migrate_pair_run(p, 20000);
    assert_string_equal(p->source_err.text, "the target refused: a is 1 there and 2 here; RAM "
                                            "'more.ram' is not here");
    migrate_pair_check_stayed(p);
    pair_delete(p);
}

static void test_a_paused_guest_stays_paused(void **state)
{
    struct migrate_pair *p = pair_new(false);

    for (int i = 0; i < 300; i++)
        toy_tick(&p->from);
    atomic_store(&p->from.running, false);
    p->source_params.running = false;
    migrate_pair_start(p);
    migrate_pair_run(p, 20000);
    assert_int_equal(p->source_status, FERRY_MOVE_DONE);
    assert_int_equal(p->to.counter.ticks, 300);
    pair_delete(p);
}

static void test_dry_run_moves_nothing(void **state)
{
    struct migrate_pair *p = pair_new(false);

    p->source_params.dry_run = true;
    migrate_pair_start(p);
    migrate_pair_run(p, 20000);
    assert_int_equal(p->source_status, FERRY_MOVE_CHECKED);
    assert_int_equal(p->target_status, FERRY_MOVE_CHECKED);
    migrate_pair_check_stayed(p);
    assert_int_equal(p->to.counter.ticks, 0);
    assert_int_equal(p->looked, 1);
    assert_int_equal(p->opened, 0);
    p->source_params.dry_run = false;
    migrate_pair_again(p);
    assert_int_equal(p->looked, 1);
    assert_int_equal(p->opened, 1);
    pair_delete(p);
}

/* What the target's host lacks is found after the comparison, and before the source is told yes. */
static void test_a_host_that_cannot_open_refuses(void **state)
{
    struct migrate_pair *p = pair_new(false);

    err_set(&p->open_err, ENOENT, "drive \"d0\": no such file");
    migrate_pair_start(p);
    migrate_pair_run(p, 20000);
    assert_string_equal(p->source_err.text, "the target refused: drive \"d0\": no such file");
    assert_int_equal(p->opened, 1);
    assert_false(p->points & 1u << FERRY_MIGRATE_ACCEPTED);
    migrate_pair_check_stayed(p);
    p->open_err.errnum = 0;
    migrate_pair_again(p);
    assert_int_equal(p->opened, 2);
    pair_delete(p);
}

static void test_what_differs_is_not_opened(void **state)
{
    struct migrate_pair *p = pair_new(false);

    p->source_params.capabilities.ignore_shared = true;
    migrate_pair_start(p);
    migrate_pair_run(p, 20000);
    assert_int_equal(p->source_status, FERRY_MOVE_FAILED);
    assert_int_equal(p->opened + p->looked, 0);
    migrate_pair_check_stayed(p);
    pair_delete(p);
}

static void test_the_reason_travels(void **state)
{
    struct migrate_pair *p = pair_new(false);

    err_set(&p->build_err, EINVAL, "device 'extra' is not here");
    migrate_pair_start(p);
    migrate_pair_run(p, 20000);
    assert_int_equal(p->source_status, FERRY_MOVE_FAILED);
    assert_int_equal(p->target_status, FERRY_MOVE_FAILED);
    assert_string_equal(p->source_err.text, "the target refused: device 'extra' is not here");
    assert_string_equal(p->target_err.text, "device 'extra' is not here");
    migrate_pair_check_stayed(p);
    p->build_err.errnum = 0;
    migrate_pair_again(p);
    pair_delete(p);
}

static void test_bad_state_is_refused_in_the_pause(void **state)
{
    struct migrate_pair *p = pair_new(false);

    p->from.blob.mode = 7; /* the loader's bound is 3 */
    migrate_pair_start(p);
    migrate_pair_run(p, 20000);
    assert_int_equal(p->source_status, FERRY_MOVE_FAILED);
    assert_int_equal(p->target_status, FERRY_MOVE_FAILED);
    assert_non_null(strstr(p->source_err.text, "the target refused: "));
    assert_non_null(strstr(p->source_err.text, "mode"));
    migrate_pair_check_stayed(p);
    p->from.blob.mode = 3;
    migrate_pair_again(p);
    pair_delete(p);
}

/* Between two steps, wherever the source is then. */
static void test_cancel_after_each_step(void **state)
{
    bool done = false;

    for (int n = 0; !done; n++) {
        struct migrate_pair *p = pair_new(false);
        struct ferry_err err;
        int r;

        p->source_params.capabilities.pause_before_switchover = n % 2;
        migrate_pair_start(p);
        for (int i = 0; i < n / 2 && p->source_status == FERRY_MOVE_BUSY; i++)
            migrate_pair_step(p);
        if (n % 2 && ferry_migrate_source_proceed(p->source, &err) == 0)
            assert_int_equal(p->source_status, FERRY_MOVE_BUSY);
        done = p->source_status != FERRY_MOVE_BUSY;
        r = ferry_move_cancel(p->source, &err);
        migrate_pair_run(p, 20000);
        if (p->source_status == FERRY_MOVE_FAILED) {
            assert_int_equal(r, 0);
            assert_int_equal(p->source_err.errnum, ECANCELED);
            migrate_pair_check_stayed(p);
            assert_true(p->points & 1u << FERRY_MIGRATE_RETURNED);
            p->source_params.capabilities.pause_before_switchover = false;
            migrate_pair_again(p);
        } else {
            assert_true(r == -EBUSY || done);
            migrate_pair_check_moved(p, true);
        }
        pair_delete(p);
        assert_true(n < 2000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_moves),
        cmocka_unit_test(test_moves_with_threads),
        cmocka_unit_test(test_deltas),
        cmocka_unit_test(test_no_faster_than_it_may),
        cmocka_unit_test(test_without_ferrys_own_messages),
        cmocka_unit_test(test_without_ferrys_own_messages_it_fails_back),
        cmocka_unit_test(test_a_stream_without_a_machine_needs_one),
        cmocka_unit_test(test_another_uuid_is_refused),
        cmocka_unit_test(test_every_difference_is_named),
        cmocka_unit_test(test_what_the_vmm_finds_is_named_with_the_rest),
        cmocka_unit_test(test_a_paused_guest_stays_paused),
        cmocka_unit_test(test_dry_run_moves_nothing),
        cmocka_unit_test(test_a_host_that_cannot_open_refuses),
        cmocka_unit_test(test_what_differs_is_not_opened),
        cmocka_unit_test(test_the_reason_travels),
        cmocka_unit_test(test_bad_state_is_refused_in_the_pause),
        cmocka_unit_test(test_cancel_after_each_step),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
