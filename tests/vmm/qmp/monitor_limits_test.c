/* SPDX-License-Identifier: Apache-2.0 */
/* What clients can make a monitor hold, and how long they can keep it. */
#include "tests/unit.h"

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/own.h"
#include "tests/vmm/qmp/monitor_bench.h"
#include "vmm/qmp/session.h"

static void too_many_clients_are_told(void **state)
{
    struct bench *b = *state;
    int fds[MONITOR_SESSIONS_MAX], more;

    for (size_t i = 0; i < MONITOR_SESSIONS_MAX; i++) {
        fds[i] = client_new(b->path);
        ASSERT_SAYS(b, fds[i], GREETING);
    }
    more = client_new(b->path);
    ASSERT_SAYS(b, more,
                ERROR("this monitor has as many clients as it can serve; close one") "EOF");
    close(more);
    close(fds[0]);
    turn(b->loop);
    more = client_new(b->path);
    ASSERT_SAYS(b, more, GREETING);
    close(more);
    for (size_t i = 1; i < MONITOR_SESSIONS_MAX; i++)
        close(fds[i]);
}

/* Whoever can give commands can do all that this process can: exec:, files, other people's VMs. */
/* How many bytes there are up to that text. */
static size_t read_until(struct bench *b, int fd, const char *wanted)
{
    static char tail[1 << 20];
    size_t n = 0, all = 0;

    for (int tries = 0; tries < 100000; tries++) {
        ssize_t r;

        turn_ns(b->loop, 100000);
        r = recv(fd, tail + n, sizeof(tail) - 1 - n, MSG_DONTWAIT);
        if (r <= 0)
            continue;
        n += (size_t)r;
        all += (size_t)r;
        tail[n] = 0;
        if (strstr(tail, wanted))
            return all;
        if (n > sizeof(tail) / 2) { /* what may be the beginning of it stays */
            memmove(tail, tail + n - 64, 64);
            n = 64;
        }
    }
    fail_msg("it never says %s", wanted);
    return 0;
}

static void a_client_that_does_not_read_is_held(void **state)
{
    struct bench *b = *state;
    int fd = client_negotiated(b, false);
    struct json_object *text;
    OWN_MEM char *big = malloc(65536);
    int sent = 0;

    /* It floods and never reads: it is not asked for more, and nothing grows. */
    memset(big, 'x', 60000);
    for (int i = 0; i < 400; i++) {
        char request[256];
        int n = snprintf(request, sizeof(request), "{\"execute\":\"echo\",\"id\":\"%0200d\"}", i);

        if (send(fd, request, (size_t)n, MSG_NOSIGNAL) < 0)
            break;
        sent++;
        if (i % 50 == 0)
            turn_ns(b->loop, 1000000);
    }
    turn(b->loop);
    assert_true(sent > 0);
    /* Events come as often as a guest likes: it is told the latest of them once it reads. */
    for (int i = 0; i < 400; i++) {
        text = json_object_new_string_len(big, 60000);
        monitor_event(b->monitor, "BIG", text);
    }
    monitor_event(b->monitor, "BIG", json_object_new_string("the last"));
    turn(b->loop);
    assert_true(read_until(b, fd, "the last") < 400 * 300 + 200000 + 8 * 60000);
    close(fd);
}

static void who_does_not_read_a_great_answer_is_dropped(void **state)
{
    struct bench *b = *state;
    int fd = client_negotiated(b, false), other = client_negotiated(b, false);
    size_t n = 3 << 19;
    OWN_MEM char *id = malloc(n);
    char said[4096];

    for (size_t i = 0; i < n; i++)
        id[i] = i % 2 ? '\xa9' : '\xc3'; /* two bytes in, six out */
    client_send(fd, "{\"execute\":\"echo\",\"id\":\"");
    for (size_t at = 0; at < n;) {
        ssize_t w = send(fd, id + at, n - at, MSG_NOSIGNAL | MSG_DONTWAIT);

        at += w > 0 ? (size_t)w : 0;
        turn_ns(b->loop, 100000);
    }
    client_send(fd, "\"}");
    /* To the end, past what it was told before. */
    for (ssize_t r = 1; r != 0 && (r > 0 || errno == EAGAIN);) {
        turn_ns(b->loop, 1000000);
        r = recv(fd, said, sizeof(said), MSG_DONTWAIT);
    }
    assert_int_equal(send(fd, "x", 1, MSG_NOSIGNAL), -1);
    assert_int_equal(errno, EPIPE);
    client_send(other, "{\"execute\":\"echo\"}");
    ASSERT_SAYS(b, other, OK);
    close(fd);
    close(other);
}

/* A request with n empty objects in it that is not finished; takes turns until it is sent. */
static void leave_open(struct bench *b, int fd, size_t n)
{
    size_t bytes = 3 * n;
    OWN_MEM char *text = malloc(bytes);

    for (size_t i = 0; i < bytes; i++)
        text[i] = "{},"[i % 3];
    client_send(fd, "{\"execute\":\"echo\",\"arguments\":{\"any\":[");
    for (size_t at = 0; at < bytes;) {
        ssize_t w = send(fd, text + at, bytes - at, MSG_NOSIGNAL | MSG_DONTWAIT);

        at += w > 0 ? (size_t)w : 0;
        turn_ns(b->loop, 100000);
    }
    turn(b->loop);
}

/* 0 under a sanitizer, which has a malloc of its own. */
static size_t heap_bytes(void)
{
    struct mallinfo2 info = mallinfo2();

    return info.uordblks + info.hblkhd;
}

static void what_a_client_leaves_open_is_limited(void **state)
{
    struct bench *b = *state;
    int fd = client_negotiated(b, false);
    size_t before = heap_bytes();
    char said[4096];

    leave_open(b, fd, SESSION_MEMORY_MAX_BYTES / 1000);
    assert_in_range(heap_bytes(), before, before + SESSION_MEMORY_MAX_BYTES);
    assert_string_equal(client_read(fd, said, sizeof(said)), "");
    leave_open(b, fd, 2 << 20);
    assert_in_range(heap_bytes(), 0, before + SESSION_MEMORY_MAX_BYTES);
    /* It was answered once, and goes on behind the value. */
    client_send(fd, "0]}}]}}{\"execute\":\"echo\",\"id\":7}");
    /* How many turns what lies before it takes is the machine's business. */
    said[0] = 0;
    for (int i = 0; i < 1000 && !strstr(said, "\"id\": 7"); i++) {
        turn(b->loop);
        client_read(fd, said + strlen(said), sizeof(said) - strlen(said));
    }
    assert_non_null(strstr(said, "JSON memory limit exceeded"));
    assert_non_null(strstr(said, "; send less at once"));
    assert_null(strstr(strstr(said, "exceeded") + 1, "exceeded"));
    assert_non_null(strstr(said, "\"id\": 7"));
    close(fd);
}

static void what_clients_leave_open_is_limited_in_all(void **state)
{
    struct bench *b = *state;
    size_t before = heap_bytes();
    int fds[24], good, refused = 0;
    char said[4096];

    for (int i = 0; i < 24; i++) {
        fds[i] = client_negotiated(b, false);
        leave_open(b, fds[i], SESSION_MEMORY_MAX_BYTES / 1000);
    }
    assert_in_range(heap_bytes(), 0,
                    before + MONITOR_MEMORY_MAX_BYTES + 24 * (SESSION_MEMORY_OWN_BYTES + 65536));
    /* Small commands are served as ever. */
    good = client_negotiated(b, false);
    client_send(good, "{\"execute\":\"echo\"}");
    ASSERT_SAYS(b, good, OK);
    for (int i = 0; i < 24; i++) {
        client_read(fds[i], said, sizeof(said));
        refused += strstr(said, "JSON memory limit exceeded") != NULL;
        close(fds[i]);
    }
    assert_in_range(refused, 24 - 2 * MONITOR_MEMORY_MAX_BYTES / SESSION_MEMORY_MAX_BYTES, 23);
    turn(b->loop);
    /* It comes back with them. */
    leave_open(b, good, SESSION_MEMORY_MAX_BYTES / 1000);
    assert_string_equal(client_read(good, said, sizeof(said)), "");
    close(good);
}

static void a_flood_is_answered(void **state)
{
    struct bench *b = *state;
    int fd = client_negotiated(b, false), got = 0;
    static char in[65536], said[1 << 20];
    size_t n = 0;

    while (n + 32 < sizeof(in))
        n += (size_t)snprintf(in + n, sizeof(in) - n, "{\"execute\":\"echo\"}");
    for (size_t pos = 0; pos < n || got < (int)(n / 18);) {
        ssize_t w = pos < n ? send(fd, in + pos, n - pos, MSG_NOSIGNAL) : 0;

        pos += w > 0 ? (size_t)w : 0;
        turn_ns(b->loop, 2000000);
        client_read(fd, said, sizeof(said));
        for (char *at = said; (at = strstr(at, OK)); at++)
            got++;
    }
    assert_int_equal(b->runs, n / 18);
    close(fd);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, bench_setup, bench_teardown)
    const struct CMUnitTest tests[] = {
        T(too_many_clients_are_told),
        T(a_client_that_does_not_read_is_held),
        T(who_does_not_read_a_great_answer_is_dropped),
        T(what_a_client_leaves_open_is_limited),
        T(what_clients_leave_open_is_limited_in_all),
        T(a_flood_is_answered),
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
