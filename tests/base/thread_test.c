/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit.h"

#include <signal.h>
#include <string.h>
#include <sys/prctl.h>

#include "base/thread.h"

struct seen {
    char name[THREAD_NAME_BYTES];
    sigset_t blocked;
};

static void *look(void *arg)
{
    struct seen *s = arg;

    prctl(PR_GET_NAME, s->name);
    pthread_sigmask(SIG_BLOCK, NULL, &s->blocked);
    return s;
}

static struct seen start(const char *name)
{
    struct seen s = {0};
    pthread_t thread;
    void *ret;

    assert_int_equal(thread_start(&thread, name, look, &s), 0);
    assert_int_equal(pthread_join(thread, &ret), 0);
    assert_ptr_equal(ret, &s);
    return s;
}

static void it_has_its_name_when_it_begins(void **state)
{
    assert_string_equal(start("ferry-test").name, "ferry-test");
}

static void a_long_name_is_cut(void **state)
{
    assert_string_equal(start("0123456789abcdefgh").name, "0123456789abcde");
}

static void signals_are_the_main_threads(void **state)
{
    struct seen s = start("ferry-test");
    sigset_t before;

    assert_true(sigismember(&s.blocked, SIGTERM));
    assert_true(sigismember(&s.blocked, SIGINT));
    assert_false(sigismember(&s.blocked, SIGBUS));
    assert_false(sigismember(&s.blocked, SIGSYS));
    pthread_sigmask(SIG_BLOCK, NULL, &before);
    assert_false(sigismember(&before, SIGTERM));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_has_its_name_when_it_begins),
        cmocka_unit_test(a_long_name_is_cut),
        cmocka_unit_test(signals_are_the_main_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
