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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_left_is_enough),
        cmocka_unit_test(more_than_the_limit_is_not),
        cmocka_unit_test(as_long_as_it_shrinks_another_round_is_worth_it),
        cmocka_unit_test(what_takes_no_longer_than_the_rest_is_enough),
        cmocka_unit_test(a_given_bandwidth_is_believed),
        cmocka_unit_test(a_short_round_says_nothing_about_the_bandwidth),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
