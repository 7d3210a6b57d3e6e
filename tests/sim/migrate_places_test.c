/* SPDX-License-Identifier: Apache-2.0 */
/* A toy moves over each kind of channel, with threads, as a program would do it. */
#include "tests/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/own.h"
#include "tests/sim/places.h"

static void move_by_socket(struct migrate_pair *p, const char *uri)
{
    struct ferry_listener *l = places_listen(uri);
    char at[128];

    snprintf(at, sizeof(at), "%s", ferry_listener_text(l));
    places_target(p, &l);
    places_source(p, at);
    places_run(p);
    places_check(p);
}

static void test_tcp(void **state)
{
    move_by_socket(((struct places *)*state)->p, "tcp:127.0.0.1:0");
}

static void test_tcp_by_name(void **state)
{
    struct migrate_pair *p = ((struct places *)*state)->p;
    struct ferry_listener *l = places_listen("tcp:127.0.0.1:0");
    char at[128];

    snprintf(at, sizeof(at), "tcp:localhost:%s", strrchr(ferry_listener_text(l), ':') + 1);
    places_target(p, &l);
    places_source(p, at);
    places_run(p);
    places_check(p);
}

static void test_tcp6(void **state)
{
    move_by_socket(((struct places *)*state)->p, "tcp:[::1]:0");
}

static void test_unix(void **state)
{
    struct places *t = *state;

    snprintf(t->uri, sizeof(t->uri), "unix:%s", t->path);
    move_by_socket(t->p, t->uri);
    assert_int_equal(access(t->path, F_OK), -1);
}

static void multifd(struct migrate_pair *p, const char *compression, unsigned channels)
{
    p->source_params.capabilities.multifd = p->target_params.capabilities.multifd = true;
    p->source_params.parameters.multifd_compression = compression;
    p->target_params.parameters.multifd_compression = compression;
    p->source_params.parameters.multifd_channels = channels;
    p->target_params.parameters.multifd_channels = channels;
    p->from.scribble_pages = 900;
}

static void test_multifd(void **state)
{
    multifd(((struct places *)*state)->p, "none", 2);
    move_by_socket(((struct places *)*state)->p, "tcp:127.0.0.1:0");
}

static void test_multifd_zlib(void **state)
{
    multifd(((struct places *)*state)->p, "zlib", 3);
    move_by_socket(((struct places *)*state)->p, "tcp:127.0.0.1:0");
}

static void test_multifd_zstd(void **state)
{
    struct places *t = *state;

    multifd(t->p, "zstd", 8);
    snprintf(t->uri, sizeof(t->uri), "unix:%s", t->path);
    move_by_socket(t->p, t->uri);
}

/* First all of it into the place, then out of it. */
static void store(struct places *t, const char *to, const char *from)
{
    struct ferry_listener *l;

    places_source(t->p, to);
    places_run(t->p);
    assert_int_equal(t->p->source_status, FERRY_MIGRATE_DONE);
    l = places_listen(from);
    places_target(t->p, &l);
    places_run(t->p);
    places_check(t->p);
}

static void test_file(void **state)
{
    struct places *t = *state;

    snprintf(t->uri, sizeof(t->uri), "file:%s", t->path);
    store(t, t->uri, t->uri);
}

static void test_file_behind_an_offset(void **state)
{
    struct places *t = *state;
    char text[5] = {0};
    OWN_FD int fd = open(t->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    assert_int_equal(write(fd, "mine", 4), 4);
    snprintf(t->uri, sizeof(t->uri), "file:%s,offset=0x2000", t->path);
    store(t, t->uri, t->uri);
    assert_int_equal(pread(fd, text, 4, 0), 4);
    assert_string_equal(text, "mine");
}

static void test_exec(void **state)
{
    struct places *t = *state;
    char from[128];

    snprintf(t->uri, sizeof(t->uri), "exec:gzip -1 > %s", t->path);
    snprintf(from, sizeof(from), "exec:gzip -dc %s", t->path);
    store(t, t->uri, from);
}

static void test_exec_that_fails(void **state)
{
    struct places *t = *state;

    places_source(t->p, "exec:cat > /dev/null; exit 3");
    places_run(t->p);
    assert_int_equal(t->p->source_status, FERRY_MIGRATE_FAILED);
    assert_non_null(strstr(t->p->source_err.text, "ended with status 3"));
    migrate_pair_check_stayed(t->p);
}

static void test_pipe(void **state)
{
    struct migrate_pair *p = ((struct places *)*state)->p;
    struct ferry_listener *l;
    char uri[32];
    int fds[2];

    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    snprintf(uri, sizeof(uri), "fd:%d", fds[0]);
    l = places_listen(uri);
    places_target(p, &l);
    snprintf(uri, sizeof(uri), "fd:%d", fds[1]);
    places_source(p, uri);
    close(fds[0]);
    close(fds[1]);
    places_run(p);
    places_check(p);
}

static void test_pipe_without_a_reader(void **state)
{
    struct migrate_pair *p = ((struct places *)*state)->p;
    char uri[32];
    int fds[2];

    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    snprintf(uri, sizeof(uri), "fd:%d", fds[1]);
    close(fds[0]);
    places_source(p, uri);
    close(fds[1]);
    places_run(p);
    assert_int_equal(p->source_status, FERRY_MIGRATE_FAILED);
    migrate_pair_check_stayed(p);
}

static void test_full_disk(void **state)
{
    struct migrate_pair *p = ((struct places *)*state)->p;

    places_source(p, "file:/dev/full");
    places_run(p);
    assert_int_equal(p->source_status, FERRY_MIGRATE_FAILED);
    assert_non_null(strstr(p->source_err.text, "No space left"));
    migrate_pair_check_stayed(p);
}

static void test_nobody_listens(void **state)
{
    struct places *t = *state;

    snprintf(t->uri, sizeof(t->uri), "unix:%s", t->path);
    places_source(t->p, t->uri);
    places_run(t->p);
    assert_int_equal(t->p->source_status, FERRY_MIGRATE_FAILED);
    assert_int_equal(t->p->source_err.errnum, ENOENT);
    assert_non_null(strstr(t->p->source_err.text, "Failed to connect to"));
    migrate_pair_check_stayed(t->p);
}

#define PLACE_TEST(f) cmocka_unit_test_setup_teardown(f, places_setup, places_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLACE_TEST(test_tcp),
        PLACE_TEST(test_tcp_by_name),
        PLACE_TEST(test_tcp6),
        PLACE_TEST(test_unix),
        PLACE_TEST(test_multifd),
        PLACE_TEST(test_multifd_zlib),
        PLACE_TEST(test_multifd_zstd),
        PLACE_TEST(test_file),
        PLACE_TEST(test_file_behind_an_offset),
        PLACE_TEST(test_exec),
        PLACE_TEST(test_exec_that_fails),
        PLACE_TEST(test_pipe),
        PLACE_TEST(test_pipe_without_a_reader),
        PLACE_TEST(test_full_disk),
        PLACE_TEST(test_nobody_listens),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
