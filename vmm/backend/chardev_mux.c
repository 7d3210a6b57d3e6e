/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/backend/chardev_mux.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/own.h"
#include "vmm/backend/chardev_mux_struct.h"
#include "vmm/backend/escape.h"

/* --- Output --- */

/* Under m->lock. False: there is no room for it. */
static bool mux_write_stamp(struct mux *m)
{
    struct timestamps *t = &m->stamps;

    if (!t->text_bytes)
        timestamps_prepare(t, clock_monotonic_ns());
    if (t->text_bytes)
        timestamps_wrote(t, chardev_write(m->line, t->text, t->text_bytes));
    return !t->text_bytes;
}

/* A short write of the line's is followed by its writable(), which every place then hears. */
static size_t mux_place_write(struct chardev *c, const void *data, size_t n)
{
    struct mux *m = ((struct mux_place *)c)->mux;
    const uint8_t *at = data;
    size_t taken = 0;

    pthread_mutex_lock(&m->lock);
    while (taken < n && mux_write_stamp(m)) {
        size_t run = m->stamps.on ? timestamps_run(at + taken, n - taken) : n - taken;
        size_t done = chardev_write(m->line, at + taken, run);

        if (done)
            timestamps_passed(&m->stamps, at + taken, done);
        taken += done;
        if (done < run)
            break;
    }
    pthread_mutex_unlock(&m->lock);
    return taken;
}

/* Of the mux's own: a full terminal shows less. */
static void mux_say(struct mux *m, const char *text)
{
    (void)chardev_write(m->line, text, strlen(text));
}

static void mux_tell_writable(struct mux_place *place)
{
    struct chardev *c = &place->base;

    if (c->frontend && c->frontend->writable)
        c->frontend->writable(c->frontend_arg);
}

/* The one in focus is first: a flood from another one leaves it room. */
static void mux_writable(void *arg)
{
    struct mux *m = arg;

    for (size_t i = 0; i < m->place_count; i++)
        mux_tell_writable(m->places[(m->focus + i) % m->place_count]);
    mux_pump(m);
}

/* --- To the places --- */

static size_t mux_queue_room(const struct mux_place *place)
{
    return MUX_QUEUE_BYTES - place->queue.len_bytes;
}

static size_t mux_place_room(const struct mux_place *place)
{
    const struct chardev *c = &place->base;

    return c->frontend && c->frontend->can_receive ? c->frontend->can_receive(c->frontend_arg) : 0;
}

/* One helping: who wants more has its next turn. */
static void mux_deliver(struct mux_place *place)
{
    struct chardev *c = &place->base;
    uint8_t data[CHARDEV_READ_BYTES];
    size_t n = place->queue.len_bytes, room;

    if (!c->running)
        return;
    room = n ? mux_place_room(place) : 0;
    n = n < room ? n : room;
    n = n < sizeof(data) ? n : sizeof(data);
    if (n) {
        /* It may lead back here. */
        memcpy(data, place->queue.data, n);
        buf_consume(&place->queue, n);
        c->frontend->receive(c->frontend_arg, data, n);
    }
    if (n && place->queue.len_bytes)
        chardev_input_ready(c);
    if (place->closing && !place->queue.len_bytes) {
        place->closing = false;
        chardev_tell(c, CHARDEV_CLOSED);
    }
}

void mux_pump(struct mux *m)
{
    for (size_t i = 0; i < m->place_count; i++)
        mux_deliver(m->places[i]);
    if (m->refused) {
        m->refused = false;
        chardev_input_ready(m->line);
    }
}

/* --- Command keys --- */

static void mux_switch(struct mux *m)
{
    struct mux_place *from = m->places[m->focus];

    if (m->place_count < 2)
        return;
    mux_deliver(from);
    m->focus = (m->focus + 1) % m->place_count;
    chardev_tell(&from->base, CHARDEV_MUX_OUT);
    chardev_tell(&m->places[m->focus]->base, CHARDEV_MUX_IN);
}

static void mux_toggle_stamps(struct mux *m)
{
    pthread_mutex_lock(&m->lock);
    timestamps_toggle(&m->stamps);
    pthread_mutex_unlock(&m->lock);
}

static void mux_command(struct mux *m, uint8_t key)
{
    switch (key) {
    case 'x':
        m->quit(m->arg);
        break;
    case 'c':
        mux_switch(m);
        break;
    case 'b':
        mux_deliver(m->places[m->focus]);
        chardev_tell(&m->places[m->focus]->base, CHARDEV_BREAK);
        break;
    case 't':
        mux_toggle_stamps(m);
        break;
    case 's':
        mux_say(m, "\r\nThere is no -snapshot, whose changes Ctrl-a s would keep.\r\n");
        break;
    case 'h':
    case '?':
        mux_say(m, "\r\n"
                   "Ctrl-a h       this help\r\n"
                   "Ctrl-a x       end the virtual machine\r\n"
                   "Ctrl-a c       switch between console and monitor\r\n"
                   "Ctrl-a b       send a break to the console (Linux: magic SysRq)\r\n"
                   "Ctrl-a t       timestamps on or off\r\n"
                   "Ctrl-a Ctrl-a  send Ctrl-a\r\n"
                   "(Ctrl-a s, for QEMU's -snapshot, does nothing here.)\r\n");
        break;
    default: /* as QEMU: nothing */
        break;
    }
}

/* --- From the line --- */

/* Any of the bytes may move the focus, so they have to fit whoever they are for. */
static size_t mux_can_receive(void *arg)
{
    struct mux *m = arg;
    size_t least = MUX_QUEUE_BYTES;

    for (size_t i = 0; i < m->place_count; i++) {
        size_t room = mux_queue_room(m->places[i]);

        least = room < least ? room : least;
    }
    m->refused = !least;
    return least;
}

static void mux_receive(void *arg, const uint8_t *data, size_t n)
{
    struct mux *m = arg;

    for (size_t i = 0; i < n; i++) {
        switch (escape_take(&m->escape_pending, data[i])) {
        case ESCAPE_DATA:
            buf_u8(&m->places[m->focus]->queue, data[i]);
            break;
        case ESCAPE_COMMAND:
            mux_command(m, data[i]);
            break;
        case ESCAPE_BEGUN:
            break;
        }
    }
    mux_pump(m);
}

/* --- The peer --- */

static void mux_opened(struct mux *m)
{
    /* What the last one typed and nobody took is not the next one's. */
    for (size_t i = 0; i < m->place_count; i++) {
        if (!m->places[i]->closing)
            continue;
        buf_reset(&m->places[i]->queue);
        mux_deliver(m->places[i]);
    }
    chardev_tell(&m->places[m->focus]->base, CHARDEV_OPENED);
}

static void mux_closed(struct mux *m)
{
    m->escape_pending = false;
    for (size_t i = 0; i < m->place_count; i++)
        m->places[i]->closing = true;
    mux_pump(m);
}

static void mux_event(void *arg, enum chardev_event event)
{
    if (event == CHARDEV_OPENED)
        mux_opened(arg);
    else if (event == CHARDEV_CLOSED)
        mux_closed(arg);
}

static const struct chardev_frontend mux_frontend = {
    .can_receive = mux_can_receive,
    .receive = mux_receive,
    .writable = mux_writable,
    .event = mux_event,
    .same_user = true, /* a monitor may be on it */
};

struct mux *mux_on(const struct chardev *line)
{
    return line->frontend == &mux_frontend ? line->frontend_arg : NULL;
}

/* --- Places --- */

static void mux_place_update(struct chardev *c)
{
    mux_pump(((struct mux_place *)c)->mux);
}

/* A monitor runs while the machine does not: it needs the line, and the console's place waits. */
static void mux_place_start(struct chardev *c)
{
    struct ferry_part line = chardev_part(((struct mux_place *)c)->mux->line);

    line.ops->resume(line.obj);
}

static void mux_place_destroy(struct chardev *c)
{
    buf_free(&((struct mux_place *)c)->queue);
}

static const struct chardev_type mux_place_type = {
    .name = "mux",
    .size_bytes = sizeof(struct mux_place),
    .is_raw = true,
    .write = mux_place_write,
    .start = mux_place_start,
    .update = mux_place_update,
    .destroy = mux_place_destroy,
};

/* NULL: no memory. */
static struct mux_place *mux_place_new(struct mux *m, size_t index, struct loop *loop)
{
    struct mux_place *place = (struct mux_place *)chardev_alloc(&mux_place_type, loop);

    if (!place)
        return NULL;
    place->mux = m;
    snprintf(place->id, sizeof(place->id), "%s/%zu", chardev_id(m->line), index);
    place->config.id = place->id;
    place->base.config = &place->config;
    /* Allocated now: a key that was read always has room. */
    if (!buf_extend(&place->queue, MUX_QUEUE_BYTES)) {
        chardev_free(&place->base);
        return NULL;
    }
    buf_reset(&place->queue);
    place->queue.limit_bytes = MUX_QUEUE_BYTES;
    return place;
}

/* --- Life --- */

int mux_new(struct mux **ret, const struct mux_params *params, struct ferry_err *err)
{
    struct mux *m = calloc(1, sizeof(*m));
    int rc = 0;

    if (!m)
        return err_set(err, ENOMEM, "no memory for a mux");
    *m = (struct mux){
        .line = params->line, .focus = params->focus, .quit = params->quit, .arg = params->arg};
    pthread_mutex_init(&m->lock, NULL);
    /* Room for what an extra has behind it. */
    if (snprintf(m->idstr, sizeof(m->idstr), "mux/%s", chardev_id(m->line)) >=
        (int)sizeof(m->idstr) - 2)
        rc = err_set(err, EINVAL, "chardev id \"%.40s...\" is too long", chardev_id(m->line));
    mux_extras_init(m);
    while (!rc && m->place_count < params->places) {
        m->places[m->place_count] = mux_place_new(m, m->place_count, params->loop);
        if (!m->places[m->place_count])
            rc = err_set(err, ENOMEM, "no memory for a mux");
        else
            m->place_count++;
    }
    if (!rc)
        rc = chardev_set_frontend(m->line, &mux_frontend, m, err);
    if (rc < 0) {
        m->line = NULL;
        mux_free(m);
        return rc;
    }
    *ret = m;
    return 0;
}

void mux_free(struct mux *m)
{
    if (!m)
        return;
    if (m->line)
        chardev_clear_frontend(m->line);
    while (m->place_count)
        chardev_free(&m->places[--m->place_count]->base);
    extras_free(&m->extras);
    pthread_mutex_destroy(&m->lock);
    free(m);
}

struct ferry_part mux_part(struct mux *m)
{
    return (struct ferry_part){
        .idstr = m->idstr, .ops = &mux_part_ops, .obj = m, .obj_bytes = sizeof(*m)};
}

struct chardev *mux_place(const struct mux *m, size_t index)
{
    return &m->places[index]->base;
}

size_t mux_focus(const struct mux *m)
{
    return m->focus;
}
