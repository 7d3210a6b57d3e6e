/* SPDX-License-Identifier: Apache-2.0 */
/* A pipe that nobody reads, and whose writer waits, is the file that hangs. */
#include "tests/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/num.h"
#include "base/own.h"
#include "vmm/backend/writer.h"

struct fixture {
    struct loop *loop;
    struct loop_timer *limit;
    struct writer *writer;
    int pipe[2];
    unsigned changes;
};

static void changed(void *arg)
{
    struct fixture *f = arg;

    f->changes++;
    loop_stop(f->loop);
}

static void too_long(void *arg)
{
    fail_msg("nothing changed");
}

static int setup(void **state)
{
    static struct fixture f;
    struct ferry_err err;

    f = (struct fixture){0};
    signal(SIGPIPE, SIG_IGN);
    assert_int_equal(pipe2(f.pipe, O_CLOEXEC), 0);
    assert_int_equal(fcntl(f.pipe[1], F_SETPIPE_SZ, 4096), 4096);
    assert_int_equal(loop_new(&f.loop, &err), 0);
    assert_int_equal(loop_timer_new(&f.limit, f.loop, too_long, &f, &err), 0);
    loop_timer_set(f.limit, clock_monotonic_ns() + INT64_C(30000000000));
    assert_int_equal(writer_new(&f.writer, f.loop, f.pipe[1], changed, &f, &err), 0);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    writer_free(f->writer);
    loop_timer_free(f->limit);
    loop_free(f->loop);
    own_close_fd(&f->pipe[0]);
    own_close_fd(&f->pipe[1]);
    return 0;
}

/* What has been read must be 0, 1, 2 ... */
static void read_some(const struct fixture *f, size_t *read_bytes, size_t n)
{
    uint8_t data[1024];
    ssize_t got = read(f->pipe[0], data, num_min(n, sizeof(data)));

    assert_true(got > 0);
    for (ssize_t i = 0; i < got; i++)
        assert_int_equal(data[i], (uint8_t)((*read_bytes)++ * 7));
}

static size_t put_some(const struct fixture *f, size_t *put_bytes, size_t n)
{
    uint8_t data[3000];
    size_t taken;

    n = num_min(n, sizeof(data));
    for (size_t i = 0; i < n; i++)
        data[i] = (uint8_t)((*put_bytes + i) * 7);
    taken = writer_put(f->writer, data, n);
    *put_bytes += taken;
    return n - taken;
}

static void wait_idle(struct fixture *f)
{
    while (!writer_is_idle(f->writer))
        loop_run(f->loop);
}

static void what_is_put_is_written_in_order(void **state)
{
    struct fixture *f = *state;
    size_t put_bytes = 0, read_bytes = 0;

    for (int i = 0; i < 300; i++) {
        assert_int_equal(put_some(f, &put_bytes, (size_t)i * 13 % 2000 + 1), 0);
        while (read_bytes < put_bytes)
            read_some(f, &read_bytes, put_bytes - read_bytes);
    }
    wait_idle(f);
}

/* Full, nobody waits; and then it says that there is room. */
static void a_file_that_hangs_is_full(void **state)
{
    struct fixture *f = *state;
    size_t put_bytes = 0, read_bytes = 0;

    for (int round = 0; round < 3; round++) {
        while (put_some(f, &put_bytes, 3000) == 0)
            continue;
        assert_true(put_bytes - read_bytes >= WRITER_BYTES);
        assert_false(writer_is_idle(f->writer));
        while (read_bytes + WRITER_BYTES / 2 < put_bytes)
            read_some(f, &read_bytes, 1024);
        f->changes = 0;
        while (!f->changes)
            loop_run(f->loop);
        assert_true(writer_has_room(f->writer));
    }
    while (read_bytes < put_bytes)
        read_some(f, &read_bytes, 1024);
    wait_idle(f);
}

static void nobody_reads_any_more(void **state)
{
    struct fixture *f = *state;

    own_close_fd(&f->pipe[0]);
    assert_int_equal(writer_put(f->writer, "lost", 4), 4);
    while (!writer_has_failed(f->writer))
        loop_run(f->loop);
    for (int i = 0; i < 100; i++)
        assert_int_equal(writer_put(f->writer, "lost, too, and that does not fill it", 36), 36);
}

static void wait_written(struct fixture *f, const char *text)
{
    assert_int_equal(writer_put(f->writer, text, strlen(text)), strlen(text));
    do
        loop_run(f->loop);
    while (!writer_is_idle(f->writer));
}

/* It is lost, which is told once, and not again for a while if it comes and goes. */
static void a_full_disk_is_told_of_once(void **state)
{
    struct fixture *f = *state;
    char path[] = "/tmp/ferry-writer-XXXXXX", text[32] = {0};
    struct rlimit full = {.rlim_max = RLIM_INFINITY}, room;
    struct ferry_err err;
    int fd = mkstemp(path);

    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &room), 0);
    full.rlim_max = room.rlim_max;
    full.rlim_cur = 6;
    writer_free(TAKE_PTR(f->writer));
    assert_int_equal(writer_new(&f->writer, f->loop, fd, changed, f, &err), 0);
    wait_written(f, "first ");
    assert_int_equal(writer_take_loss(f->writer), 0);
    for (int episode = 0; episode < 3; episode++) {
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &full), 0);
        for (int i = 0; i < 100; i++) {
            wait_written(f, "lost");
            assert_int_equal(writer_take_loss(f->writer), episode + i == 0 ? EFBIG : 0);
        }
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &room), 0);
        wait_written(f, "more ");
        full.rlim_cur += 5;
    }
    assert_false(writer_has_failed(f->writer));
    assert_int_equal(pread(fd, text, sizeof(text) - 1, 0), 21);
    assert_string_equal(text, "first more more more ");
    close(fd);
    unlink(path);
}

static void what_is_lost_for_good_is_told_of_too(void **state)
{
    struct fixture *f = *state;

    own_close_fd(&f->pipe[0]);
    wait_written(f, "lost");
    assert_true(writer_has_failed(f->writer));
    assert_int_equal(writer_take_loss(f->writer), EPIPE);
    assert_int_equal(writer_take_loss(f->writer), 0);
}

static void the_end_writes_the_rest(void **state)
{
    struct fixture *f = *state;
    char data[16] = {0};

    assert_int_equal(writer_put(f->writer, "the last words", 14), 14);
    writer_free(TAKE_PTR(f->writer));
    assert_int_equal(read(f->pipe[0], data, sizeof(data)), 14);
    assert_string_equal(data, "the last words");
}

/* It returns, and what hangs ends when it can. */
static void the_end_does_not_wait_for_what_hangs(void **state)
{
    struct fixture *f = *state;
    size_t put_bytes = 0, read_bytes = 0;

    while (put_some(f, &put_bytes, 3000) == 0)
        continue;
    writer_free(TAKE_PTR(f->writer));
    own_close_fd(&f->pipe[1]);
    /* Until the thread has closed its end, too. */
    for (;;) {
        uint8_t data[1024];
        ssize_t got = read(f->pipe[0], data, sizeof(data));

        if (got <= 0)
            break;
        for (ssize_t i = 0; i < got; i++)
            assert_int_equal(data[i], (uint8_t)(read_bytes++ * 7));
    }
    assert_true(read_bytes > 0 && read_bytes < put_bytes);
}

/* Who ends several waits for all of them at once: one after the other would be six graces. */
static void ends_are_waited_for_together(void **state)
{
    struct fixture *f = *state;
    struct writer *more[5];
    struct ferry_err err;
    uint8_t data[3000] = {0};
    int64_t begin_ns;

    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(writer_new(&more[i], f->loop, f->pipe[1], changed, f, &err), 0);
        while (writer_put(more[i], data, sizeof(data)) == sizeof(data))
            continue;
    }
    while (writer_put(f->writer, data, sizeof(data)) == sizeof(data))
        continue;
    begin_ns = clock_monotonic_ns();
    writer_end(f->writer);
    for (size_t i = 0; i < 5; i++)
        writer_end(more[i]);
    writer_free(TAKE_PTR(f->writer));
    for (size_t i = 0; i < 5; i++)
        writer_free(more[i]);
    assert_true(clock_monotonic_ns() - begin_ns < 5 * WRITER_GRACE_NS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_put_is_written_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(a_file_that_hangs_is_full, setup, teardown),
        cmocka_unit_test_setup_teardown(nobody_reads_any_more, setup, teardown),
        cmocka_unit_test_setup_teardown(a_full_disk_is_told_of_once, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_lost_for_good_is_told_of_too, setup, teardown),
        cmocka_unit_test_setup_teardown(the_end_writes_the_rest, setup, teardown),
        cmocka_unit_test_setup_teardown(the_end_does_not_wait_for_what_hangs, setup, teardown),
        cmocka_unit_test_setup_teardown(ends_are_waited_for_together, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
