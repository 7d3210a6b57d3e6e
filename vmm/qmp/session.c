/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/own.h"
#include "vmm/backend/chardev.h"
#include "vmm/qmp/dispatch.h"
#include "vmm/qmp/json_out.h"
#include "vmm/qmp/monitor.h"
#include "vmm/qmp/request.h"
#include "vmm/qmp/session_struct.h"

/* A client that does not read its answers is not asked for more commands. */
#define SESSION_OUT_PAUSE_BYTES 65536u

struct session *session_new(struct monitor *m, struct chardev *link, bool owns_link, bool pretty)
{
    struct session *s = calloc(1, sizeof(*s));

    if (!s)
        return NULL;
    s->budget = (struct json_budget){
        .shared = monitor_budget(m),
        .max_bytes = SESSION_MEMORY_MAX_BYTES,
        .own_bytes = SESSION_MEMORY_OWN_BYTES,
    };
    s->json = json_in_new(&s->budget);
    if (!s->json) {
        free(s);
        return NULL;
    }
    s->monitor = m;
    s->link = link;
    s->owns_link = owns_link;
    s->pretty = pretty;
    s->out.limit_bytes = MONITOR_OUT_MAX_BYTES;
    return s;
}

static void session_queue_pop(struct session *s)
{
    json_object_put(s->queue[0].message);
    json_budget_return(&s->budget, s->queue[0].held_bytes);
    s->queue_count--;
    memmove(&s->queue[0], &s->queue[1], s->queue_count * sizeof(s->queue[0]));
}

/* The oldest n. */
static void session_close_fds(struct session *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        own_close_fd(&s->fds[i].fd);
    s->fd_count -= n;
    memmove(&s->fds[0], &s->fds[n], s->fd_count * sizeof(s->fds[0]));
}

void session_close(struct session *s)
{
    if (!s)
        return;
    session_close_fds(s, s->fd_count);
    if (s->deferred)
        qmp_call_forget_session(s->deferred);
    while (s->queue_count)
        session_queue_pop(s);
    if (s->owns_link)
        chardev_free(s->link);
    json_in_free(s->json);
    buf_free(&s->out);
    buf_free(&s->line);
    json_object_put(s->late);
    json_budget_return(&s->budget, s->budget.held_bytes);
    free(s);
}

bool session_serving(const struct session *s)
{
    return s->serving && !s->human && !s->dead;
}

bool session_dead(const struct session *s)
{
    return s->dead;
}

/* --- Output --- */

static void session_write(struct session *s)
{
    if (s->out.len_bytes > 0 && !s->frozen)
        buf_consume(&s->out, chardev_write(s->link, s->out.data, s->out.len_bytes));
}

void session_flush(struct session *s)
{
    if (s->dead)
        return;
    session_write(s);
    if (s->out.len_bytes == 0 && s->late) {
        json_object_object_foreach(s->late, name, event)
        {
            (void)name;
            json_out_line(&s->out, event, s->pretty);
        }
        json_object_put(TAKE_PTR(s->late));
        session_write(s);
    }
    if (s->out.len_bytes == 0 && s->out.cap_bytes > SESSION_OUT_PAUSE_BYTES)
        buf_free(&s->out);
    if (s->out.cap_bytes < s->out_held_bytes) {
        json_budget_return(&s->budget, s->out_held_bytes - s->out.cap_bytes);
        s->out_held_bytes = s->out.cap_bytes;
    }
}

bool session_hold_out(struct session *s)
{
    size_t more = s->out.cap_bytes - s->out_held_bytes;

    if (s->out.failed || (more && !json_budget_take(&s->budget, more)))
        return false;
    s->out_held_bytes += more;
    return true;
}

/* out has grown. */
static void session_account_out(struct session *s)
{
    if (session_hold_out(s))
        return;
    /* It reads too slowly for what it asked to hear, or memory is out: a message that is cut would
     * be worse than none. */
    s->dead = true;
    monitor_reap(s->monitor);
}

void session_send(struct session *s, struct json_object *message)
{
    if (!s->dead && s->human)
        session_human_print(s, message);
    else if (!s->dead)
        json_out_line(&s->out, message, s->pretty);
    json_object_put(message);
    if (!s->dead)
        session_account_out(s);
    session_flush(s);
}

void session_put(struct session *s, const char *text, size_t n)
{
    if (s->dead)
        return;
    buf_put(&s->out, text, n);
    session_account_out(s);
}

void session_send_event(struct session *s, const char *name, struct json_object *event)
{
    /* Some of them come as often as a guest wants (RESET): they never cost more than this. */
    if (s->out.len_bytes <= SESSION_OUT_PAUSE_BYTES) {
        session_send(s, event);
        return;
    }
    if (!s->late)
        s->late = json_object_new_object();
    json_object_object_del(s->late, name); /* the latest is the last one */
    json_object_object_add(s->late, name, event);
}

/* --- Commands --- */

int session_negotiate(struct session *s, bool oob, struct qmp_call *call, struct ferry_err *err)
{
    if (s->serving) {
        call->error_class = QMP_COMMAND_NOT_FOUND;
        return err_set(err, EALREADY,
                       "Capabilities negotiation is already complete, command ignored");
    }
    s->serving = true;
    s->oob = oob;
    return 0;
}

/* Execute a message and answer it, unless the answer comes later. Takes the message. */
static void session_execute(struct session *s, struct json_object *message, size_t held_bytes)
{
    struct qmp_call *call = qmp_call_new(s->monitor, s, message);
    struct json_object *ret = NULL;
    struct qmp_request request;
    struct ferry_err err = {0};
    int rc;

    if (!call) {
        s->dead = true; /* no memory even to say so */
        monitor_reap(s->monitor);
        json_object_put(message);
        json_budget_return(&s->budget, held_bytes);
        return;
    }
    rc = qmp_request_parse(message, s->serving && s->oob, &request, &err);
    if (!rc)
        rc = qmp_dispatch(call, &request, s->serving, &ret, &err);
    json_object_put(message);
    if (rc == QMP_DEFERRED) {
        s->deferred = call;
        s->deferred_held_bytes = held_bytes; /* its id is a part of the message */
        monitor_add_deferred(s->monitor, call);
        return;
    }
    session_send(s, rc < 0 ? qmp_error_reply(call, &err) : qmp_reply(call, ret));
    qmp_call_free(call);
    json_budget_return(&s->budget, held_bytes);
}

/* --- Input --- */

static size_t session_queue_room(const struct session *s)
{
    size_t max = s->serving && s->oob ? SESSION_QUEUE_MAX : 1;
    size_t used = s->queue_count + (s->deferred ? 1 : 0);

    return used < max ? max - used : 0;
}

void session_enqueue(struct session *s, struct json_in_result *r)
{
    if (r->kind == JSON_IN_VALUE && s->serving && s->oob && qmp_request_is_oob(r->value)) {
        session_execute(s, r->value, r->held_bytes);
        return;
    }
    s->queue[s->queue_count++] = (struct queued){
        .message = r->value,
        .held_bytes = r->held_bytes,
        .is_error = r->kind == JSON_IN_ERROR,
        .err = r->err,
    };
}

/* Parse until one message is queued or executed; false: there is nothing to parse. */
static bool session_parse(struct session *s)
{
    struct json_in_result r;

    if (s->human)
        return session_human_parse(s);
    if (s->in_pos == s->in_end)
        return false;
    s->in_pos += json_in_feed(s->json, s->in + s->in_pos, s->in_end - s->in_pos, &r);
    if (r.kind != JSON_IN_NOTHING)
        session_enqueue(s, &r);
    return true;
}

/* Whoever needed them has them, or has no need. */
static void session_pass_over_words(struct session *s)
{
    s->pass_over_bytes = s->words_bytes;
    s->words = WORDS_NONE;
}

static void session_next(struct session *s)
{
    struct queued q = s->queue[0];
    struct qmp_call nobody = {0};

    s->queue[0].message = NULL;
    s->queue[0].held_bytes = 0;
    session_queue_pop(s);
    if (q.is_error)
        session_send(s, qmp_error_reply(&nobody, &q.err));
    else
        session_execute(s, q.message, q.held_bytes);
    if (s->words == WORDS_HERE)
        session_pass_over_words(s);
}

/* Do what can be done now. */
static void session_run(struct session *s)
{
    if (s->frozen || s->running) /* a handler's event or reply came back here */
        return;
    s->running = true;
    for (;;) {
        if (s->dead || s->out.len_bytes > SESSION_OUT_PAUSE_BYTES)
            break;
        if (s->queue_count > 0 && !s->deferred)
            session_next(s);
        else if (session_queue_room(s) == 0 || !session_parse(s))
            break;
    }
    s->running = false;
    if (!s->dead && s->input_over && s->in_pos == s->in_end && !s->queue_count && !s->deferred &&
        !s->out.len_bytes) {
        s->dead = true;
        monitor_reap(s->monitor);
    }
    if (s->stalled && session_can_receive(s) > 0) {
        s->stalled = false;
        chardev_input_ready(s->link);
    }
}

void session_deferred_done(struct session *s)
{
    s->deferred = NULL;
    json_budget_return(&s->budget, s->deferred_held_bytes);
    s->deferred_held_bytes = 0;
    session_run(s);
}

size_t session_can_receive(struct session *s)
{
    bool room = !s->dead && !s->frozen && !s->waits && s->words == WORDS_NONE &&
                s->in_pos == s->in_end && s->out.len_bytes <= SESSION_OUT_PAUSE_BYTES &&
                session_queue_room(s) > 0;

    s->stalled |= !room;
    return room ? sizeof(s->in) : 0;
}

void session_is_human(struct session *s, bool edits)
{
    s->human = s->serving = true;
    s->edits = edits;
}

void session_opened(struct session *s)
{
    if (s->greeted)
        return;
    s->greeted = true;
    session_send(s, s->human ? NULL : qmp_greeting());
}

void session_receive(struct session *s, const uint8_t *data, size_t n)
{
    if (s->pass_over_bytes) {
        s->pass_over_bytes -= n;
        return;
    }
    memcpy(s->in, data, n);
    s->in_pos = 0;
    s->in_end = n;
    session_run(s);
}

/* --- Words that stay where they are --- */

static bool names_host_command(const struct qmp_table *table, const uint8_t *data, size_t n)
{
    for (const struct qmp_command *c = table->commands; c->name; c++)
        if (c->host && memmem(data, n, c->name, strlen(c->name)))
            return true;
    return false;
}

static bool is_host_command(const struct qmp_table *table, struct json_object *message)
{
    struct json_object *name;

    if (!json_object_is_type(message, json_type_object) ||
        !json_object_object_get_ex(message, "execute", &name) ||
        !json_object_is_type(name, json_type_string))
        return false;
    for (const struct qmp_command *c = table->commands; c->name; c++)
        if (c->host && !strcmp(c->name, json_object_get_string(name)))
            return true;
    return false;
}

size_t session_look(struct session *s, const uint8_t *data, size_t n)
{
    const struct qmp_table *table = monitor_table(s->monitor);
    struct json_in *first;
    struct json_in_result r;
    size_t bytes;

    if (s->human)
        return n;
    if (s->pass_over_bytes)
        return n < s->pass_over_bytes ? n : s->pass_over_bytes;
    if (!s->serving || s->queue_count || s->deferred || !json_in_idle(s->json) ||
        !names_host_command(table, data, n))
        return n;
    first = json_in_new(&s->budget);
    if (!first)
        return n;
    bytes = json_in_feed(first, data, n, &r);
    json_in_free(first);
    if (r.kind != JSON_IN_VALUE || !is_host_command(table, r.value)) {
        /* It is read alone: what is behind it may be such a command. */
        json_object_put(r.value);
        json_budget_return(&s->budget, r.held_bytes);
        return r.kind == JSON_IN_VALUE ? bytes : n;
    }
    if (monitor_is_quiesced(s->monitor)) {
        s->waits = true;
        json_object_put(r.value);
        json_budget_return(&s->budget, r.held_bytes);
        return 0;
    }
    s->words = WORDS_HERE;
    s->words_bytes = bytes;
    session_enqueue(s, &r);
    session_run(s);
    return 0;
}

bool session_words(const struct session *s, int *ret_fd, size_t *ret_bytes)
{
    if (s->words != WORDS_HERE)
        return false;
    *ret_fd = chardev_input_socket(s->link);
    *ret_bytes = s->words_bytes;
    return *ret_fd >= 0;
}

void session_words_asked(struct session *s)
{
    s->words = WORDS_ASKED;
}

void session_words_done(struct session *s, enum session_words what)
{
    s->words = WORDS_NONE;
    if (what == SESSION_WORDS_UNREAD)
        session_pass_over_words(s);
    if (what == SESSION_WORDS_LOST) {
        s->dead = true;
        monitor_reap(s->monitor);
    }
    monitor_words_done(s->monitor);
    session_run(s);
}

int session_connection(const struct session *s)
{
    return chardev_input_socket(s->link);
}

void session_drop(struct session *s)
{
    s->dead = true;
    monitor_reap(s->monitor);
}

bool session_asks(const struct session *s)
{
    return s->words == WORDS_ASKED && !s->dead;
}

/* --- Around an update --- */

void session_freeze(struct session *s)
{
    struct ferry_part link = chardev_part(s->link);

    s->frozen = true;
    if (s->owns_link)
        link.ops->pause(link.obj);
}

void session_thaw(struct session *s)
{
    struct ferry_part link = chardev_part(s->link);

    s->frozen = s->waits = false;
    /* What waited goes on when the link says that it can be written to. */
    if (s->owns_link)
        link.ops->resume(link.obj);
    else
        chardev_input_ready(s->link);
}

size_t session_fd_count(const struct session *s)
{
    return s->fd_count;
}

void session_receive_fds(struct session *s, const int *fds, size_t count)
{
    size_t room;

    /* What no command has taken, and none that waits can: nobody will. */
    if (!s->queue_count && !s->deferred)
        session_close_fds(s, s->fd_count);
    room = SESSION_ALL_FDS_MAX - monitor_fds_waiting(s->monitor);
    if (room > SESSION_FDS_MAX - s->fd_count)
        room = SESSION_FDS_MAX - s->fd_count;
    for (size_t i = 0; i < count; i++) {
        int fd = fds[i];

        if (i < room)
            s->fds[s->fd_count++] = (struct sent_fd){.fd = fd, .first = i == 0};
        else
            own_close_fd(&fd);
    }
}

int session_take_fd(struct session *s)
{
    size_t end = 1;
    int fd;

    if (!s->fd_count)
        return -1;
    while (end < s->fd_count && !s->fds[end].first)
        end++;
    fd = take_fd(&s->fds[0].fd);
    session_close_fds(s, end);
    return fd;
}

void session_writable(struct session *s)
{
    session_flush(s);
    if (!s->dead)
        session_run(s);
}

void session_end_of_input(struct session *s)
{
    s->input_over = true;
    session_run(s);
}
