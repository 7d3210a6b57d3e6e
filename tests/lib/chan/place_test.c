/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/chan/place.h"

struct file {
    char path[64];
    struct ferry_chan *chan;
};

static int setup(void **state)
{
    struct file *f = calloc(1, sizeof(*f));
    struct ferry_err err;
    int fd;

    strcpy(f->path, "/tmp/ferry-place-XXXXXX");
    fd = mkostemp(f->path, O_CLOEXEC);
    assert_int_equal(ferry_chan_from_fd(&f->chan, &fd, &err), 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct file *f = *state;

    ferry_chan_free(f->chan);
    unlink(f->path);
    free(f);
    return 0;
}

static void the_stream_stays_where_it_is(void **state)
{
    struct file *f = *state;
    struct ferry_err err;
    char data[8] = {0}, he[] = "he";
    uint64_t at, bytes;

    assert_int_equal(chan_write_at(f->chan, "there", 5, 100, &err), 0);
    assert_int_equal(chan_position(f->chan, &at, &err), 0);
    assert_int_equal(at, 0);
    assert_int_equal(chan_file_bytes(f->chan, &bytes, &err), 0);
    assert_int_equal(bytes, 105);
    assert_int_equal(chan_send(f->chan, &(struct iovec){.iov_base = he, .iov_len = 2}, 1, &err), 2);
    assert_int_equal(chan_read_at(f->chan, data, 5, 100, &err), 0);
    assert_string_equal(data, "there");
    assert_int_equal(chan_position(f->chan, &at, &err), 0);
    assert_int_equal(at, 2);
    assert_int_equal(chan_go_to(f->chan, 103, &err), 0);
    assert_int_equal(chan_recv(f->chan, data, sizeof(data), &err), 2);
    assert_memory_equal(data, "re", 2);
}

static void ends_and_refusals_have_sentences(void **state)
{
    struct file *f = *state;
    struct ferry_chan *pair[2];
    struct ferry_err err;
    char data[8];

    assert_int_equal(chan_write_at(f->chan, "1234", 4, 0, &err), 0);
    assert_int_equal(chan_read_at(f->chan, data, 8, 0, &err), -EPROTO);
    assert_non_null(strstr(err.text, "ends at byte 4, too early"));
    assert_int_equal(chan_go_to(f->chan, UINT64_MAX, &err), -EOVERFLOW);
    assert_int_equal(chan_read_at(f->chan, data, 8, UINT64_MAX, &err), -EINVAL);
    assert_int_equal(chan_write_at(f->chan, data, 8, INT64_MAX, &err) < 0, true);
    assert_non_null(strstr(err.text, "cannot write at byte"));
    assert_int_equal(ferry_chan_pair(pair, &err), 0);
    assert_int_equal(chan_go_to(pair[0], 0, &err), -ESPIPE);
    ferry_chan_free(pair[0]);
    ferry_chan_free(pair[1]);
}

/* The same file, though its name is gone by then. */
static void direct_is_the_same_file(void **state)
{
    struct file *f = *state;
    struct ferry_chan *direct = NULL;
    struct ferry_err err;
    void *page = NULL;
    char data[8] = {0};

    unlink(f->path);
    if (chan_open_direct(&direct, f->chan, &err) < 0) {
        assert_non_null(strstr(err.text, "switch the parameter direct-io off"));
        return;
    }
    assert_int_equal(posix_memalign(&page, 4096, 4096), 0);
    memset(page, 'x', 4096);
    assert_int_equal(chan_write_at(direct, page, 4096, 8192, &err), 0);
    assert_int_equal(chan_read_at(f->chan, data, 7, 8192 + 4089, &err), 0);
    assert_string_equal(data, "xxxxxxx");
    ferry_chan_free(direct);
    free(page);
}

#define FILE_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FILE_TEST(the_stream_stays_where_it_is),
        FILE_TEST(ends_and_refusals_have_sentences),
        FILE_TEST(direct_is_the_same_file),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
