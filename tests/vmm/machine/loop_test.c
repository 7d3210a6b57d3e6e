/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "vmm/machine/loop.h"

#define MS INT64_C(1000000)

struct fixture {
    struct loop *loop;
    int pipe[2];
    struct loop_watch *watch;
    struct loop_timer *timer, *other;
    int calls;
    short revents;
    int64_t fired_ns;
    struct message {
        struct fixture *f;
        int number;
    } messages[30];
    int order[30];
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct ferry_err err;

    assert_int_equal(loop_new(&f->loop, &err), 0);
    assert_int_equal(pipe2(f->pipe, O_CLOEXEC | O_NONBLOCK), 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    loop_watch_free(f->watch);
    loop_timer_free(f->timer);
    loop_timer_free(f->other);
    loop_free(f->loop);
    close(f->pipe[0]);
    close(f->pipe[1]);
    free(f);
    return 0;
}

static void note_number(void *arg)
{
    const struct message *m = arg;

    m->f->order[m->f->calls++] = m->number;
}

static void stop(void *arg)
{
    loop_stop(((struct fixture *)arg)->loop);
}

static void *post_thirty(void *arg)
{
    struct fixture *f = arg;

    for (int i = 0; i < 30; i++) {
        f->messages[i] = (struct message){f, i};
        assert_int_equal(loop_post(f->loop, note_number, &f->messages[i]), 0);
    }
    assert_int_equal(loop_post(f->loop, stop, f), 0);
    return NULL;
}

static void messages_of_another_thread_run_in_order(void **state)
{
    struct fixture *f = *state;
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, post_thirty, f), 0);
    loop_run(f->loop);
    pthread_join(thread, NULL);
    assert_int_equal(f->calls, 30);
    for (int i = 0; i < 30; i++)
        assert_int_equal(f->order[i], i);
}

static void messages_that_never_ran_are_freed(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(loop_post(f->loop, note_number, &f->messages[0]), 0);
    assert_int_equal(f->calls, 0); /* the leak checker sees the rest */
}

/* The others keep their order, also behind one that was the last. */
static void messages_can_be_taken_back(void **state)
{
    struct fixture *f = *state;

    for (int i = 0; i < 5; i++)
        f->messages[i] = (struct message){f, i};
    for (int i = 0; i < 4; i++)
        assert_int_equal(loop_post(f->loop, note_number, &f->messages[i]), 0);
    assert_true(loop_unpost(f->loop, note_number, &f->messages[0]));
    assert_false(loop_unpost(f->loop, note_number, &f->messages[0]));
    assert_true(loop_unpost(f->loop, note_number, &f->messages[3]));
    assert_false(loop_unpost(f->loop, stop, &f->messages[1]));
    assert_int_equal(loop_post(f->loop, note_number, &f->messages[4]), 0);
    assert_int_equal(loop_post(f->loop, stop, f), 0);
    loop_run(f->loop);
    assert_int_equal(f->calls, 3);
    assert_int_equal(f->order[0], 1);
    assert_int_equal(f->order[1], 2);
    assert_int_equal(f->order[2], 4);
}

static void free_the_watch(void *arg, short revents)
{
    struct fixture *f = arg;

    f->calls++;
    f->revents = revents;
    loop_watch_free(f->watch);
    f->watch = NULL;
    loop_stop(f->loop);
}

static void a_watch_may_be_freed_in_its_callback(void **state)
{
    struct fixture *f = *state;
    struct ferry_err err;

    assert_int_equal(
        loop_watch_new(&f->watch, f->loop, f->pipe[0], POLLIN, free_the_watch, f, &err), 0);
    assert_int_equal(write(f->pipe[1], "x", 1), 1);
    loop_run(f->loop);
    assert_int_equal(f->calls, 1);
    assert_int_equal(f->revents, POLLIN);
    /* The same fd can be watched anew at once. */
    assert_int_equal(
        loop_watch_new(&f->watch, f->loop, f->pipe[0], POLLIN, free_the_watch, f, &err), 0);
    loop_run(f->loop);
    assert_int_equal(f->calls, 2);
}

static void count(void *arg, short revents)
{
    struct fixture *f = arg;

    f->calls++;
    f->revents = revents;
}

static void run_for(struct fixture *f, int64_t ns)
{
    struct ferry_err err;

    if (!f->other)
        assert_int_equal(loop_timer_new(&f->other, f->loop, stop, f, &err), 0);
    loop_timer_set(f->other, clock_monotonic_ns() + ns);
    loop_run(f->loop);
}

static void a_watch_with_no_events_is_silent(void **state)
{
    struct fixture *f = *state;
    struct ferry_err err;

    assert_int_equal(loop_watch_new(&f->watch, f->loop, f->pipe[0], POLLIN, count, f, &err), 0);
    assert_int_equal(write(f->pipe[1], "x", 1), 1);
    loop_watch_set(f->watch, 0);
    run_for(f, 5 * MS);
    assert_int_equal(f->calls, 0);
    loop_watch_set(f->watch, POLLIN);
    run_for(f, 5 * MS);
    assert_true(f->calls > 0);
}

static void an_error_on_the_fd_is_reported_again_and_again(void **state)
{
    struct fixture *f = *state;
    struct ferry_err err;

    assert_int_equal(loop_watch_new(&f->watch, f->loop, f->pipe[1], POLLOUT, count, f, &err), 0);
    close(f->pipe[0]);
    f->pipe[0] = -1;
    run_for(f, 5 * MS);
    assert_true(f->calls > 1);
    assert_int_equal(f->revents & POLLOUT, POLLOUT);
}

static void note_time(void *arg)
{
    struct fixture *f = arg;

    f->calls++;
    f->fired_ns = clock_monotonic_ns();
    loop_stop(f->loop);
}

static void a_timer_fires_once_and_not_early(void **state)
{
    struct fixture *f = *state;
    struct ferry_err err;
    int64_t deadline_ns = clock_monotonic_ns() + 300 * 1000;

    assert_int_equal(loop_timer_new(&f->timer, f->loop, note_time, f, &err), 0);
    loop_timer_set(f->timer, deadline_ns);
    loop_run(f->loop);
    assert_true(f->fired_ns >= deadline_ns);
    run_for(f, 5 * MS);
    assert_int_equal(f->calls, 1);
    loop_timer_set(f->timer, 0); /* has passed: at once */
    loop_run(f->loop);
    assert_int_equal(f->calls, 2);
}

static void a_timer_set_anew_forgets_its_earlier_deadline(void **state)
{
    struct fixture *f = *state;
    struct ferry_err err;

    assert_int_equal(loop_timer_new(&f->timer, f->loop, note_time, f, &err), 0);
    loop_timer_set(f->timer, 1);
    usleep(1000); /* expired, and the loop has not looked yet */
    loop_timer_set(f->timer, INT64_MAX);
    run_for(f, 5 * MS);
    assert_int_equal(f->calls, 0);
}

static void disarm_the_timer(void *arg, short revents)
{
    struct fixture *f = arg;

    loop_timer_set(f->timer, INT64_MAX);
    loop_watch_set(f->watch, 0);
}

/* Both are due in the same round of the loop, and the first takes the second back. */
static void a_timer_can_be_disarmed_until_its_callback_runs(void **state)
{
    struct fixture *f = *state;
    struct ferry_err err;

    assert_int_equal(
        loop_watch_new(&f->watch, f->loop, f->pipe[0], POLLIN, disarm_the_timer, f, &err), 0);
    assert_int_equal(loop_timer_new(&f->timer, f->loop, note_time, f, &err), 0);
    assert_int_equal(loop_post(f->loop, stop, f), 0);
    loop_run(f->loop); /* now both are watched */
    assert_int_equal(write(f->pipe[1], "x", 1), 1);
    loop_timer_set(f->timer, clock_monotonic_ns() + MS);
    usleep(3000);
    run_for(f, 5 * MS);
    assert_int_equal(f->calls, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(messages_of_another_thread_run_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(messages_that_never_ran_are_freed, setup, teardown),
        cmocka_unit_test_setup_teardown(a_watch_may_be_freed_in_its_callback, setup, teardown),
        cmocka_unit_test_setup_teardown(messages_can_be_taken_back, setup, teardown),
        cmocka_unit_test_setup_teardown(a_watch_may_be_freed_in_its_callback, setup, teardown),
        cmocka_unit_test_setup_teardown(a_watch_with_no_events_is_silent, setup, teardown),
        cmocka_unit_test_setup_teardown(an_error_on_the_fd_is_reported_again_and_again, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_timer_fires_once_and_not_early, setup, teardown),
        cmocka_unit_test_setup_teardown(a_timer_set_anew_forgets_its_earlier_deadline, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_timer_can_be_disarmed_until_its_callback_runs, setup,
                                        teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
