/* SPDX-License-Identifier: Apache-2.0 */
/* A command of this process's own: what it starts, and what ends with it. */
#include "tests/unit.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/err.h"
#include "lib/chan/chan.h"
#include "lib/chan/listener.h"

/* The channel that a command writes to. */
static struct ferry_chan *read_from(const char *uri)
{
    struct ferry_address *a = NULL;
    struct ferry_listener *l = NULL;
    struct ferry_chan *chan = NULL;
    struct ferry_err err;

    assert_int_equal(ferry_address_parse(&a, uri, NULL, 0, &err), 0);
    assert_int_equal(ferry_listener_new(&l, a, &err), 0);
    assert_int_equal(listener_accept(l, &chan, &err), 1);
    ferry_listener_free(l);
    ferry_address_free(a);
    return chan;
}

static size_t read_line(struct ferry_chan *chan, char *text, size_t n)
{
    struct pollfd p = {.fd = chan_fd(chan), .events = POLLIN};
    struct ferry_err err;
    size_t have = 0;

    while (have == 0 || text[have - 1] != '\n') {
        ssize_t r;

        assert_true(have < n && poll(&p, 1, -1) == 1);
        r = chan_recv(chan, text + have, n - have, &err);
        assert_true(r > 0);
        have += (size_t)r;
    }
    text[have - 1] = '\0';
    return have - 1;
}

/* A shell and what it waits for are one command. */
static void test_all_of_it_ends(void **state)
{
    struct ferry_chan *chan = read_from("exec:sleep 1000 & echo $$ $!; wait");
    pid_t pids[2];
    char text[64], *rest;
    struct pollfd ends[2];

    read_line(chan, text, sizeof(text));
    pids[0] = (pid_t)strtol(text, &rest, 10);
    pids[1] = (pid_t)strtol(rest, NULL, 10);
    for (size_t i = 0; i < 2; i++) {
        ends[i].fd = (int)syscall(SYS_pidfd_open, pids[i], 0);
        ends[i].events = POLLIN;
        assert_true(ends[i].fd >= 0);
    }
    assert_int_equal(poll(ends, 2, 0), 0);
    ferry_chan_free(chan);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(poll(&ends[i], 1, 60000), 1);
        close(ends[i].fd);
    }
}

/* What it left when it ended well is its own: ssh's ControlPersist for one. */
static void test_what_it_left_stays(void **state)
{
    struct ferry_chan *chan = read_from("exec:sleep 1000 & echo $!");
    struct ferry_err err;
    struct pollfd end = {.events = POLLIN};
    char text[64];
    pid_t pid;

    read_line(chan, text, sizeof(text));
    pid = (pid_t)strtol(text, NULL, 10);
    end.fd = (int)syscall(SYS_pidfd_open, pid, 0);
    assert_true(end.fd >= 0);
    while (chan_finish(chan, &err) == -EAGAIN) {
        struct pollfd p = {.fd = chan_finish_fd(chan), .events = POLLIN};

        assert_int_equal(poll(&p, 1, -1), 1);
    }
    ferry_chan_free(chan);
    assert_int_equal(poll(&end, 1, 0), 0);
    assert_int_equal(syscall(SYS_pidfd_send_signal, end.fd, SIGKILL, NULL, 0), 0);
    close(end.fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_of_it_ends),
        cmocka_unit_test(test_what_it_left_stays),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
