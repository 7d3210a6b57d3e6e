/* SPDX-License-Identifier: Apache-2.0 */
/* netdev_add and netdev_del: what is refused before the VM hears of it, and what the VM hears. */
#include "tests/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "tests/send_fds.h"
#include "tests/vmm/qmp/talk.h"

#define ADD(args)   "{\"execute\":\"netdev_add\",\"arguments\":{\"id\":\"n1\"," args "}}"
#define TAP(args)   ADD("\"type\":\"tap\"" args)
#define GETFD(name) "{\"execute\":\"getfd\",\"arguments\":{\"fdname\":\"" name "\"}}"
#define DEL         "{\"execute\":\"netdev_del\",\"arguments\":{\"id\":\"n1\"}}"
#define ALONE                                                                                \
    ERROR("ifname=, script=, downscript=, vnet_hdr=, helper=, queues=, fds=, and vhostfds= " \
          "are invalid with fd=")
#define UNIX "\"addr\":{\"type\":\"unix\",\"path\":\"/p\"}"

/* Of a VM that would take all of them. */
static void what_is_not_served_is_refused(void **state)
{
    static const struct {
        const char *request, *says;
    } cases[] = {
        {ADD("\"ifname\":\"t\""), ERROR("Parameter 'type' is missing")},
        {ADD("\"type\":\"user\""), ERROR("Parameter 'type' does not accept value 'user'")},
        {TAP(",\"queues\":\"4\""), ERROR("Invalid parameter type for 'queues', expected: integer")},
        {TAP(",\"vhost\":\"off\""), ERROR("Invalid parameter type for 'vhost', expected: boolean")},
        {TAP(",\"fd\":3"), ERROR("Invalid parameter type for 'fd', expected: string")},
        {TAP(",\"cpr\":true"), ERROR("Parameter 'cpr' is unexpected")},
        {TAP(",\"addr\":{}"), ERROR("Parameter 'addr' is unexpected")},
        {TAP(",\"vhostforce\":true"),
         ERROR("Parameter 'vhost' expects false: cards of this version do without")},
        {TAP(",\"vnet_hdr\":false"),
         ERROR("Parameter 'vnet_hdr' expects true: a TAP always has the header here")},
        {TAP(",\"queues\":4"),
         ERROR("Parameter 'queues' expects 1: cards of this version have one pair")},
        {TAP(",\"fd\":\"f\",\"ifname\":\"t\""), ALONE},
        {TAP(",\"fd\":\"f\",\"script\":\"no\""), ALONE},
        {TAP(",\"fd\":\"7\""),
         ERROR("Parameter 'fd' expects a name that getfd gave: '7' is a number, and what it means "
               "changes with the process")},
        {TAP(",\"fd\":\"f\""), ERROR("File descriptor named 'f' has not been found: getfd gives "
                                     "names, and no such number is open here")},
        {ADD("\"type\":\"stream\""), ERROR("Parameter 'addr' is missing")},
        {ADD("\"type\":\"stream\"," UNIX ",\"reconnect-ms\":5"),
         ERROR("Parameter 'reconnect-ms' expects 0: only netdevs of the command line are connected "
               "again. When the peer of this one is back, netdev_del and netdev_add connect it")},
        {"{\"execute\":\"netdev_add\",\"arguments\":{\"type\":\"tap\"}}",
         ERROR("Parameter 'id' is missing")},
        {"{\"execute\":\"netdev_del\"}", ERROR("Parameter 'id' is missing")},
    };
    struct talk t = {.ask = fake_ask};
    int fd;

    talk_begin(&t);
    fd = talk_client(&t);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        client_send(fd, cases[i].request);
        ASSERT_SAYS(&t, fd, cases[i].says);
        assert_string_equal(t.vm.words, "");
    }
    assert_int_equal(t.migration.asked, 0);
    close(fd);
    talk_end(&t);
}

static void a_descriptor_is_used_up_by_success(void **state)
{
    struct talk t = {.ask = fake_ask};
    int fd, file = open("/dev/null", O_RDWR | O_CLOEXEC), number;
    char expected[64];

    talk_begin(&t);
    fd = talk_client(&t);
    send_fds(fd, GETFD("f"), &file, 1);
    ASSERT_SAYS(&t, fd, OK);
    err_set(&t.vm.refuse, EEXIST, "Duplicate ID 'n1'");
    client_send(fd, TAP(",\"fd\":\"f\""));
    ASSERT_SAYS(&t, fd, ERROR("Duplicate ID 'n1'"));
    t.vm.refuse.errnum = 0;
    client_send(fd, TAP(",\"fd\":\"f\",\"vhost\":false"));
    ASSERT_SAYS(&t, fd, OK);
    assert_true(t.vm.given);
    assert_int_equal(sscanf(t.vm.words, "{\"id\": \"n1\", \"type\": \"tap\", \"fd\": %d}", &number),
                     1);
    snprintf(expected, sizeof(expected), "{\"id\": \"n1\", \"type\": \"tap\", \"fd\": %d}", number);
    assert_string_equal(t.vm.words, expected);
    assert_int_equal(t.migration.asked, 0);
    client_send(fd, TAP(",\"fd\":\"f\""));
    ASSERT_SAYS(&t, fd,
                ERROR("File descriptor named 'f' has not been found: getfd gives names, "
                      "and no such number is open here"));
    close(fd);
    close(file);
    talk_end(&t);
}

/* What this process may not open is opened elsewhere, on the client's own words. */
static void what_needs_the_host_is_asked_for(void **state)
{
    static const char request[] =
        TAP(",\"ifname\":\"t\",\"script\":\"no\",\"queues\":1,\"vhostforce\":false");
    struct talk t = {.ask = fake_ask};
    int fd;

    talk_begin(&t);
    fd = talk_client(&t);
    err_set(&t.vm.refuse, EEXIST, "Duplicate ID 'n1'");
    client_send(fd, request);
    ASSERT_SAYS(&t, fd, ERROR("Duplicate ID 'n1'"));
    assert_int_equal(t.migration.asked, 0);
    t.vm.refuse.errnum = 0;
    client_send(fd, request);
    ASSERT_SAYS(&t, fd, OK);
    assert_int_equal(t.migration.asked, 1);
    assert_string_equal(t.migration.words, request);
    assert_true(t.vm.given);
    assert_string_equal(t.vm.words, "{\"id\": \"n1\", \"type\": \"tap\", \"ifname\": \"t\", "
                                    "\"script\": \"no\"}");
    close(fd);
    talk_end(&t);
}

/* Without a sandbox nobody has to be asked; then a stream may be connected again, too. */
static void or_opened_at_once(void **state)
{
    struct talk t = {0};
    int fd;

    talk_begin(&t);
    fd = talk_client(&t);
    client_send(fd, ADD("\"type\":\"stream\"," UNIX ",\"server\":false,\"reconnect-ms\":5"));
    ASSERT_SAYS(&t, fd, OK);
    assert_false(t.vm.given);
    assert_string_equal(t.vm.words,
                        "{\"id\": \"n1\", \"type\": \"stream\", \"addr\": {\"type\": \"unix\", "
                        "\"path\": \"/p\"}, \"server\": false, \"reconnect-ms\": 5}");
    close(fd);
    talk_end(&t);
}

static void removing(void **state)
{
    struct talk t = {0};
    int fd;

    talk_begin(&t);
    fd = talk_client(&t);
    client_send(fd, DEL);
    ASSERT_SAYS(&t, fd, OK);
    assert_string_equal(t.vm.words, "n1");
    err_set(&t.vm.refuse, ENODEV, "Device 'n1' not found");
    client_send(fd, DEL);
    ASSERT_SAYS(&t, fd, ERROR_OF("DeviceNotFound", "Device 'n1' not found"));
    err_set(&t.vm.refuse, EBUSY, "it is in use");
    client_send(fd, DEL);
    ASSERT_SAYS(&t, fd, ERROR("it is in use"));
    close(fd);
    talk_end(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_not_served_is_refused),
        cmocka_unit_test(a_descriptor_is_used_up_by_success),
        cmocka_unit_test(what_needs_the_host_is_asked_for),
        cmocka_unit_test(or_opened_at_once),
        cmocka_unit_test(removing),
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
