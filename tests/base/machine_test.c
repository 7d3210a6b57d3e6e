/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit.h"

#include <errno.h>

#include "base/err.h"
#include "base/machine.h"

enum { NONE, BEGIN, ARRIVED, READY, FAULT, COUNT };

struct walker {
    int state;
    int calls;
    struct ferry_err err;
};

static int walk(void *self)
{
    ((struct walker *)self)->calls++;
    return ARRIVED;
}

static int trip(void *self)
{
    return err_set(&((struct walker *)self)->err, EIO, "tripped");
}

static const char *const walk_states[] = {"standing", "walking", "there", "fallen"};
static const char *const walk_events[COUNT] = {
    [BEGIN] = "begin",
    [ARRIVED] = "arrived",
    [READY] = "READY",
    [FAULT] = "fault",
};
static const struct machine_rule walk_rules[] = {
    {0, BEGIN, 1, walk}, {1, ARRIVED, 2, NULL}, {2, BEGIN, 0, trip},
    {2, FAULT, 3, trip}, {0, FAULT, 3, NULL},
};
static const struct machine_table walk_table = {
    .name = "walker",
    .state_names = walk_states,
    .state_count = 4,
    .event_names = walk_events,
    .event_count = COUNT,
    .fault = FAULT,
    .rules = walk_rules,
    .rule_count = sizeof(walk_rules) / sizeof(walk_rules[0]),
};

static void events_chain_and_faults_end(void **state)
{
    struct walker w = {0};

    machine_run(&walk_table, &w, &w.state, BEGIN, &w.err);
    assert_int_equal(w.state, 2);
    assert_int_equal(w.calls, 1);
    machine_run(&walk_table, &w, &w.state, BEGIN, &w.err);
    assert_int_equal(w.state, 3);
    assert_string_equal(w.err.text, "tripped");
}

static void an_unlisted_event_is_a_sentence(void **state)
{
    struct walker w = {0};

    machine_run(&walk_table, &w, &w.state, READY, &w.err);
    assert_int_equal(w.state, 3);
    assert_int_equal(w.err.errnum, EPROTO);
    assert_string_equal(w.err.text, "READY came to the walker while standing");
}

static void an_unlisted_fault_is_left_alone(void **state)
{
    struct walker w = {.state = 3};

    machine_run(&walk_table, &w, &w.state, FAULT, &w.err);
    assert_int_equal(w.state, 3);
    assert_int_equal(w.err.errnum, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_chain_and_faults_end),
        cmocka_unit_test(an_unlisted_event_is_a_sentence),
        cmocka_unit_test(an_unlisted_fault_is_left_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
