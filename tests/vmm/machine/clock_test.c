/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/be.h"
#include "base/buf.h"
#include "base/clock.h"
#include "lib/state/state.h"
#include "tests/contract/contract.h"
#include "vmm/machine/clock.h"

#define MS INT64_C(1000000)

struct fixture {
    struct loop *loop;
    struct machine_lock lock;
    struct guest_clock *clock;
    struct guest_timer *timers[3];
    struct loop_timer *end;
    int fired[8];
    int fired_count;
    bool again;
};

static struct fixture *make_fixture(void)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct ferry_err err;

    assert_non_null(f);
    machine_lock_init(&f->lock);
    assert_int_equal(loop_new(&f->loop, &err), 0);
    assert_int_equal(guest_clock_new(&f->clock, f->loop, &f->lock, &err), 0);
    return f;
}

static void free_fixture(struct fixture *f)
{
    for (int i = 0; i < 3; i++)
        guest_timer_free(f->timers[i]);
    loop_timer_free(f->end);
    guest_clock_free(f->clock);
    loop_free(f->loop);
    free(f);
}

static int setup(void **state)
{
    *state = make_fixture();
    return 0;
}

static int teardown(void **state)
{
    free_fixture(*state);
    return 0;
}

static void stop(void *arg)
{
    loop_stop(arg);
}

static void run_for(struct fixture *f, int64_t ns)
{
    struct ferry_err err;

    if (!f->end)
        assert_int_equal(loop_timer_new(&f->end, f->loop, stop, f->loop, &err), 0);
    loop_timer_set(f->end, clock_monotonic_ns() + ns);
    loop_run(f->loop);
}

static void it_stands_still_while_stopped(void **state)
{
    struct fixture *f = *state;
    int64_t ns;

    assert_int_equal(guest_clock_ns(f->clock), 0);
    guest_clock_set(f->clock, 5000);
    assert_int_equal(guest_clock_ns(f->clock), 5000);
    guest_clock_start(f->clock);
    usleep(2000);
    ns = guest_clock_ns(f->clock);
    assert_true(ns >= 5000 + 2 * MS);
    assert_true(ns < 5000 + 2000 * MS);
    guest_clock_stop(f->clock);
    ns = guest_clock_ns(f->clock);
    usleep(2000);
    assert_int_equal(guest_clock_ns(f->clock), ns);
    guest_clock_stop(f->clock); /* twice is once */
    assert_int_equal(guest_clock_ns(f->clock), ns);
    guest_clock_start(f->clock);
    guest_clock_start(f->clock);
    assert_in_range(guest_clock_ns(f->clock), ns, ns + 2000 * MS);
}

/* The host's time at which the guest's clock reads 0: if it moves, time was lost. */
static int64_t epoch_ns(const struct guest_clock *c)
{
    return guest_clock_host_deadline_ns(c, 1000 * MS) - 1000 * MS;
}

static void a_stop_that_is_undone_costs_nothing(void **state)
{
    struct fixture *f = *state;
    struct guest_clock *other;
    struct ferry_err err;
    int64_t epoch, stopped_ns, value_ns;

    guest_clock_start(f->clock);
    epoch = epoch_ns(f->clock);
    for (int i = 0; i < 500; i++) {
        guest_clock_stop(f->clock);
        guest_clock_go_on(f->clock, guest_clock_stopped_ns(f->clock));
        assert_int_equal(epoch_ns(f->clock), epoch);
    }
    /* And in another process: of a stop only its instant and the reading go over. */
    guest_clock_stop(f->clock);
    stopped_ns = guest_clock_stopped_ns(f->clock);
    value_ns = guest_clock_ns(f->clock);
    usleep(2000);
    guest_clock_stop(f->clock); /* twice is once */
    assert_int_equal(guest_clock_stopped_ns(f->clock), stopped_ns);
    assert_int_equal(guest_clock_new(&other, f->loop, &f->lock, &err), 0);
    guest_clock_set(other, value_ns);
    guest_clock_go_on(other, stopped_ns);
    guest_clock_start(other); /* it runs */
    assert_int_equal(epoch_ns(other), epoch);
    guest_clock_free(other);
}

static void a_deadline_is_an_instant_of_the_host(void **state)
{
    struct fixture *f = *state;
    int64_t before, deadline;

    assert_int_equal(guest_clock_host_deadline_ns(f->clock, 10), INT64_MAX); /* stopped */
    guest_clock_set(f->clock, 1000 * MS);
    before = clock_monotonic_ns();
    guest_clock_start(f->clock);
    deadline = guest_clock_host_deadline_ns(f->clock, 1500 * MS);
    assert_true(deadline >= before + 500 * MS);
    assert_true(deadline <= clock_monotonic_ns() + 500 * MS);
    assert_int_equal(guest_clock_host_deadline_ns(f->clock, INT64_MAX), INT64_MAX);
    assert_true(guest_clock_host_deadline_ns(f->clock, INT64_MAX - 1) > deadline);
}

struct numbered {
    struct fixture *f;
    int number;
};

static void fire(void *arg)
{
    struct numbered *n = arg;

    assert_int_not_equal(pthread_mutex_trylock(&n->f->lock.mutex), 0);
    assert_true(n->f->fired_count < 8);
    n->f->fired[n->f->fired_count++] = n->number;
    if (n->f->again)
        guest_timer_set(n->f->timers[n->number], 0);
}

static void timers_fire_once_in_order_and_never_while_stopped(void **state)
{
    struct fixture *f = *state;
    struct numbered n[3] = {{f, 0}, {f, 1}, {f, 2}};
    struct ferry_err err;

    for (int i = 0; i < 3; i++)
        assert_int_equal(guest_timer_new(&f->timers[i], f->clock, fire, &n[i], &err), 0);
    guest_timer_set(f->timers[0], 3 * MS);
    guest_timer_set(f->timers[1], 1 * MS);
    guest_timer_set(f->timers[2], 2 * MS);
    run_for(f, 10 * MS);
    assert_int_equal(f->fired_count, 0);
    guest_clock_start(f->clock);
    run_for(f, 15 * MS);
    assert_int_equal(f->fired_count, 3);
    assert_int_equal(f->fired[0], 1);
    assert_int_equal(f->fired[1], 2);
    assert_int_equal(f->fired[2], 0);
}

static void timers_that_are_all_due_fire_in_order(void **state)
{
    struct fixture *f = *state;
    struct numbered n[3] = {{f, 0}, {f, 1}, {f, 2}};
    struct ferry_err err;

    for (int i = 0; i < 3; i++)
        assert_int_equal(guest_timer_new(&f->timers[i], f->clock, fire, &n[i], &err), 0);
    guest_timer_set(f->timers[0], 2000);
    guest_timer_set(f->timers[1], 3000);
    guest_timer_set(f->timers[2], 1000);
    guest_clock_start(f->clock);
    usleep(1000);
    run_for(f, 2 * MS);
    assert_int_equal(f->fired_count, 3);
    assert_int_equal(f->fired[0], 2);
    assert_int_equal(f->fired[1], 0);
    assert_int_equal(f->fired[2], 1);
}

static void a_disarmed_or_freed_timer_does_not_fire(void **state)
{
    struct fixture *f = *state;
    struct numbered n[3] = {{f, 0}, {f, 1}, {f, 2}};
    struct ferry_err err;

    guest_clock_start(f->clock);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(guest_timer_new(&f->timers[i], f->clock, fire, &n[i], &err), 0);
        guest_timer_set(f->timers[i], 2 * MS);
    }
    guest_timer_set(f->timers[0], INT64_MAX);
    guest_timer_free(f->timers[2]);
    f->timers[2] = NULL;
    run_for(f, 10 * MS);
    assert_int_equal(f->fired_count, 1);
    assert_int_equal(f->fired[0], 1);
}

static void moving_the_clock_moves_the_timers(void **state)
{
    struct fixture *f = *state;
    struct numbered n = {f, 0};
    struct ferry_err err;

    assert_int_equal(guest_timer_new(&f->timers[0], f->clock, fire, &n, &err), 0);
    guest_timer_set(f->timers[0], 3600 * 1000 * MS);
    guest_clock_start(f->clock);
    run_for(f, 2 * MS);
    assert_int_equal(f->fired_count, 0);
    guest_clock_set(f->clock, 3600 * 1000 * MS);
    run_for(f, 5 * MS);
    assert_int_equal(f->fired_count, 1);
}

static void a_timer_always_in_the_past_does_not_hold_the_thread(void **state)
{
    struct fixture *f = *state;
    struct numbered n = {f, 0};
    struct ferry_err err;

    f->again = true;
    assert_int_equal(guest_timer_new(&f->timers[0], f->clock, fire, &n, &err), 0);
    guest_timer_set(f->timers[0], 0);
    guest_clock_start(f->clock);
    /* Comes back although the timer sets itself: the end timer gets its turn. */
    assert_int_equal(loop_timer_new(&f->end, f->loop, stop, f->loop, &err), 0);
    loop_timer_set(f->end, 1);
    loop_run(f->loop);
    assert_true(f->fired_count >= 1);
}

/* The part's object is the clock; find its fixture again to free it. */
struct clock_case {
    struct fixture *fixtures[64];
    struct guest_clock *clocks[64];
};

static struct clock_case clock_case;

static void *make_clock(void *arg)
{
    struct fixture *f = make_fixture();

    for (int i = 0; i < 64; i++) {
        if (clock_case.fixtures[i])
            continue;
        clock_case.fixtures[i] = f;
        clock_case.clocks[i] = f->clock;
        return f->clock;
    }
    fail_msg("more than 64 clocks at once");
    return NULL;
}

static void destroy_clock(void *obj)
{
    for (int i = 0; i < 64; i++) {
        if (clock_case.fixtures[i] && clock_case.clocks[i] == obj) {
            free_fixture(clock_case.fixtures[i]);
            clock_case.fixtures[i] = NULL;
            return;
        }
    }
}

static void stir_clock(void *obj)
{
    guest_clock_set(obj, 123456789);
}

static void its_saved_state_keeps_the_contract(void **state)
{
    struct fixture *f = *state;
    struct ferry_part part = guest_clock_part(f->clock);
    struct contract_case c = {
        .table = part.table,
        .obj_bytes = part.obj_bytes,
        .make = make_clock,
        .stir = stir_clock,
        .destroy = destroy_clock,
    };

    contract_run(&c);
}

/* A time so late that adding to it would overflow. */
static void an_absurd_time_is_refused(void **state)
{
    struct fixture *f = *state;
    struct ferry_part part = guest_clock_part(f->clock);
    uint8_t bytes[24] = {0};
    struct rd in = rd_make(bytes, sizeof(bytes));
    struct ferry_err err;

    be64_store(bytes + 16, INT64_MAX / 2 + 1);
    assert_true(state_load(part.table, part.obj, part.obj_bytes, 2, &in, &err) < 0);
    assert_int_equal(guest_clock_ns(f->clock), 0);
    be64_store(bytes + 16, 1234);
    in = rd_make(bytes, sizeof(bytes));
    assert_int_equal(state_load(part.table, part.obj, part.obj_bytes, 2, &in, &err), 0);
    assert_int_equal(guest_clock_ns(f->clock), 1234);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(it_stands_still_while_stopped, setup, teardown),
        cmocka_unit_test_setup_teardown(a_stop_that_is_undone_costs_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(a_deadline_is_an_instant_of_the_host, setup, teardown),
        cmocka_unit_test_setup_teardown(timers_fire_once_in_order_and_never_while_stopped, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(timers_that_are_all_due_fire_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(a_disarmed_or_freed_timer_does_not_fire, setup, teardown),
        cmocka_unit_test_setup_teardown(moving_the_clock_moves_the_timers, setup, teardown),
        cmocka_unit_test_setup_teardown(a_timer_always_in_the_past_does_not_hold_the_thread, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(an_absurd_time_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(its_saved_state_keeps_the_contract, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
