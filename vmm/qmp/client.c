/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/qmp/client.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/err.h"
#include "base/own.h"

/* A server that sends more than this in one message is not one of ours. */
#define MESSAGE_BYTES_MAX (16u << 20)

struct qmp_client {
    int fd;
    struct json_tokener *tokener;
    char data[4096]; /* received and not parsed yet: [pos, len) */
    size_t pos, len;
};

static void client_free(struct qmp_client **c)
{
    qmp_client_free(*c);
}

void qmp_client_free(struct qmp_client *c)
{
    if (!c)
        return;
    own_close_fd(&c->fd);
    if (c->tokener)
        json_tokener_free(c->tokener);
    free(c);
}

static int receive_more(struct qmp_client *c, struct ferry_err *err)
{
    ssize_t n;

    do
        n = recv(c->fd, c->data, sizeof(c->data), 0);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return err_sys(err, errno, "reading from the VM");
    if (n == 0)
        return err_set(err, ECONNRESET, "the VM closed the connection");
    c->pos = 0;
    c->len = (size_t)n;
    return 0;
}

/* The next message, to be put by the caller. */
static int receive_message(struct qmp_client *c, struct json_object **ret, struct ferry_err *err)
{
    size_t total = 0;

    json_tokener_reset(c->tokener);
    for (;;) {
        struct json_object *message;
        int rc = c->pos == c->len ? receive_more(c, err) : 0;

        if (rc < 0)
            return rc;
        message = json_tokener_parse_ex(c->tokener, c->data + c->pos, (int)(c->len - c->pos));
        if (message) {
            c->pos += json_tokener_get_parse_end(c->tokener);
            *ret = message;
            return 0;
        }
        if (json_tokener_get_error(c->tokener) != json_tokener_continue)
            return err_set(err, EPROTO, "the VM sent something that is not JSON: %s",
                           json_tokener_error_desc(json_tokener_get_error(c->tokener)));
        total += c->len - c->pos;
        c->pos = c->len;
        if (total > MESSAGE_BYTES_MAX)
            return err_set(err, EMSGSIZE, "the VM sent a message of more than %u bytes",
                           MESSAGE_BYTES_MAX);
    }
}

static int send_all(struct qmp_client *c, const char *text, struct ferry_err *err)
{
    size_t left = strlen(text);

    while (left) {
        ssize_t n = send(c->fd, text, left, MSG_NOSIGNAL);

        if (n < 0 && errno != EINTR)
            return err_sys(err, errno, "writing to the VM");
        if (n > 0) {
            text += n;
            left -= (size_t)n;
        }
    }
    return 0;
}

/* A reply, or neither of both: an event. */
static int take_reply(struct json_object *message, struct json_object **reply, bool *done,
                      struct ferry_err *err)
{
    struct json_object *value, *desc;

    *done = true;
    if (json_object_object_get_ex(message, "return", &value)) {
        *reply = json_object_get(value);
        return 0;
    }
    if (json_object_object_get_ex(message, "error", &value)) {
        return json_object_object_get_ex(value, "desc", &desc)
                   ? err_set(err, EREMOTEIO, "%s", json_object_get_string(desc))
                   : err_set(err, EPROTO, "the VM sent an error without a description");
    }
    *done = false;
    return 0;
}

int qmp_client_execute(struct qmp_client *c, const char *command, struct json_object *arguments,
                       struct json_object **reply, struct ferry_err *err)
{
    struct json_object *request = json_object_new_object();
    bool done = false;
    int rc;

    json_object_object_add(request, "execute", json_object_new_string(command));
    if (arguments)
        json_object_object_add(request, "arguments", arguments);
    rc = send_all(c, json_object_to_json_string_ext(request, JSON_C_TO_STRING_PLAIN), err);
    json_object_put(request);
    while (!rc && !done) {
        struct json_object *message;

        rc = receive_message(c, &message, err);
        if (rc < 0)
            break;
        rc = take_reply(message, reply, &done, err);
        json_object_put(message);
    }
    return rc;
}

static int connect_to(struct qmp_client *c, const char *path, struct ferry_err *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    if (strlen(path) >= sizeof(address.sun_path))
        return err_set(err, ENAMETOOLONG, "%s is longer than a socket address may be", path);
    memcpy(address.sun_path, path, strlen(path));
    c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        return err_sys(err, errno, "cannot make a socket");
    if (connect(c->fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        return err_sys(err, errno, "cannot connect to %s", path);
    return 0;
}

static int negotiate(struct qmp_client *c, struct ferry_err *err)
{
    struct json_object *message;
    bool greeting;
    int rc = receive_message(c, &message, err);

    if (rc < 0)
        return rc;
    greeting = json_object_object_get_ex(message, "QMP", NULL);
    json_object_put(message);
    if (!greeting)
        return err_set(err, EPROTO, "the other side does not greet as a QMP server does");
    rc = qmp_client_execute(c, "qmp_capabilities", NULL, &message, err);
    if (!rc)
        json_object_put(message);
    return rc;
}

int qmp_client_open(struct qmp_client **ret, const char *path, struct ferry_err *err)
{
    OWN(client_free) struct qmp_client *c = calloc(1, sizeof(*c));
    int rc;

    if (!c)
        return err_set(err, ENOMEM, "out of memory");
    c->fd = -1;
    c->tokener = json_tokener_new();
    if (!c->tokener)
        return err_set(err, ENOMEM, "out of memory");
    rc = connect_to(c, path, err);
    if (!rc)
        rc = negotiate(c, err);
    if (!rc)
        *ret = TAKE_PTR(c);
    return rc;
}
