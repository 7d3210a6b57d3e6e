/* SPDX-License-Identifier: Apache-2.0 */
/* What a VMM that is the guest's can send its supervisor: every message is one of six things, and
 * leaves no file descriptor behind. */
#include "tests/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fdmsg.h"
#include "base/mail.h"
#include "base/own.h"
#include "vmm/supervisor/supervisor_channel.h"

static int channel[2];
static struct supervisor_message m;

static int open_channel(void **state)
{
    struct ferry_err err;

    return mail_pair(channel, &err);
}

static int close_channel(void **state)
{
    supervisor_message_free(&m);
    close(channel[0]);
    close(channel[1]);
    return 0;
}

static size_t open_files(void)
{
    size_t n = 0;

    for (int fd = 0; fd < 256; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

/* fds: so many, all of them the channel's own other end. */
static void send_bytes(const void *data, size_t n, size_t fds)
{
    const int fd[3] = {channel[1], channel[1], channel[1]};
    struct iovec iov = {(void *)(uintptr_t)data, n};

    assert_int_equal(fdmsg_send(channel[1], &iov, 1, fd, fds), n);
}

static void send_ask(uint32_t words_bytes, const char *words, size_t fds)
{
    char data[SUPERVISOR_HEAD_BYTES + SUPERVISOR_WORDS_BYTES];

    memcpy(data, &words_bytes, sizeof(words_bytes));
    memcpy(data + sizeof(words_bytes), words, strlen(words));
    send_bytes(data, sizeof(words_bytes) + strlen(words), fds);
}

static void silence(void **state)
{
    supervisor_channel_recv(channel[0], &m);
    assert_int_equal(m.kind, SUPERVISOR_SILENCE);
}

static void an_end(void **state)
{
    send_bytes("g", 1, 0);
    shutdown(channel[1], SHUT_WR);
    supervisor_channel_recv(channel[0], &m);
    assert_int_equal(m.kind, SUPERVISOR_SAYS);
    supervisor_channel_recv(channel[0], &m);
    assert_int_equal(m.kind, SUPERVISOR_HUNG_UP);
    supervisor_channel_recv(-1, &m);
    assert_int_equal(m.kind, SUPERVISOR_HUNG_UP);
}

static void what_it_says_of_itself(void **state)
{
    for (int c = 0; c < 256; c++) {
        send_bytes(&(char){(char)c}, 1, 0);
        supervisor_channel_recv(channel[0], &m);
        assert_int_equal(m.kind, SUPERVISOR_SAYS);
        assert_int_equal(m.says, (char)c);
    }
}

static void the_name(void **state)
{
    char name[SUPERVISOR_NAME_BYTES + 1];

    send_bytes("nweb1", 5, 0);
    supervisor_channel_recv(channel[0], &m);
    assert_int_equal(m.kind, SUPERVISOR_NAMES);
    assert_string_equal(m.words, "web1");
    memset(name, 'n', sizeof(name));
    send_bytes(name, SUPERVISOR_NAME_BYTES, 0);
    supervisor_channel_recv(channel[0], &m);
    assert_int_equal(m.kind, SUPERVISOR_NAMES);
    assert_int_equal(strlen(m.words), SUPERVISOR_NAME_BYTES - 1);
    send_bytes(name, sizeof(name), 0);
    supervisor_channel_recv(channel[0], &m);
    assert_int_equal(m.kind, SUPERVISOR_NONSENSE);
}

static void words_of_its_own(void **state)
{
    send_ask(0, "{\"execute\": \"migrate\"}", 1);
    supervisor_channel_recv(channel[0], &m);
    assert_int_equal(m.kind, SUPERVISOR_ASKS);
    assert_int_equal(m.words_bytes, 0);
    assert_string_equal(m.words, "{\"execute\": \"migrate\"}");
    assert_true(m.mail >= 0);
    assert_int_equal(fcntl(m.mail, F_GETFD), FD_CLOEXEC);
    assert_int_equal(m.client, -1);
    assert_false(m.keeps); /* an older VMM */
}

static void what_a_vmm_knows_of(void **state)
{
    static char data[SUPERVISOR_HEAD_BYTES + SUPERVISOR_WORDS_BYTES + SUPERVISOR_KNOWS_BYTES];

    /* The letter is none of the words, however many those are. */
    for (size_t words = 0; words <= SUPERVISOR_WORDS_BYTES; words += SUPERVISOR_WORDS_BYTES) {
        for (int keeps = 0; keeps <= 1; keeps++) {
            memset(data, SUPERVISOR_KEEPS, SUPERVISOR_HEAD_BYTES + words);
            memcpy(data + SUPERVISOR_HEAD_BYTES + words, keeps ? "\0xk" : "\0xy", 3);
            send_bytes(data, SUPERVISOR_HEAD_BYTES + words + 3, 1);
            supervisor_channel_recv(channel[0], &m);
            assert_int_equal(m.kind, SUPERVISOR_ASKS);
            assert_int_equal(strlen(m.words), words);
            assert_int_equal(m.keeps, keeps);
            supervisor_message_free(&m);
        }
    }
}

static void words_of_an_operator(void **state)
{
    send_ask(UINT32_MAX, "", 2);
    supervisor_channel_recv(channel[0], &m);
    assert_int_equal(m.kind, SUPERVISOR_ASKS);
    assert_int_equal(m.words_bytes, UINT32_MAX);
    assert_string_equal(m.words, "");
    assert_true(m.mail >= 0 && m.client >= 0 && m.mail != m.client);
}

static void as_many_words_as_there_may_be(void **state)
{
    static char data[SUPERVISOR_HEAD_BYTES + SUPERVISOR_WORDS_BYTES + 1];

    memset(data, 'w', sizeof(data));
    send_bytes(data, sizeof(data) - 1, 1);
    supervisor_channel_recv(channel[0], &m);
    assert_int_equal(m.kind, SUPERVISOR_ASKS);
    assert_int_equal(strlen(m.words), SUPERVISOR_WORDS_BYTES);
    supervisor_message_free(&m);
    /* One more would be cut off, and be other words. */
    send_bytes(data, sizeof(data), 1);
    supervisor_channel_recv(channel[0], &m);
    assert_int_equal(m.kind, SUPERVISOR_NONSENSE);
    assert_true(m.mail >= 0);
}

static void expect_nonsense(const void *data, size_t n, size_t fds, bool has_mail)
{
    send_bytes(data, n, fds);
    supervisor_channel_recv(channel[0], &m);
    assert_int_equal(m.kind, SUPERVISOR_NONSENSE);
    assert_int_equal(m.mail >= 0, has_mail);
    supervisor_message_free(&m);
}

static void nonsense(void **state)
{
    size_t before = open_files();

    expect_nonsense("abc", 3, 0, false);
    expect_nonsense("abc", 3, 1, true);
    expect_nonsense("g", 1, 1, true); /* whoever says has nothing to hand over */
    expect_nonsense("\0\0\0\0{}", 6, 0, false);
    assert_int_equal(open_files(), before);
}

static void more_than_is_taken(void **state)
{
    size_t before = open_files();

    send_ask(0, "{}", 3);
    supervisor_channel_recv(channel[0], &m);
    supervisor_message_free(&m);
    assert_int_equal(open_files(), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(silence, open_channel, close_channel),
        cmocka_unit_test_setup_teardown(an_end, open_channel, close_channel),
        cmocka_unit_test_setup_teardown(what_it_says_of_itself, open_channel, close_channel),
        cmocka_unit_test_setup_teardown(the_name, open_channel, close_channel),
        cmocka_unit_test_setup_teardown(words_of_its_own, open_channel, close_channel),
        cmocka_unit_test_setup_teardown(what_a_vmm_knows_of, open_channel, close_channel),
        cmocka_unit_test_setup_teardown(words_of_an_operator, open_channel, close_channel),
        cmocka_unit_test_setup_teardown(as_many_words_as_there_may_be, open_channel, close_channel),
        cmocka_unit_test_setup_teardown(nonsense, open_channel, close_channel),
        cmocka_unit_test_setup_teardown(more_than_is_taken, open_channel, close_channel),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
