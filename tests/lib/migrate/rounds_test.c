/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit.h"

#include "lib/migrate/rounds.h"

#define MS INT64_C(1000000)

/* A round of 100 MB in 100 ms: 1 GB/s, 244 pages per ms. */
static struct rounds measured(void)
{
    const struct ferry_migrate_parameters p = {.downtime_limit_ns = 300 * MS};
    struct rounds r;

    rounds_init(&r, &p);
    rounds_account(&r, 100000000, 100 * MS, 0);
    return r;
}

static void nothing_left_is_enough(void **state)
{
    struct rounds r = measured();

    r.fixed_ns = 1000 * MS;
    assert_true(rounds_enough(&r, 1000000, 0));
}

static void more_than_the_limit_is_not(void **state)
{
    struct rounds r = measured();

    assert_false(rounds_enough(&r, 100, 400 * 244));
    assert_true(r.expected_ns > 300 * MS);
}

static void as_long_as_it_shrinks_another_round_is_worth_it(void **state)
{
    struct rounds r = measured();

    assert_false(rounds_enough(&r, 1000 * 244, 100 * 244));
    assert_false(rounds_enough(&r, 100 * 244, 50 * 244));
    assert_true(rounds_enough(&r, 100 * 244, 51 * 244));
}

static void what_takes_no_longer_than_the_rest_is_enough(void **state)
{
    struct rounds r = measured();

    r.fixed_ns = 5 * MS;
    assert_true(rounds_enough(&r, 1000 * 244, 5 * 244));
    assert_false(rounds_enough(&r, 1000 * 244, 6 * 244));
}

static void a_given_bandwidth_is_believed(void **state)
{
    struct rounds r = measured();

    r.given_bps = 100000000; /* a tenth of what was measured */
    assert_false(rounds_enough(&r, 1, 40 * 244));
    assert_true(rounds_enough(&r, 1, 20 * 244));
    assert_in_range(r.expected_ns, 200 * MS, 205 * MS);
}

static void a_short_round_says_nothing_about_the_bandwidth(void **state)
{
    struct rounds r = measured();

    rounds_account(&r, 4096, 100 * MS, 0);
    assert_int_equal(r.bandwidth_bps, 1000000000);
}

/* The link was slow while most was sent, and is not any more. */
static void fast_short_rounds_make_up_for_a_slow_one(void **state)
{
    const struct ferry_migrate_parameters p = {.downtime_limit_ns = 300 * MS};
    unsigned rounds = 0;
    struct rounds r;

    rounds_init(&r, &p);
    rounds_account(&r, 1000000, 100000 * MS, 0); /* 10 kB/s */
    while (!rounds_enough(&r, 3, 3) && rounds < 100) {
        uint64_t before_bps = r.bandwidth_bps;

        rounds_account(&r, 3 * 4096, MS / 10, 3);
        assert_in_range(r.bandwidth_bps, before_bps, 2 * before_bps);
        rounds++;
    }
    assert_in_range(rounds, 1, 10);
    for (unsigned i = 0; i < 100; i++)
        rounds_account(&r, 3 * 4096, MS / 10, 3);
    assert_int_equal(r.bandwidth_bps, 122880000); /* no more than it was */
}

/* It was busy when it was asked first, or the link was. */
static void a_late_first_answer_is_forgotten(void **state)
{
    struct rounds r = measured();

    r.answer_ns = 1000 * MS;
    assert_false(rounds_enough(&r, 100, 99));
    rounds_account(&r, 100000000, 100 * MS, 99); /* which has an answer in it */
    assert_false(rounds_enough(&r, 100, 99));
    rounds_account(&r, 4096, 2 * MS, 99);
    assert_true(rounds_enough(&r, 100, 99));
    assert_in_range(r.expected_ns, 6 * MS, 20 * MS);
    rounds_account(&r, 4096, 50 * MS, 99);
    assert_int_equal(r.answer_ns, 2 * MS);
}

static void no_number_is_too_large(void **state)
{
    const struct ferry_migrate_parameters p = {.avail_switchover_bandwidth_bps = 1};
    struct rounds r = measured();

    rounds_account(&r, UINT64_MAX, 0, UINT64_MAX);
    rounds_account(&r, 0, INT64_MAX, 0);
    rounds_account(&r, UINT64_MAX, -1, UINT64_MAX);
    (void)rounds_enough(&r, UINT64_MAX, UINT64_MAX);
    assert_true(r.expected_ns >= 0);
    rounds_set(&r, &p);
    assert_false(rounds_enough(&r, UINT64_MAX, UINT64_MAX));
    assert_true(r.expected_ns > 300 * MS);
}

/* --- auto-converge --- */

#define SECOND_NS INT64_C(1000000000)
#define MIB_PAGES 256u

static const struct ferry_migrate_parameters defaults;

/* So much was sent and written, in MiB; returns the throttle afterwards. */
static unsigned round_of(struct rounds *r, const struct ferry_migrate_parameters *p,
                         int64_t duration_ns, uint64_t sent, uint64_t dirty)
{
    rounds_account(r, sent << 20, duration_ns, dirty * MIB_PAGES);
    return rounds_throttle(r, p);
}

static void test_every_second_bad_second_raises_it(void **state)
{
    static const unsigned expected[] = {0, 20, 20, 30, 30, 40, 40, 50};
    struct rounds r;

    rounds_init(&r, &defaults);
    for (unsigned i = 0; i < sizeof(expected) / sizeof(expected[0]); i++)
        assert_int_equal(round_of(&r, &defaults, SECOND_NS, 100, 51), expected[i]);
    for (unsigned i = 0; i < 20; i++)
        (void)round_of(&r, &defaults, SECOND_NS, 100, 51);
    assert_int_equal(r.throttle_percent, 99);
}

static void test_half_as_much_as_is_sent_may_be_written(void **state)
{
    struct ferry_migrate_parameters p = {.throttle_trigger_percent = 80};
    struct rounds r;

    rounds_init(&r, &defaults);
    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(round_of(&r, &defaults, SECOND_NS, 100, 49), 0);
    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(round_of(&r, &p, SECOND_NS, 100, 79), 0);
    (void)round_of(&r, &p, SECOND_NS, 100, 81);
    assert_int_equal(round_of(&r, &p, SECOND_NS, 100, 81), 20);
}

/* A hundred rounds of a second are one second: what all of them sent and wrote counts. */
static void test_short_rounds_count_together(void **state)
{
    struct rounds r;

    rounds_init(&r, &defaults);
    for (unsigned i = 0; i < 199; i++)
        assert_int_equal(round_of(&r, &defaults, SECOND_NS / 100, 1, i % 2 ? 2 : 0), 0);
    assert_int_equal(round_of(&r, &defaults, SECOND_NS / 100, 1, 2), 20);
}

static void test_as_the_operator_says(void **state)
{
    const struct ferry_migrate_parameters p = {.throttle_initial_percent = 5,
                                               .throttle_increment_percent = 60,
                                               .throttle_max_percent = 80};
    struct rounds r;

    rounds_init(&r, &p);
    for (unsigned i = 0; i < 2; i++)
        (void)round_of(&r, &p, SECOND_NS, 100, 200);
    assert_int_equal(r.throttle_percent, 5);
    for (unsigned i = 0; i < 2; i++)
        (void)round_of(&r, &p, SECOND_NS, 100, 200);
    assert_int_equal(r.throttle_percent, 65);
    for (unsigned i = 0; i < 2; i++)
        (void)round_of(&r, &p, SECOND_NS, 100, 200);
    assert_int_equal(r.throttle_percent, 80);
}

/* Of 80 percent of the time it may keep 50/52. */
static void test_tailslow_takes_what_is_needed(void **state)
{
    const struct ferry_migrate_parameters p = {.throttle_tailslow = true};
    struct rounds r;

    rounds_init(&r, &p);
    for (unsigned i = 0; i < 2; i++)
        (void)round_of(&r, &p, SECOND_NS, 100, 200);
    assert_int_equal(r.throttle_percent, 20);
    for (unsigned i = 0; i < 2; i++)
        (void)round_of(&r, &p, SECOND_NS, 100, 52);
    assert_int_equal(r.throttle_percent, 24);
    for (unsigned i = 0; i < 2; i++)
        (void)round_of(&r, &p, SECOND_NS, 100, 500);
    assert_int_equal(r.throttle_percent, 34);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_left_is_enough),
        cmocka_unit_test(more_than_the_limit_is_not),
        cmocka_unit_test(as_long_as_it_shrinks_another_round_is_worth_it),
        cmocka_unit_test(what_takes_no_longer_than_the_rest_is_enough),
        cmocka_unit_test(a_given_bandwidth_is_believed),
        cmocka_unit_test(a_short_round_says_nothing_about_the_bandwidth),
        cmocka_unit_test(fast_short_rounds_make_up_for_a_slow_one),
        cmocka_unit_test(a_late_first_answer_is_forgotten),
        cmocka_unit_test(no_number_is_too_large),
        cmocka_unit_test(test_every_second_bad_second_raises_it),
        cmocka_unit_test(test_half_as_much_as_is_sent_may_be_written),
        cmocka_unit_test(test_short_rounds_count_together),
        cmocka_unit_test(test_as_the_operator_says),
        cmocka_unit_test(test_tailslow_takes_what_is_needed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
