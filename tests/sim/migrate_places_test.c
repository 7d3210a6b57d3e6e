/* SPDX-License-Identifier: Apache-2.0 */
/* A toy moves over each kind of channel, with threads, as a program would do it. */
#include "tests/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
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

/* Zero pages: in the lanes, on the main channel, or like others; what travels says where. */
static void test_multifd_zeros(void **state)
{
    static const enum ferry_migrate_zero_pages ways[] = {
        FERRY_MIGRATE_ZERO_MULTIFD, FERRY_MIGRATE_ZERO_LEGACY, FERRY_MIGRATE_ZERO_NONE};
    struct places *t = *state;
    struct ferry_migrate_info info[3];

    for (size_t i = 0; i < 3; i++) {
        if (i > 0) {
            migrate_pair_free(t->p);
            migrate_pair_init(t->p, true);
        }
        multifd(t->p, "none", 2);
        t->p->source_params.parameters.zero_pages = ways[i];
        move_by_socket(t->p, "tcp:127.0.0.1:0");
        info[i] = (struct ferry_migrate_info){.size_bytes = sizeof(info[i])};
        ferry_migrate_source_info(t->p->source, &info[i]);
    }
    assert_true(info[0].zero_pages > 0);
    assert_true(info[1].zero_pages > 0);
    assert_int_equal(info[2].zero_pages, 0);
    /* A record of a page on the main channel has no place in a packet of a lane. */
    assert_true(info[1].transferred_bytes - info[1].multifd_bytes >
                info[0].transferred_bytes - info[0].multifd_bytes + 8 * info[1].zero_pages);
}

static void note_threads(struct migrate_pair *p)
{
    struct ferry_migrate_thread thread;
    size_t count = 0;

    while (ferry_migrate_source_thread(p->source, count, &thread)) {
        char wanted[40];

        snprintf(wanted, sizeof(wanted), count ? "mig/src/send_%zu" : "mig/src/main", count - 1);
        assert_string_equal(thread.name, wanted);
        snprintf(wanted, sizeof(wanted), "/proc/self/task/%d", thread.id);
        assert_int_equal(access(wanted, F_OK), 0);
        count++;
    }
    assert_int_equal(count, 3);
}

static void test_threads_are_named(void **state)
{
    struct migrate_pair *p = ((struct places *)*state)->p;

    multifd(p, "none", 2);
    p->act_at = FERRY_MIGRATE_SAVED;
    p->act = note_threads;
    move_by_socket(p, "tcp:127.0.0.1:0");
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

/* Both differences, before the first page and before there is a second channel. */
static void test_multifd_that_differs(void **state)
{
    struct migrate_pair *p = ((struct places *)*state)->p;
    struct ferry_listener *l = places_listen("tcp:127.0.0.1:0");
    char at[128];

    multifd(p, "zstd", 2);
    p->target_params.parameters.multifd_compression = "none";
    p->target_params.parameters.multifd_channels = 3;
    snprintf(at, sizeof(at), "%s", ferry_listener_text(l));
    places_target(p, &l);
    places_source(p, at);
    places_run(p);
    assert_int_equal(p->source_status, FERRY_MOVE_FAILED);
    assert_non_null(
        strstr(p->source_err.text, "multifd-channels (--channels) is 2 there and 3 here"));
    assert_non_null(
        strstr(p->source_err.text, "multifd-compression (--compress) is zstd there and none here"));
    migrate_pair_check_stayed(p);
}

/* A channel is refused while the main one waits for the end of the round. */
static void test_multifd_that_fails(void **state)
{
    struct migrate_pair *p = ((struct places *)*state)->p;
    struct ferry_listener *l = places_listen("tcp:127.0.0.1:0");
    char at[128];

    multifd(p, "zstd", 2);
    p->source_params.peer = FERRY_MIGRATE_PEER_QEMU;
    p->target_params.vm = p->to.vm;
    p->target_params.build = NULL;
    p->target_params.parameters.multifd_compression = "none";
    p->source_params.parameters.max_bandwidth_bps = 100000;
    snprintf(at, sizeof(at), "%s", ferry_listener_text(l));
    places_target(p, &l);
    places_source(p, at);
    places_run(p);
    assert_int_equal(p->target_status, FERRY_MOVE_FAILED);
    assert_non_null(strstr(p->target_err.text, "set multifd-compression alike"));
    assert_int_equal(p->source_status, FERRY_MOVE_FAILED);
    migrate_pair_check_stayed(p);
}

/* First all of it into the place, then out of it. */
static void store(struct places *t, const char *to, const char *from)
{
    struct ferry_listener *l;

    places_source(t->p, to);
    places_run(t->p);
    assert_int_equal(t->p->source_status, FERRY_MOVE_DONE);
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

static void put_mine(struct places *t)
{
    OWN_FD int fd = open(t->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    assert_int_equal(write(fd, "mine", 4), 4);
    snprintf(t->uri, sizeof(t->uri), "file:%s", t->path);
}

static bool begins_with(const char *path, const char *text)
{
    OWN_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
    char found[5] = {0};

    return read(fd, found, 4) == 4 && strcmp(found, text) == 0;
}

/* What was there is there, and nothing beside it. */
static void test_file_that_fails(void **state)
{
    struct places *t = *state;
    struct ferry_err err;

    put_mine(t);
    /* So slow that it is not complete before it is cancelled. */
    t->p->source_params.parameters.max_bandwidth_bps = 1000;
    places_source(t->p, t->uri);
    assert_int_equal(ferry_move_cancel(t->p->source, &err), 0);
    places_run(t->p);
    migrate_pair_check_stayed(t->p);
    ferry_move_free(TAKE_PTR(t->p->source));
    assert_true(begins_with(t->path, "mine"));
    unlink(t->path);
    assert_int_equal(rmdir(t->dir), 0);
    assert_int_equal(mkdir(t->dir, 0700), 0);
}

/* The thread has given it its name, and the main thread does not know that yet. */
static void test_file_that_is_cancelled_too_late(void **state)
{
    struct places *t = *state;
    struct ferry_err err;

    put_mine(t);
    places_source(t->p, t->uri);
    while (!(t->p->points & 1u << FERRY_MIGRATE_SAVED)) {
        struct pollfd wait = {.fd = ferry_move_fd(t->p->source), .events = POLLIN};

        t->p->source_status = ferry_move_step(t->p->source, &t->p->source_err);
        assert_int_equal(t->p->source_status, FERRY_MOVE_BUSY);
        (void)!poll(&wait, 1, 1);
    }
    while (!begins_with(t->path, "QEVM"))
        (void)!poll(NULL, 0, 1);
    assert_int_equal(ferry_move_cancel(t->p->source, &err), -EBUSY);
    assert_non_null(strstr(err.text, "the file is complete"));
    places_run(t->p);
    assert_int_equal(t->p->source_status, FERRY_MOVE_DONE);
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

static void check_null(const char *path)
{
    char text[32] = "";
    OWN_FD int fd = open(path, O_RDONLY | O_CLOEXEC);

    assert_true(read(fd, text, sizeof(text) - 1) > 0);
    assert_string_equal(text, "/dev/null\n");
    unlink(path);
}

/* What is this program's own to read and write is not the command's. */
static void test_exec_has_no_console(void **state)
{
    struct places *t = *state;
    char to[256], from[256], in[80], out[80];

    snprintf(in, sizeof(in), "%s.in", t->path);
    snprintf(out, sizeof(out), "%s.out", t->path);
    snprintf(to, sizeof(to), "exec:x=$(readlink /proc/$$/fd/1); echo $x > %s; cat > %s", out,
             t->path);
    snprintf(from, sizeof(from), "exec:x=$(readlink /proc/$$/fd/0); echo $x > %s; cat %s", in,
             t->path);
    store(t, to, from);
    check_null(in);
    check_null(out);
}

static void test_exec_that_fails(void **state)
{
    struct places *t = *state;

    places_source(t->p, "exec:cat > /dev/null; exit 3");
    places_run(t->p);
    assert_int_equal(t->p->source_status, FERRY_MOVE_FAILED);
    assert_non_null(strstr(t->p->source_err.text, "ended with status 3"));
    migrate_pair_check_stayed(t->p);
}

/* It has everything, and for all that is known here has given it to a target. */
static void test_exec_that_never_ends(void **state)
{
    struct places *t = *state;
    struct migrate_pair *p = t->p;
    struct ferry_err err;

    p->source_params.pause_timeout_ns = 300000000;
    snprintf(t->uri, sizeof(t->uri), "exec:cat > /dev/null; > %s; exec tail -f /dev/null", t->path);
    places_source(p, t->uri);
    while (p->source_status == FERRY_MOVE_BUSY && access(t->path, F_OK) < 0) {
        struct pollfd wait = {.fd = ferry_move_fd(p->source), .events = POLLIN};

        assert_true(poll(&wait, 1, 1) >= 0);
        p->source_status = ferry_move_step(p->source, &p->source_err);
    }
    assert_int_equal(access(t->path, F_OK), 0);
    assert_int_equal(ferry_move_cancel(p->source, &err), -EBUSY);
    places_run(p);
    assert_int_equal(p->source_status, FERRY_MOVE_LOST);
    assert_non_null(strstr(p->source_err.text, "the target may run the guest"));
    assert_non_null(strstr(p->source_err.text, "nothing was heard"));
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
    assert_int_equal(p->source_status, FERRY_MOVE_FAILED);
    migrate_pair_check_stayed(p);
}

static void test_full_disk(void **state)
{
    struct migrate_pair *p = ((struct places *)*state)->p;
    OWN_FD int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
    char uri[32];

    snprintf(uri, sizeof(uri), "fd:%d", full);
    places_source(p, uri);
    places_run(p);
    assert_int_equal(p->source_status, FERRY_MOVE_FAILED);
    assert_non_null(strstr(p->source_err.text, "No space left"));
    migrate_pair_check_stayed(p);
}

static void test_nobody_listens(void **state)
{
    struct places *t = *state;

    snprintf(t->uri, sizeof(t->uri), "unix:%s", t->path);
    places_source(t->p, t->uri);
    places_run(t->p);
    assert_int_equal(t->p->source_status, FERRY_MOVE_FAILED);
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
        PLACE_TEST(test_multifd_zeros),
        PLACE_TEST(test_threads_are_named),
        PLACE_TEST(test_multifd_zlib),
        PLACE_TEST(test_multifd_zstd),
        PLACE_TEST(test_multifd_that_differs),
        PLACE_TEST(test_multifd_that_fails),
        PLACE_TEST(test_file),
        PLACE_TEST(test_file_that_fails),
        PLACE_TEST(test_file_that_is_cancelled_too_late),
        PLACE_TEST(test_file_behind_an_offset),
        PLACE_TEST(test_exec),
        PLACE_TEST(test_exec_has_no_console),
        PLACE_TEST(test_exec_that_fails),
        PLACE_TEST(test_exec_that_never_ends),
        PLACE_TEST(test_pipe),
        PLACE_TEST(test_pipe_without_a_reader),
        PLACE_TEST(test_full_disk),
        PLACE_TEST(test_nobody_listens),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
