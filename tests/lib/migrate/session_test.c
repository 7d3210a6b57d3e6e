/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "lib/migrate/session.h"

static int64_t clock_of_test(void *opaque)
{
    return *(int64_t *)opaque;
}

static struct session begin(void)
{
    struct session s;
    struct ferry_err err;

    assert_int_equal(session_init(&s, NULL, NULL, &err), 0);
    return s;
}

/* Would who waits for the one fd be woken? */
static bool ready(const struct session *s)
{
    struct pollfd p = {.fd = s->epoll, .events = POLLIN};

    return poll(&p, 1, 0) == 1;
}

static void lanes_are_heard(void **state)
{
    struct session s = begin();
    uint64_t one = 1;

    assert_false(ready(&s));
    assert_int_equal(write(s.notify, &one, sizeof(one)), sizeof(one));
    assert_true(ready(&s));
    session_noticed(&s);
    assert_false(ready(&s));
    session_noticed(&s); /* nothing is there: does not wait */
    session_free(&s);
}

static void what_is_watched_wakes(void **state)
{
    struct session s = begin();
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    session_watch(&s, SESSION_MAIN, fds[0], POLLIN);
    assert_false(ready(&s));
    session_watch(&s, SESSION_MAIN, fds[0], POLLIN | POLLOUT);
    assert_true(ready(&s)); /* it can be written */
    session_watch(&s, SESSION_MAIN, fds[0], 0);
    assert_false(ready(&s));
    assert_int_equal(write(fds[1], "x", 1), 1);
    assert_false(ready(&s));
    session_watch(&s, SESSION_LANES, fds[0], POLLIN);
    assert_true(ready(&s));
    session_watch(&s, SESSION_LANES, -1, POLLIN);
    assert_false(ready(&s));
    session_free(&s);
    close(fds[0]);
    close(fds[1]);
}

/* A slot changes hands; the number of an fd that was closed comes again. */
static void a_number_may_be_another_fd(void **state)
{
    struct session s = begin();
    int a = eventfd(0, 0), b = eventfd(1, 0), again;

    session_watch(&s, SESSION_MAIN, a, POLLIN);
    session_watch(&s, SESSION_MAIN, b, POLLIN);
    assert_true(ready(&s));
    session_watch(&s, SESSION_MAIN, a, POLLIN);
    assert_false(ready(&s));
    close(a);
    again = dup(b);
    assert_int_equal(again, a);
    session_watch(&s, SESSION_MAIN, again, POLLIN);
    assert_true(ready(&s));
    session_free(&s);
    close(again);
    close(b);
}

static void nobody_waits_for_a_file(void **state)
{
    int fd = memfd_create("file", 0), status = open("/proc/self/status", O_RDONLY);
    struct session s = begin();

    assert_true(fd >= 0 && status >= 0);
    session_watch(&s, SESSION_MAIN, fd, POLLIN);
    session_watch(&s, SESSION_LANES, status, POLLIN);
    assert_false(ready(&s));
    session_watch(&s, SESSION_MAIN, -1, 0);
    session_free(&s);
    close(fd);
    close(status);
}

static void the_clock_is_the_callers(void **state)
{
    int64_t now_ns = 42, before_ns = clock_monotonic_ns();
    struct session s = begin();
    struct ferry_err err;

    assert_true(session_clock(&s) >= before_ns);
    session_free(&s);
    assert_int_equal(session_init(&s, clock_of_test, &now_ns, &err), 0);
    assert_int_equal(session_clock(&s), 42);
    now_ns = 43;
    assert_int_equal(session_clock(&s), 43);
    session_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lanes_are_heard),
        cmocka_unit_test(what_is_watched_wakes),
        cmocka_unit_test(a_number_may_be_another_fd),
        cmocka_unit_test(nobody_waits_for_a_file),
        cmocka_unit_test(the_clock_is_the_callers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
