/* SPDX-License-Identifier: Apache-2.0 */
/* A clock that arrives in a stream stands still or catches up: "there" saves, "here" loads. */
#include "tests/unit.h"

#include <stdlib.h>
#include <string.h>

#include "base/be.h"
#include "base/buf.h"
#include "base/clock.h"
#include "lib/state/state.h"
#include "vmm/machine/clock.h"

#define MS         INT64_C(1000000)
#define HOUR       (3600 * 1000 * MS)
/* Of a time that is put together from readings of two clocks. */
#define CLOSE_NS   MS
#define SINCE_AT   8
#define VALUE_AT   16
#define STATE_SIZE 24

struct fixture {
    struct loop *loop;
    struct machine_lock lock;
    struct guest_clock *there, *here;
    struct guest_timer *timer;
    int fired;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct ferry_err err;

    assert_non_null(f);
    machine_lock_init(&f->lock);
    assert_int_equal(loop_new(&f->loop, &err), 0);
    assert_int_equal(guest_clock_new(&f->there, f->loop, &f->lock, &err), 0);
    assert_int_equal(guest_clock_new(&f->here, f->loop, &f->lock, &err), 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    guest_timer_free(f->timer);
    guest_clock_free(f->there);
    guest_clock_free(f->here);
    loop_free(f->loop);
    free(f);
    return 0;
}

static void save(struct guest_clock *c, uint8_t bytes[static STATE_SIZE])
{
    struct ferry_part part = guest_clock_part(c);
    struct ferry_err err;
    struct buf out = {0};

    assert_int_equal(state_save(part.table, part.obj, &out, NULL, &err), 0);
    assert_int_equal(out.len_bytes, STATE_SIZE);
    memcpy(bytes, out.data, STATE_SIZE);
    buf_free(&out);
}

static int load(struct guest_clock *c, const uint8_t bytes[static STATE_SIZE])
{
    struct ferry_part part = guest_clock_part(c);
    struct rd in = rd_make(bytes, STATE_SIZE);
    struct ferry_err err;

    return state_load(part.table, part.obj, part.obj_bytes, part.table->version, &in, &err);
}

/* What arrives is a clock that stands at value_ns since that time of the day. */
static int load_made(struct guest_clock *c, uint64_t since_ns, int64_t value_ns)
{
    uint8_t bytes[STATE_SIZE] = {0};

    be64_store(bytes + SINCE_AT, since_ns);
    be64_store(bytes + VALUE_AT, (uint64_t)value_ns);
    return load(c, bytes);
}

static uint64_t ago(int64_t ns)
{
    return (uint64_t)(clock_realtime_ns() - ns);
}

/* It runs, and now is so much further on; generous where a test may have lost its core. */
static void check_runs_from(const struct guest_clock *c, int64_t ns)
{
    assert_in_range(guest_clock_ns(c), ns, ns + 60000 * MS);
}

/* The host's time at which the guest's clock reads 0: if it moves, time was lost. */
static int64_t epoch_ns(const struct guest_clock *c)
{
    return guest_clock_host_deadline_ns(c, HOUR) - HOUR;
}

static void wait_until(int64_t monotonic_ns)
{
    while (clock_monotonic_ns() < monotonic_ns)
        continue;
}

static void it_loses_nothing_if_it_catches_up(void **state)
{
    struct fixture *f = *state;
    uint8_t bytes[STATE_SIZE];
    int64_t before_ns;

    guest_clock_set(f->there, 5 * HOUR);
    guest_clock_start(f->there);
    before_ns = epoch_ns(f->there);
    guest_clock_saves_for(f->there, GUEST_CLOCK_FOR_FERRY);
    guest_clock_stop(f->there);
    /* Until it is saved counts as well: the pause has begun. */
    wait_until(clock_monotonic_ns() + 10 * MS);
    save(f->there, bytes);
    assert_int_equal(load(f->here, bytes), 0);
    assert_true(guest_clock_knows_since(f->here));
    wait_until(clock_monotonic_ns() + 10 * MS);
    assert_int_equal(guest_clock_ns(f->here), guest_clock_ns(f->there));
    guest_clock_start(f->here);
    assert_true(llabs(epoch_ns(f->here) - before_ns) < CLOSE_NS);

    /* Once: a stop here is the operator's. */
    assert_false(guest_clock_knows_since(f->here));
    guest_clock_stop(f->here);
    wait_until(clock_monotonic_ns() + 10 * MS);
    guest_clock_start(f->here);
    assert_true(epoch_ns(f->here) - before_ns >= 10 * MS - CLOSE_NS);
}

static void it_stands_if_it_shall(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(load_made(f->here, ago(HOUR), HOUR), 0);
    guest_clock_stand(f->here);
    assert_false(guest_clock_knows_since(f->here));
    guest_clock_start(f->here);
    check_runs_from(f->here, HOUR);
    assert_true(guest_clock_ns(f->here) < 2 * HOUR);
}

static void what_the_operator_stopped_counts_from_the_save(void **state)
{
    struct fixture *f = *state;
    uint8_t bytes[STATE_SIZE];
    int64_t before_ns;

    guest_clock_start(f->there);
    guest_clock_stop(f->there);
    wait_until(clock_monotonic_ns() + 10 * MS);
    guest_clock_saves_for(f->there, GUEST_CLOCK_FOR_FERRY);
    before_ns = clock_realtime_ns();
    save(f->there, bytes);
    assert_in_range(be64_load(bytes + SINCE_AT), before_ns - CLOSE_NS,
                    clock_realtime_ns() + CLOSE_NS);
}

static void qemu_is_told_nothing(void **state)
{
    const enum guest_clock_reader readers[] = {GUEST_CLOCK_FOR_QEMU, GUEST_CLOCK_FOR_UPDATE};
    struct fixture *f = *state;
    uint8_t bytes[STATE_SIZE];

    for (int i = 0; i < 2; i++) {
        guest_clock_start(f->there);
        guest_clock_saves_for(f->there, readers[i]);
        guest_clock_stop(f->there);
        save(f->there, bytes);
        assert_int_equal(be64_load(bytes + SINCE_AT), 0);
    }
    /* Nor what this side was told. */
    assert_int_equal(load_made(f->here, ago(HOUR), HOUR), 0);
    guest_clock_saves_for(f->here, GUEST_CLOCK_FOR_QEMU);
    save(f->here, bytes);
    assert_int_equal(be64_load(bytes + SINCE_AT), 0);
    assert_true(guest_clock_knows_since(f->here));
}

/* Who did not say since when. */
static void what_is_not_known_is_not_caught_up_with(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(load_made(f->here, 0, HOUR), 0);
    assert_false(guest_clock_knows_since(f->here));
    guest_clock_start(f->here);
    check_runs_from(f->here, HOUR);
}

/* Paused where it arrived, then updated, or moved on: it has still not run since. */
static void it_takes_along_what_it_has_not_caught_up_with(void **state)
{
    const enum guest_clock_reader readers[] = {GUEST_CLOCK_FOR_UPDATE, GUEST_CLOCK_FOR_FERRY};
    struct fixture *f = *state;
    uint64_t since_ns = ago(HOUR);
    uint8_t bytes[STATE_SIZE];

    for (int i = 0; i < 2; i++) {
        assert_int_equal(load_made(f->there, since_ns, HOUR), 0);
        guest_clock_saves_for(f->there, readers[i]);
        save(f->there, bytes);
        assert_int_equal(be64_load(bytes + SINCE_AT), since_ns);
    }
    assert_int_equal(load(f->here, bytes), 0);
    guest_clock_start(f->here);
    check_runs_from(f->here, 2 * HOUR);
}

static void a_reset_leaves_nothing_to_catch_up_with(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(load_made(f->here, ago(HOUR), HOUR), 0);
    guest_clock_reset(f->here);
    guest_clock_start(f->here);
    assert_true(guest_clock_ns(f->here) < HOUR);
}

static void it_never_goes_backwards_nor_out_of_bounds(void **state)
{
    struct fixture *f = *state;

    /* A host whose clock is ahead. */
    assert_int_equal(load_made(f->here, ago(-HOUR), 2 * HOUR), 0);
    guest_clock_start(f->here);
    check_runs_from(f->here, 2 * HOUR);
    guest_clock_stop(f->here);
    assert_int_equal(load_made(f->here, INT64_MAX, 2 * HOUR), 0);
    guest_clock_start(f->here);
    check_runs_from(f->here, 2 * HOUR);
    guest_clock_stop(f->here);

    /* Further on than it can be set, from within and from beyond. */
    assert_int_equal(load_made(f->here, 1, CLOCK_SET_NS_MAX - HOUR), 0);
    guest_clock_start(f->here);
    check_runs_from(f->here, CLOCK_SET_NS_MAX - HOUR);
    guest_clock_stop(f->here);
    assert_int_equal(load_made(f->here, ago(HOUR), INT64_MAX / 2), 0);
    guest_clock_start(f->here);
    check_runs_from(f->here, INT64_MAX / 2);
    guest_clock_stop(f->here);

    assert_true(load_made(f->here, (uint64_t)INT64_MAX + 1, HOUR) < 0);
    assert_true(load_made(f->here, UINT64_MAX, HOUR) < 0);
}

static void count(void *arg)
{
    ((struct fixture *)arg)->fired++;
}

static void stop(void *arg)
{
    loop_stop(arg);
}

static void a_timer_that_became_due_meanwhile_fires_once(void **state)
{
    struct fixture *f = *state;
    struct loop_timer *end;
    struct ferry_err err;

    assert_int_equal(guest_timer_new(&f->timer, f->here, count, f, &err), 0);
    assert_int_equal(load_made(f->here, ago(HOUR), HOUR), 0);
    guest_timer_set(f->timer, HOUR + HOUR / 2);
    guest_clock_start(f->here);
    assert_int_equal(loop_timer_new(&end, f->loop, stop, f->loop, &err), 0);
    loop_timer_set(end, clock_monotonic_ns() + 5 * MS);
    loop_run(f->loop);
    assert_int_equal(f->fired, 1);
    loop_timer_free(end);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(it_loses_nothing_if_it_catches_up),
        CASE(it_stands_if_it_shall),
        CASE(what_the_operator_stopped_counts_from_the_save),
        CASE(qemu_is_told_nothing),
        CASE(what_is_not_known_is_not_caught_up_with),
        CASE(it_takes_along_what_it_has_not_caught_up_with),
        CASE(a_reset_leaves_nothing_to_catch_up_with),
        CASE(it_never_goes_backwards_nor_out_of_bounds),
        CASE(a_timer_that_became_due_meanwhile_fires_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
