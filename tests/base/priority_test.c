/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit.h"

#include <sched.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/priority.h"
#include "base/thread.h"

/* In a process of its own: what the test is given, or takes away, stays there. */
static int in_child(int (*fn)(void))
{
    pid_t pid = fork();
    int status;

    if (pid == 0)
        _exit(fn());
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int urgent_and_back(void)
{
    int nice_before = priority_nice();
    enum priority_grant got = priority_urgent();

    if (got == PRIORITY_REALTIME && sched_getscheduler(0) != SCHED_FIFO)
        return 1;
    if (got == PRIORITY_NICE && getpriority(PRIO_PROCESS, 0) != -20)
        return 2;
    if (priority_urgent() != got) /* again: the same */
        return 3;
    priority_normal(nice_before);
    return sched_getscheduler(0) == SCHED_OTHER && getpriority(PRIO_PROCESS, 0) == nice_before ? 0
                                                                                               : 4;
}

static void who_was_urgent_comes_back(void **state)
{
    assert_int_equal(in_child(urgent_and_back), 0);
}

/* 77: who runs the test may not. */
static int by_the_operators_word(void)
{
    struct sched_param own = {.sched_priority = 2}, now;

    if (sched_setscheduler(0, SCHED_RR, &own) < 0)
        return 77;
    if (!priority_is_operators(0) || priority_urgent() != PRIORITY_REALTIME)
        return 1;
    priority_below();
    priority_last();
    priority_normal(0);
    return sched_getscheduler(0) == SCHED_RR && sched_getparam(0, &now) == 0 &&
                   now.sched_priority == 2
               ? 0
               : 2;
}

static void what_an_operator_chose_stays(void **state)
{
    int rc = in_child(by_the_operators_word);

    if (rc == 77)
        skip();
    assert_int_equal(rc, 0);
}

static int polite_and_back(void)
{
    return nice(5) == -1 ? 1 : urgent_and_back();
}

static void to_its_own_nice_value(void **state)
{
    assert_int_equal(in_child(polite_and_back), 0);
}

static int without_rights(void)
{
    const struct rlimit none = {0, 0};

    if (setrlimit(RLIMIT_RTPRIO, &none) < 0 || setrlimit(RLIMIT_NICE, &none) < 0)
        return 1;
    if (geteuid() == 0 && setuid(65534) < 0)
        return 2;
    /* It could not leave SCHED_IDLE. */
    priority_below();
    if (sched_getscheduler(0) != SCHED_OTHER)
        return 3;
    if (priority_urgent() > PRIORITY_SLICE)
        return 4;
    priority_normal(0);
    if (sched_getscheduler(0) != SCHED_OTHER)
        return 5;
    priority_last();
    return sched_getscheduler(0) == SCHED_IDLE ? 0 : 6;
}

static void nobody_is_stuck_below(void **state)
{
    assert_int_equal(in_child(without_rights), 0);
}

static void *policy_of_thread(void *arg)
{
    *(int *)arg = sched_getscheduler(0);
    return NULL;
}

static int thread_of_an_urgent_one(void)
{
    pthread_t thread;
    int policy = -1;

    (void)priority_urgent();
    if (thread_start(&thread, "ferry-test", policy_of_thread, &policy) < 0)
        return 1;
    pthread_join(thread, NULL);
    return policy == SCHED_OTHER ? 0 : 2;
}

static void threads_do_not_inherit_it(void **state)
{
    assert_int_equal(in_child(thread_of_an_urgent_one), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_was_urgent_comes_back),    cmocka_unit_test(to_its_own_nice_value),
        cmocka_unit_test(what_an_operator_chose_stays), cmocka_unit_test(nobody_is_stuck_below),
        cmocka_unit_test(threads_do_not_inherit_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
