/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit.h"

#include <limits.h>
#include <string.h>

#include "vmm/main/progress.h"

#define SECOND INT64_C(1000000000)

static struct progress_now at(int64_t ns, double left_bytes, double sent_bytes)
{
    return (struct progress_now){
        .at_ns = ns,
        .status = "active",
        .total_bytes = 4e9,
        .left_bytes = left_bytes,
        .sent_bytes = sent_bytes,
        .mean_bps = 5e8,
        .round = 1,
        .dirty_bps = 2.5e6,
        .expected_pause_ms = 300,
    };
}

static void it_has_a_rate_and_an_end_at_once(void **state)
{
    struct progress p = {0};
    struct progress_now now = at(SECOND / 10, 3e9, 5e7);
    char line[PROGRESS_LINE_BYTES];

    progress_line(&p, &now, 40, line);
    assert_string_equal(line, " 25 %  500.0 MB/s  ETA 0:06  round 1");
}

static void what_says_most_is_there_on_any_terminal(void **state)
{
    static const unsigned widths[] = {0, 1, 2, 10, 28, 40, 80, 100, 120, 255, 256, 10000};
    char line[PROGRESS_LINE_BYTES];

    for (size_t i = 0; i < sizeof(widths) / sizeof(widths[0]); i++) {
        struct progress p = {0};
        struct progress_now now = at(SECOND / 10, 3e9, 5e7);

        progress_line(&p, &now, widths[i], line);
        assert_true(strlen(line) < (widths[i] ? widths[i] : 1));
        if (widths[i] >= 28)
            assert_memory_equal(line, " 25 %  500.0 MB/s  ETA 0:06", 27);
        assert_int_equal(strstr(line, "round 1") != NULL, widths[i] >= 40);
        assert_int_equal(strstr(line, "pause ~300 ms") != NULL, widths[i] >= 100);
    }
}

/* Zero pages: four times as much is done as is sent. */
static void the_end_is_of_what_is_left(void **state)
{
    struct progress p = {0};
    char line[PROGRESS_LINE_BYTES];

    for (int i = 0; i <= 100; i++) {
        struct progress_now now = at(i * SECOND / 10, 4e9 - i * 2e7, i * 5e6);

        progress_line(&p, &now, 40, line);
    }
    assert_memory_equal(line, " 50 %  50.0 MB/s  ETA 0:10", 26);
}

static void a_new_round_begins_anew(void **state)
{
    struct progress p = {0};
    char line[PROGRESS_LINE_BYTES];
    struct progress_now now = at(0, 1e9, 0);

    progress_line(&p, &now, 80, line);
    now = at(SECOND, 2e9, 1e9);
    progress_line(&p, &now, 80, line);
    assert_non_null(strstr(line, "ETA 0:04")); /* as the mean says, until this round does */
    now = at(2 * SECOND, 1e9, 2e9);
    progress_line(&p, &now, 80, line);
    assert_non_null(strstr(line, "ETA 0:01"));
}

/* Nothing moves; it is in another state. */
static void there_may_be_no_end(void **state)
{
    struct progress p = {0};
    char line[PROGRESS_LINE_BYTES];

    for (int i = 0; i < 3; i++) {
        struct progress_now now = at(i * SECOND, 1e9, 0);

        progress_line(&p, &now, 80, line);
    }
    assert_non_null(strstr(line, "0.0 MB/s  ETA -:--"));
    struct progress_now now = at(4 * SECOND, 0, 0);

    now.status = "pre-switchover";
    progress_line(&p, &now, 80, line);
    assert_non_null(strstr(line, "pre-switchover"));
}

static void a_stranger_says_anything(void **state)
{
    static const double values[] = {0, -1, 1, -1e300, 1e300, 9.2e18, -9.2e18};
    static const size_t n = sizeof(values) / sizeof(values[0]);
    struct progress p = {0};
    char line[PROGRESS_LINE_BYTES];

    for (size_t i = 0; i < n * n * n; i++) {
        struct progress_now now = {
            .at_ns = (int64_t)i,
            .status = i % 2 ? "active" : "a status that is longer than any of QEMU's",
            .total_bytes = values[i % n],
            .left_bytes = values[i / n % n],
            .sent_bytes = values[i / n / n],
            .mean_bps = values[i % n],
            .round = i % 3 ? LLONG_MAX : LLONG_MIN,
            .dirty_bps = values[i / n % n],
            .expected_pause_ms = i % 3 ? LLONG_MIN : LLONG_MAX,
        };

        progress_line(&p, &now, 80, line);
        assert_true(strlen(line) < 80);
        progress_line(&p, &now, 1000, line);
        assert_true(strlen(line) < PROGRESS_LINE_BYTES);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_has_a_rate_and_an_end_at_once),
        cmocka_unit_test(what_says_most_is_there_on_any_terminal),
        cmocka_unit_test(the_end_is_of_what_is_left),
        cmocka_unit_test(a_new_round_begins_anew),
        cmocka_unit_test(there_may_be_no_end),
        cmocka_unit_test(a_stranger_says_anything),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
