/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/chan/unixfd.h"

static void pair_of(int fds[2])
{
    struct ferry_err err;

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    assert_int_equal(unixfd_prepare(fds[0], 1 << 20, &err), 0);
    assert_int_equal(unixfd_prepare(fds[1], 1 << 20, &err), 0);
}

static void bytes_and_fds_arrive(void **state)
{
    int s[2], sent[UNIXFD_BATCH_MAX], got[UNIXFD_BATCH_MAX];
    size_t count;
    char data[8];
    struct ferry_err err;

    pair_of(s);
    assert_true(fcntl(s[0], F_GETFD) & FD_CLOEXEC);
    assert_int_equal(unixfd_recv(s[1], data, 8, got, &count, &err), -EAGAIN);
    for (int i = 0; i < UNIXFD_BATCH_MAX; i++)
        sent[i] = i % 2 ? s[0] : s[1];
    assert_int_equal(unixfd_send(s[0], "ab", 2, sent, UNIXFD_BATCH_MAX, &err), 2);
    assert_int_equal(unixfd_send(s[0], "cd", 2, NULL, 0, &err), 2);
    /* The batch comes with its first byte and only once. */
    assert_int_equal(unixfd_recv(s[1], data, 1, got, &count, &err), 1);
    assert_int_equal(count, UNIXFD_BATCH_MAX);
    for (size_t i = 0; i < count; i++) {
        assert_true(fcntl(got[i], F_GETFD) & FD_CLOEXEC);
        close(got[i]);
    }
    assert_true(unixfd_recv(s[1], data, 8, got, &count, &err) > 0);
    assert_int_equal(count, 0);
    assert_int_equal(unixfd_send(s[0], "x", 1, sent, UNIXFD_BATCH_MAX + 1, &err), -E2BIG);
    close(s[0]);
    close(s[1]);
}

static void what_was_sent_before_the_end_arrives(void **state)
{
    int s[2], got[UNIXFD_BATCH_MAX];
    size_t count;
    char data[8];
    struct ferry_err err;

    pair_of(s);
    assert_int_equal(unixfd_send(s[0], "last", 4, NULL, 0, &err), 4);
    assert_int_equal(unixfd_send(s[1], "unread", 6, NULL, 0, &err), 6);
    close(s[0]); /* with something unread: the kernel calls that a reset */
    assert_int_equal(unixfd_send(s[1], "x", 1, NULL, 0, &err), -EPIPE);
    assert_int_equal(unixfd_recv(s[1], data, 8, got, &count, &err), 4);
    assert_memory_equal(data, "last", 4);
    assert_int_equal(unixfd_recv(s[1], data, 8, got, &count, &err), 0);
    close(s[1]);
}

static void lost_fds_are_an_error_that_says_what_to_do(void **state)
{
    struct rlimit old, few;
    int s[2], sent[20], got[UNIXFD_BATCH_MAX], spare;
    size_t count;
    char data[8];
    struct ferry_err err;

    pair_of(s);
    for (int i = 0; i < 20; i++)
        sent[i] = s[0];
    assert_int_equal(unixfd_send(s[0], "ab", 2, sent, 20, &err), 2);
    spare = dup(s[0]);
    getrlimit(RLIMIT_NOFILE, &old);
    few = old;
    few.rlim_cur = (rlim_t)spare + 5;
    setrlimit(RLIMIT_NOFILE, &few);
    assert_int_equal(unixfd_recv(s[1], data, 8, got, &count, &err), -EMFILE);
    setrlimit(RLIMIT_NOFILE, &old);
    assert_non_null(strstr(err.text, "ulimit -n"));
    assert_int_equal(count, 0);
    assert_int_equal(dup(s[0]), spare + 1); /* none was left open */
    close(spare + 1);
    close(spare);
    close(s[0]);
    close(s[1]);
}

static void a_full_socket_says_again(void **state)
{
    int s[2];
    static char data[65536];
    struct ferry_err err;
    ssize_t r;

    pair_of(s);
    while ((r = unixfd_send(s[0], data, sizeof(data), NULL, 0, &err)) > 0)
        ;
    assert_int_equal(r, -EAGAIN);
    close(s[0]);
    close(s[1]);
}

static void other_sockets_are_refused(void **state)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(addr);
    int s[2], listener, tcp, file;
    struct ferry_err err;

    assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, s), 0);
    assert_int_equal(unixfd_prepare(s[0], 4096, &err), -EPROTOTYPE);
    listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&addr, sizeof(addr)), 0);
    assert_int_equal(listen(listener, 1), 0);
    getsockname(listener, (struct sockaddr *)&addr, &len);
    tcp = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(tcp, (struct sockaddr *)&addr, sizeof(addr)), 0);
    assert_int_equal(unixfd_prepare(tcp, 4096, &err), -EPROTOTYPE);
    assert_non_null(strstr(err.text, "not a UNIX stream socket"));
    assert_int_equal(unixfd_prepare(listener, 4096, &err), -ENOTCONN);
    file = open("/dev/null", O_RDONLY);
    assert_int_equal(unixfd_prepare(file, 4096, &err), -ENOTSOCK);
    close(file);
    close(tcp);
    close(listener);
    close(s[0]);
    close(s[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_and_fds_arrive),
        cmocka_unit_test(what_was_sent_before_the_end_arrives),
        cmocka_unit_test(lost_fds_are_an_error_that_says_what_to_do),
        cmocka_unit_test(a_full_socket_says_again),
        cmocka_unit_test(other_sockets_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
