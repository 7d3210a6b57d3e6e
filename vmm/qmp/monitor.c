/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/qmp/monitor.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "vmm/backend/chardev.h"
#include "vmm/machine/loop.h"
#include "vmm/qmp/dispatch.h"
#include "vmm/qmp/json_build.h"
#include "vmm/qmp/monitor_struct.h"
#include "vmm/qmp/session.h"

/* --- Sessions --- */

struct session *monitor_new_session(struct listener *l, struct chardev *link, bool owns_link)
{
    struct monitor *m = l->monitor;
    struct client *c = calloc(1, sizeof(*c));

    if (c)
        c->session = session_new(m, link, owns_link, l->pretty);
    if (!c || !c->session) {
        free(c);
        return NULL;
    }
    if (l->human)
        session_is_human(c->session, chardev_is_raw(l->chardev));
    c->from = l;
    c->is_link = !owns_link;
    c->next = m->clients;
    m->clients = c;
    m->client_count++;
    return c->session;
}

static void monitor_free_client(struct monitor *m, struct client *c)
{
    session_close(c->session);
    free(c);
    m->client_count--;
}

static void monitor_free_dead(void *arg)
{
    struct monitor *m = arg;
    struct client **at = &m->clients;

    while (*at) {
        struct client *c = *at;

        if (!session_dead(c->session)) {
            at = &c->next;
            continue;
        }
        *at = c->next;
        monitor_free_client(m, c);
    }
}

void monitor_reap(struct monitor *m)
{
    loop_timer_set(m->reaper, clock_monotonic_ns());
}

struct json_budget *monitor_budget(struct monitor *m)
{
    return &m->budget;
}

size_t monitor_fds_waiting(const struct monitor *m)
{
    size_t count = 0;

    for (const struct client *c = m->clients; c; c = c->next)
        count += session_fd_count(c->session);
    return count;
}

/* --- Clients of a listening socket: the session is the frontend's argument --- */

static size_t client_can_receive(void *arg)
{
    return session_can_receive(arg);
}

static void client_receive(void *arg, const uint8_t *data, size_t n)
{
    session_receive(arg, data, n);
}

static size_t client_look(void *arg, const uint8_t *data, size_t n)
{
    return session_look(arg, data, n);
}

static void client_receive_fds(void *arg, const int *fds, size_t count)
{
    session_receive_fds(arg, fds, count);
}

static void client_writable(void *arg)
{
    session_writable(arg);
}

static void client_event(void *arg, enum chardev_event event)
{
    if (event == CHARDEV_OPENED)
        session_opened(arg);
    else if (event == CHARDEV_CLOSED)
        session_end_of_input(arg);
}

const struct chardev_frontend monitor_client_frontend = {
    .can_receive = client_can_receive,
    .receive = client_receive,
    .look = client_look,
    .receive_fds = client_receive_fds,
    .writable = client_writable,
    .event = client_event,
};

/* --- The chardev itself: its session begins when a peer is there --- */

static struct session *listener_session(struct listener *l)
{
    for (struct client *c = l->monitor->clients; c; c = c->next)
        if (c->from == l && c->is_link && !session_dead(c->session))
            return c->session;
    return NULL;
}

static size_t listener_can_receive(void *arg)
{
    struct session *s = listener_session(arg);

    return s ? session_can_receive(s) : 0;
}

static void listener_receive(void *arg, const uint8_t *data, size_t n)
{
    struct session *s = listener_session(arg);

    if (s)
        session_receive(s, data, n);
}

static void listener_receive_fds(void *arg, const int *fds, size_t count)
{
    struct session *s = listener_session(arg);

    if (s)
        session_receive_fds(s, fds, count);
    for (size_t i = 0; !s && i < count; i++)
        close(fds[i]);
}

static void listener_writable(void *arg)
{
    struct session *s = listener_session(arg);

    if (s)
        session_writable(s);
}

static void listener_event(void *arg, enum chardev_event event)
{
    struct listener *l = arg;
    struct session *s = listener_session(l);

    if (event == CHARDEV_CLOSED && s)
        session_end_of_input(s);
    if ((event == CHARDEV_MUX_IN || event == CHARDEV_MUX_OUT) && s)
        session_focus(s, event == CHARDEV_MUX_IN);
    /* On a mux it begins when somebody looks at it for the first time. */
    if ((event != CHARDEV_OPENED && event != CHARDEV_MUX_IN) || s)
        return;
    s = monitor_new_session(l, l->chardev, false);
    if (s)
        session_opened(s);
}

static void listener_accept(void *arg, struct chardev *link)
{
    static const char full[] =
        "{\"error\": {\"class\": \"GenericError\", \"desc\": \"this monitor has as many clients "
        "as it can serve; close one\"}}\r\n";
    struct listener *l = arg;
    struct session *s = NULL;
    struct ferry_err err;

    if (l->monitor->client_count < MONITOR_SESSIONS_MAX)
        s = monitor_new_session(l, link, true);
    if (!s) {
        (void)chardev_write(link, full, sizeof(full) - 1);
        chardev_free(link);
        return;
    }
    /* Cannot be busy: nobody else knows this chardev. */
    if (chardev_set_frontend(link, &monitor_client_frontend, s, &err) < 0)
        session_end_of_input(s);
}

static const struct chardev_frontend listener_frontend = {
    .can_receive = listener_can_receive,
    .receive = listener_receive,
    .receive_fds = listener_receive_fds,
    .writable = listener_writable,
    .event = listener_event,
    .accept = listener_accept,
    .same_user = true,
    .line_mode = true,
};

/* --- Life --- */

int monitor_new(struct monitor **ret, struct loop *loop, const struct qmp_table *table,
                const struct monitor_env *env, struct ferry_err *err)
{
    struct monitor *m = calloc(1, sizeof(*m));
    int rc;

    if (!m)
        return err_set(err, ENOMEM, "no memory for a monitor");
    m->loop = loop;
    m->table = table;
    m->env = *env;
    extras_init(&m->move.extras, &monitor_move_kind);
    m->budget.max_bytes = MONITOR_MEMORY_MAX_BYTES;
    rc = loop_timer_new(&m->reaper, loop, monitor_free_dead, m, err);
    if (!rc && table->start)
        rc = table->start(m, &m->state, err);
    if (rc < 0) {
        monitor_free(m);
        return rc;
    }
    *ret = m;
    return 0;
}

void monitor_free(struct monitor *m)
{
    if (!m)
        return;
    monitor_say_left_behind(m);
    while (m->clients) {
        struct client *c = m->clients;

        m->clients = c->next;
        monitor_free_client(m, c);
    }
    while (m->listeners) {
        struct listener *l = m->listeners;

        m->listeners = l->next;
        chardev_clear_frontend(l->chardev);
        free(l);
    }
    while (m->deferred) {
        struct qmp_call *call = m->deferred;

        m->deferred = call->next_deferred;
        qmp_call_free(call);
    }
    if (m->table->stop && m->state)
        m->table->stop(m->state);
    loop_timer_free(m->reaper);
    extras_free(&m->move.extras);
    free(m);
}

void monitor_set_env(struct monitor *m, const struct monitor_env *env)
{
    m->env = *env;
}

const struct monitor_env *monitor_env(const struct monitor *m)
{
    return &m->env;
}

const struct qmp_table *monitor_table(const struct monitor *m)
{
    return m->table;
}

struct loop *monitor_loop(const struct monitor *m)
{
    return m->loop;
}

void *monitor_state(const struct monitor *m)
{
    return m->state;
}

static int attach(struct monitor *m, struct chardev *c, bool pretty, bool human,
                  struct ferry_err *err)
{
    struct listener *l = calloc(1, sizeof(*l));
    int rc;

    if (!l)
        return err_set(err, ENOMEM, "no memory for a monitor");
    *l = (struct listener){.monitor = m, .chardev = c, .pretty = pretty, .human = human};
    rc = chardev_set_frontend(c, &listener_frontend, l, err);
    if (rc < 0) {
        free(l);
        return rc;
    }
    l->next = m->listeners;
    m->listeners = l;
    return 0;
}

int monitor_attach(struct monitor *m, struct chardev *c, bool pretty, struct ferry_err *err)
{
    return attach(m, c, pretty, false, err);
}

int monitor_attach_human(struct monitor *m, struct chardev *c, struct ferry_err *err)
{
    return attach(m, c, false, true, err);
}

void monitor_resume_chardevs(struct monitor *m)
{
    for (const struct listener *l = m->listeners; l; l = l->next) {
        struct ferry_part part = chardev_part(l->chardev);

        part.ops->resume(part.obj);
    }
}

/* --- Events and deferred calls --- */

void monitor_event(struct monitor *m, const char *name, struct json_object *data)
{
    struct json_object *event = json_object_new_object(), *timestamp = json_object_new_object();
    int64_t now_ns = clock_realtime_ns();

    json_put_int(timestamp, "seconds", now_ns / 1000000000);
    json_put_int(timestamp, "microseconds", now_ns / 1000 % 1000000);
    json_put(event, "timestamp", timestamp);
    json_put_str(event, "event", name);
    if (data)
        json_put(event, "data", data);
    for (struct client *c = m->clients; c; c = c->next)
        if (session_serving(c->session))
            session_send_event(c->session, name, json_object_get(event));
    json_object_put(event);
}

void monitor_add_deferred(struct monitor *m, struct qmp_call *call)
{
    call->next_deferred = m->deferred;
    m->deferred = call;
}

void monitor_remove_deferred(struct monitor *m, struct qmp_call *call)
{
    struct qmp_call **at = &m->deferred;

    while (*at && *at != call)
        at = &(*at)->next_deferred;
    if (*at)
        *at = call->next_deferred;
}
