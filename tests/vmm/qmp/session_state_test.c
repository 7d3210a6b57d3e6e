/* SPDX-License-Identifier: Apache-2.0 */
/* What a process before this one says of a monitor's client: as much as there is room for. */
#include "tests/unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/own.h"
#include "tests/vmm/qmp/talk.h"
#include "vmm/qmp/command.h"
#include "vmm/qmp/json_in.h"
#include "vmm/qmp/session.h"
#include "vmm/qmp/session_state.h"
#include "vmm/qmp/session_struct.h"

/* All that is announced is there, so that nothing but its number can be refused. */
struct record {
    uint8_t fds, queued, updated;
    uint32_t in_bytes, line_bytes;
};

static void put_bytes(struct buf *out, uint32_t n)
{
    buf_be32(out, n);
    for (uint32_t i = 0; i < n; i++)
        buf_u8(out, ' ');
}

static void write_record(struct buf *out, const struct record *r)
{
    struct json_budget budget = {.max_bytes = 1u << 20};
    struct json_in *json = json_in_new(&budget);
    struct buf reader = {0};

    json_in_save(json, &reader);
    json_in_free(json);
    buf_u8(out, 1); /* version */
    buf_u8(out, 0);
    buf_be32(out, 0);
    buf_u8(out, r->fds);
    for (unsigned i = 0; i < r->fds; i++)
        buf_u8(out, 0);
    buf_u8(out, r->updated ? 1 : 0); /* a call is there */
    if (r->updated)
        buf_u8(out, r->updated);
    buf_u8(out, r->queued);
    for (unsigned i = 0; i < r->queued; i++) {
        buf_u8(out, 1); /* an error */
        put_bytes(out, 1);
    }
    put_bytes(out, r->in_bytes);
    buf_be32(out, (uint32_t)reader.len_bytes);
    buf_put(out, reader.data, reader.len_bytes);
    put_bytes(out, r->line_bytes);
    put_bytes(out, 0); /* output */
    buf_u8(out, 0);    /* no event that waits */
    buf_free(&reader);
}

static int load(const struct record *r)
{
    OWN(buf_free) struct buf text = {0};
    struct talk t = {0};
    struct session *s;
    struct ferry_err err;
    struct rd rd;
    int fds[UINT8_MAX], rc;

    talk_begin(&t);
    s = session_new(t.monitor, t.chardev, false, false);
    assert_non_null(s);
    for (unsigned i = 0; i < r->fds; i++)
        assert_true((fds[i] = dup(0)) >= 0);
    write_record(&text, r);
    rd = rd_make(text.data, text.len_bytes);
    rc = session_load(s, &rd, fds, r->fds, &err);
    if (rc == 0)
        assert_int_equal(rd_left(&rd), 0);
    else
        assert_int_equal(rc, -EPROTO);
    for (unsigned i = 0; i < r->fds; i++)
        own_close_fd(&fds[i]);
    session_close(s);
    talk_end(&t);
    return rc;
}

static void there_is_room_for_so_much(void **state)
{
    static const struct record full = {.fds = SESSION_FDS_MAX,
                                       .queued = SESSION_QUEUE_MAX,
                                       .in_bytes = SESSION_READ_BYTES,
                                       .line_bytes = SESSION_LINE_MAX_BYTES};
    static const struct record too_much[] = {
        {.fds = SESSION_FDS_MAX + 1},         {.queued = SESSION_QUEUE_MAX + 1},
        {.in_bytes = SESSION_READ_BYTES + 1}, {.line_bytes = SESSION_LINE_MAX_BYTES + 1},
        {.updated = QMP_UPDATED_LAST + 1},
    };

    assert_int_equal(load(&full), 0);
    for (size_t i = 0; i < sizeof(too_much) / sizeof(too_much[0]); i++)
        if (load(&too_much[i]) == 0)
            fail_msg("case %zu was taken", i);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_is_room_for_so_much),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
