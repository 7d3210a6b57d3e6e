/* SPDX-License-Identifier: Apache-2.0 */
/* A toy moves over each kind of channel, with threads, as a program would do it. */
#include "tests/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/own.h"
#include "tests/sim/migrate_pair.h"

struct places {
    char dir[32];
    char path[64];
    char uri[128];
    struct migrate_pair *p;
};

static int setup(void **state)
{
    struct places *t = calloc(1, sizeof(*t));

    strcpy(t->dir, "/tmp/ferry-places-XXXXXX");
    if (!mkdtemp(t->dir))
        return -1;
    snprintf(t->path, sizeof(t->path), "%s/place", t->dir);
    t->p = malloc(sizeof(*t->p));
    migrate_pair_init(t->p, true);
    *state = t;
    return 0;
}

static int teardown(void **state)
{
    struct places *t = *state;

    migrate_pair_free(t->p);
    free(t->p);
    unlink(t->path);
    rmdir(t->dir);
    free(t);
    return 0;
}

static struct ferry_address *address(const char *uri, int flags)
{
    struct ferry_address *a = NULL;
    struct ferry_err err = {0};

    if (ferry_address_parse(&a, uri, NULL, flags, &err) < 0)
        fail_msg("%s: %s", uri, err.text);
    return a;
}

static void source_to(struct migrate_pair *p, const char *uri)
{
    struct ferry_address *a = address(uri, O_WRONLY);
    struct ferry_err err = {0};

    if (ferry_migrate_source_new(&p->source, &p->source_params, a, NULL, &err) < 0)
        fail_msg("%s: %s", uri, err.text);
    p->source_status = FERRY_MIGRATE_BUSY;
    p->address = a;
    /* Until it stands: the test closes its own ends of pipes after it. */
    while (p->source_status == FERRY_MIGRATE_BUSY && !(p->points & 1u << FERRY_MIGRATE_CONNECTED)) {
        struct pollfd wait = {.fd = ferry_migrate_source_fd(p->source), .events = POLLIN};

        p->source_status = ferry_migrate_source_step(p->source, &p->source_err);
        (void)!poll(&wait, 1, 1);
    }
}

static struct ferry_listener *listen_on(const char *uri)
{
    struct ferry_address *a = address(uri, O_RDONLY);
    struct ferry_listener *l = NULL;
    struct ferry_err err = {0};

    if (ferry_listener_new(&l, a, &err) < 0)
        fail_msg("%s: %s", uri, err.text);
    ferry_address_free(a);
    return l;
}

static void target_from(struct migrate_pair *p, struct ferry_listener **l)
{
    struct ferry_err err = {0};

    assert_int_equal(ferry_migrate_target_new(&p->target, &p->target_params, l, NULL, &err), 0);
    p->target_status = FERRY_MIGRATE_BUSY;
}

/* Only as the fds and deadlines say, so that a missing wake-up shows. */
static void run(struct migrate_pair *p)
{
    int64_t end_ns = clock_monotonic_ns() + INT64_C(20000000000);

    while ((p->source && p->source_status == FERRY_MIGRATE_BUSY) ||
           (p->target && p->target_status == FERRY_MIGRATE_BUSY)) {
        struct pollfd wait[2] = {{.fd = -1, .events = POLLIN}, {.fd = -1, .events = POLLIN}};
        int64_t deadline = INT64_MAX, now = clock_monotonic_ns();
        int timeout_ms = 1000;

        if (now > end_ns)
            fail_msg("source %d, target %d: stuck", (int)p->source_status, (int)p->target_status);
        if (p->source && p->source_status == FERRY_MIGRATE_BUSY) {
            wait[0].fd = ferry_migrate_source_fd(p->source);
            deadline = ferry_migrate_source_deadline_ns(p->source);
        }
        if (p->target && p->target_status == FERRY_MIGRATE_BUSY) {
            wait[1].fd = ferry_migrate_target_fd(p->target);
            if (ferry_migrate_target_deadline_ns(p->target) < deadline)
                deadline = ferry_migrate_target_deadline_ns(p->target);
        }
        if (deadline < now + INT64_C(1000000000))
            timeout_ms = deadline > now ? (int)((deadline - now) / 1000000) + 1 : 0;
        assert_true(poll(wait, 2, timeout_ms) > 0 || timeout_ms < 1000);
        if (wait[0].fd >= 0)
            p->source_status = ferry_migrate_source_step(p->source, &p->source_err);
        if (wait[1].fd >= 0)
            p->target_status = ferry_migrate_target_step(p->target, &p->target_err);
    }
}

static void check(struct migrate_pair *p)
{
    if (p->target_status == FERRY_MIGRATE_DONE && p->source_status == FERRY_MIGRATE_DONE) {
        atomic_store(&p->to.running, false);
        if (p->to.thread_started)
            pthread_join(p->to.thread, NULL);
        p->to.thread_started = false;
    }
    migrate_pair_check_moved(p, false);
    assert_string_equal(p->described, TOY_DESCRIPTION);
}

static void move_by_socket(struct migrate_pair *p, const char *uri)
{
    struct ferry_listener *l = listen_on(uri);
    char at[128];

    snprintf(at, sizeof(at), "%s", ferry_listener_text(l));
    target_from(p, &l);
    source_to(p, at);
    run(p);
    check(p);
}

static void test_tcp(void **state)
{
    move_by_socket(((struct places *)*state)->p, "tcp:127.0.0.1:0");
}

static void test_tcp_by_name(void **state)
{
    struct migrate_pair *p = ((struct places *)*state)->p;
    struct ferry_listener *l = listen_on("tcp:127.0.0.1:0");
    char at[128];

    snprintf(at, sizeof(at), "tcp:localhost:%s", strrchr(ferry_listener_text(l), ':') + 1);
    target_from(p, &l);
    source_to(p, at);
    run(p);
    check(p);
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

    source_to(t->p, to);
    run(t->p);
    assert_int_equal(t->p->source_status, FERRY_MIGRATE_DONE);
    l = listen_on(from);
    target_from(t->p, &l);
    run(t->p);
    check(t->p);
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

    source_to(t->p, "exec:cat > /dev/null; exit 3");
    run(t->p);
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
    l = listen_on(uri);
    target_from(p, &l);
    snprintf(uri, sizeof(uri), "fd:%d", fds[1]);
    source_to(p, uri);
    close(fds[0]);
    close(fds[1]);
    run(p);
    check(p);
}

static void test_pipe_without_a_reader(void **state)
{
    struct migrate_pair *p = ((struct places *)*state)->p;
    char uri[32];
    int fds[2];

    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    snprintf(uri, sizeof(uri), "fd:%d", fds[1]);
    close(fds[0]);
    source_to(p, uri);
    close(fds[1]);
    run(p);
    assert_int_equal(p->source_status, FERRY_MIGRATE_FAILED);
    migrate_pair_check_stayed(p);
}

static void test_full_disk(void **state)
{
    struct migrate_pair *p = ((struct places *)*state)->p;

    source_to(p, "file:/dev/full");
    run(p);
    assert_int_equal(p->source_status, FERRY_MIGRATE_FAILED);
    assert_non_null(strstr(p->source_err.text, "No space left"));
    migrate_pair_check_stayed(p);
}

static void test_nobody_listens(void **state)
{
    struct places *t = *state;

    snprintf(t->uri, sizeof(t->uri), "unix:%s", t->path);
    source_to(t->p, t->uri);
    run(t->p);
    assert_int_equal(t->p->source_status, FERRY_MIGRATE_FAILED);
    assert_int_equal(t->p->source_err.errnum, ENOENT);
    assert_non_null(strstr(t->p->source_err.text, "Failed to connect to"));
    migrate_pair_check_stayed(t->p);
}

#define PLACE_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

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
