/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/qmp/client.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/local_socket.h"
#include "base/own.h"
#include "vmm/qmp/json_budget.h"
#include "vmm/qmp/json_build.h"
#include "vmm/qmp/json_in.h"
#include "vmm/qmp/json_out.h"
#include "vmm/qmp/type.h"

#define NS_PER_MS               1000000
#define NS_PER_S                1000000000
#define CLIENT_EVENTS_MAX       4096 /* the oldest are dropped */
/* What a VM may make its client hold: half of it one message, half of it events not asked for. */
#define CLIENT_MEMORY_MAX_BYTES (64u << 20)

/* With what it holds of the budget. */
struct held_message {
    struct json_object *message; /* owned */
    size_t held_bytes;
};

struct qmp_client {
    int fd;        /* owned */
    int interrupt; /* loan; -1 = none */
    struct json_budget budget;
    struct json_in *json;
    uint8_t in[65536];
    size_t in_pos, in_end;
    struct json_object *greeting;
    struct held_message events[CLIENT_EVENTS_MAX]; /* a ring */
    size_t event_first, event_count;
    size_t events_held_bytes;
    int64_t last_id;
};

static int64_t deadline_of(int64_t timeout_ns)
{
    int64_t now_ns = clock_monotonic_ns();

    return timeout_ns > INT64_MAX - now_ns ? INT64_MAX : now_ns + timeout_ns;
}

/* What poll(2) wants: -1 for ever; rounded up, so that it never comes back too early. */
static int poll_ms(int64_t deadline_ns)
{
    int64_t left_ns = deadline_ns - clock_monotonic_ns();

    if (deadline_ns == INT64_MAX)
        return -1;
    if (left_ns <= 0)
        return 0;
    return left_ns / NS_PER_MS < INT32_MAX ? (int)((left_ns + NS_PER_MS - 1) / NS_PER_MS)
                                           : INT32_MAX;
}

/* Until fd is ready for events; -ETIMEDOUT, -EINTR. */
static int client_wait(struct qmp_client *c, short events, int64_t deadline_ns,
                       struct ferry_err *err)
{
    for (;;) {
        struct pollfd p[2] = {{.fd = c->fd, .events = events},
                              {.fd = c->interrupt, .events = POLLIN}};
        int n = poll(p, 2, poll_ms(deadline_ns));

        if (n > 0 && p[0].revents)
            return 0;
        if (n > 0)
            return err_set(err, EINTR, "the monitor has not answered yet");
        if (n < 0 && errno != EINTR)
            return err_sys(err, errno, "waiting for the monitor");
        if (n == 0 && clock_monotonic_ns() >= deadline_ns)
            return err_set(err, ETIMEDOUT, "the monitor does not answer");
    }
}

/* Between two messages: one who talks without end is not waited for either. */
static int client_check_time(int64_t deadline_ns, struct ferry_err *err)
{
    if (clock_monotonic_ns() < deadline_ns)
        return 0;
    return err_set(err, ETIMEDOUT, "the monitor talks, but does not answer");
}

static int client_send(struct qmp_client *c, struct json_object *message, int64_t deadline_ns,
                       struct ferry_err *err)
{
    OWN(buf_free) struct buf out = {0};
    size_t sent = 0;

    json_out_line(&out, message, false);
    if (out.failed)
        return err_set(err, out.failed, "no memory for a request");
    while (sent < out.len_bytes) {
        ssize_t n;
        int rc = client_wait(c, POLLOUT, deadline_ns, err);

        if (rc < 0)
            return rc;
        n = send(c->fd, out.data + sent, out.len_bytes - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return err_sys(err, errno, "sending to the monitor");
        sent += n > 0 ? (size_t)n : 0;
    }
    return 0;
}

static int client_fill(struct qmp_client *c, int64_t deadline_ns, struct ferry_err *err)
{
    ssize_t n;
    int rc = client_wait(c, POLLIN, deadline_ns, err);

    if (rc < 0)
        return rc;
    n = recv(c->fd, c->in, sizeof(c->in), MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (n < 0)
        return err_sys(err, errno, "reading from the monitor");
    if (n == 0)
        return err_set(err, ECONNRESET, "the monitor closed the connection");
    c->in_pos = 0;
    c->in_end = (size_t)n;
    return 0;
}

/* The next message: an object. */
static int client_message(struct qmp_client *c, int64_t deadline_ns, struct held_message *ret,
                          struct ferry_err *err)
{
    for (;;) {
        struct json_in_result r;

        if (c->in_pos == c->in_end) {
            int rc = client_fill(c, deadline_ns, err);

            if (rc < 0)
                return rc;
        }
        c->in_pos += json_in_feed(c->json, c->in + c->in_pos, c->in_end - c->in_pos, &r);
        if (r.kind == JSON_IN_NOTHING) {
            int rc = client_check_time(deadline_ns, err);

            if (rc < 0)
                return rc;
            continue;
        }
        if (r.kind == JSON_IN_VALUE && json_object_is_type(r.value, json_type_object)) {
            *ret = (struct held_message){.message = r.value, .held_bytes = r.held_bytes};
            return 0;
        }
        json_object_put(r.value);
        json_budget_return(&c->budget, r.held_bytes);
        return err_set(err, EPROTO, "what answers is not a QMP monitor%s%s",
                       r.kind == JSON_IN_ERROR ? ": " : "",
                       r.kind == JSON_IN_ERROR ? r.err.text : "");
    }
}

static bool client_pop_event(struct qmp_client *c, struct json_object **ret)
{
    struct held_message *e = &c->events[c->event_first];

    if (!c->event_count)
        return false;
    c->event_first = (c->event_first + 1) % CLIENT_EVENTS_MAX;
    c->event_count--;
    c->events_held_bytes -= e->held_bytes;
    json_budget_return(&c->budget, e->held_bytes);
    *ret = TAKE_PTR(e->message);
    return true;
}

static void client_keep_event(struct qmp_client *c, struct held_message event)
{
    struct json_object *oldest;

    c->events_held_bytes += event.held_bytes;
    while ((c->event_count == CLIENT_EVENTS_MAX ||
            c->events_held_bytes > CLIENT_MEMORY_MAX_BYTES / 2) &&
           client_pop_event(c, &oldest))
        json_object_put(oldest);
    c->events[(c->event_first + c->event_count++) % CLIENT_EVENTS_MAX] = event;
}

/* The next message that is not an event. It is the caller's, who asks for one at a time. */
static int client_reply(struct qmp_client *c, int64_t deadline_ns, struct json_object **ret,
                        struct ferry_err *err)
{
    for (;;) {
        struct held_message m;
        int rc = client_message(c, deadline_ns, &m, err);

        if (rc < 0)
            return rc;
        if (!json_object_object_get_ex(m.message, "event", NULL)) {
            json_budget_return(&c->budget, m.held_bytes);
            *ret = m.message;
            return 0;
        }
        client_keep_event(c, m);
        rc = client_check_time(deadline_ns, err);
        if (rc < 0)
            return rc;
    }
}

/* The reply to the last command, past late ones to commands whose time was up. */
static int client_own_reply(struct qmp_client *c, int64_t deadline_ns, struct json_object **ret,
                            struct ferry_err *err)
{
    for (;;) {
        struct json_object *id;
        int rc = client_reply(c, deadline_ns, ret, err);

        if (rc < 0 || !json_object_object_get_ex(*ret, "id", &id) ||
            json_object_get_int64(id) == c->last_id)
            return rc;
        json_object_put(*ret);
        rc = client_check_time(deadline_ns, err);
        if (rc < 0)
            return rc;
    }
}

static int client_connect(struct qmp_client *c, const char *path, int64_t timeout_ns,
                          struct ferry_err *err)
{
    struct timeval most = {.tv_sec = timeout_ns / NS_PER_S,
                           .tv_usec = timeout_ns % NS_PER_S / 1000};
    struct sockaddr_un addr;
    int rc = local_socket_name(&addr, path, err);

    if (rc < 0)
        return rc;
    c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        return err_sys(err, errno, "creating a UNIX socket");
    /* Where as many wait already as may, connect(2) waits until one of them is served. What is sent
     * later never waits. */
    (void)!setsockopt(c->fd, SOL_SOCKET, SO_SNDTIMEO, &most, sizeof(most));
    if (connect(c->fd, (const struct sockaddr *)&addr, sizeof(addr)) == 0)
        return 0;
    if (errno == EAGAIN)
        return err_set(err, ETIMEDOUT, "the monitor does not answer");
    return err_sys(err, errno, "Failed to connect to '%s'", path);
}

static int client_begin(struct qmp_client *c, int64_t timeout_ns, struct ferry_err *err)
{
    int64_t deadline_ns = deadline_of(timeout_ns);
    struct json_object *greeting, *ret;
    int rc = client_reply(c, deadline_ns, &greeting, err);

    if (rc < 0)
        return rc;
    c->greeting = json_object_get(qmp_get(greeting, "QMP"));
    json_object_put(greeting);
    if (!c->greeting)
        return err_set(err, EPROTO, "what answers is not a QMP monitor");
    rc = qmp_client_execute(c, "qmp_capabilities", NULL, timeout_ns, &ret, err);
    if (rc < 0)
        return rc;
    json_object_put(ret);
    return 0;
}

int qmp_client_new(struct qmp_client **ret, const char *path, int64_t timeout_ns,
                   struct ferry_err *err)
{
    struct qmp_client *c = calloc(1, sizeof(*c));
    int rc;

    if (!c)
        return err_set(err, ENOMEM, "no memory for a monitor's client");
    c->fd = c->interrupt = -1;
    c->budget.max_bytes = CLIENT_MEMORY_MAX_BYTES;
    c->json = json_in_new(&c->budget);
    rc = c->json ? client_connect(c, path, timeout_ns, err)
                 : err_set(err, ENOMEM, "no memory for a monitor's client");
    if (!rc)
        rc = client_begin(c, timeout_ns, err);
    if (rc < 0) {
        qmp_client_free(c);
        return rc;
    }
    *ret = c;
    return 0;
}

void qmp_client_free(struct qmp_client *c)
{
    struct json_object *event;

    if (!c)
        return;
    own_close_fd(&c->fd);
    while (client_pop_event(c, &event))
        json_object_put(event);
    json_in_free(c->json);
    json_object_put(c->greeting);
    free(c);
}

void qmp_client_set_interrupt(struct qmp_client *c, int fd)
{
    c->interrupt = fd;
}

struct json_object *qmp_client_greeting(const struct qmp_client *c)
{
    return c->greeting;
}

int qmp_client_request(struct qmp_client *c, struct json_object *request, int64_t timeout_ns,
                       struct json_object **ret, struct ferry_err *err)
{
    int64_t deadline_ns = deadline_of(timeout_ns);
    int rc = client_send(c, request, deadline_ns, err);

    return rc < 0 ? rc : client_reply(c, deadline_ns, ret, err);
}

static int client_result(struct qmp_client *c, int64_t deadline_ns, struct json_object **ret,
                         struct ferry_err *err)
{
    struct json_object *reply, *error;
    const char *desc;
    int rc = client_own_reply(c, deadline_ns, &reply, err);

    if (rc < 0)
        return rc;
    if (json_object_object_get_ex(reply, "return", ret)) {
        json_object_get(*ret);
    } else {
        error = qmp_get(reply, "error");
        desc = json_object_is_type(error, json_type_object) ? qmp_get_str(error, "desc") : NULL;
        rc = desc ? err_set(err, EREMOTEIO, "%s", desc)
                  : err_set(err, EPROTO, "what answers is not a QMP monitor");
    }
    json_object_put(reply);
    return rc;
}

int qmp_client_execute(struct qmp_client *c, const char *command, struct json_object *args,
                       int64_t timeout_ns, struct json_object **ret, struct ferry_err *err)
{
    struct json_object *request = json_object_new_object();
    int64_t deadline_ns = deadline_of(timeout_ns);
    int rc;

    json_put_str(request, "execute", command);
    json_put_int(request, "id", ++c->last_id);
    if (args)
        json_put(request, "arguments", json_object_get(args));
    rc = client_send(c, request, deadline_ns, err);
    json_object_put(request);
    return rc < 0 ? rc : client_result(c, deadline_ns, ret, err);
}

int qmp_client_wait(struct qmp_client *c, int64_t timeout_ns, struct json_object **ret,
                    struct ferry_err *err)
{
    return client_result(c, deadline_of(timeout_ns), ret, err);
}

int qmp_client_event(struct qmp_client *c, int64_t timeout_ns, struct json_object **ret,
                     struct ferry_err *err)
{
    int64_t deadline_ns = deadline_of(timeout_ns);

    if (client_pop_event(c, ret))
        return 0;
    for (;;) {
        struct held_message m;
        int rc = client_message(c, deadline_ns, &m, err);

        if (rc < 0)
            return rc;
        json_budget_return(&c->budget, m.held_bytes);
        *ret = m.message;
        if (json_object_object_get_ex(*ret, "event", NULL))
            return 0;
        json_object_put(*ret); /* the late reply of a request that was given up */
    }
}
