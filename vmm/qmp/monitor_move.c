/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the clients of a monitor go to the process that takes this one's place: as extras of the
 * handover (vmm/machine/extras.h), magic "fMON", version 1, an entry for each:
 *
 *     u8 length, id of the chardev that it came from
 *     u8 it has a connection of its own: the next of the extras (else it is the chardev's)
 *     u8 file descriptors that it sent, the next of the extras
 *     u32 length, its session (session_state.h)
 *
 * A client that the target cannot read is disconnected, with a sentence in its log.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/local_socket.h"
#include "base/log.h"
#include "base/own.h"
#include "vmm/backend/chardev.h"
#include "vmm/backend/unix_socket.h"
#include "vmm/qmp/dispatch.h"
#include "vmm/qmp/monitor_struct.h"
#include "vmm/qmp/session_state.h"

const struct extras_kind monitor_move_kind = {
    .part = "monitor",
    .what = "the record of its clients",
    .magic = 0x664d4f4eu,
    .version = 1,
    .max_bytes = 2u << 20, /* of what is in flight when the guest stands still */
    .max_entries = MONITOR_SESSIONS_MAX,
};

/* --- Source --- */

static bool is_replaced(const struct monitor *m)
{
    return m->env.is_replaced && m->env.is_replaced(m->env.update_arg);
}

bool monitor_is_quiesced(const struct monitor *m)
{
    return m->move.quiesced;
}

static size_t asks_under_way(const struct monitor *m)
{
    size_t count = 0;

    for (const struct client *c = m->clients; c; c = c->next)
        count += session_asks(c->session);
    return count;
}

void monitor_words_done(struct monitor *m)
{
    if (m->move.quiesced && !asks_under_way(m) && m->env.drained)
        m->env.drained(m->env.update_arg);
}

static int monitor_quiesce(void *obj)
{
    struct monitor *m = obj;

    if (!is_replaced(m))
        return 0;
    m->move.quiesced = true;
    extras_prepare(&m->move.extras);
    return asks_under_way(m) > 0;
}

static void monitor_unquiesce(void *obj)
{
    struct monitor *m = obj;

    m->move.quiesced = false;
    for (struct client *c = m->clients; c; c = c->next)
        session_thaw(c->session);
}

/* False: not this one. */
static bool save_client(struct extras *e, const struct client *c)
{
    const char *id = chardev_id(c->from->chardev);
    struct buf *out = &e->record;
    int fds[SESSION_FDS_MAX];
    size_t fd_count = session_fds(c->session, fds), length_at;
    bool saved;

    extras_begin_entry(e);
    buf_u8(out, (uint8_t)strlen(id));
    buf_str(out, id);
    buf_u8(out, !c->is_link);
    if (!c->is_link)
        extras_add_fd(e, session_connection(c->session));
    for (size_t i = 0; i < fd_count; i++)
        extras_add_fd(e, fds[i]);
    buf_u8(out, (uint8_t)fd_count);
    length_at = out->len_bytes;
    buf_be32(out, 0);
    saved = session_save(c->session, out);
    buf_set_be32(out, length_at, (uint32_t)(out->len_bytes - length_at - 4));
    return extras_end_entry(e, saved);
}

static void save_clients(struct monitor *m)
{
    struct monitor_move *move = &m->move;

    move->left_behind = 0;
    extras_begin(&move->extras);
    for (struct client *c = m->clients; c; c = c->next)
        if (!session_dead(c->session) && !save_client(&move->extras, c))
            move->left_behind++;
    if (!extras_end(&move->extras))
        move->left_behind += move->extras.entries;
}

static void monitor_pause(void *obj)
{
    struct monitor *m = obj;

    if (!is_replaced(m))
        return;
    m->move.frozen = true;
    for (struct client *c = m->clients; c; c = c->next)
        session_freeze(c->session);
    save_clients(m);
}

static void monitor_resume(void *obj)
{
    struct monitor *m = obj;

    if (!m->move.frozen)
        return;
    m->move.frozen = false;
    m->move.left_behind = 0;
    extras_forget(&m->move.extras);
    for (struct client *c = m->clients; c; c = c->next)
        session_thaw(c->session);
}

static int monitor_extra_fd_at(void *obj, size_t index, struct ferry_named_fd *ret)
{
    return extras_at(&((struct monitor *)obj)->move.extras, index, ret);
}

void monitor_say_left_behind(const struct monitor *m)
{
    if (m->move.frozen && m->move.left_behind)
        log_warn("%zu of its monitors' clients could not go along with the update and are "
                 "disconnected: they hold more requests begun or answers unread than %u KiB",
                 m->move.left_behind, SESSION_MOVE_MAX_BYTES >> 10);
}

/* --- Target --- */

static int monitor_adopt(void *obj, const char *name, int *fd, struct ferry_err *err)
{
    return extras_adopt(&((struct monitor *)obj)->move.extras, name, fd, err);
}

static struct listener *find_listener(struct monitor *m, const uint8_t *id, size_t n)
{
    for (struct listener *l = m->listeners; l; l = l->next)
        if (strlen(chardev_id(l->chardev)) == n && !memcmp(chardev_id(l->chardev), id, n))
            return l;
    return NULL;
}

/* A connection as a listening chardev would have accepted it. */
static int open_link(struct monitor *m, int *fd, struct chardev **ret, struct ferry_err *err)
{
    int rc = unix_verify(*fd, false, err);

    if (!rc)
        rc = local_socket_check_peer(*fd, "this monitor serves", err);
    if (!rc && fcntl(*fd, F_SETFL, O_RDWR | O_NONBLOCK) < 0)
        rc = err_sys(err, errno, "a client's connection");
    return rc < 0 ? rc : chardev_new_client(ret, m->loop, fd, err);
}

/* One client; fds: its own connection first, if it has one, then fd_count that it sent. */
static int load_client(struct monitor *m, struct listener *l, bool owns_link, struct rd *session,
                       int *fds, size_t fd_count, struct ferry_err *err)
{
    struct chardev *link = l->chardev;
    struct session *s;
    int rc = 0;

    if (m->client_count == MONITOR_SESSIONS_MAX)
        return err_set(err, EBUSY, "there are as many clients as it can serve");
    if (owns_link)
        rc = open_link(m, &fds[0], &link, err);
    if (rc < 0)
        return rc;
    s = monitor_new_session(l, link, owns_link);
    if (!s) {
        if (owns_link)
            chardev_free(link);
        return err_set(err, ENOMEM, "out of memory");
    }
    rc = session_load(s, session, fds + owns_link, fd_count, err);
    if (!rc && owns_link)
        rc = chardev_set_frontend(link, &monitor_client_frontend, s, err);
    if (rc < 0)
        session_drop(s);
    return rc;
}

static int load_next(struct monitor *m, struct rd *in, struct ferry_err *err)
{
    size_t id_bytes = rd_u8(in), fd_count, n;
    const uint8_t *id = rd_take(in, id_bytes), *record;
    bool owns_link = rd_u8(in) != 0;
    struct listener *l;
    struct rd session;
    int *fds = NULL;

    fd_count = rd_u8(in);
    n = rd_be32(in);
    record = rd_take(in, n);
    if (!in->failed && fd_count <= SESSION_FDS_MAX)
        fds = extras_next_fds(&m->move.extras, owns_link + fd_count);
    if (!fds)
        return err_set(err, EPROTO, "the record of its clients is malformed");
    l = find_listener(m, id, id_bytes);
    if (!l)
        return err_set(err, ENOENT, "no monitor is on the chardev that it came from");
    session = rd_make(record, n);
    return load_client(m, l, owns_link, &session, fds, fd_count, err);
}

void monitor_arrived(struct monitor *m)
{
    struct extras *e = &m->move.extras;
    struct ferry_err err;
    size_t count;
    struct rd in;

    if (!extras_arrived(e))
        return;
    if (extras_read(e, &in, &count, &err) < 0) {
        log_warn("a monitor's clients are disconnected: %s", err.text);
        count = 0;
    }
    while (count-- && !in.failed)
        if (load_next(m, &in, &err) < 0)
            log_warn("a monitor's client is disconnected: %s", err.text);
    extras_done(e);
}

void monitor_answer_arrived(struct monitor *m)
{
    /* None dies while it is answered: they are freed from the loop. */
    for (struct client *c = m->clients; c; c = c->next)
        if (!session_dead(c->session))
            session_answer_arrived(c->session);
}

static const struct ferry_part_ops monitor_part_ops = {
    .quiesce = monitor_quiesce,
    .unquiesce = monitor_unquiesce,
    .pause = monitor_pause,
    .resume = monitor_resume,
    .adopt = monitor_adopt,
    .extra_fd_at = monitor_extra_fd_at,
};

struct ferry_part monitor_part(struct monitor *m)
{
    return (struct ferry_part){.idstr = monitor_move_kind.part,
                               .ops = &monitor_part_ops,
                               .obj = m,
                               .obj_bytes = sizeof(*m)};
}
