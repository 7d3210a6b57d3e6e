/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit.h"

#include "base/clock.h"
#include "tests/vmm/dev/rig.h"
#include "vmm/dev/goldfish_rtc.h"

#define MS     INT64_C(1000000)
#define SECOND UINT64_C(1000000000)

enum {
    TIME_LOW = 0x00,
    TIME_HIGH = 0x04,
    ALARM_LOW = 0x08,
    ALARM_HIGH = 0x0c,
    IRQ_ENABLED = 0x10,
    CLEAR_ALARM = 0x14,
    ALARM_STATUS = 0x18,
    CLEAR_INTERRUPT = 0x1c,
};

static int setup(void **state)
{
    struct rig *r = rig_new(&goldfish_rtc_type, 1);

    guest_clock_start(r->clock);
    *state = r;
    return 0;
}

static int teardown(void **state)
{
    rig_free(*state);
    return 0;
}

static uint64_t read_time(struct rig *r)
{
    uint64_t low = rig_read(r, TIME_LOW, 4);

    return rig_read(r, TIME_HIGH, 4) << 32 | low;
}

static void set_alarm(struct rig *r, uint64_t ns)
{
    rig_write(r, ALARM_HIGH, 4, ns >> 32);
    rig_write(r, ALARM_LOW, 4, ns);
}

static void it_tells_the_time_of_day(void **state)
{
    struct rig *r = *state;
    uint64_t before = (uint64_t)clock_realtime_ns();
    uint64_t now = read_time(r);

    assert_in_range(now, before, (uint64_t)clock_realtime_ns());
}

static void the_high_half_belongs_to_the_low_half_read_before(void **state)
{
    struct rig *r = *state;
    uint64_t high;

    rig_read(r, TIME_LOW, 4);
    high = rig_read(r, TIME_HIGH, 4);
    rig_write(r, TIME_HIGH, 4, high + 5);
    assert_int_equal(rig_read(r, TIME_HIGH, 4), high);
    rig_read(r, TIME_LOW, 4);
    assert_int_equal(rig_read(r, TIME_HIGH, 4), high + 5);
}

static void it_can_be_set(void **state)
{
    struct rig *r = *state;
    const uint64_t ns = UINT64_C(0x1234567800000000);

    rig_write(r, TIME_HIGH, 4, ns >> 32);
    rig_write(r, TIME_LOW, 4, ns);
    assert_in_range(read_time(r), ns, ns + SECOND);
    /* Not forgotten in a reset. */
    r->dev->type->reset(r->dev);
    assert_in_range(read_time(r), ns, ns + SECOND);
}

static void an_alarm_interrupts_when_its_time_comes(void **state)
{
    struct rig *r = *state;

    rig_write(r, IRQ_ENABLED, 4, 1);
    set_alarm(r, read_time(r) + 5 * (uint64_t)MS);
    assert_int_equal(rig_read(r, ALARM_STATUS, 4), 1);
    assert_false(r->level[0]);
    rig_run_for(r, 20 * MS);
    assert_true(r->level[0]);
    assert_int_equal(rig_read(r, ALARM_STATUS, 4), 0);
    rig_write(r, CLEAR_INTERRUPT, 4, 1);
    assert_false(r->level[0]);
}

static void an_alarm_in_the_past_fires_at_once(void **state)
{
    struct rig *r = *state;

    set_alarm(r, read_time(r) - 1);
    assert_false(r->level[0]); /* not enabled */
    rig_write(r, IRQ_ENABLED, 4, 1);
    assert_true(r->level[0]);
    rig_write(r, IRQ_ENABLED, 4, 2); /* bit 0 alone counts */
    assert_false(r->level[0]);
}

static void a_cleared_alarm_does_not_come(void **state)
{
    struct rig *r = *state;
    int64_t busy_ns;

    rig_write(r, IRQ_ENABLED, 4, 1);
    set_alarm(r, read_time(r) + 3 * (uint64_t)MS);
    rig_write(r, CLEAR_ALARM, 4, 1);
    assert_int_equal(rig_read(r, ALARM_STATUS, 4), 0);
    rig_run_for(r, 10 * MS);
    assert_false(r->level[0]);
    /* Later than the clock can count: never, and nobody tries again and again. */
    set_alarm(r, UINT64_MAX);
    busy_ns = clock_read_ns(CLOCK_PROCESS_CPUTIME_ID);
    rig_run_for(r, 50 * MS);
    busy_ns = clock_read_ns(CLOCK_PROCESS_CPUTIME_ID) - busy_ns;
    assert_in_range(busy_ns, 0, 10 * MS);
    assert_int_equal(rig_read(r, ALARM_STATUS, 4), 1);
    assert_false(r->level[0]);
}

static void an_alarm_passed_while_stopped_comes_at_resume(void **state)
{
    struct rig *r = *state;

    rig_write(r, IRQ_ENABLED, 4, 1);
    set_alarm(r, read_time(r) + 3 * (uint64_t)MS);
    guest_clock_stop(r->clock);
    rig_run_for(r, 10 * MS);
    assert_false(r->level[0]);
    r->dev->type->part_ops->resume(r->dev);
    assert_true(r->level[0]);
}

/* -rtc clock=vm: what is saved is its distance from the guest's clock, which stands still. */
static void it_can_stand_with_its_guest(void **state)
{
    struct rig *r = *state;
    uint64_t before = (uint64_t)clock_realtime_ns(), now, stopped;

    goldfish_rtc_stand_with_guest(r->dev);
    now = read_time(r);
    assert_in_range(now, before, (uint64_t)clock_realtime_ns());
    guest_clock_stop(r->clock);
    stopped = read_time(r);
    rig_run_for(r, 5 * MS);
    assert_int_equal(read_time(r), stopped);
    guest_clock_start(r->clock);
    rig_run_for(r, 5 * MS);
    assert_in_range(read_time(r), stopped + 5 * (uint64_t)MS, stopped + 3600 * SECOND);
}

static void it_goes_on_while_its_guest_stands(void **state)
{
    struct rig *r = *state;
    uint64_t stopped, now;

    guest_clock_stop(r->clock);
    stopped = read_time(r);
    rig_run_for(r, 5 * MS);
    now = read_time(r);
    assert_in_range(now, stopped + 5 * (uint64_t)MS, (uint64_t)clock_realtime_ns());
}

static void stir(void *obj)
{
    struct rig *r = rig_of(obj);

    rig_write(r, TIME_HIGH, 4, 0x1234);
    rig_read(r, TIME_LOW, 4);
    rig_write(r, IRQ_ENABLED, 4, 1);
    set_alarm(r, read_time(r) + 3600 * SECOND);
}

static void saved_state_keeps_the_contract(void **state)
{
    struct rig_contract rig = {.type = &goldfish_rtc_type, .hart_count = 1};
    struct contract_case c = {
        .table = goldfish_rtc_type.table,
        .obj_bytes = goldfish_rtc_type.size_bytes,
        .make = rig_make_dev,
        .stir = stir,
        .destroy = rig_destroy_dev,
        .arg = &rig,
    };

    contract_run(&c);
}

#define IN_RIG(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_RIG(it_tells_the_time_of_day),
        IN_RIG(the_high_half_belongs_to_the_low_half_read_before),
        IN_RIG(it_can_be_set),
        IN_RIG(an_alarm_interrupts_when_its_time_comes),
        IN_RIG(an_alarm_in_the_past_fires_at_once),
        IN_RIG(a_cleared_alarm_does_not_come),
        IN_RIG(an_alarm_passed_while_stopped_comes_at_resume),
        IN_RIG(it_can_stand_with_its_guest),
        IN_RIG(it_goes_on_while_its_guest_stands),
        cmocka_unit_test(saved_state_keeps_the_contract),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
