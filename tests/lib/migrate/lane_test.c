/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "lib/migrate/lane.h"

/* Does what the test says, and tells that it has stepped. */
struct stepper {
    atomic_uint more; /* so many steps at once */
    atomic_int fd;    /* to wait for */
    atomic_llong until_ns;
    atomic_uint steps;
    int stepped; /* eventfd */
    sigset_t blocked;
};

static void step(void *self, struct lane_want *want)
{
    struct stepper *s = self;
    uint64_t one = 1;

    pthread_sigmask(SIG_SETMASK, NULL, &s->blocked);
    atomic_fetch_add(&s->steps, 1);
    want->fd = atomic_load(&s->fd);
    want->events = POLLIN;
    want->until_ns = atomic_load(&s->until_ns);
    if (atomic_load(&s->more)) {
        atomic_fetch_sub(&s->more, 1);
        want->more = true;
    }
    assert_int_equal(write(s->stepped, &one, sizeof(one)), sizeof(one));
}

static struct lane *start(struct stepper *s)
{
    struct lane *lane = NULL;
    struct ferry_err err;

    *s = (struct stepper){.fd = -1, .until_ns = INT64_MAX, .stepped = eventfd(0, EFD_SEMAPHORE)};
    assert_int_equal(lane_start(&lane, "ferry-test", step, s, &err), 0);
    return lane;
}

/* Until it has stepped n times more. */
static void await(struct stepper *s, unsigned n)
{
    uint64_t one;

    while (n--)
        assert_int_equal(read(s->stepped, &one, sizeof(one)), sizeof(one));
}

static void stop(struct stepper *s, struct lane *lane)
{
    lane_stop(lane);
    close(s->stepped);
}

static void a_kick_is_a_step(void **state)
{
    struct stepper s;
    struct lane *lane = start(&s);

    await(&s, 1);
    lane_kick(lane);
    await(&s, 1);
    atomic_store(&s.more, 3);
    lane_kick(lane);
    await(&s, 4);
    stop(&s, lane);
}

/* The VMM's threads handle signals, lanes do not. */
static void signals_are_for_others(void **state)
{
    struct stepper s;
    struct lane *lane = start(&s);

    await(&s, 1);
    assert_true(lane_thread_id(lane) > 0);
    assert_int_not_equal(lane_thread_id(lane), gettid());
    stop(&s, lane);
    assert_true(sigismember(&s.blocked, SIGTERM));
    assert_true(sigismember(&s.blocked, SIGUSR1));
    assert_int_equal(lane_thread_id(NULL), 0);
}

static void what_it_waits_for_is_a_step(void **state)
{
    int fd = eventfd(0, EFD_CLOEXEC);
    struct stepper s;
    struct lane *lane = start(&s);
    uint64_t one = 1;

    await(&s, 1);
    atomic_store(&s.fd, fd);
    lane_kick(lane);
    await(&s, 1);
    assert_int_equal(write(fd, &one, sizeof(one)), sizeof(one));
    await(&s, 2); /* still readable: again and again */
    atomic_store(&s.fd, -1);
    stop(&s, lane);
    close(fd);
}

static void a_time_is_a_step(void **state)
{
    struct stepper s;
    struct lane *lane = start(&s);
    int64_t at_ns = clock_monotonic_ns() + 3000000;

    await(&s, 1);
    atomic_store(&s.until_ns, at_ns);
    lane_kick(lane);
    await(&s, 2);
    assert_true(clock_monotonic_ns() >= at_ns);
    atomic_store(&s.until_ns, 0); /* long ago: at once */
    await(&s, 2);
    atomic_store(&s.until_ns, INT64_MAX);
    stop(&s, lane);
}

static void nothing_steps_after_stop(void **state)
{
    struct stepper s;
    struct lane *lane = start(&s);
    unsigned before;

    atomic_store(&s.more, 1000000); /* in the middle of work */
    await(&s, 1);
    lane_stop(lane);
    before = atomic_load(&s.steps);
    assert_true(before < 1000000);
    lane_stop(NULL);
    assert_int_equal(atomic_load(&s.steps), before);
    close(s.stepped);
}

static void count(void *arg)
{
    ++*(unsigned *)arg;
}

static void the_first_failure_counts(void **state)
{
    struct lane_group g = {0};
    struct ferry_err first = {0}, second = {0}, err = {0};
    unsigned woken = 0;

    err_set(&first, EPIPE, "first");
    err_set(&second, EIO, "second");
    lane_group_init(&g);
    lane_group_wake(&g, count, &woken);
    pthread_mutex_lock(&g.lock);
    lane_group_tell(&g, NULL);
    assert_int_equal(lane_group_check(&g, &err), 0);
    lane_group_tell(&g, &first);
    lane_group_tell(&g, &second);
    assert_int_equal(lane_group_check(&g, &err), -EPIPE);
    assert_string_equal(err.text, "first");
    pthread_mutex_unlock(&g.lock);
    assert_int_equal(woken, 3);
    lane_group_wake(&g, NULL, NULL);
    pthread_mutex_lock(&g.lock);
    lane_group_tell(&g, NULL);
    pthread_mutex_unlock(&g.lock);
    assert_int_equal(woken, 3);
    lane_group_free(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_kick_is_a_step),
        cmocka_unit_test(signals_are_for_others),
        cmocka_unit_test(what_it_waits_for_is_a_step),
        cmocka_unit_test(a_time_is_a_step),
        cmocka_unit_test(nothing_steps_after_stop),
        cmocka_unit_test(the_first_failure_counts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
