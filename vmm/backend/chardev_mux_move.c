/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a mux goes to the process that takes this one's place. What was typed is no state of the
 * guest's and has no place in the stream, so it is an extra (vmm/machine/extras.h) with one entry:
 *
 *     u8  places   u8 the one in focus
 *     u8  1: half a command key   2: timestamps   4: of which the next byte has one before it
 *     u64 CLOCK_MONOTONIC that timestamps count from; 0: none was shown
 *     u8  length, of a timestamp what is not written yet
 *     of each place: u32 length, what was typed for it
 *
 * Without one, or with one that is not understood, a mux begins anew.
 */
#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "base/own.h"
#include "vmm/backend/chardev_mux_struct.h"

#define STATE_MAGIC     0x664d5558u /* "fMUX" */
#define STATE_VERSION   1u
#define STATE_BYTES_MAX (64u + TIMESTAMPS_BYTES + MUX_PLACES_MAX * (MUX_QUEUE_BYTES + 4u))

enum { FLAG_ESCAPE = 1, FLAG_STAMPS = 2, FLAG_LINE_START = 4 };

void mux_extras_init(struct mux *m)
{
    m->extras_kind = (struct extras_kind){.part = m->idstr,
                                          .what = "the record of a mux",
                                          .magic = STATE_MAGIC,
                                          .version = STATE_VERSION,
                                          .max_bytes = STATE_BYTES_MAX,
                                          .max_entries = 1};
    extras_init(&m->extras, &m->extras_kind);
}

/* --- Source --- */

static int mux_quiesce(void *obj)
{
    extras_prepare(&((struct mux *)obj)->extras);
    return 0;
}

static void mux_save(struct mux *m, struct buf *out)
{
    const struct timestamps *t = &m->stamps;

    buf_u8(out, (uint8_t)m->place_count);
    buf_u8(out, (uint8_t)m->focus);
    buf_u8(out, (uint8_t)((m->escape_pending ? FLAG_ESCAPE : 0) | (t->on ? FLAG_STAMPS : 0) |
                          (t->at_line_start ? FLAG_LINE_START : 0)));
    buf_be64(out, (uint64_t)t->start_ns);
    buf_u8(out, t->text_bytes);
    buf_put(out, t->text, t->text_bytes);
    for (size_t i = 0; i < m->place_count; i++) {
        buf_be32(out, (uint32_t)m->places[i]->queue.len_bytes);
        buf_put(out, m->places[i]->queue.data, m->places[i]->queue.len_bytes);
    }
}

/* The line is paused, and no hart writes. */
static void mux_pause(void *obj)
{
    struct mux *m = obj;

    for (size_t i = 0; i < m->place_count; i++) {
        struct ferry_part place = chardev_part(&m->places[i]->base);

        place.ops->pause(place.obj);
    }
    extras_begin(&m->extras);
    extras_begin_entry(&m->extras);
    mux_save(m, &m->extras.record);
    if (!extras_end_entry(&m->extras, true) || !extras_end(&m->extras))
        log_warn("chardev \"%s\": what its mux holds cannot go along: it could not be written down",
                 chardev_id(m->line));
}

static void mux_resume(void *obj)
{
    struct mux *m = obj;

    extras_forget(&m->extras);
    /* What waits goes on from the loop, when other parts are there. */
    for (size_t i = 0; i < m->place_count; i++) {
        struct ferry_part place = chardev_part(&m->places[i]->base);

        place.ops->resume(place.obj);
    }
}

static int mux_extra_fd_at(void *obj, size_t index, struct ferry_named_fd *ret)
{
    return extras_at(&((struct mux *)obj)->extras, index, ret);
}

/* --- Target --- */

static int malformed(struct ferry_err *err)
{
    return err_set(err, EPROTO, "the record of a mux is malformed");
}

static bool load_stamps(struct rd *in, uint8_t flags, struct timestamps *ret)
{
    const uint8_t *text;

    *ret = (struct timestamps){.on = flags & FLAG_STAMPS,
                               .at_line_start = flags & FLAG_LINE_START,
                               .start_ns = (int64_t)rd_be64(in),
                               .text_bytes = rd_u8(in)};
    text = rd_take(in, ret->text_bytes);
    if (in->failed || ret->text_bytes > sizeof(ret->text) || ret->start_ns < 0)
        return false;
    memcpy(ret->text, text, ret->text_bytes);
    return true;
}

/* Into nothing that is used before all of it is known to be right. */
static int mux_load(struct mux *m, struct rd *in, struct ferry_err *err)
{
    const uint8_t *typed[MUX_PLACES_MAX];
    size_t typed_bytes[MUX_PLACES_MAX];
    uint8_t places = rd_u8(in), focus = rd_u8(in), flags = rd_u8(in);
    struct timestamps stamps;

    if (in->failed || places != m->place_count || focus >= places ||
        !load_stamps(in, flags, &stamps))
        return malformed(err);
    for (size_t i = 0; i < places; i++) {
        typed_bytes[i] = rd_be32(in);
        typed[i] = rd_take(in, typed_bytes[i]);
        if (in->failed || typed_bytes[i] > MUX_QUEUE_BYTES)
            return malformed(err);
    }
    m->focus = focus;
    m->escape_pending = flags & FLAG_ESCAPE;
    m->stamps = stamps;
    for (size_t i = 0; i < places; i++) {
        buf_reset(&m->places[i]->queue);
        buf_put(&m->places[i]->queue, typed[i], typed_bytes[i]);
    }
    return 0;
}

/* At once: what is typed next belongs to the place that is in focus. */
static int mux_adopt(void *obj, const char *name, int *fd, struct ferry_err *err)
{
    struct mux *m = obj;
    size_t entries;
    struct rd in;
    int rc = extras_adopt(&m->extras, name, fd, err);

    if (rc < 0)
        return rc;
    rc = extras_read(&m->extras, &in, &entries, err);
    if (!rc)
        rc = mux_load(m, &in, err);
    extras_done(&m->extras);
    if (rc < 0)
        log_warn("chardev \"%s\" begins anew, with %s in focus: %s", chardev_id(m->line),
                 chardev_id(mux_place(m, m->focus)), err->text);
    return rc;
}

const struct ferry_part_ops mux_part_ops = {
    .quiesce = mux_quiesce,
    .pause = mux_pause,
    .resume = mux_resume,
    .adopt = mux_adopt,
    .extra_fd_at = mux_extra_fd_at,
};
