/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/be.h"
#include "lib/live/message.h"

/* The frame that out holds, without fds. */
static struct frame frame_of(struct frame_out *out)
{
    struct ferry_err err;

    assert_int_equal(frame_out_check(out, &err), 0);
    return (struct frame){.type = (enum live_type)be32_load(out->buf.data),
                          .payload = rd_make(out->buf.data + LIVE_FRAME_HEADER_BYTES,
                                             out->buf.len_bytes - LIVE_FRAME_HEADER_BYTES),
                          .fds = out->fds,
                          .fd_count = out->fd_count};
}

static void fill_hello(struct hello *h)
{
    *h = (struct hello){.version = LIVE_VERSION,
                        .oldest = LIVE_OLDEST,
                        .ferry_version = "0.1.0",
                        .pause_timeout_ns = 5,
                        .region_count = 2,
                        .regions = {{4096, "ram"}, {8192, "flash"}},
                        .description = "machine",
                        .description_bytes = 7};
}

static void hello_comes_back(void **state)
{
    const int fds[] = {10, 11, 12};
    struct frame_out out = {0};
    struct hello in, back;
    struct frame f;
    struct ferry_err err;

    fill_hello(&in);
    message_put_hello(&out, &in, fds);
    f = frame_of(&out);
    assert_int_equal(f.fd_count, 3);
    assert_int_equal(message_get_hello(&f, &back, "0.2.0", &err), 0);
    assert_string_equal(back.ferry_version, "0.1.0");
    assert_int_equal(back.pause_timeout_ns, 5);
    assert_int_equal(back.region_count, 2);
    assert_string_equal(back.regions[1].name, "flash");
    assert_int_equal(back.regions[1].size_bytes, 8192);
    assert_int_equal(back.description_bytes, 7);
    assert_memory_equal(back.description, "machine", 7);

    f = frame_of(&out);
    f.fd_count = 2;
    assert_int_equal(message_get_hello(&f, &back, "0.2.0", &err), -EPROTO);
    assert_non_null(strstr(err.text, "2 file descriptors"));
    frame_out_free(&out);
}

/* Every message, cut after every byte, is malformed and nothing worse. */
static void cut_hello(struct frame *f, struct ferry_err *err)
{
    struct hello back;

    assert_true(message_get_hello(f, &back, "x", err) < 0);
}

static void every_cut_is_malformed(void **state)
{
    const int fds[] = {10, 11, 12};
    struct frame_out out = {0};
    struct hello in;
    struct ferry_err err;
    size_t whole;

    fill_hello(&in);
    message_put_hello(&out, &in, fds);
    whole = frame_of(&out).payload.len_bytes;
    for (size_t n = 0; n < whole; n++) {
        struct frame f = frame_of(&out);

        f.payload.len_bytes = n;
        cut_hello(&f, &err);
    }
    frame_out_drop(&out);

    struct live_marks marks = {.at_ns = {1, 2, 3, 4}, .count = 1};
    const struct state_header header = {.starts = 9, .running = true};

    marks.entries[0] = (struct ferry_ledger_entry){
        .phase = FERRY_PHASE_SAVE, .part = "disk", .start_ns = 3, .duration_ns = 1};
    message_begin_state(&out, &header);
    buf_str(&out.buf, "stream");
    message_end_state(&out, &marks, LIVE_VERSION);
    whole = frame_of(&out).payload.len_bytes;
    for (size_t n = 0; n <= whole; n++) {
        struct frame f = frame_of(&out);
        struct state_header back;
        struct live_marks marks_back = {0};
        struct rd stream;

        f.payload.len_bytes = n;
        if (n < whole) {
            assert_int_equal(message_get_state(&f, &back, &stream, &marks_back, LIVE_VERSION, &err),
                             -EPROTO);
            continue;
        }
        assert_int_equal(message_get_state(&f, &back, &stream, &marks_back, LIVE_VERSION, &err), 0);
        assert_true(back.starts == 9 && back.running);
        assert_int_equal(rd_left(&stream), 6);
        assert_int_equal(marks_back.at_ns[LIVE_MARK_SAVED], 4);
        assert_string_equal(marks_back.entries[0].part, "disk");
    }
    frame_out_free(&out);
}

static void versions_that_cannot_talk_name_both(void **state)
{
    const int fds[] = {10, 11, 12};
    struct frame_out out = {0};
    struct hello in, back;
    struct frame f;
    struct ferry_err err;

    fill_hello(&in);
    in.version = LIVE_VERSION + 5;
    in.oldest = LIVE_VERSION + 1;
    strcpy(in.ferry_version, "9.0");
    message_put_hello(&out, &in, fds);
    f = frame_of(&out);
    assert_int_equal(message_get_hello(&f, &back, "0.2.0", &err), -EPROTONOSUPPORT);
    assert_string_equal(err.text, "ferry 9.0 needs handover protocol 3, ferry 0.2.0 speaks at most "
                                  "2: update to a newer binary");
    frame_out_drop(&out);

    in.version = LIVE_OLDEST - 1;
    in.oldest = 0;
    message_put_hello(&out, &in, fds);
    f = frame_of(&out);
    assert_int_equal(message_get_hello(&f, &back, "0.2.0", &err), -EPROTONOSUPPORT);
    assert_non_null(strstr(err.text, "ferry 9.0 speaks handover protocol 0, ferry 0.2.0 needs"));
    frame_out_drop(&out);

    /* A newer one that can still speak ours says more than we know. */
    in.version = LIVE_VERSION + 5;
    in.oldest = LIVE_VERSION;
    message_put_hello(&out, &in, fds);
    buf_str(&out.buf, "and a field of the future");
    f = frame_of(&out);
    assert_int_equal(message_get_hello(&f, &back, "0.2.0", &err), 0);
    frame_out_drop(&out);
    in.version = LIVE_VERSION;
    message_put_hello(&out, &in, fds);
    buf_u8(&out.buf, 0);
    f = frame_of(&out);
    assert_int_equal(message_get_hello(&f, &back, "0.2.0", &err), -EPROTO);
    frame_out_drop(&out);

    message_put_ready(&out, LIVE_VERSION + 1, "9.0");
    f = frame_of(&out);
    uint16_t version;
    char text[MESSAGE_TEXT8_BYTES];
    assert_int_equal(message_get_ready(&f, &version, text, &err), -EPROTONOSUPPORT);
    assert_non_null(strstr(err.text, "ferry 9.0"));
    frame_out_free(&out);
}

static void reason_is_always_something_to_read(void **state)
{
    struct frame_out out = {0};
    struct ferry_err in = {.errnum = 28, .text = "no room\nleft"}, back;
    struct frame f;

    message_put_reason(&out, LIVE_TYPE_REFUSE, &in);
    f = frame_of(&out);
    message_get_reason(&f, &back);
    assert_int_equal(back.errnum, 28);
    assert_string_equal(back.text, "no room?left");
    for (size_t n = 0; n < 6; n++) {
        f = frame_of(&out);
        f.payload.len_bytes = n;
        message_get_reason(&f, &back);
        assert_string_equal(back.text, "no reason given");
        assert_int_not_equal(back.errnum, 0);
    }
    frame_out_free(&out);
}

static void manifest_comes_in_batches(void **state)
{
    enum { COUNT = 600 };
    static struct ferry_named_fd names[COUNT], back[COUNT];
    size_t index = 0, count = 0, frames = 0;
    struct ferry_err err;

    for (int i = 0; i < COUNT; i++) {
        snprintf(names[i].name, sizeof(names[i].name), "dev%d/fd", i);
        names[i].fd = i % 5 ? 1000 + i : -1;
    }
    while (index < COUNT) {
        struct frame_out out = {0};
        struct frame f;

        message_put_fds(&out, LIVE_TYPE_FDS, names, COUNT, &index);
        f = frame_of(&out);
        assert_true(f.fd_count <= LIVE_FDS_PER_FRAME);
        assert_int_equal(message_get_fds(&f, back, &count, COUNT, &err), 0);
        frame_out_free(&out);
        frames++;
    }
    assert_int_equal(frames, 2);
    assert_int_equal(count, COUNT);
    assert_memory_equal(names, back, sizeof(names));
}

static void bad_manifests_are_refused(void **state)
{
    struct ferry_named_fd names[2] = {{"a", 1000}, {"b", 1001}}, back[2];
    struct frame_out out = {0};
    struct frame f;
    struct ferry_err err;
    size_t index = 0, count = 0;

    message_put_fds(&out, LIVE_TYPE_FDS, names, 2, &index);
    f = frame_of(&out);
    assert_int_equal(message_get_fds(&f, back, &count, 1, &err), -EPROTO); /* more than allowed */
    count = 0;
    f = frame_of(&out);
    f.fd_count = 1;
    assert_int_equal(message_get_fds(&f, back, &count, 2, &err), -EPROTO);
    assert_string_equal(err.text, "the file descriptor \"b\" is named and did not arrive");
    count = 0;
    f = frame_of(&out);
    out.fds[0] = 1000;
    out.fds[1] = 1001;
    f.fd_count = 3;
    assert_int_equal(message_get_fds(&f, back, &count, 2, &err), -EPROTO);
    assert_string_equal(err.text, "1 file descriptors arrived without a name");
    /* An empty name, and a control character in one. */
    for (int i = 0; i < 2; i++) {
        frame_out_drop(&out);
        names[0].name[0] = i ? '\n' : 0;
        index = count = 0;
        message_put_fds(&out, LIVE_TYPE_FDS, names, 1, &index);
        f = frame_of(&out);
        assert_int_equal(message_get_fds(&f, back, &count, 2, &err), -EPROTO);
    }
    frame_out_free(&out);
}

/* An older peer neither sends it nor takes it. */
static void urgency_came_with_version_2(void **state)
{
    struct live_marks in = {.urgency = FERRY_URGENCY_REALTIME}, back = {0};
    struct frame_out out = {0};
    struct frame f;
    struct ferry_err err;

    message_put_running(&out, &in, 2);
    f = frame_of(&out);
    assert_int_equal(message_get_running(&f, &back, 2, &err), 0);
    assert_int_equal(back.urgency, FERRY_URGENCY_REALTIME);
    f = frame_of(&out);
    assert_int_equal(message_get_running(&f, &back, 1, &err), -EPROTO);
    out.buf.data[out.buf.len_bytes - 1] = FERRY_URGENCY_REALTIME + 1;
    f = frame_of(&out);
    assert_int_equal(message_get_running(&f, &back, 2, &err), -EPROTO);
    frame_out_drop(&out);
    message_put_running(&out, &in, 1);
    f = frame_of(&out);
    assert_int_equal(message_get_running(&f, &back, 1, &err), 0);
    assert_int_equal(back.urgency, FERRY_URGENCY_NONE);
    f = frame_of(&out);
    assert_int_equal(message_get_running(&f, &back, 2, &err), -EPROTO);
    frame_out_free(&out);
}

static void running_bounds_its_entries(void **state)
{
    struct live_marks in = {.at_ns = {[LIVE_MARK_RECEIVED] = 5, 6, 7, 8, 9}}, back = {0};
    struct frame_out out = {0};
    struct frame f;
    struct ferry_err err;

    for (in.count = 0; in.count < LIVE_ENTRIES_MAX; in.count++)
        in.entries[in.count].phase = FERRY_PHASE_LOAD;
    message_put_running(&out, &in, LIVE_VERSION);
    f = frame_of(&out);
    assert_int_equal(message_get_running(&f, &back, LIVE_VERSION, &err), 0);
    assert_int_equal(back.count, LIVE_ENTRIES_MAX);
    assert_int_equal(back.at_ns[LIVE_MARK_STARTED], 9);
    be16_store(out.buf.data + LIVE_FRAME_HEADER_BYTES + 40, LIVE_ENTRIES_MAX + 1);
    f = frame_of(&out);
    assert_int_equal(message_get_running(&f, &back, LIVE_VERSION, &err), -EPROTO);
    be16_store(out.buf.data + LIVE_FRAME_HEADER_BYTES + 40, LIVE_ENTRIES_MAX);
    out.buf.data[LIVE_FRAME_HEADER_BYTES + 42] = FERRY_PHASE_START + 1;
    f = frame_of(&out);
    assert_int_equal(message_get_running(&f, &back, LIVE_VERSION, &err), -EPROTO);
    frame_out_free(&out);
}

/* --- Too much of everything, with all the bytes that it announces: only the bound refuses it ---
 */

static struct frame frame_by_hand(struct buf *payload, enum live_type type, int *fds, size_t count)
{
    assert_int_equal(payload->failed, 0);
    return (struct frame){.type = type,
                          .payload = rd_make(payload->data, payload->len_bytes),
                          .fds = fds,
                          .fd_count = count};
}

static void put_text(struct buf *out, size_t n)
{
    buf_u8(out, (uint8_t)n);
    while (n--)
        buf_u8(out, 'a');
}

static int get_hello_by_hand(size_t regions, size_t description_bytes, struct hello *ret)
{
    int fds[LIVE_REGIONS_MAX + 2] = {0};
    struct buf out = {0};
    struct ferry_err err;
    struct frame f;
    int rc;

    buf_be32(&out, LIVE_MAGIC);
    buf_be16(&out, LIVE_VERSION);
    buf_be16(&out, LIVE_OLDEST);
    put_text(&out, 5);
    buf_be64(&out, UINT64_MAX); /* a time before boot */
    buf_be16(&out, (uint16_t)regions);
    for (size_t i = 0; i < regions; i++) {
        buf_be64(&out, 4096);
        put_text(&out, 3);
    }
    buf_be32(&out, (uint32_t)description_bytes);
    buf_zeros(&out, description_bytes);
    f = frame_by_hand(&out, LIVE_TYPE_HELLO, fds, regions + 1);
    rc = message_get_hello(&f, ret, "0.2.0", &err);
    buf_free(&out);
    return rc;
}

static void hello_bounds_regions_and_description(void **state)
{
    struct {
        struct hello hello;
        struct hello_region behind;
    } to;

    assert_int_equal(get_hello_by_hand(LIVE_REGIONS_MAX, LIVE_DESCRIPTION_MAX_BYTES, &to.hello), 0);
    assert_int_equal(to.hello.pause_timeout_ns, 0);
    assert_int_equal(get_hello_by_hand(LIVE_REGIONS_MAX + 1, 7, &to.hello), -EPROTO);
    assert_int_equal(get_hello_by_hand(1, LIVE_DESCRIPTION_MAX_BYTES + 1, &to.hello), -EPROTO);
}

static int get_fds_by_hand(uint8_t attached, size_t name_bytes)
{
    struct ferry_named_fd names[2] = {{.fd = -1}, {.fd = -1}};
    struct buf out = {0};
    struct ferry_err err;
    int fds[] = {1000};
    size_t count = 0;
    struct frame f;
    int rc;

    buf_be16(&out, 1);
    buf_u8(&out, attached);
    put_text(&out, name_bytes);
    f = frame_by_hand(&out, LIVE_TYPE_FDS, fds, attached ? 1 : 0);
    rc = message_get_fds(&f, names, &count, 1, &err);
    assert_int_equal(names[1].fd, -1);
    buf_free(&out);
    return rc;
}

static void a_manifest_bounds_names(void **state)
{
    assert_int_equal(get_fds_by_hand(1, FERRY_FD_NAME_BYTES - 1), 0);
    assert_int_equal(get_fds_by_hand(1, FERRY_FD_NAME_BYTES), -EPROTO);
    assert_int_equal(get_fds_by_hand(1, UINT8_MAX), -EPROTO);
    assert_int_equal(get_fds_by_hand(2, 3), -EPROTO);
}

static void running_bounds_entries_that_are_there(void **state)
{
    for (size_t n = LIVE_ENTRIES_MAX; n <= LIVE_ENTRIES_MAX + 1; n++) {
        struct {
            struct live_marks marks;
            uint8_t behind[sizeof(struct ferry_ledger_entry)];
        } to = {0};
        struct buf out = {0};
        struct ferry_err err;
        struct frame f;

        buf_zeros(&out, 5 * 8);
        buf_be16(&out, (uint16_t)n);
        for (size_t i = 0; i < n; i++) {
            buf_u8(&out, FERRY_PHASE_LOAD);
            put_text(&out, 3);
            buf_zeros(&out, 16);
        }
        buf_u8(&out, FERRY_URGENCY_NONE);
        f = frame_by_hand(&out, LIVE_TYPE_RUNNING, NULL, 0);
        assert_int_equal(message_get_running(&f, &to.marks, LIVE_VERSION, &err),
                         n > LIVE_ENTRIES_MAX ? -EPROTO : 0);
        buf_free(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hello_comes_back),
        cmocka_unit_test(every_cut_is_malformed),
        cmocka_unit_test(versions_that_cannot_talk_name_both),
        cmocka_unit_test(reason_is_always_something_to_read),
        cmocka_unit_test(manifest_comes_in_batches),
        cmocka_unit_test(bad_manifests_are_refused),
        cmocka_unit_test(urgency_came_with_version_2),
        cmocka_unit_test(running_bounds_its_entries),
        cmocka_unit_test(hello_bounds_regions_and_description),
        cmocka_unit_test(a_manifest_bounds_names),
        cmocka_unit_test(running_bounds_entries_that_are_there),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
