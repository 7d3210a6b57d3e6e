/* SPDX-License-Identifier: Apache-2.0 */
/* An address opened by another process: both halves, with a child that serves. */
#include "tests/unit.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mail.h"
#include "base/own.h"
#include "lib/chan/connect.h"
#include "lib/chan/mail.h"
#include "tests/lib/chan/listening.h"

/* Asks for uri, and starts who serves; the child's pid. */
static pid_t ask(const char *uri, bool out, struct ferry_address **ret)
{
    struct ferry_err err;
    int pair[2];
    pid_t pid;

    assert_int_equal(ferry_address_parse(ret, uri, NULL, 0, &err), 0);
    assert_int_equal(mail_pair(pair, &err), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        close(pair[0]);
        ferry_address_serve(*ret, out, pair[1]);
        _exit(0);
    }
    close(pair[1]);
    ferry_address_ask(*ret, &pair[0]);
    assert_true(ferry_address_is_asked(*ret));
    return pid;
}

static int end_of(pid_t pid)
{
    int status = -1;

    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static int connect_to(struct ferry_address *a, struct ferry_chan **ret, struct ferry_err *err)
{
    struct chan_connect *c = NULL;
    int r = chan_connect_new(&c, a, err);

    while (r == 0) {
        struct pollfd p = {.fd = chan_connect_fd(c), .events = chan_connect_events(c)};

        assert_true(poll(&p, 1, -1) >= 0);
        r = chan_connect_step(c, ret, err);
    }
    chan_connect_free(c);
    return r;
}

static void listens_and_connects_many_times(void **state)
{
    struct ferry_address *there, *to;
    struct ferry_listener *l;
    struct ferry_err err;
    pid_t listens = ask("tcp:127.0.0.1:0", false, &there), connects;

    assert_int_equal(ferry_listener_new(&l, there, &err), 0);
    assert_int_equal(wait_until_it_listens(l, &err), 0);
    assert_true(ferry_listener_is_ready(l));
    assert_null(strstr(ferry_listener_text(l), ":0"));
    connects = ask(ferry_listener_text(l), true, &to);
    for (int i = 0; i < 3; i++) {
        struct ferry_chan *a = NULL, *b = NULL;
        struct iovec hello = {(char[]){"hello"}, 5};
        struct pollfd p = {.fd = listener_fd(l), .events = POLLIN};
        char text[5];

        assert_int_equal(connect_to(to, &a, &err), 1);
        assert_true(poll(&p, 1, 20000) == 1);
        assert_int_equal(listener_accept(l, &b, &err), 1);
        assert_int_equal(chan_send(a, &hello, 1, &err), 5);
        p.fd = chan_fd(b);
        assert_true(poll(&p, 1, 20000) == 1);
        assert_int_equal(chan_recv(b, text, 5, &err), 5);
        assert_memory_equal(text, "hello", 5);
        ferry_chan_free(a);
        ferry_chan_free(b);
    }
    /* Who asked hangs up: nobody stays behind. */
    ferry_address_free(to);
    assert_int_equal(end_of(connects), 0);
    ferry_listener_free(l);
    ferry_address_free(there);
    assert_int_equal(end_of(listens), 0);
}

static void a_refusal_is_the_same_sentence(void **state)
{
    struct ferry_address *a;
    struct ferry_chan *chan = NULL;
    struct ferry_err err;
    pid_t pid = ask("unix:/nonexistent/socket", true, &a);

    assert_int_equal(connect_to(a, &chan, &err), -ENOENT);
    assert_string_equal(err.text,
                        "Failed to connect to '/nonexistent/socket': No such file or directory; "
                        "nobody listens there: start the target first");
    ferry_address_free(a);
    assert_int_equal(end_of(pid), 0);
    pid = ask("file:/nonexistent/file", true, &a);
    assert_int_equal(connect_to(a, &chan, &err), -ENOENT);
    assert_non_null(strstr(err.text, "Could not create '/nonexistent/file'"));
    ferry_address_free(a);
    assert_int_equal(end_of(pid), 0);
}

/* A listening socket's path goes with who asked. */
static void a_path_is_tidied_up(void **state)
{
    struct ferry_address *a;
    struct ferry_err err;
    char uri[64], *path = uri + 5;
    int fd = -1, mail = -1, r;
    struct stat st;
    pid_t pid;

    snprintf(uri, sizeof(uri), "unix:/tmp/ferry-serve-%d", (int)getpid());
    pid = ask(uri, false, &a);
    while ((r = ferry_address_take(a, &fd, &mail, &err)) == -EAGAIN)
        continue;
    assert_int_equal(r, 0);
    ferry_address_free(a);
    assert_int_equal(lstat(path, &st), 0);
    close(fd);
    close(mail);
    assert_int_equal(end_of(pid), 0);
    assert_int_equal(lstat(path, &st), -1);
}

/* The one that serves becomes the command; its end is told by who started it, here by us. */
static void a_command_and_its_end(void **state)
{
    static const int exits[] = {0, 3};
    struct ferry_address *a;
    struct ferry_err err;

    for (size_t i = 0; i < sizeof(exits) / sizeof(exits[0]); i++) {
        struct ferry_chan *chan = NULL;
        struct iovec text = {(char[]){"x"}, 1};
        char uri[64];
        int pair[2], status;
        pid_t pid;

        snprintf(uri, sizeof(uri), "exec:cat >/dev/null; exit %d", exits[i]);
        assert_int_equal(ferry_address_parse(&a, uri, NULL, 0, &err), 0);
        assert_int_equal(mail_pair(pair, &err), 0);
        pid = fork();
        if (pid == 0) {
            close(pair[0]);
            ferry_address_serve(a, true, pair[1]);
            _exit(99);
        }
        ferry_address_ask(a, &pair[0]);
        assert_int_equal(connect_to(a, &chan, &err), 1);
        assert_int_equal(chan_send(chan, &text, 1, &err), 1);
        assert_int_equal(chan_finish(chan, &err), -EAGAIN);
        status = end_of(pid);
        assert_int_equal(mail_send(pair[1], MAIL_ENDED, status, "", NULL, 0), 0);
        close(pair[1]);
        assert_int_equal(chan_finish(chan, &err), exits[i] ? -EPIPE : 0);
        if (exits[i])
            assert_non_null(strstr(err.text, "the command ended with status 3"));
        ferry_chan_free(chan);
        ferry_address_free(a);
    }
}

/* One that does not want it: by its status when that is known, else by what is seen. */
static void a_command_that_stops_reading(void **state)
{
    static const char *const says[] = {"stopped reading before it had everything",
                                       "the command ended with status 3"};
    struct ferry_address *a;
    struct ferry_err err;

    for (size_t known = 0; known < 2; known++) {
        struct ferry_chan *chan = NULL;
        struct iovec text = {(char[]){"x"}, 1};
        int pair[2], status;
        pid_t pid;

        assert_int_equal(ferry_address_parse(&a, "exec:exit 3", NULL, 0, &err), 0);
        assert_int_equal(mail_pair(pair, &err), 0);
        pid = fork();
        if (pid == 0) {
            close(pair[0]);
            ferry_address_serve(a, true, pair[1]);
            _exit(99);
        }
        ferry_address_ask(a, &pair[0]);
        assert_int_equal(connect_to(a, &chan, &err), 1);
        status = end_of(pid);
        if (known)
            assert_int_equal(mail_send(pair[1], MAIL_ENDED, status, "", NULL, 0), 0);
        assert_int_equal(chan_send(chan, &text, 1, &err), -EPIPE);
        assert_non_null(strstr(err.text, says[known]));
        close(pair[1]);
        ferry_chan_free(chan);
        ferry_address_free(a);
    }
}

/* What the asker may not do at the end, who opened it does; a file that failed is gone. */
static void a_file_gets_its_name_at_the_end(void **state)
{
    for (unsigned kept = 0; kept < 2; kept++) {
        struct ferry_address *a;
        struct ferry_chan *chan = NULL;
        struct ferry_err err;
        struct iovec text = {(char[]){"x"}, 1};
        char uri[64], *path = uri + 5;
        struct stat st;
        pid_t pid;
        int r;

        snprintf(uri, sizeof(uri), "file:/tmp/ferry-serve-%d", (int)getpid());
        pid = ask(uri, true, &a);
        assert_int_equal(connect_to(a, &chan, &err), 1);
        assert_int_equal(chan_send(chan, &text, 1, &err), 1);
        assert_int_equal(lstat(path, &st), -1);
        while (kept && (r = chan_finish(chan, &err)) != 0) {
            struct pollfd p = {.fd = chan_finish_fd(chan), .events = POLLIN};

            assert_int_equal(r, -EAGAIN);
            assert_int_equal(poll(&p, 1, 20000), 1);
        }
        ferry_address_free(a);
        ferry_chan_free(chan);
        assert_int_equal(end_of(pid), 0);
        assert_int_equal(lstat(path, &st), kept ? 0 : -1);
        unlink(path);
    }
}

/* An older ferry does not ask for the name. */
static void a_file_can_be_written_in_place(void **state)
{
    struct ferry_address *a;
    struct ferry_chan *chan = NULL;
    struct ferry_err err;
    char uri[64], *path = uri + 5;
    int pair[2];
    struct stat st;
    pid_t pid;

    snprintf(uri, sizeof(uri), "file:/tmp/ferry-serve-%d", (int)getpid());
    assert_int_equal(ferry_address_parse(&a, uri, NULL, 0, &err), 0);
    ferry_address_in_place(a);
    assert_int_equal(mail_pair(pair, &err), 0);
    pid = fork();
    if (pid == 0) {
        close(pair[0]);
        ferry_address_serve(a, true, pair[1]);
        _exit(0);
    }
    close(pair[1]);
    ferry_address_ask(a, &pair[0]);
    assert_int_equal(connect_to(a, &chan, &err), 1);
    assert_int_equal(end_of(pid), 0);
    assert_int_equal(lstat(path, &st), 0);
    assert_int_equal(chan_finish(chan, &err), 0);
    ferry_address_free(a);
    ferry_chan_free(chan);
    assert_int_equal(unlink(path), 0);
}

static void a_file_without_who_names_it_has_failed(void **state)
{
    struct ferry_address *a;
    struct ferry_chan *chan = NULL;
    struct ferry_err err;
    char uri[64];
    int pair[2];
    OWN_FD int fd = memfd_create("file", MFD_CLOEXEC);

    snprintf(uri, sizeof(uri), "file:/tmp/ferry-serve-%d", (int)getpid());
    assert_int_equal(ferry_address_parse(&a, uri, NULL, 0, &err), 0);
    assert_int_equal(mail_pair(pair, &err), 0);
    ferry_address_ask(a, &pair[0]);
    assert_int_equal(mail_send(pair[1], MAIL_OPENED, CHAN_MAIL_DRAFT, "", &fd, 1), 0);
    assert_int_equal(connect_to(a, &chan, &err), 1);
    assert_int_equal(chan_finish(chan, &err), -EAGAIN);
    /* As the supervisor tells of the end of what it started. */
    assert_int_equal(mail_send(pair[1], MAIL_ENDED, 0, "", NULL, 0), 0);
    assert_int_equal(chan_finish(chan, &err), -EPROTO);
    assert_non_null(strstr(err.text, "who should give it its name has ended"));
    close(pair[1]);
    ferry_address_free(a);
    ferry_chan_free(chan);
}

static void who_serves_may_die(void **state)
{
    struct ferry_address *a;
    struct ferry_chan *chan = NULL;
    struct ferry_err err;
    int pair[2];

    assert_int_equal(ferry_address_parse(&a, "tcp:127.0.0.1:1", NULL, 0, &err), 0);
    assert_int_equal(mail_pair(pair, &err), 0);
    ferry_address_ask(a, &pair[0]);
    close(pair[1]);
    assert_int_equal(connect_to(a, &chan, &err), -EPIPE);
    assert_non_null(strstr(err.text, "has ended without a word"));
    ferry_address_free(a);
    /* What it sends instead is nothing open. */
    assert_int_equal(ferry_address_parse(&a, "tcp:127.0.0.1:1", NULL, 0, &err), 0);
    assert_int_equal(mail_pair(pair, &err), 0);
    ferry_address_ask(a, &pair[0]);
    assert_int_equal(mail_send(pair[1], MAIL_OPENED, 0, "", NULL, 0), 0);
    assert_int_equal(connect_to(a, &chan, &err), -EPROTO);
    close(pair[1]);
    ferry_address_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(listens_and_connects_many_times),
        cmocka_unit_test(a_refusal_is_the_same_sentence),
        cmocka_unit_test(a_path_is_tidied_up),
        cmocka_unit_test(a_command_and_its_end),
        cmocka_unit_test(a_command_that_stops_reading),
        cmocka_unit_test(a_file_gets_its_name_at_the_end),
        cmocka_unit_test(a_file_can_be_written_in_place),
        cmocka_unit_test(a_file_without_who_names_it_has_failed),
        cmocka_unit_test(who_serves_may_die),
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
