/* SPDX-License-Identifier: Apache-2.0 */
/* The protocol, with a table of commands made for it, over a real socket and loop. */
#include "tests/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
#include "base/own.h"
#include "tests/vmm/qmp/monitor_bench.h"
#include "vmm/qmp/json_build.h"
#include "vmm/qmp/session.h"

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

static void pretty_output(void **state)
{
    struct bench *b = *state;
    struct ferry_err err;
    int fd;

    monitor_free(b->monitor);
    chardev_free(b->chardev);
    assert_int_equal(monitor_new(&b->monitor, b->loop, &bench_table, &b->env, &err), 0);
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

    assert_int_equal(monitor_new(&b->monitor, b->loop, &bench_table, &b->env, &err), 0);
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
#define T(f) cmocka_unit_test_setup_teardown(f, bench_setup, bench_teardown)
    const struct CMUnitTest tests[] = {
        T(negotiation),
        T(requests),
        T(arguments),
        T(the_split_of_the_input_does_not_matter),
        T(several_clients_at_once),
        T(another_user_is_not_served),
        T(events_go_to_all_who_negotiated),
        T(answers_keep_their_order),
        T(a_deferred_call_can_fail),
        T(out_of_band_overtakes),
        T(a_client_that_sent_its_last_command_gets_its_answers),
        T(a_client_that_leaves_takes_nothing_down),
        T(a_call_that_never_finishes_goes_with_the_monitor),
        T(pretty_output),
        T(clients_wait_for_a_handover),
        T(stdio_is_one_client),
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
