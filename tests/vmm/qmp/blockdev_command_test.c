/* SPDX-License-Identifier: Apache-2.0 */
/* blockdev-add and blockdev-del: what is refused before the VM hears of it, and what the VM hears.
 */
#include "tests/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "base/err.h"
#include "tests/send_fds.h"
#include "tests/vmm/qmp/talk.h"

#define ADD(args)         "{\"execute\":\"blockdev-add\",\"arguments\":{\"node-name\":\"i\"," args "}}"
#define FILE_(name, more) ADD("\"driver\":\"file\",\"filename\":\"" name "\"" more)
#define RAW(file)         ADD("\"driver\":\"raw\",\"file\":" file)
#define ADD_FD            "{\"execute\":\"add-fd\",\"arguments\":{\"fdset-id\":3}}"

static void what_is_not_served_is_refused(void **state)
{
    static const struct {
        const char *request, *says;
    } cases[] = {
        {ADD("\"driver\":\"qcow2\""), ERROR("Parameter 'driver' does not accept value 'qcow2'")},
        {ADD("\"driver\":\"file\""), ERROR("Parameter 'filename' is missing")},
        {FILE_("/i", ",\"read-only\":\"on\""),
         ERROR("Invalid parameter type for 'read-only', expected: boolean")},
        {FILE_("/i", ",\"cache\":{\"direct\":1}"),
         ERROR("Invalid parameter type for 'cache.direct', expected: boolean")},
        {FILE_("/i", ",\"locking\":true"),
         ERROR("Invalid parameter type for 'locking', expected: string")},
        {FILE_("/i", ",\"aio\":\"io_uring\""),
         ERROR("Parameter 'aio' does not accept value 'io_uring'")},
        {RAW("\"f\""), ERROR("Invalid parameter type for 'file', expected: object")},
        {RAW("{\"driver\":\"file\"}"), ERROR("Parameter 'file.filename' is missing")},
        {FILE_("/dev/fdset/3", ""), ERROR("there is no fd set 3 (add-fd makes one)")},
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
    err_set(&t.vm.refuse, EEXIST, "Duplicate nodes with node-name='i'");
    client_send(fd, FILE_("/i", ""));
    ASSERT_SAYS(&t, fd, ERROR("Duplicate nodes with node-name='i'"));
    assert_int_equal(t.migration.asked, 0);
    close(fd);
    talk_end(&t);
}

/* What QMP says in another type than the option is translated, in both layers. */
static void arguments_become_words(void **state)
{
    static const char request[] =
        RAW("{\"driver\":\"file\",\"filename\":\"/i\",\"locking\":\"off\"},\"read-only\":true");
    struct talk t = {.ask = fake_ask};
    int fd;

    talk_begin(&t);
    fd = talk_client(&t);
    client_send(fd, request);
    ASSERT_SAYS(&t, fd, OK);
    assert_int_equal(t.migration.asked, 1);
    assert_string_equal(t.migration.words, request);
    assert_true(t.vm.given);
    assert_string_equal(
        t.vm.words, "{\"node-name\": \"i\", \"driver\": \"raw\", \"file\": {\"driver\": "
                    "\"file\", \"filename\": \"/i\", \"locking\": false}, \"read-only\": true}");
    client_send(fd, FILE_("/i", ",\"locking\":\"auto\""));
    ASSERT_SAYS(&t, fd, OK);
    assert_string_equal(t.vm.words,
                        "{\"node-name\": \"i\", \"driver\": \"file\", \"filename\": \"/i\"}");
    close(fd);
    talk_end(&t);
}

static void an_image_in_a_set_needs_nobody(void **state)
{
    struct talk t = {.ask = fake_ask};
    int fd, file = open("/dev/null", O_RDONLY | O_CLOEXEC);

    talk_begin(&t);
    fd = talk_client(&t);
    send_fds(fd, ADD_FD, &file, 1);
    turn(t.loop);
    client_read(fd, t.migration.words, sizeof(t.migration.words));
    client_send(fd, FILE_("/dev/fdset/3", ",\"read-only\":true"));
    ASSERT_SAYS(&t, fd, OK);
    assert_true(t.vm.given);
    assert_int_equal(t.migration.asked, 0);
    /* It is open for reading only. */
    client_send(fd, FILE_("/dev/fdset/3", ""));
    ASSERT_SAYS(&t, fd,
                ERROR("no file descriptor in fd set 3 is open for writing without "
                      "O_DIRECT"));
    client_send(fd, "{\"execute\":\"blockdev-del\",\"arguments\":{\"node-name\":\"i\"}}");
    ASSERT_SAYS(&t, fd, OK);
    assert_string_equal(t.vm.words, "i");
    close(fd);
    close(file);
    talk_end(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_not_served_is_refused),
        cmocka_unit_test(arguments_become_words),
        cmocka_unit_test(an_image_in_a_set_needs_nobody),
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
