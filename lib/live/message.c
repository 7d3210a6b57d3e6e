/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/live/message.h"

#include <errno.h>
#include <string.h>

#include "base/be.h"
#include "base/err.h"
#include "base/own.h"
#include "base/text.h"

static void put_text8(struct frame_out *out, const char *text)
{
    size_t n = strlen(text);

    n = n < MESSAGE_TEXT8_BYTES ? n : MESSAGE_TEXT8_BYTES - 1;
    buf_u8(&out->buf, (uint8_t)n);
    buf_put(&out->buf, text, n);
}

static int64_t get_time(struct rd *rd)
{
    uint64_t v = rd_be64(rd);

    /* A time before boot is nonsense that must not overflow a subtraction. */
    return v > INT64_MAX ? 0 : (int64_t)v;
}

/* Of names: printable, so that it can stand in a sentence. ret has room for cap. */
static int get_text8(struct rd *rd, char *ret, size_t cap)
{
    size_t n = rd_u8(rd);
    const uint8_t *at = n ? rd_take(rd, n) : NULL;

    if (rd->failed || n >= cap)
        return -EPROTO;
    for (size_t i = 0; i < n; i++)
        if (at[i] < 0x20 || at[i] == 0x7f)
            return -EPROTO;
    if (n)
        memcpy(ret, at, n);
    ret[n] = 0;
    return 0;
}

static int malformed(const char *frame, struct ferry_err *err)
{
    return err_set(err, EPROTO, "a %s frame is malformed", frame);
}

void message_put_empty(struct frame_out *out, enum live_type type)
{
    frame_out_begin(out, type);
    frame_out_end(out);
}

void message_put_hello(struct frame_out *out, const struct hello *hello, const int *fds)
{
    frame_out_begin(out, LIVE_TYPE_HELLO);
    for (size_t i = 0; i < hello->region_count + 1; i++)
        frame_out_fd(out, fds[i]);
    buf_be32(&out->buf, LIVE_MAGIC);
    buf_be16(&out->buf, hello->version);
    buf_be16(&out->buf, hello->oldest);
    put_text8(out, hello->ferry_version);
    buf_be64(&out->buf, (uint64_t)hello->pause_timeout_ns);
    buf_be16(&out->buf, (uint16_t)hello->region_count);
    for (size_t i = 0; i < hello->region_count; i++) {
        buf_be64(&out->buf, hello->regions[i].size_bytes);
        put_text8(out, hello->regions[i].name);
    }
    buf_be32(&out->buf, (uint32_t)hello->description_bytes);
    buf_put(&out->buf, hello->description, hello->description_bytes);
    frame_out_end(out);
}

static int hello_versions(struct rd *rd, struct hello *ret, const char *own_version,
                          struct ferry_err *err)
{
    if (rd_be32(rd) != LIVE_MAGIC || rd->failed)
        return err_set(err, EPROTO, "what connected is not a ferry that hands over a VM");
    ret->version = rd_be16(rd);
    ret->oldest = rd_be16(rd);
    if (get_text8(rd, ret->ferry_version, sizeof(ret->ferry_version)) < 0)
        return malformed("HELLO", err);
    if (ret->version < LIVE_OLDEST)
        return err_set(err, EPROTONOSUPPORT,
                       "ferry %s speaks handover protocol %u, ferry %s needs at least %u: update "
                       "through a version in between",
                       ret->ferry_version, ret->version, own_version, LIVE_OLDEST);
    if (ret->oldest > LIVE_VERSION)
        return err_set(err, EPROTONOSUPPORT,
                       "ferry %s needs handover protocol %u, ferry %s speaks at most %u: update "
                       "to a newer binary",
                       ret->ferry_version, ret->oldest, own_version, LIVE_VERSION);
    return 0;
}

int message_get_hello(struct frame *frame, struct hello *ret, const char *own_version,
                      struct ferry_err *err)
{
    struct rd *rd = &frame->payload;
    int r = hello_versions(rd, ret, own_version, err);

    if (r < 0)
        return r;
    ret->pause_timeout_ns = get_time(rd);
    ret->region_count = rd_be16(rd);
    if (rd->failed || ret->region_count > LIVE_REGIONS_MAX)
        return malformed("HELLO", err);
    for (size_t i = 0; i < ret->region_count; i++) {
        ret->regions[i].size_bytes = rd_be64(rd);
        if (get_text8(rd, ret->regions[i].name, sizeof(ret->regions[i].name)) < 0)
            return malformed("HELLO", err);
    }
    ret->description_bytes = rd_be32(rd);
    if (rd->failed || ret->description_bytes > LIVE_DESCRIPTION_MAX_BYTES)
        return malformed("HELLO", err);
    ret->description = (const char *)rd_take(rd, ret->description_bytes);
    /* A newer source does not know yet to whom it speaks: what it added stands at the end. */
    if (rd->failed || (rd_left(rd) && ret->version <= LIVE_VERSION))
        return malformed("HELLO", err);
    if (frame->fd_count != ret->region_count + 1)
        return err_set(err, EPROTO,
                       "a HELLO frame came with %zu file descriptors, the lock and %zu RAM regions "
                       "need %zu",
                       frame->fd_count, ret->region_count, ret->region_count + 1);
    return 0;
}

void message_put_ready(struct frame_out *out, uint16_t version, const char *ferry_version)
{
    frame_out_begin(out, LIVE_TYPE_READY);
    buf_be16(&out->buf, version);
    put_text8(out, ferry_version);
    frame_out_end(out);
}

int message_get_ready(struct frame *frame, uint16_t *version,
                      char ferry_version[static MESSAGE_TEXT8_BYTES], struct ferry_err *err)
{
    struct rd *rd = &frame->payload;

    *version = rd_be16(rd);
    if (rd->failed || get_text8(rd, ferry_version, MESSAGE_TEXT8_BYTES) < 0 || rd_left(rd))
        return malformed("READY", err);
    if (*version < LIVE_OLDEST || *version > LIVE_VERSION)
        return err_set(err, EPROTONOSUPPORT,
                       "the target (ferry %s) chose handover protocol %u, offered were %u to %u",
                       ferry_version, *version, LIVE_OLDEST, LIVE_VERSION);
    return 0;
}

void message_put_reason(struct frame_out *out, enum live_type type, const struct ferry_err *why)
{
    size_t n = strnlen(why->text, LIVE_TEXT_MAX_BYTES);

    frame_out_begin(out, type);
    buf_be32(&out->buf, (uint32_t)why->errnum);
    buf_be16(&out->buf, (uint16_t)n);
    buf_put(&out->buf, why->text, n);
    frame_out_end(out);
}

void message_get_reason(struct frame *frame, struct ferry_err *why)
{
    struct rd *rd = &frame->payload;
    uint32_t errnum = rd_be32(rd);
    size_t n = rd_be16(rd);
    const uint8_t *at = n ? rd_take(rd, n) : NULL;

    if (rd->failed || !at || n > LIVE_TEXT_MAX_BYTES) {
        err_set(why, EPROTO, "no reason given");
        return;
    }
    /* Somebody else's errno: kept if it could be one. */
    why->errnum = errnum > 0 && errnum < 4096 ? (int)errnum : EPROTO;
    text_copy(why->text, sizeof(why->text), at, n);
}

void message_put_fds(struct frame_out *out, enum live_type type, const struct ferry_named_fd *names,
                     size_t count, size_t *index)
{
    size_t from = *index, attached = 0, n = 0;

    while (from + n < count && (names[from + n].fd < 0 || attached < LIVE_FDS_PER_FRAME))
        attached += names[from + n++].fd >= 0;
    frame_out_begin(out, type);
    buf_be16(&out->buf, (uint16_t)n);
    for (size_t i = from; i < from + n; i++) {
        buf_u8(&out->buf, names[i].fd >= 0);
        put_text8(out, names[i].name);
        if (names[i].fd >= 0)
            frame_out_fd(out, names[i].fd);
    }
    frame_out_end(out);
    *index += n;
}

int message_get_fds(struct frame *frame, struct ferry_named_fd *names, size_t *count, size_t max,
                    struct ferry_err *err)
{
    struct rd *rd = &frame->payload;
    size_t n = rd_be16(rd), taken = 0;

    if (rd->failed || n > max - *count)
        return err_set(err, EPROTO, "the source names more than %zu file descriptors", max);
    for (size_t i = 0; i < n; i++) {
        struct ferry_named_fd *named = &names[*count];
        uint8_t attached = rd_u8(rd);

        if (attached > 1 || get_text8(rd, named->name, sizeof(named->name)) < 0 || !named->name[0])
            return malformed(frame->type == LIVE_TYPE_FDS ? "FDS" : "EXTRAS", err);
        if (attached && taken == frame->fd_count)
            return err_set(err, EPROTO, "the file descriptor \"%s\" is named and did not arrive",
                           named->name);
        named->fd = attached ? take_fd(&frame->fds[taken++]) : -1;
        (*count)++;
    }
    if (rd_left(rd))
        return malformed(frame->type == LIVE_TYPE_FDS ? "FDS" : "EXTRAS", err);
    if (taken != frame->fd_count)
        return err_set(err, EPROTO, "%zu file descriptors arrived without a name",
                       frame->fd_count - taken);
    return 0;
}

static void put_marks(struct frame_out *out, const struct live_marks *marks, int from, int to)
{
    for (int mark = from; mark <= to; mark++)
        buf_be64(&out->buf, (uint64_t)marks->at_ns[mark]);
}

static void put_account(struct frame_out *out, const struct live_marks *marks, uint16_t version)
{
    buf_be16(&out->buf, (uint16_t)marks->count);
    for (size_t i = 0; i < marks->count; i++) {
        const struct ferry_ledger_entry *e = &marks->entries[i];

        buf_u8(&out->buf, (uint8_t)e->phase);
        put_text8(out, e->part);
        buf_be64(&out->buf, (uint64_t)e->start_ns);
        buf_be64(&out->buf, (uint64_t)e->duration_ns);
    }
    if (version >= LIVE_URGENCY_SINCE)
        buf_u8(&out->buf, (uint8_t)marks->urgency);
}

static int get_account(struct rd *rd, struct live_marks *marks, uint16_t version)
{
    size_t n = rd_be16(rd);
    uint8_t urgency = 0;

    if (rd->failed || n > LIVE_ENTRIES_MAX)
        return -EPROTO;
    for (marks->count = 0; marks->count < n; marks->count++) {
        struct ferry_ledger_entry *e = &marks->entries[marks->count];
        uint8_t phase = rd_u8(rd);

        if (phase < FERRY_PHASE_STOP || phase > FERRY_PHASE_START ||
            get_text8(rd, e->part, sizeof(e->part)) < 0)
            return -EPROTO;
        e->phase = (enum ferry_phase)phase;
        e->start_ns = get_time(rd);
        e->duration_ns = get_time(rd);
    }
    if (version >= LIVE_URGENCY_SINCE)
        urgency = rd_u8(rd);
    marks->urgency = (enum ferry_urgency)urgency;
    return rd->failed || urgency > FERRY_URGENCY_REALTIME ? -EPROTO : 0;
}

/* u64 starts, u8 running, 4 times; the length follows. */
#define STATE_TIMES_AT  (LIVE_FRAME_HEADER_BYTES + 9u)
#define STATE_LENGTH_AT (STATE_TIMES_AT + 32u)
#define STATE_STREAM_AT (STATE_LENGTH_AT + 4u)

void message_begin_state(struct frame_out *out, const struct state_header *header)
{
    frame_out_begin(out, LIVE_TYPE_STATE);
    buf_be64(&out->buf, header->starts);
    buf_u8(&out->buf, header->running);
    buf_zeros(&out->buf, 36);
}

void message_end_state(struct frame_out *out, const struct live_marks *marks, uint16_t version)
{
    size_t stream_bytes;
    uint8_t *at;

    if (!out->buf.failed && !out->failed) {
        at = out->buf.data + out->frame_at;
        stream_bytes = out->buf.len_bytes - out->frame_at - STATE_STREAM_AT;
        for (int i = 0; i < 4; i++)
            be64_store(at + STATE_TIMES_AT + 8 * i, (uint64_t)marks->at_ns[i]);
        be32_store(at + STATE_LENGTH_AT, (uint32_t)stream_bytes);
        put_account(out, marks, version);
    }
    frame_out_end(out);
}

int message_get_state(struct frame *frame, struct state_header *ret, struct rd *stream,
                      struct live_marks *marks, uint16_t version, struct ferry_err *err)
{
    struct rd *rd = &frame->payload;
    uint8_t running;
    size_t n;
    const uint8_t *at;

    ret->starts = rd_be64(rd);
    running = rd_u8(rd);
    ret->running = running;
    for (int mark = LIVE_MARK_BEGUN; mark <= LIVE_MARK_SAVED; mark++)
        marks->at_ns[mark] = get_time(rd);
    n = rd_be32(rd);
    at = rd_take(rd, n);
    if (rd->failed || running > 1 || get_account(rd, marks, version) < 0 || rd_left(rd))
        return malformed("STATE", err);
    *stream = rd_make(at, n);
    return 0;
}

void message_put_running(struct frame_out *out, const struct live_marks *marks, uint16_t version)
{
    frame_out_begin(out, LIVE_TYPE_RUNNING);
    put_marks(out, marks, LIVE_MARK_RECEIVED, LIVE_MARK_STARTED);
    put_account(out, marks, version);
    frame_out_end(out);
}

int message_get_running(struct frame *frame, struct live_marks *marks, uint16_t version,
                        struct ferry_err *err)
{
    struct rd *rd = &frame->payload;

    for (int mark = LIVE_MARK_RECEIVED; mark <= LIVE_MARK_STARTED; mark++)
        marks->at_ns[mark] = get_time(rd);
    if (get_account(rd, marks, version) < 0 || rd_left(rd))
        return malformed("RUNNING", err);
    return 0;
}
