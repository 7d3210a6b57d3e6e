/* SPDX-License-Identifier: Apache-2.0 */
/* When a lost peer is asked for, how often, and what the answers do. The supervisor is played. */
#include "tests/unit.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mail.h"
#include "base/own.h"
#include "vmm/backend/redial.h"

#define WAIT_MS 5

struct fix {
    struct loop *loop;
    struct redial *redial;
    unsigned asked, connected, refused;
    int64_t asked_ns[4];
    bool cannot_ask, not_wanted;
    int mail; /* the supervisor's end of the last question; -1: none */
};

static int on_ask(void *arg, int *ret_mail, struct ferry_err *err)
{
    struct fix *f = arg;
    int pair[2];

    f->asked_ns[f->asked % 4] = clock_monotonic_ns();
    f->asked++;
    loop_stop(f->loop);
    if (f->cannot_ask)
        return err_set(err, EPIPE, "the supervisor is gone");
    assert_int_equal(mail_pair(pair, err), 0);
    own_close_fd(&f->mail);
    *ret_mail = pair[0];
    f->mail = pair[1];
    return 0;
}

static int on_connected(void *arg, int *fd, struct ferry_err *err)
{
    struct fix *f = arg;

    loop_stop(f->loop);
    if (f->not_wanted)
        return err_set(err, EINVAL, "that is no socket");
    f->connected++;
    own_close_fd(fd);
    return 0;
}

static void on_refused(void *arg, const struct ferry_err *err)
{
    struct fix *f = arg;

    f->refused++;
    loop_stop(f->loop);
}

static int set_up(void **state)
{
    struct fix *f = calloc(1, sizeof(*f));
    struct redial_params params = {.wait_ms = WAIT_MS,
                                   .ask = on_ask,
                                   .connected = on_connected,
                                   .refused = on_refused,
                                   .arg = f};
    struct ferry_err err;

    assert_non_null(f);
    f->mail = -1;
    assert_int_equal(loop_new(&f->loop, &err), 0);
    params.loop = f->loop;
    assert_int_equal(redial_new(&f->redial, &params, &err), 0);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fix *f = *state;

    redial_free(f->redial);
    loop_free(f->loop);
    own_close_fd(&f->mail);
    free(f);
    return 0;
}

static void run_until(struct fix *f, const unsigned *count, unsigned value)
{
    while (*count < value)
        loop_run(f->loop);
    assert_int_equal(*count, value);
}

static void stop(void *arg)
{
    loop_stop(arg);
}

/* All that is pending, and no more. */
static void run_a_while(struct fix *f)
{
    struct loop_timer *t;
    struct ferry_err err;

    assert_int_equal(loop_timer_new(&t, f->loop, stop, f->loop, &err), 0);
    loop_timer_set(t, clock_monotonic_ns() + 10 * WAIT_MS * 1000000);
    loop_run(f->loop);
    loop_timer_free(t);
}

static void answer_with_a_connection(struct fix *f)
{
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    assert_int_equal(mail_send(f->mail, MAIL_OPENED, 0, "", fds, 1), 0);
    close(fds[0]);
    close(fds[1]);
}

static void answer_with_a_refusal(struct fix *f)
{
    struct ferry_err err;

    err_set(&err, ECONNREFUSED, "nobody listens");
    mail_refuse(f->mail, &err);
}

static void nobody_is_asked_before_it_is_started(void **state)
{
    struct fix *f = *state;

    run_a_while(f);
    assert_int_equal(f->asked, 0);
}

static void one_question_and_a_connection(void **state)
{
    struct fix *f = *state;
    int64_t before_ns = clock_monotonic_ns();

    redial_start(f->redial);
    redial_start(f->redial);
    run_until(f, &f->asked, 1);
    assert_true(f->asked_ns[0] - before_ns >= WAIT_MS * 1000000);
    /* No second question, however long the first takes. */
    redial_start(f->redial);
    run_a_while(f);
    assert_int_equal(f->asked, 1);
    answer_with_a_connection(f);
    run_until(f, &f->connected, 1);
    run_a_while(f);
    assert_int_equal(f->asked, 1);
    assert_int_equal(f->refused, 0);
}

static void refused_it_waits_and_says_so_once(void **state)
{
    struct fix *f = *state;

    redial_start(f->redial);
    run_until(f, &f->asked, 1);
    answer_with_a_refusal(f);
    run_until(f, &f->asked, 2);
    assert_true(f->asked_ns[1] - f->asked_ns[0] >= WAIT_MS * 1000000);
    own_close_fd(&f->mail); /* who was to do it has ended without a word */
    run_until(f, &f->asked, 3);
    assert_int_equal(mail_send(f->mail, MAIL_OPENED, 0, "", NULL, 0), 0);
    run_until(f, &f->asked, 4);
    f->not_wanted = true;
    answer_with_a_connection(f);
    run_until(f, &f->asked, 5);
    assert_int_equal(f->refused, 1);
    f->not_wanted = false;
    answer_with_a_connection(f);
    run_until(f, &f->connected, 1);
    /* The next time it is lost is another story. */
    redial_start(f->redial);
    run_until(f, &f->asked, 6);
    answer_with_a_refusal(f);
    run_until(f, &f->refused, 2);
}

static void nobody_to_ask(void **state)
{
    struct fix *f = *state;

    f->cannot_ask = true;
    redial_start(f->redial);
    run_until(f, &f->asked, 3);
    assert_true(f->asked_ns[2] - f->asked_ns[1] >= WAIT_MS * 1000000);
    assert_int_equal(f->refused, 1);
}

static void what_was_asked_for_is_not_wanted_any_more(void **state)
{
    struct fix *f = *state;

    redial_start(f->redial);
    redial_stop(f->redial);
    run_a_while(f);
    assert_int_equal(f->asked, 0);
    redial_start(f->redial);
    run_until(f, &f->asked, 1);
    answer_with_a_connection(f);
    redial_stop(f->redial);
    run_a_while(f);
    assert_int_equal(f->connected, 0);
    redial_start(f->redial);
    run_until(f, &f->asked, 2);
    answer_with_a_connection(f);
    run_until(f, &f->connected, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nobody_is_asked_before_it_is_started, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_question_and_a_connection, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refused_it_waits_and_says_so_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nobody_to_ask, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_was_asked_for_is_not_wanted_any_more, set_up,
                                        tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
