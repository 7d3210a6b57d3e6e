/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mail.h"
#include "base/own.h"

static int pair_of_mail[2];

static int make(void **state)
{
    struct ferry_err err;

    return mail_pair(pair_of_mail, &err);
}

static int drop(void **state)
{
    own_close_fd(&pair_of_mail[0]);
    own_close_fd(&pair_of_mail[1]);
    return 0;
}

static void what_was_opened_arrives(void **state)
{
    struct ferry_err err;
    struct mail m;
    int ends[2];
    char c = 0;

    assert_int_equal(mail_recv(pair_of_mail[0], &m, &err), -EAGAIN);
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(mail_send(pair_of_mail[1], MAIL_OPENED, 7, "tcp:1.2.3.4:5", ends, 2), 0);
    close(ends[0]);
    close(ends[1]);
    assert_int_equal(mail_recv(pair_of_mail[0], &m, &err), 0);
    assert_int_equal(m.kind, MAIL_OPENED);
    assert_int_equal(m.value, 7);
    assert_string_equal(m.text, "tcp:1.2.3.4:5");
    assert_int_equal(write(m.fds[1], "x", 1), 1);
    assert_int_equal(read(m.fds[0], &c, 1), 1);
    assert_int_equal(c, 'x');
    mail_free(&m);
    assert_int_equal(m.fds[0], -1);
}

static void a_refusal_is_an_error(void **state)
{
    struct ferry_err err, why;
    struct mail m;

    err_set(&why, EACCES, "no %s", "way");
    mail_refuse(pair_of_mail[1], &why);
    assert_int_equal(mail_recv(pair_of_mail[0], &m, &err), -EACCES);
    assert_string_equal(err.text, "no way");
    /* An errno that is none, from who may lie. */
    assert_int_equal(mail_send(pair_of_mail[1], MAIL_REFUSED, -5, "x", NULL, 0), 0);
    assert_int_equal(mail_recv(pair_of_mail[0], &m, &err), -EIO);
}

static void text_is_bounded(void **state)
{
    char text[2 * MAIL_TEXT_BYTES];
    struct ferry_err err;
    struct mail m;

    memset(text, 'a', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    assert_int_equal(mail_send(pair_of_mail[1], MAIL_ENDED, 1, text, NULL, 0), 0);
    assert_int_equal(mail_recv(pair_of_mail[0], &m, &err), 0);
    assert_int_equal(strlen(m.text), MAIL_TEXT_BYTES - 1);
}

static void what_is_no_mail_is_refused(void **state)
{
    static const char *const messages[] = {"x", "\xff\xff\xff\xff\1\1\1\1text", "\0\0\0\0\0\0\0\0"};
    struct ferry_err err;
    struct mail m;

    for (size_t i = 0; i < sizeof(messages) / sizeof(messages[0]); i++) {
        assert_true(send(pair_of_mail[1], messages[i], i ? 8 : 1, 0) > 0);
        assert_int_equal(mail_recv(pair_of_mail[0], &m, &err), -EPROTO);
        assert_non_null(strstr(err.text, "another version of ferry?"));
    }
}

static void who_has_gone_says_no_more(void **state)
{
    struct ferry_err err;
    struct mail m;

    own_close_fd(&pair_of_mail[1]);
    assert_int_equal(mail_recv(pair_of_mail[0], &m, &err), -EPIPE);
    assert_int_equal(mail_send(pair_of_mail[0], MAIL_HEARD, 0, "", NULL, 0), -EPIPE);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, make, drop)
    const struct CMUnitTest tests[] = {
        T(what_was_opened_arrives),    T(a_refusal_is_an_error),     T(text_is_bounded),
        T(what_is_no_mail_is_refused), T(who_has_gone_says_no_more),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
