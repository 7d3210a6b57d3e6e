/* SPDX-License-Identifier: Apache-2.0 */
/* The protocol, with a table of commands made for it, over a real socket and loop. */
#include "tests/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/own.h"
#include "tests/vmm/qmp/turns.h"
#include "vmm/backend/chardev.h"
#include "vmm/qmp/command.h"
#include "vmm/qmp/json_build.h"
#include "vmm/qmp/json_in.h"
#include "vmm/qmp/monitor.h"
#include "vmm/qmp/session.h"

/* --- Commands --- */

struct bench {
    struct loop *loop;
    struct monitor *monitor;
    struct chardev *chardev;
    struct config_chardev config;
    struct monitor_env env;
    char path[96];
    struct qmp_call *waiting; /* of `later` */
    int runs;
};

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
static const struct qmp_table table = {.commands = commands};

static int client_negotiated(struct bench *b, bool oob)
{
    int fd = client_new(b->path);

    ASSERT_SAYS(b, fd, GREETING);
    client_send(fd, oob ? "{\"execute\":\"qmp_capabilities\",\"arguments\":{\"enable\":[\"oob\"]}}"
                        : "{\"execute\":\"qmp_capabilities\"}");
    ASSERT_SAYS(b, fd, OK);
    return fd;
}

static void bench_attach(struct bench *b, bool pretty)
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

static int setup(void **state)
{
    struct bench *b = calloc(1, sizeof(*b));
    struct ferry_err err;

    assert_int_equal(loop_new(&b->loop, &err), 0);
    b->env.arg = b;
    assert_int_equal(monitor_new(&b->monitor, b->loop, &table, &b->env, &err), 0);
    snprintf(b->path, sizeof(b->path), "/tmp/ferry-monitor-%d", getpid());
    b->config = (struct config_chardev){.id = (char *)(uintptr_t) "compat_monitor0",
                                        .type = CONFIG_CHARDEV_SOCKET,
                                        .path = b->path,
                                        .server = true};
    bench_attach(b, false);
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;

    monitor_free(b->monitor);
    chardev_free(b->chardev);
    turn(b->loop);
    loop_free(b->loop);
    free(b);
    return 0;
}

/* --- Tests --- */

struct row {
    const char *in, *out;
};

static void expect_rows(struct bench *b, int fd, const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        client_send(fd, rows[i].in);
        ASSERT_SAYS(b, fd, rows[i].out);
    }
}
#define EXPECT_ROWS(b, fd, rows) expect_rows(b, fd, rows, sizeof(rows) / sizeof((rows)[0]))

static void negotiation(void **state)
{
    struct bench *b = *state;
    static const struct row rows[] = {
        {"{\"execute\":\"echo\",\"id\":7}",
         "{\"id\": 7, \"error\": {\"class\": \"CommandNotFound\", \"desc\": \"Expecting "
         "capabilities negotiation with 'qmp_capabilities'\"}}\r\n"},
        {"{\"execute\":\"nope\"}",
         ERROR_OF("CommandNotFound", "Expecting capabilities negotiation with 'qmp_capabilities'")},
        {"{\"exec-oob\":\"qmp_capabilities\"}", ERROR("QMP input member 'exec-oob' is unexpected")},
        {"{\"execute\":5}", ERROR("QMP input member 'execute' must be a string")},
        {"5 ", ERROR("QMP input must be a JSON object")},
        {"{\"execute\":\"qmp_capabilities\",\"arguments\":{\"enable\":[\"bogus\"]}}",
         ERROR("Parameter 'enable[0]' does not accept value 'bogus'")},
        {"{\"execute\":\"qmp_capabilities\",\"arguments\":{\"enabl\":[\"oob\"]}}",
         ERROR("Parameter 'enabl' is unexpected")},
        {"{\"execute\":\"qmp_capabilities\",\"arguments\":{\"enable\":\"oob\"}}",
         ERROR("Invalid parameter type for 'enable', expected: array")},
        {"{\"execute\":\"qmp_capabilities\",\"arguments\":{\"enable\":[\"oob\",\"oob\"]}}", OK},
        {"{\"execute\":\"qmp_capabilities\"}",
         ERROR_OF("CommandNotFound",
                  "Capabilities negotiation is already complete, command ignored")},
        {"{\"execute\":\"echo\"}", OK},
    };
    int fd = client_new(b->path);

    ASSERT_SAYS(b, fd, GREETING);
    EXPECT_ROWS(b, fd, rows);
    close(fd);
}

static void requests(void **state)
{
    struct bench *b = *state;
    static const struct row rows[] = {
        {"[]", ERROR("QMP input must be a JSON object")},
        {"\"x\"", ERROR("QMP input must be a JSON object")},
        {"null ", ERROR("QMP input must be a JSON object")},
        {"{}", ERROR("QMP input lacks member 'execute'")},
        {"{\"id\":1}",
         "{\"id\": 1, \"error\": {\"class\": \"GenericError\", \"desc\": \"QMP input lacks member "
         "'execute'\"}}\r\n"},
        {"{\"execute\":5}", ERROR("QMP input member 'execute' must be a string")},
        {"{\"exec-oob\":\"urgent\"}", ERROR("QMP input member 'exec-oob' is unexpected")},
        {"{\"execute\":\"echo\",\"arguments\":5}",
         ERROR("QMP input member 'arguments' must be an object")},
        {"{\"execute\":\"echo\",\"bogus\":1}", ERROR("QMP input member 'bogus' is unexpected")},
        {"{\"execute\":\"nope\"}",
         ERROR_OF("CommandNotFound", "The command nope has not been found")},
        {"{\"execute\":\"fail\"}", ERROR_OF("DeviceNotFound", "Device 'x' not found")},
        {"{\"execute\":\"echo\",\"id\":null}", "{\"return\": {}, \"id\": null}\r\n"},
        {"{\"execute\":\"echo\",\"id\":[1,{\"a\":\"\\u0000\\u20ac\"}]}",
         "{\"return\": {}, \"id\": [1, {\"a\": \"\\u0000\\u20AC\"}]}\r\n"},
        {"{\"id\":1e400,\"execute\":\"echo\"}",
         ERROR("JSON parse error, number '1e400' is beyond what a double can hold")},
        {"{\"execute\":\"echo\"", ""},
        {"}", OK},
        {"{\"execute\":}", ERROR("JSON parse error, expecting value")},
        {"{\"execute\":\"echo\"} {\"execute\":\"echo\",\"id\":2}\n",
         OK "{\"return\": {}, \"id\": 2}\r\n"},
    };
    int fd = client_negotiated(b, false);

    EXPECT_ROWS(b, fd, rows);
    close(fd);
}

static void arguments(void **state)
{
    struct bench *b = *state;
    static const struct row rows[] = {
        {"{\"execute\":\"need\"}", ERROR("Parameter 'x' is missing")},
        {"{\"execute\":\"need\",\"arguments\":{\"y\":1}}", ERROR("Parameter 'x' is missing")},
        {"{\"execute\":\"need\",\"arguments\":{\"x\":1}}",
         ERROR("Invalid parameter type for 'x', expected: string")},
        {"{\"execute\":\"fail\",\"arguments\":{\"x\":1}}", ERROR("Parameter 'x' is unexpected")},
        {"{\"execute\":\"echo\",\"arguments\":{\"b\":1}}",
         ERROR("Invalid parameter type for 'b', expected: boolean")},
        {"{\"execute\":\"echo\",\"arguments\":{\"i\":1.5}}",
         ERROR("Invalid parameter type for 'i', expected: integer")},
        {"{\"execute\":\"echo\",\"arguments\":{\"i\":9223372036854775808}}",
         ERROR("Invalid parameter type for 'i', expected: integer")},
        {"{\"execute\":\"echo\",\"arguments\":{\"u\":\"5\"}}",
         ERROR("Parameter 'u' expects uint64")},
        {"{\"execute\":\"echo\",\"arguments\":{\"u\":-1}}", ERROR("Parameter 'u' expects uint64")},
        {"{\"execute\":\"echo\",\"arguments\":{\"u8\":256}}",
         ERROR("Parameter 'u8' expects uint8_t")},
        {"{\"execute\":\"echo\",\"arguments\":{\"n\":\"1\"}}",
         ERROR("Invalid parameter type for 'n', expected: number")},
        {"{\"execute\":\"echo\",\"arguments\":{\"sn\":1}}",
         ERROR("Invalid parameter type for 'sn', expected: StrOrNull")},
        {"{\"execute\":\"echo\",\"arguments\":{\"c\":\"blue\"}}",
         ERROR("Parameter 'c' does not accept value 'blue'")},
        {"{\"execute\":\"echo\",\"arguments\":{\"c\":1}}",
         ERROR("Invalid parameter type for 'c', expected: string")},
        {"{\"execute\":\"echo\",\"arguments\":{\"channels\":{}}}",
         ERROR("Invalid parameter type for 'channels', expected: array")},
        {"{\"execute\":\"echo\",\"arguments\":{\"channels\":[5]}}",
         ERROR("Invalid parameter type for 'channels[0]', expected: object")},
        {"{\"execute\":\"echo\",\"arguments\":{\"channels\":[{}]}}",
         ERROR("Parameter 'channels[0].addr' is missing")},
        {"{\"execute\":\"echo\",\"arguments\":{\"channels\":[{\"addr\":{}}]}}",
         ERROR("Parameter 'channels[0].addr.type' is missing")},
        {"{\"execute\":\"echo\",\"arguments\":{\"channels\":[{\"addr\":{\"type\":\"unix\"}}]}}",
         ERROR("Parameter 'channels[0].addr.path' is missing")},
        {"{\"execute\":\"echo\",\"arguments\":{\"channels\":[{\"addr\":{\"type\":\"zz\"}}]}}",
         ERROR("Parameter 'type' does not accept value 'zz'")},
        {"{\"execute\":\"echo\",\"arguments\":{\"channels\":[{\"addr\":{\"type\":\"unix\","
         "\"path\":5}}]}}",
         ERROR("Invalid parameter type for 'channels[0].addr.path', expected: string")},
        {"{\"execute\":\"echo\",\"arguments\":{\"channels\":[{\"addr\":{\"type\":\"none\","
         "\"path\":\"x\"}}]}}",
         ERROR("Parameter 'channels[0].addr.path' is unexpected")},
        {"{\"execute\":\"echo\",\"arguments\":{\"channels\":[{\"addr\":{\"type\":\"unix\","
         "\"path\":\"x\",\"zz\":1}}]}}",
         ERROR("Parameter 'channels[0].addr.zz' is unexpected")},
        {"{\"execute\":\"echo\",\"arguments\":{\"channels\":[{\"addr\":{\"type\":\"unix\","
         "\"path\":\"x\",\"mode\":7},\"colour\":\"red\"}],\"sn\":null,\"u\":18446744073709551615}}",
         "{\"return\": {\"channels\": [{\"addr\": {\"type\": \"unix\", \"path\": \"x\", \"mode\": "
         "7}, \"colour\": \"red\"}], \"sn\": null, \"u\": 18446744073709551615}}\r\n"},
    };
    int fd = client_negotiated(b, false);

    EXPECT_ROWS(b, fd, rows);
    close(fd);
}

static void the_split_of_the_input_does_not_matter(void **state)
{
    struct bench *b = *state;
    static const char in[] = "{\"execute\":\"echo\",\"id\":\"\\u20ac\"}\n5 {\"execute\":\"fail\"}";
    static const char out[] =
        "{\"return\": {}, \"id\": \"\\u20AC\"}\r\n" ERROR("QMP input must be a JSON object")
            ERROR_OF("DeviceNotFound", "Device 'x' not found");

    for (size_t cut = 1; cut < sizeof(in) - 1; cut += 3) {
        int fd = client_negotiated(b, false);
        char said[4096];

        assert_int_equal(write(fd, in, cut), cut);
        turn_ns(b->loop, 1000000);
        assert_int_equal(write(fd, in + cut, sizeof(in) - 1 - cut), sizeof(in) - 1 - cut);
        turn(b->loop);
        assert_string_equal(client_read(fd, said, sizeof(said)), out);
        close(fd);
    }
}

static void several_clients_at_once(void **state)
{
    struct bench *b = *state;
    int one = client_negotiated(b, false), two = client_new(b->path),
        three = client_negotiated(b, true);

    client_send(one, "{\"execute\":\"later\",\"id\":1}");
    ASSERT_SAYS(b, one, "");
    client_send(three, "{\"execute\":\"echo\",\"id\":3}");
    ASSERT_SAYS(b, three, "{\"return\": {}, \"id\": 3}\r\n");
    qmp_call_finish(b->waiting, 0, NULL, NULL);
    ASSERT_SAYS(b, one, "{\"return\": {}, \"id\": 1}\r\n");
    ASSERT_SAYS(b, two, GREETING);
    close(one);
    close(two);
    close(three);
}

static void too_many_clients_are_told(void **state)
{
    struct bench *b = *state;
    int fds[MONITOR_SESSIONS_MAX], more;

    for (size_t i = 0; i < MONITOR_SESSIONS_MAX; i++) {
        fds[i] = client_new(b->path);
        ASSERT_SAYS(b, fds[i], GREETING);
    }
    more = client_new(b->path);
    ASSERT_SAYS(b, more,
                ERROR("this monitor has as many clients as it can serve; close one") "EOF");
    close(more);
    close(fds[0]);
    turn(b->loop);
    more = client_new(b->path);
    ASSERT_SAYS(b, more, GREETING);
    close(more);
    for (size_t i = 1; i < MONITOR_SESSIONS_MAX; i++)
        close(fds[i]);
}

/* Whoever can give commands can do all that this process can: exec:, files, other people's VMs. */
static void another_user_is_not_served(void **state)
{
    struct bench *b = *state;
    char text[200];
    int fd;

    if (geteuid() != 0)
        skip();
    assert_int_equal(chmod(b->path, 0666), 0);
    assert_int_equal(seteuid(65534), 0);
    fd = client_new(b->path);
    assert_int_equal(seteuid(0), 0);
    turn(b->loop);
    assert_string_equal(client_read(fd, text, sizeof(text)), "EOF");
    close(fd);
    fd = client_new(b->path);
    turn(b->loop);
    assert_string_equal(client_read(fd, text, sizeof(text)), GREETING);
    close(fd);
}

/* Without the digits of the time. */
static void blank_digits(char *text)
{
    for (; *text; text++)
        if (*text >= '0' && *text <= '9')
            *text = '#';
}

static void events_go_to_all_who_negotiated(void **state)
{
    struct bench *b = *state;
    int one = client_negotiated(b, false), two = client_new(b->path),
        three = client_negotiated(b, false);
    char said[4096];
    long seconds;

    ASSERT_SAYS(b, two, GREETING);
    client_send(one, "{\"execute\":\"event\"}");
    turn(b->loop);
    client_read(one, said, sizeof(said));
    assert_int_equal(sscanf(said, "{\"timestamp\": {\"seconds\": %ld", &seconds), 1);
    assert_true(labs(seconds - (long)time(NULL)) < 10);
    assert_non_null(strstr(said, "}, \"event\": \"HELLO\"}\r\n" OK));
    client_read(three, said, sizeof(said));
    assert_non_null(strstr(said, "\"event\": \"HELLO\"}\r\n"));
    ASSERT_SAYS(b, two, "");
    monitor_event(b->monitor, "DATA", json_object_new_object());
    turn(b->loop);
    client_read(three, said, sizeof(said));
    blank_digits(said);
    assert_non_null(strstr(said, "\"event\": \"DATA\", \"data\": {}}\r\n"));
    close(one);
    close(two);
    close(three);
}

static void answers_keep_their_order(void **state)
{
    struct bench *b = *state;
    int fd = client_negotiated(b, false);

    client_send(fd, "{\"execute\":\"later\",\"id\":1}{\"execute\":\"echo\",\"id\":2}{\"id\":nul}"
                    "{\"execute\":\"echo\",\"id\":3}");
    ASSERT_SAYS(b, fd, "");
    assert_int_equal(b->runs, 0);
    qmp_call_finish(b->waiting, 0, json_object_new_array(), NULL);
    ASSERT_SAYS(b, fd,
                "{\"return\": [], \"id\": 1}\r\n{\"return\": {}, \"id\": 2}\r\n" ERROR(
                    "JSON parse error, invalid keyword 'nul'") "{\"return\": {}, \"id\": 3}\r\n");
    close(fd);
}

static void a_deferred_call_can_fail(void **state)
{
    struct bench *b = *state;
    int fd = client_negotiated(b, false);
    struct ferry_err err;

    client_send(fd, "{\"execute\":\"later\",\"id\":1}");
    turn(b->loop);
    qmp_call_finish(b->waiting, err_set(&err, EIO, "no \"luck\""), NULL, &err);
    ASSERT_SAYS(b, fd,
                "{\"id\": 1, \"error\": {\"class\": \"GenericError\", \"desc\": \"no "
                "\\\"luck\\\"\"}}\r\n");
    close(fd);
}

static void out_of_band_overtakes(void **state)
{
    struct bench *b = *state;
    static const struct row rows[] = {
        {"{\"exec-oob\":\"urgent\",\"execute\":\"echo\"}",
         ERROR("QMP input member 'execute' clashes with 'exec-oob'")},
        {"{\"exec-oob\":\"echo\",\"id\":1}",
         "{\"id\": 1, \"error\": {\"class\": \"GenericError\", \"desc\": \"The command echo does "
         "not support OOB\"}}\r\n"},
        {"{\"exec-oob\":\"nope\"}",
         ERROR_OF("CommandNotFound", "The command nope has not been found")},
        {"{\"exec-oob\":5}", ERROR("QMP input member 'exec-oob' must be a string")},
        {"{\"exec-oob\":\"urgent\",\"id\":2}", "{\"return\": {}, \"id\": 2}\r\n"},
        {"{\"execute\":\"urgent\",\"id\":3}", "{\"return\": {}, \"id\": 3}\r\n"},
    };
    int fd = client_negotiated(b, true);

    EXPECT_ROWS(b, fd, rows);
    client_send(fd, "{\"execute\":\"later\",\"id\":1}{\"execute\":\"echo\",\"id\":2}"
                    "{\"exec-oob\":\"urgent\",\"id\":3}");
    ASSERT_SAYS(b, fd, "{\"return\": {}, \"id\": 3}\r\n");
    qmp_call_finish(TAKE_PTR(b->waiting), 0, NULL, NULL);
    ASSERT_SAYS(b, fd, "{\"return\": {}, \"id\": 1}\r\n{\"return\": {}, \"id\": 2}\r\n");

    /* With the queue full, out of band is not seen either. */
    client_send(fd, "{\"execute\":\"later\",\"id\":0}");
    for (unsigned i = 1; i < SESSION_QUEUE_MAX; i++)
        client_send(fd, "{\"execute\":\"echo\",\"id\":1}");
    client_send(fd, "{\"exec-oob\":\"urgent\",\"id\":3}");
    ASSERT_SAYS(b, fd, "");
    b->runs = 0;
    qmp_call_finish(b->waiting, 0, NULL, NULL);
    turn(b->loop);
    assert_int_equal(b->runs, SESSION_QUEUE_MAX);
    close(fd);
}

static void a_client_that_sent_its_last_command_gets_its_answers(void **state)
{
    struct bench *b = *state;
    int fd = client_negotiated(b, true); /* with room in the queue its end is seen at once */

    client_send(fd, "{\"execute\":\"later\",\"id\":1}{\"execute\":\"echo\",\"id\":2}");
    shutdown(fd, SHUT_WR);
    ASSERT_SAYS(b, fd, "");
    qmp_call_finish(b->waiting, 0, NULL, NULL);
    ASSERT_SAYS(b, fd, "{\"return\": {}, \"id\": 1}\r\n{\"return\": {}, \"id\": 2}\r\nEOF");
    close(fd);
}

static void a_client_that_leaves_takes_nothing_down(void **state)
{
    struct bench *b = *state;
    int fd = client_negotiated(b, false), other;

    client_send(fd, "{\"execute\":\"later\",\"id\":1}{\"execute\":\"echo\"}{\"half");
    turn(b->loop);
    close(fd);
    turn(b->loop);
    qmp_call_finish(b->waiting, 0, NULL, NULL);
    turn(b->loop);
    other = client_negotiated(b, false);
    close(other);
}

static void a_call_that_never_finishes_goes_with_the_monitor(void **state)
{
    struct bench *b = *state;
    int fd = client_negotiated(b, false);

    client_send(fd, "{\"execute\":\"later\",\"id\":[1,2]}");
    turn(b->loop);
    assert_non_null(b->waiting);
    close(fd);
}

/* How many bytes there are up to that text. */
static size_t read_until(struct bench *b, int fd, const char *wanted)
{
    static char tail[1 << 20];
    size_t n = 0, all = 0;

    for (int tries = 0; tries < 100000; tries++) {
        ssize_t r;

        turn_ns(b->loop, 100000);
        r = recv(fd, tail + n, sizeof(tail) - 1 - n, MSG_DONTWAIT);
        if (r <= 0)
            continue;
        n += (size_t)r;
        all += (size_t)r;
        tail[n] = 0;
        if (strstr(tail, wanted))
            return all;
        if (n > sizeof(tail) / 2) { /* what may be the beginning of it stays */
            memmove(tail, tail + n - 64, 64);
            n = 64;
        }
    }
    fail_msg("it never says %s", wanted);
    return 0;
}

static void a_client_that_does_not_read_is_held(void **state)
{
    struct bench *b = *state;
    int fd = client_negotiated(b, false);
    struct json_object *text;
    OWN_MEM char *big = malloc(65536);
    int sent = 0;

    /* It floods and never reads: it is not asked for more, and nothing grows. */
    memset(big, 'x', 60000);
    for (int i = 0; i < 400; i++) {
        char request[256];
        int n = snprintf(request, sizeof(request), "{\"execute\":\"echo\",\"id\":\"%0200d\"}", i);

        if (send(fd, request, (size_t)n, MSG_NOSIGNAL) < 0)
            break;
        sent++;
        if (i % 50 == 0)
            turn_ns(b->loop, 1000000);
    }
    turn(b->loop);
    assert_true(sent > 0);
    /* Events come as often as a guest likes: it is told the latest of them once it reads. */
    for (int i = 0; i < 400; i++) {
        text = json_object_new_string_len(big, 60000);
        monitor_event(b->monitor, "BIG", text);
    }
    monitor_event(b->monitor, "BIG", json_object_new_string("the last"));
    turn(b->loop);
    assert_true(read_until(b, fd, "the last") < 400 * 300 + 200000 + 8 * 60000);
    close(fd);
}

static void who_does_not_read_a_great_answer_is_dropped(void **state)
{
    struct bench *b = *state;
    int fd = client_negotiated(b, false), other = client_negotiated(b, false);
    size_t n = 3 << 19;
    OWN_MEM char *id = malloc(n);
    char said[4096];

    for (size_t i = 0; i < n; i++)
        id[i] = i % 2 ? '\xa9' : '\xc3'; /* two bytes in, six out */
    client_send(fd, "{\"execute\":\"echo\",\"id\":\"");
    for (size_t at = 0; at < n;) {
        ssize_t w = send(fd, id + at, n - at, MSG_NOSIGNAL | MSG_DONTWAIT);

        at += w > 0 ? (size_t)w : 0;
        turn_ns(b->loop, 100000);
    }
    client_send(fd, "\"}");
    /* To the end, past what it was told before. */
    for (ssize_t r = 1; r != 0 && (r > 0 || errno == EAGAIN);) {
        turn_ns(b->loop, 1000000);
        r = recv(fd, said, sizeof(said), MSG_DONTWAIT);
    }
    assert_int_equal(send(fd, "x", 1, MSG_NOSIGNAL), -1);
    assert_int_equal(errno, EPIPE);
    client_send(other, "{\"execute\":\"echo\"}");
    ASSERT_SAYS(b, other, OK);
    close(fd);
    close(other);
}

/* A request with n empty objects in it that is not finished; takes turns until it is sent. */
static void leave_open(struct bench *b, int fd, size_t n)
{
    size_t bytes = 3 * n;
    OWN_MEM char *text = malloc(bytes);

    for (size_t i = 0; i < bytes; i++)
        text[i] = "{},"[i % 3];
    client_send(fd, "{\"execute\":\"echo\",\"arguments\":{\"any\":[");
    for (size_t at = 0; at < bytes;) {
        ssize_t w = send(fd, text + at, bytes - at, MSG_NOSIGNAL | MSG_DONTWAIT);

        at += w > 0 ? (size_t)w : 0;
        turn_ns(b->loop, 100000);
    }
    turn(b->loop);
}

/* 0 under a sanitizer, which has a malloc of its own. */
static size_t heap_bytes(void)
{
    struct mallinfo2 info = mallinfo2();

    return info.uordblks + info.hblkhd;
}

static void what_a_client_leaves_open_is_limited(void **state)
{
    struct bench *b = *state;
    int fd = client_negotiated(b, false);
    size_t before = heap_bytes();
    char said[4096];

    leave_open(b, fd, SESSION_MEMORY_MAX_BYTES / 1000);
    assert_in_range(heap_bytes(), before, before + SESSION_MEMORY_MAX_BYTES);
    assert_string_equal(client_read(fd, said, sizeof(said)), "");
    leave_open(b, fd, 2 << 20);
    assert_in_range(heap_bytes(), 0, before + SESSION_MEMORY_MAX_BYTES);
    /* It was answered once, and goes on behind the value. */
    client_send(fd, "0]}}]}}{\"execute\":\"echo\",\"id\":7}");
    /* How many turns what lies before it takes is the machine's business. */
    said[0] = 0;
    for (int i = 0; i < 1000 && !strstr(said, "\"id\": 7"); i++) {
        turn(b->loop);
        client_read(fd, said + strlen(said), sizeof(said) - strlen(said));
    }
    assert_non_null(strstr(said, "JSON memory limit exceeded"));
    assert_non_null(strstr(said, "; send less at once"));
    assert_null(strstr(strstr(said, "exceeded") + 1, "exceeded"));
    assert_non_null(strstr(said, "\"id\": 7"));
    close(fd);
}

static void what_clients_leave_open_is_limited_in_all(void **state)
{
    struct bench *b = *state;
    size_t before = heap_bytes();
    int fds[24], good, refused = 0;
    char said[4096];

    for (int i = 0; i < 24; i++) {
        fds[i] = client_negotiated(b, false);
        leave_open(b, fds[i], SESSION_MEMORY_MAX_BYTES / 1000);
    }
    assert_in_range(heap_bytes(), 0,
                    before + MONITOR_MEMORY_MAX_BYTES + 24 * (SESSION_MEMORY_OWN_BYTES + 65536));
    /* Small commands are served as ever. */
    good = client_negotiated(b, false);
    client_send(good, "{\"execute\":\"echo\"}");
    ASSERT_SAYS(b, good, OK);
    for (int i = 0; i < 24; i++) {
        client_read(fds[i], said, sizeof(said));
        refused += strstr(said, "JSON memory limit exceeded") != NULL;
        close(fds[i]);
    }
    assert_in_range(refused, 24 - 2 * MONITOR_MEMORY_MAX_BYTES / SESSION_MEMORY_MAX_BYTES, 23);
    turn(b->loop);
    /* It comes back with them. */
    leave_open(b, good, SESSION_MEMORY_MAX_BYTES / 1000);
    assert_string_equal(client_read(good, said, sizeof(said)), "");
    close(good);
}

static void a_flood_is_answered(void **state)
{
    struct bench *b = *state;
    int fd = client_negotiated(b, false), got = 0;
    static char in[65536], said[1 << 20];
    size_t n = 0;

    while (n + 32 < sizeof(in))
        n += (size_t)snprintf(in + n, sizeof(in) - n, "{\"execute\":\"echo\"}");
    for (size_t pos = 0; pos < n || got < (int)(n / 18);) {
        ssize_t w = pos < n ? send(fd, in + pos, n - pos, MSG_NOSIGNAL) : 0;

        pos += w > 0 ? (size_t)w : 0;
        turn_ns(b->loop, 2000000);
        client_read(fd, said, sizeof(said));
        for (char *at = said; (at = strstr(at, OK)); at++)
            got++;
    }
    assert_int_equal(b->runs, n / 18);
    close(fd);
}

static void pretty_output(void **state)
{
    struct bench *b = *state;
    struct ferry_err err;
    int fd;

    monitor_free(b->monitor);
    chardev_free(b->chardev);
    assert_int_equal(monitor_new(&b->monitor, b->loop, &table, &b->env, &err), 0);
    bench_attach(b, true);
    fd = client_new(b->path);
    client_send(fd, "{\"execute\":\"qmp_capabilities\"}");
    ASSERT_SAYS(b, fd,
                "{\r\n    \"QMP\": {\r\n        \"version\": {\r\n            \"qemu\": {\r\n"
                "                \"micro\": 2,\r\n                \"minor\": 0,\r\n"
                "                \"major\": 10\r\n            },\r\n"
                "            \"package\": \"ferry 0.1.0\"\r\n        },\r\n"
                "        \"capabilities\": [\r\n            \"oob\"\r\n        ]\r\n    }\r\n}\r\n"
                "{\r\n    \"return\": {\r\n    }\r\n}\r\n");
    close(fd);
}

static void clients_wait_for_a_handover(void **state)
{
    struct bench *b = *state;
    struct ferry_part part = chardev_part(b->chardev);
    int before = client_negotiated(b, false), during;

    part.ops->pause(part.obj);
    during = client_new(b->path);
    ASSERT_SAYS(b, during, "");
    client_send(before, "{\"execute\":\"echo\"}");
    ASSERT_SAYS(b, before, OK); /* who is connected is answered at every moment */
    part.ops->resume(part.obj);
    ASSERT_SAYS(b, during, GREETING);
    close(before);
    close(during);
}

/* Standard input and output, as `-qmp stdio`. */
static void stdio_is_one_client(void **state)
{
    struct bench *b = *state;
    int to[2], from[2], in = dup(STDIN_FILENO), out;
    char said[4096];

    monitor_free(b->monitor);
    chardev_free(b->chardev);
    fflush(stdout);
    out = dup(STDOUT_FILENO);
    assert_int_equal(pipe(to), 0);
    assert_int_equal(pipe2(from, O_NONBLOCK), 0);
    dup2(to[0], STDIN_FILENO);
    dup2(from[1], STDOUT_FILENO);
    b->config = (struct config_chardev){.id = (char *)(uintptr_t) "compat_monitor0",
                                        .type = CONFIG_CHARDEV_STDIO};
    struct ferry_err err;

    assert_int_equal(monitor_new(&b->monitor, b->loop, &table, &b->env, &err), 0);
    bench_attach(b, false);
    turn(b->loop);
    client_read(from[0], said, sizeof(said));
    dup2(in, STDIN_FILENO);
    dup2(out, STDOUT_FILENO);
    assert_string_equal(said, GREETING);
    assert_int_equal(write(to[1], "{'execute':'qmp_capabilities'}", 30), 30);
    ASSERT_SAYS(b, from[0], OK);
    assert_int_equal(write(to[1], "{'execute':'echo'}", 18), 18);
    close(to[1]);
    ASSERT_SAYS(b, from[0], OK);
    close(in);
    close(out);
    close(to[0]);
    close(from[0]);
    close(from[1]);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(negotiation),
        T(requests),
        T(arguments),
        T(the_split_of_the_input_does_not_matter),
        T(several_clients_at_once),
        T(too_many_clients_are_told),
        T(another_user_is_not_served),
        T(events_go_to_all_who_negotiated),
        T(answers_keep_their_order),
        T(a_deferred_call_can_fail),
        T(out_of_band_overtakes),
        T(a_client_that_sent_its_last_command_gets_its_answers),
        T(a_client_that_leaves_takes_nothing_down),
        T(a_call_that_never_finishes_goes_with_the_monitor),
        T(a_client_that_does_not_read_is_held),
        T(who_does_not_read_a_great_answer_is_dropped),
        T(what_a_client_leaves_open_is_limited),
        T(what_clients_leave_open_is_limited_in_all),
        T(a_flood_is_answered),
        T(pretty_output),
        T(clients_wait_for_a_handover),
        T(stdio_is_one_client),
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
