/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit.h"

#include "tests/vmm/qmp/monitor_bench.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/err.h"
#include "vmm/qmp/session.h"

static struct bench *bench_of(struct qmp_call *call)
{
    return monitor_env(call->monitor)->arg;
}

static int run_capabilities(struct qmp_call *call, struct json_object *args,
                            struct json_object **ret, struct ferry_err *err)
{
    struct json_object *enable = qmp_get(args, "enable");

    return session_negotiate(call->session, enable && json_object_array_length(enable) > 0, call,
                             err);
}

static int run_echo(struct qmp_call *call, struct json_object *args, struct json_object **ret,
                    struct ferry_err *err)
{
    bench_of(call)->runs++;
    *ret = json_object_get(args);
    return 0;
}

static int run_fail(struct qmp_call *call, struct json_object *args, struct json_object **ret,
                    struct ferry_err *err)
{
    call->error_class = QMP_DEVICE_NOT_FOUND;
    return err_set(err, ENOENT, "Device 'x' not found");
}

static int run_later(struct qmp_call *call, struct json_object *args, struct json_object **ret,
                     struct ferry_err *err)
{
    assert_null(bench_of(call)->waiting);
    bench_of(call)->waiting = call;
    return QMP_DEFERRED;
}

static int run_event(struct qmp_call *call, struct json_object *args, struct json_object **ret,
                     struct ferry_err *err)
{
    monitor_event(call->monitor, "HELLO", NULL);
    return 0;
}

static const char *const colours[] = {"red", "green", NULL};
static const struct qmp_type colour = {.name = "Colour", .kind = QMP_KIND_ENUM, .values = colours};
static const char *const caps[] = {"oob", NULL};
static const struct qmp_type cap = {.name = "Cap", .kind = QMP_KIND_ENUM, .values = caps};
static const struct qmp_type cap_list = {.kind = QMP_KIND_ARRAY, .element = &cap};
static const struct qmp_type enable_args = {
    .kind = QMP_KIND_OBJECT,
    .members = (const struct qmp_member[]){{"enable", &cap_list, true}, {0}}};
static const struct qmp_type path_args = {
    .kind = QMP_KIND_OBJECT,
    .members = (const struct qmp_member[]){{"path", &qmp_str}, {"mode", &qmp_uint8, true}, {0}}};
static const char *const kinds[] = {"unix", "none", NULL};
static const struct qmp_type kind = {.name = "Kind", .kind = QMP_KIND_ENUM, .values = kinds};
static const struct qmp_type address = {
    .kind = QMP_KIND_OBJECT,
    .members = (const struct qmp_member[]){{"type", &kind}, {0}},
    .tag = "type",
    .variants = (const struct qmp_variant[]){{"unix", &path_args}, {0}}};
static const struct qmp_type channel = {
    .kind = QMP_KIND_OBJECT,
    .members = (const struct qmp_member[]){{"addr", &address}, {"colour", &colour, true}, {0}}};
static const struct qmp_type channel_list = {.kind = QMP_KIND_ARRAY, .element = &channel};
static const struct qmp_type echo_args = {
    .kind = QMP_KIND_OBJECT,
    .members = (const struct qmp_member[]){{"s", &qmp_str, true},
                                           {"b", &qmp_bool, true},
                                           {"i", &qmp_int, true},
                                           {"u", &qmp_uint64, true},
                                           {"u8", &qmp_uint8, true},
                                           {"n", &qmp_number, true},
                                           {"sn", &qmp_str_or_null, true},
                                           {"c", &colour, true},
                                           {"channels", &channel_list, true},
                                           {"any", &qmp_any, true},
                                           {0}}};
static const struct qmp_type need_args = {
    .kind = QMP_KIND_OBJECT, .members = (const struct qmp_member[]){{"x", &qmp_str}, {0}}};

static const struct qmp_command commands[] = {
    {.name = "qmp_capabilities", .handler = run_capabilities, .args = &enable_args},
    {.name = "echo", .handler = run_echo, .args = &echo_args, .ret = &echo_args},
    {.name = "need", .handler = run_echo, .args = &need_args},
    {.name = "fail", .handler = run_fail},
    {.name = "later", .handler = run_later},
    {.name = "event", .handler = run_event},
    {.name = "urgent", .handler = run_echo, .oob = true},
    {0},
};
const struct qmp_table bench_table = {.commands = commands};

int client_negotiated(struct bench *b, bool oob)
{
    int fd = client_new(b->path);

    ASSERT_SAYS(b, fd, GREETING);
    client_send(fd, oob ? "{\"execute\":\"qmp_capabilities\",\"arguments\":{\"enable\":[\"oob\"]}}"
                        : "{\"execute\":\"qmp_capabilities\"}");
    ASSERT_SAYS(b, fd, OK);
    return fd;
}

void bench_attach(struct bench *b, bool pretty)
{
    struct chardev_params params = {.config = &b->config, .loop = b->loop};
    struct ferry_part part;
    struct ferry_err err = {0};

    assert_int_equal(chardev_new(&b->chardev, &params, &err), 0);
    assert_int_equal(monitor_attach(b->monitor, b->chardev, pretty, &err), 0);
    assert_int_equal(chardev_open(b->chardev, &err), 0);
    part = chardev_part(b->chardev);
    part.ops->resume(part.obj);
}

int bench_setup(void **state)
{
    struct bench *b = calloc(1, sizeof(*b));
    struct ferry_err err;

    assert_int_equal(loop_new(&b->loop, &err), 0);
    b->env.arg = b;
    assert_int_equal(monitor_new(&b->monitor, b->loop, &bench_table, &b->env, &err), 0);
    snprintf(b->path, sizeof(b->path), "/tmp/ferry-monitor-%d", getpid());
    b->config = (struct config_chardev){.id = (char *)(uintptr_t) "compat_monitor0",
                                        .type = CONFIG_CHARDEV_SOCKET,
                                        .path = b->path,
                                        .server = true};
    bench_attach(b, false);
    *state = b;
    return 0;
}

int bench_teardown(void **state)
{
    struct bench *b = *state;

    monitor_free(b->monitor);
    chardev_free(b->chardev);
    turn(b->loop);
    loop_free(b->loop);
    free(b);
    return 0;
}
