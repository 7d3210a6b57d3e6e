/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/own.h"
#include "vmm/backend/acceptor.h"
#include "vmm/backend/unix_socket.h"

struct fixture {
    struct loop *loop;
    struct acceptor *acceptor;
    struct loop_timer *stop;
    char dir[40], path[64];
    int listener, client;
    unsigned accepted, asked;
    bool refuse;
};

static void accepted(void *arg, int *fd)
{
    struct fixture *f = arg;

    f->accepted++;
    assert_true(fcntl(*fd, F_GETFL) & O_NONBLOCK);
    loop_stop(f->loop);
}

static bool wanted(void *arg)
{
    struct fixture *f = arg;

    f->asked++;
    return !f->refuse;
}

static void stop(void *arg)
{
    loop_stop(((struct fixture *)arg)->loop);
}

static int setup(void **state)
{
    static const struct acceptor_ops ops = {.accepted = accepted, .wanted = wanted};
    static struct fixture f;
    struct ferry_err err;

    memset(&f, 0, sizeof(f));
    strcpy(f.dir, "/tmp/ferry-acceptor-XXXXXX");
    assert_non_null(mkdtemp(f.dir));
    strcpy(f.path, f.dir);
    strcat(f.path, "/socket");
    assert_int_equal(loop_new(&f.loop, &err), 0);
    assert_int_equal(loop_timer_new(&f.stop, f.loop, stop, &f, &err), 0);
    assert_int_equal(unix_listen(f.path, &f.listener, &err), 0);
    assert_int_equal(acceptor_new(&f.acceptor, f.loop, f.listener, &ops, &f, &err), 0);
    assert_int_equal(unix_connect(f.path, &f.client, &err), 0);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    acceptor_free(f->acceptor);
    loop_timer_free(f->stop);
    loop_free(f->loop);
    own_close_fd(&f->listener);
    own_close_fd(&f->client);
    unlink(f->path);
    return rmdir(f->dir);
}

static void run_ms(struct fixture *f, int ms)
{
    loop_timer_set(f->stop, clock_monotonic_ns() + ms * INT64_C(1000000));
    loop_run(f->loop);
    loop_timer_set(f->stop, INT64_MAX);
}

static void accepts_while_it_is_on(void **state)
{
    struct fixture *f = *state;

    run_ms(f, 10);
    assert_int_equal(f->accepted, 0);
    acceptor_set(f->acceptor, true);
    loop_run(f->loop);
    assert_int_equal(f->accepted, 1);
}

/* In a pause: one look, and the client stays in the backlog for whoever resumes. */
static void who_wants_nobody_is_asked_once(void **state)
{
    struct fixture *f = *state;

    f->refuse = true;
    acceptor_set(f->acceptor, true);
    run_ms(f, 10);
    assert_int_equal(f->asked, 1);
    assert_int_equal(f->accepted, 0);
    f->refuse = false;
    acceptor_set(f->acceptor, true);
    loop_run(f->loop);
    assert_int_equal(f->accepted, 1);
}

/* What waits cannot be accepted: no reason to spin until it can. */
static void without_a_file_left_it_rests(void **state)
{
    struct fixture *f = *state;
    struct rlimit before, none;

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = before;
    none.rlim_cur = 3;
    acceptor_set(f->acceptor, true);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    run_ms(f, 350);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(f->accepted, 0);
    assert_in_range(f->asked, 1, 10);
    loop_run(f->loop);
    assert_int_equal(f->accepted, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(accepts_while_it_is_on, setup, teardown),
        cmocka_unit_test_setup_teardown(who_wants_nobody_is_asked_once, setup, teardown),
        cmocka_unit_test_setup_teardown(without_a_file_left_it_rests, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
