/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "vmm/process/environment.h"

static bool has(char *const *env, const char *entry)
{
    for (; *env; env++)
        if (!strcmp(*env, entry))
            return true;
    return false;
}

static int begin(void **state)
{
    return clearenv() || setenv("PATH", "/bin", 1) || setenv("XDG_RUNTIME_DIR", "/run/x", 1) ||
           setenv("PATHS", "secret", 1) || setenv("A_TOKEN", "secret", 1) ||
           setenv(ENVIRONMENT_SUPERVISOR, "9:off", 1);
}

static void a_short_list(void **state)
{
    OWN_MEM char **env = environment_for_child(NULL);

    assert_true(has(env, "PATH=/bin") && has(env, "XDG_RUNTIME_DIR=/run/x"));
    assert_null(env[2]);
}

/* Not what this process was told itself: a channel that it has closed. */
static void one_more(void **state)
{
    OWN_MEM char **env = environment_for_child(ENVIRONMENT_SUPERVISOR "=4:on");

    assert_true(has(env, "PATH=/bin") && has(env, ENVIRONMENT_SUPERVISOR "=4:on"));
    assert_false(has(env, ENVIRONMENT_SUPERVISOR "=9:off"));
    assert_null(env[3]);
}

static void all_with_a_preloaded_library(void **state)
{
    OWN_MEM char **env = NULL;

    setenv("LD_PRELOAD", "x.so", 1);
    env = environment_for_child(NULL);
    assert_true(has(env, "A_TOKEN=secret") && has(env, "LD_PRELOAD=x.so"));
}

static void nothing(void **state)
{
    OWN_MEM char **env = NULL;

    clearenv();
    setenv("A_TOKEN", "secret", 1);
    env = environment_for_child(NULL);
    assert_null(env[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_short_list, begin),
        cmocka_unit_test_setup(one_more, begin),
        cmocka_unit_test_setup(all_with_a_preloaded_library, begin),
        cmocka_unit_test_setup(nothing, begin),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
