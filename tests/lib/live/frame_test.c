/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/be.h"
#include "base/own.h"
#include "lib/live/frame.h"

static int some_fd(void)
{
    return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static int feed(struct frame_in *in, const void *data, size_t n, const int *fds, size_t fd_count,
                struct ferry_err *err)
{
    size_t fed = 0;

    while (fed < n || fd_count) {
        size_t room;
        uint8_t *at = frame_in_room(in, &room);
        int r;

        assert_non_null(at);
        room = room < n - fed ? room : n - fed;
        memcpy(at, (const uint8_t *)data + fed, room);
        r = frame_in_fed(in, room, fds, fd_count, err);
        if (r < 0)
            return r;
        fed += room;
        fd_count = 0;
    }
    return 0;
}

/* What out would send, fd numbers included, to in: at most step bytes at a time. */
static void move(struct frame_out *out, struct frame_in *in, size_t step)
{
    const uint8_t *data;
    const int *fds;
    size_t n, fd_count;
    struct ferry_err err;

    while ((n = frame_out_pending(out, &data, &fds, &fd_count)) > 0) {
        int dups[LIVE_FDS_PER_FRAME];

        for (size_t i = 0; i < fd_count; i++)
            dups[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 0);
        n = n < step ? n : step;
        assert_int_equal(feed(in, data, n, dups, fd_count, &err), 0);
        frame_out_sent(out, n);
    }
}

static void frames_survive_any_split(void **state)
{
    const size_t steps[] = {1, 2, 3, 11, 12, 13, 100, 100000};
    int fd = some_fd();

    for (size_t s = 0; s < sizeof(steps) / sizeof(steps[0]); s++) {
        struct frame_out out = {0};
        struct frame_in in = {0};
        struct frame f;
        struct ferry_err err;

        frame_out_begin(&out, LIVE_TYPE_SOON);
        frame_out_end(&out);
        frame_out_begin(&out, LIVE_TYPE_FDS);
        buf_str(&out.buf, "names");
        for (int i = 0; i < 3; i++)
            frame_out_fd(&out, fd);
        frame_out_end(&out);
        frame_out_begin(&out, LIVE_TYPE_STATE);
        buf_zeros(&out.buf, 300000);
        frame_out_end(&out);
        assert_int_equal(frame_out_check(&out, &err), 0);
        move(&out, &in, steps[s]);
        assert_true(frame_out_idle(&out));

        assert_int_equal(frame_in_next(&in, &f, &err), 1);
        assert_int_equal(f.type, LIVE_TYPE_SOON);
        assert_int_equal(rd_left(&f.payload), 0);
        assert_int_equal(frame_in_next(&in, &f, &err), 1);
        assert_int_equal(f.type, LIVE_TYPE_FDS);
        assert_int_equal(f.fd_count, 3);
        assert_memory_equal(rd_take(&f.payload, 5), "names", 5);
        close(take_fd(&f.fds[1])); /* the others are closed for us */
        assert_int_equal(frame_in_next(&in, &f, &err), 1);
        assert_int_equal(f.type, LIVE_TYPE_STATE);
        assert_int_equal(rd_left(&f.payload), 300000);
        assert_int_equal(frame_in_surplus_fds(&in), 0);
        assert_int_equal(frame_in_next(&in, &f, &err), 0);
        frame_in_free(&in);
        frame_out_free(&out);
    }
    close(fd);
    /* Nothing was left open: the next fd is the same again. */
    assert_int_equal(some_fd(), fd);
    close(fd);
}

static void header(uint8_t h[static LIVE_FRAME_HEADER_BYTES], uint32_t type, uint32_t length,
                   uint32_t fd_count)
{
    be32_store(h, type);
    be32_store(h + 4, length);
    be32_store(h + 8, fd_count);
}

static void bad_headers_are_refused_before_their_payload(void **state)
{
    const struct {
        uint32_t type, length, fds;
        const char *sentence;
    } bad[] = {
        {0, 0, 0, "unknown type 0"},
        {LIVE_TYPE_MAX + 1, 0, 0, "unknown type"},
        {UINT32_MAX, 0, 0, "unknown type"},
        {LIVE_TYPE_STATE, LIVE_STATE_MAX_BYTES + 1, 0, "STATE frame says it has 67108865 bytes"},
        {LIVE_TYPE_STATE, UINT32_MAX, 0, "the limit is 67108864"},
        {LIVE_TYPE_LOADED, 1, 0, "LOADED frame says it has 1 bytes, the limit is 0"},
        {LIVE_TYPE_STATE, 0, 1, "1 file descriptors, the limit is 0"},
        {LIVE_TYPE_FDS, 0, LIVE_FDS_PER_FRAME + 1, "file descriptors, the limit is 253"},
    };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct frame_in in = {0};
        struct frame f;
        struct ferry_err err;
        uint8_t h[LIVE_FRAME_HEADER_BYTES];

        header(h, bad[i].type, bad[i].length, bad[i].fds);
        assert_int_equal(feed(&in, h, sizeof(h), NULL, 0, &err), 0);
        assert_int_equal(frame_in_next(&in, &f, &err), -EPROTO);
        if (!strstr(err.text, bad[i].sentence))
            fail_msg("%s", err.text);
        frame_in_free(&in);
    }
}

static void fds_are_counted(void **state)
{
    struct ferry_err err;
    uint8_t h[LIVE_FRAME_HEADER_BYTES];
    int first = some_fd();

    close(first);
    for (uint32_t sent = 0; sent < 5; sent++) {
        struct frame_in in = {0};
        struct frame f;
        int fds[5];

        for (uint32_t i = 0; i < sent; i++)
            fds[i] = some_fd();
        header(h, LIVE_TYPE_FDS, 0, 2);
        assert_int_equal(feed(&in, h, sizeof(h), fds, sent, &err), 0);
        if (sent == 2) {
            assert_int_equal(frame_in_next(&in, &f, &err), 1);
        } else {
            assert_int_equal(frame_in_next(&in, &f, &err), -EPROTO);
            assert_non_null(strstr(err.text, sent < 2 ? "of its 2 file" : "instead of 2"));
        }
        frame_in_free(&in);
    }
    /* A flood is closed, not kept. */
    struct frame_in in = {0};
    int r = 0;

    for (unsigned n = 0; r == 0; n += 40) {
        int fds[40];

        assert_true(n <= FRAME_FDS_PENDING_MAX);
        for (int i = 0; i < 40; i++)
            fds[i] = some_fd();
        if (fds[39] < 0) /* so few open files that the limit cannot be reached */
            skip();
        r = frame_in_fed(&in, 0, fds, 40, &err);
    }
    assert_int_equal(r, -EPROTO);
    frame_in_free(&in);
    assert_int_equal(some_fd(), first);
    close(first);
}

static void too_much_to_send_is_an_error(void **state)
{
    struct frame_out out = {0};
    struct ferry_err err;

    frame_out_begin(&out, LIVE_TYPE_FDS);
    for (unsigned i = 0; i <= LIVE_FDS_PER_FRAME; i++)
        frame_out_fd(&out, 0);
    frame_out_end(&out);
    assert_int_equal(frame_out_check(&out, &err), -E2BIG);
    assert_non_null(strstr(err.text, "FDS frame: too many file descriptors"));
    frame_out_free(&out);

    out = (struct frame_out){0};
    frame_out_begin(&out, LIVE_TYPE_STATE);
    buf_zeros(&out.buf, LIVE_STATE_MAX_BYTES + 1);
    frame_out_end(&out);
    assert_int_equal(frame_out_check(&out, &err), -EFBIG);
    frame_out_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_survive_any_split),
        cmocka_unit_test(bad_headers_are_refused_before_their_payload),
        cmocka_unit_test(fds_are_counted),
        cmocka_unit_test(too_much_to_send_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
