/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"

static void read_by_whoever_can(void **state)
{
    char said[64] = "";
    int saved = dup(STDERR_FILENO), fds[2];

    assert_int_equal(pipe(fds), 0);
    dup2(fds[1], STDERR_FILENO);
    log_warn("a\033[2J%d", 1);
    log_error("two");
    dup2(saved, STDERR_FILENO);
    assert_true(read(fds[0], said, sizeof(said) - 1) > 0);
    assert_string_equal(said, "ferry: warning: a?[2J1\nferry: two\n");
    close(fds[0]);
    close(fds[1]);
    close(saved);
}

static void a_line_begins_with_the_time_if_somebody_wants_that(void **state)
{
    char said[128] = "", rest[16] = "";
    int saved = dup(STDERR_FILENO), fds[2], micro, fields[6];

    assert_int_equal(pipe(fds), 0);
    dup2(fds[1], STDERR_FILENO);
    setenv(LOG_TIMES, "1", 1);
    log_error("one");
    unsetenv(LOG_TIMES);
    dup2(saved, STDERR_FILENO);
    assert_true(read(fds[0], said, sizeof(said) - 1) > 0);
    assert_int_equal(sscanf(said, "%4d-%2d-%2dT%2d:%2d:%2d.%6dZ %15[^\n]", &fields[0], &fields[1],
                            &fields[2], &fields[3], &fields[4], &fields[5], &micro, rest),
                     8);
    assert_in_range(fields[0], 2026, 2200);
    assert_string_equal(rest, "ferry: one");
    close(fds[0]);
    close(fds[1]);
    close(saved);
}

/* A pipe that blocks, and that nobody empties: who says something goes on. */
static void a_line_that_nobody_reads_is_lost(void **state)
{
    char byte = 'x', said[4096];
    size_t filled = 0;
    ssize_t n;
    int saved = dup(STDERR_FILENO), fds[2];

    assert_int_equal(pipe(fds), 0);
    assert_int_equal(fcntl(fds[1], F_SETFL, O_NONBLOCK), 0);
    while (write(fds[1], &byte, 1) == 1)
        filled++;
    assert_int_equal(fcntl(fds[1], F_SETFL, 0), 0);
    dup2(fds[1], STDERR_FILENO);
    alarm(10); /* waiting would be for ever */
    log_warn("lost");
    alarm(0);
    dup2(saved, STDERR_FILENO);
    close(fds[1]);
    while ((n = read(fds[0], said, sizeof(said))) > 0) {
        assert_null(memchr(said, 'l', (size_t)n));
        filled -= (size_t)n;
    }
    assert_int_equal(filled, 0);
    close(fds[0]);
    close(saved);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(read_by_whoever_can),
        cmocka_unit_test(a_line_begins_with_the_time_if_somebody_wants_that),
        cmocka_unit_test(a_line_that_nobody_reads_is_lost),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
