/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/qmp/session_state.h"

#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "base/own.h"
#include "base/text.h"
#include "vmm/qmp/dispatch.h"
#include "vmm/qmp/json_out.h"
#include "vmm/qmp/monitor.h"
#include "vmm/qmp/session_struct.h"

#define STATE_VERSION 1u

enum { STATE_GREETED = 1, STATE_SERVING = 2, STATE_OOB = 4, STATE_AWAY = 8, STATE_KEYS_AT = 4 };
enum { CALL_IS_THERE = 1, CALL_IS_HUMAN = 2, CALL_HAS_ID = 4 };

/* --- Save --- */

/* The length of what is written between the two. */
static size_t begin_block(struct buf *out)
{
    buf_be32(out, 0);
    return out->len_bytes;
}

static void end_block(struct buf *out, size_t begin)
{
    buf_set_be32(out, begin - 4, (uint32_t)(out->len_bytes - begin));
}

static void put_block(struct buf *out, const void *data, size_t n)
{
    buf_be32(out, (uint32_t)n);
    buf_put(out, data, n);
}

static void put_json(struct buf *out, struct json_object *value)
{
    size_t begin = begin_block(out);

    json_out_value(out, value);
    end_block(out, begin);
}

static void save_call(const struct qmp_call *call, struct buf *out)
{
    if (!call) {
        buf_u8(out, 0);
        return;
    }
    buf_u8(out, (uint8_t)(CALL_IS_THERE | (call->human ? CALL_IS_HUMAN : 0) |
                          (call->has_id ? CALL_HAS_ID : 0)));
    buf_u8(out, (uint8_t)call->updated);
    if (call->has_id)
        put_json(out, call->id);
}

static void save_queue(const struct session *s, struct buf *out)
{
    /* A command whose words are in the connection still will be read there. */
    size_t count = s->words == WORDS_NONE ? s->queue_count : 0;

    buf_u8(out, (uint8_t)count);
    for (size_t i = 0; i < count; i++) {
        const struct queued *q = &s->queue[i];

        buf_u8(out, q->is_error);
        if (q->is_error)
            put_block(out, q->err.text, strlen(q->err.text));
        else
            put_json(out, q->message);
    }
}

bool session_save(const struct session *s, struct buf *out)
{
    size_t begin;

    if (s->dead || s->budget.held_bytes > SESSION_MOVE_MAX_BYTES)
        return false;
    buf_u8(out, STATE_VERSION);
    buf_u8(out, (uint8_t)((s->greeted ? STATE_GREETED : 0) | (s->serving ? STATE_SERVING : 0) |
                          (s->oob ? STATE_OOB : 0) | (s->away ? STATE_AWAY : 0) |
                          (unsigned)s->edit_keys << STATE_KEYS_AT));
    buf_be32(out, (uint32_t)s->pass_over_bytes);
    buf_u8(out, (uint8_t)s->fd_count);
    for (size_t i = 0; i < s->fd_count; i++)
        buf_u8(out, s->fds[i].first);
    save_call(s->deferred, out);
    save_queue(s, out);
    put_block(out, s->in + s->in_pos, s->in_end - s->in_pos);
    begin = begin_block(out);
    json_in_save(s->json, out);
    end_block(out, begin);
    put_block(out, s->line.data, s->line.len_bytes);
    put_block(out, s->out.data, s->out.len_bytes);
    buf_u8(out, s->late != NULL);
    if (s->late)
        put_json(out, s->late);
    return true;
}

size_t session_fds(const struct session *s, int *ret)
{
    for (size_t i = 0; i < s->fd_count; i++)
        ret[i] = s->fds[i].fd;
    return s->fd_count;
}

/* --- Load --- */

static int malformed(struct ferry_err *err)
{
    return err_set(err, EPROTO, "the record of a monitor's client is malformed");
}

/* A block: n bytes at *ret. */
static bool get_block(struct rd *in, const uint8_t **ret, size_t *n)
{
    *n = rd_be32(in);
    *ret = rd_take(in, *n);
    return !in->failed;
}

/* One whole value, out of the session's budget. */
static int get_json(struct session *s, struct rd *in, struct json_object **ret, size_t *held_bytes,
                    struct ferry_err *err)
{
    struct json_in_result r = {0};
    struct json_in *json;
    const uint8_t *text;
    size_t n, used;

    if (!get_block(in, &text, &n))
        return malformed(err);
    json = json_in_new(&s->budget);
    if (!json)
        return err_set(err, ENOMEM, "no memory for a monitor's client");
    used = json_in_feed(json, text, n, &r);
    if (r.kind == JSON_IN_NOTHING)
        json_in_end(json, &r);
    json_in_free(json);
    *ret = r.value;
    *held_bytes = r.held_bytes;
    return r.kind == JSON_IN_VALUE && used == n ? 0 : malformed(err);
}

static int load_fds(struct session *s, struct rd *in, int *fds, size_t fd_count,
                    struct ferry_err *err)
{
    size_t n = rd_u8(in);

    if (in->failed || n > SESSION_FDS_MAX || n > fd_count)
        return malformed(err);
    for (size_t i = 0; i < n; i++)
        s->fds[s->fd_count++] = (struct sent_fd){.fd = take_fd(&fds[i]), .first = rd_u8(in) != 0};
    return 0;
}

static int load_call(struct session *s, struct rd *in, struct ferry_err *err)
{
    uint8_t flags = rd_u8(in), updated;
    struct qmp_call *call;
    int rc = 0;

    if (!flags)
        return in->failed ? malformed(err) : 0;
    updated = rd_u8(in);
    if (in->failed || updated > QMP_UPDATED_LAST)
        return malformed(err);
    call = qmp_call_new(s->monitor, s, NULL);
    if (!call)
        return err_set(err, ENOMEM, "no memory for a monitor's client");
    call->updated = (enum qmp_updated)updated;
    call->human = flags & CALL_IS_HUMAN;
    if (flags & CALL_HAS_ID) {
        rc = get_json(s, in, &call->id, &s->deferred_held_bytes, err);
        call->has_id = true;
    }
    if (rc < 0) {
        qmp_call_free(call);
        return rc;
    }
    s->deferred = call;
    monitor_add_deferred(s->monitor, call);
    return 0;
}

static int load_queue(struct session *s, struct rd *in, struct ferry_err *err)
{
    size_t count = rd_u8(in), n;
    const uint8_t *text;

    if (count > SESSION_QUEUE_MAX)
        return malformed(err);
    for (size_t i = 0; i < count; i++) {
        struct queued *q = &s->queue[s->queue_count++];
        int rc = 0;

        *q = (struct queued){.is_error = rd_u8(in) != 0};
        if (!q->is_error)
            rc = get_json(s, in, &q->message, &q->held_bytes, err);
        else if (!get_block(in, &text, &n))
            rc = malformed(err);
        else
            text_copy(q->err.text, sizeof(q->err.text), text, n);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int load_input(struct session *s, struct rd *in, struct ferry_err *err)
{
    const uint8_t *bytes, *reader;
    size_t n, reader_bytes;
    struct rd rd;
    int rc;

    if (!get_block(in, &bytes, &n) || n > sizeof(s->in) || !get_block(in, &reader, &reader_bytes))
        return malformed(err);
    memcpy(s->in, bytes, n);
    s->in_end = n;
    rd = rd_make(reader, reader_bytes);
    rc = json_in_load(s->json, &rd, err);
    if (rc < 0 || rd_left(&rd) || !get_block(in, &bytes, &n) || n > SESSION_LINE_MAX_BYTES)
        return rc < 0 ? rc : malformed(err);
    buf_put(&s->line, bytes, n);
    return s->line.failed ? err_set(err, ENOMEM, "no memory for a monitor's client") : 0;
}

static int load_output(struct session *s, struct rd *in, struct ferry_err *err)
{
    const uint8_t *bytes;
    size_t n, held_bytes;
    int rc;

    if (!get_block(in, &bytes, &n))
        return malformed(err);
    if (n) {
        buf_put(&s->out, bytes, n);
        if (!session_hold_out(s))
            return err_set(err, ENOMEM, "no memory for what a monitor's client has not read");
    }
    if (!rd_u8(in))
        return in->failed ? malformed(err) : 0;
    rc = get_json(s, in, &s->late, &held_bytes, err);
    json_budget_return(&s->budget, rc < 0 ? 0 : held_bytes);
    return rc < 0 || json_object_is_type(s->late, json_type_object) ? rc : malformed(err);
}

int session_load(struct session *s, struct rd *in, int *fds, size_t fd_count, struct ferry_err *err)
{
    uint8_t version = rd_u8(in), flags = rd_u8(in);
    int rc;

    if (version != STATE_VERSION)
        return err_set(err, ENOTSUP, "the record of a monitor's client is of version %u, not %u",
                       version, STATE_VERSION);
    s->pass_over_bytes = rd_be32(in);
    s->greeted = flags & STATE_GREETED;
    s->serving = s->human || flags & STATE_SERVING;
    s->oob = flags & STATE_OOB;
    s->away = flags & STATE_AWAY;
    s->edit_keys = (enum edit_keys)(flags >> STATE_KEYS_AT & 3);
    if (s->edit_keys > EDIT_SEQUENCE)
        return malformed(err);
    rc = load_fds(s, in, fds, fd_count, err);
    if (!rc)
        rc = load_call(s, in, err);
    if (!rc)
        rc = load_queue(s, in, err);
    if (!rc)
        rc = load_input(s, in, err);
    if (!rc)
        rc = load_output(s, in, err);
    return rc;
}

void session_answer_arrived(struct session *s)
{
    struct qmp_call *call = s->deferred;
    struct json_object *ret = NULL;
    struct ferry_err err = {0};
    int rc = 0;

    if (!call) {
        session_writable(s);
        return;
    }
    if (call->updated == QMP_UPDATED_REPORTS && monitor_table(s->monitor)->updated)
        rc = monitor_table(s->monitor)->updated(call, &ret, &err);
    else if (call->updated == QMP_UPDATED_FAILS)
        rc = err_set(&err, ECANCELED,
                     "an update replaced the process that did this: look at what has come of it, "
                     "and say it again if need be");
    qmp_call_finish(call, rc, ret, &err);
}
