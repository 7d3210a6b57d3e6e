/* SPDX-License-Identifier: Apache-2.0 */
/* chardev-add and chardev-remove: what is refused before the VM hears of it, and what the VM hears.
 */
#include "tests/unit.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "tests/vmm/qmp/talk.h"

#define ADD(backend) \
    "{\"execute\":\"chardev-add\",\"arguments\":{\"id\":\"c1\",\"backend\":{" backend "}}}"
#define SOCKET(more)                                                                       \
    ADD("\"type\":\"socket\",\"data\":{\"addr\":{\"type\":\"unix\",\"data\":{\"path\":\"/" \
        "p\"}}" more "}")
#define REMOVE "{\"execute\":\"chardev-remove\",\"arguments\":{\"id\":\"c1\"}}"

static void what_is_not_served_is_refused(void **state)
{
    static const struct {
        const char *request, *says;
    } cases[] = {
        {ADD("\"type\":\"stdio\",\"data\":{}"),
         ERROR("Parameter 'type' does not accept value 'stdio'")},
        {ADD("\"type\":\"pty\""), ERROR("Parameter 'backend.data' is missing")},
        {ADD("\"type\":\"file\",\"data\":{}"), ERROR("Parameter 'backend.data.out' is missing")},
        {ADD("\"type\":\"file\",\"data\":{\"out\":5}"),
         ERROR("Invalid parameter type for 'backend.data.out', expected: string")},
        {ADD("\"type\":\"file\",\"data\":{\"out\":\"f\",\"in\":\"g\"}"),
         ERROR("Parameter 'backend.data.in' is unexpected")},
        {ADD("\"type\":\"socket\",\"data\":{\"addr\":{\"type\":\"inet\"}}"),
         ERROR("Parameter 'type' does not accept value 'inet'")},
        {SOCKET(",\"server\":\"on\""),
         ERROR("Invalid parameter type for 'backend.data.server', expected: boolean")},
        {ADD("\"type\":\"socket\",\"data\":{\"addr\":{\"type\":\"unix\",\"data\":{\"path\":\"/p\","
             "\"abstract\":true}}}"),
         ERROR("Parameter 'abstract' expects false: a socket has a path here, whose folder says "
               "who may connect")},
        {SOCKET(",\"telnet\":true"),
         ERROR("Parameter 'telnet' expects false: a socket carries bytes as they are")},
        {SOCKET(",\"wait\":true"),
         ERROR("Parameter 'wait' expects false: a VM that lives waits for nobody")},
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
    err_set(&t.vm.refuse, EEXIST, "Chardev with id 'c1' already exists");
    client_send(fd, SOCKET(""));
    ASSERT_SAYS(&t, fd, ERROR("Chardev with id 'c1' already exists"));
    assert_int_equal(t.migration.asked, 0);
    close(fd);
    talk_end(&t);
}

static void unions_become_words(void **state)
{
    static const struct {
        const char *request, *words;
        int asked;
    } cases[] = {
        {ADD("\"type\":\"null\",\"data\":{}"), "{\"backend\": \"null\", \"id\": \"c1\"}", 0},
        {ADD("\"type\":\"null\",\"data\":{\"logfile\":\"l\",\"logappend\":true}"),
         "{\"backend\": \"null\", \"id\": \"c1\", \"logfile\": \"l\", \"logappend\": true}", 1},
        {ADD("\"type\":\"file\",\"data\":{\"out\":\"f\",\"append\":true}"),
         "{\"backend\": \"file\", \"id\": \"c1\", \"path\": \"f\", \"append\": true}", 1},
        {ADD("\"type\":\"pty\",\"data\":{}"), "{\"backend\": \"pty\", \"id\": \"c1\"}", 1},
        {SOCKET(",\"wait\":false,\"nodelay\":true"),
         "{\"backend\": \"socket\", \"id\": \"c1\", \"path\": \"/p\", \"server\": true, "
         "\"wait\": false}",
         1},
        {SOCKET(",\"server\":false"),
         "{\"backend\": \"socket\", \"id\": \"c1\", \"path\": \"/p\", \"server\": false, "
         "\"wait\": false}",
         1},
    };
    struct talk t = {.ask = fake_ask};
    int fd, asked = 0;

    talk_begin(&t);
    fd = talk_client(&t);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        client_send(fd, cases[i].request);
        ASSERT_SAYS(&t, fd, OK);
        assert_string_equal(t.vm.words, cases[i].words);
        assert_int_equal(t.vm.given, cases[i].asked);
        asked += cases[i].asked;
        assert_int_equal(t.migration.asked, asked);
        if (cases[i].asked)
            assert_string_equal(t.migration.words, cases[i].request);
    }
    client_send(fd, REMOVE);
    ASSERT_SAYS(&t, fd, OK);
    assert_string_equal(t.vm.words, "c1");
    err_set(&t.vm.refuse, ENOENT, "Chardev 'c1' not found");
    client_send(fd, REMOVE);
    ASSERT_SAYS(&t, fd, ERROR("Chardev 'c1' not found"));
    close(fd);
    talk_end(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_not_served_is_refused),
        cmocka_unit_test(unions_become_words),
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
