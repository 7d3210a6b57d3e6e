/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit.h"

#include <stdio.h>
#include <string.h>

#include "vmm/move/migration_jobs.h"

static void is(const struct migration_jobs *j, const char *name, enum migration_status status,
               const char *error)
{
    const struct migration_job *job = migration_jobs_find(j, name);

    assert_non_null(job);
    assert_int_equal(job->status, status);
    assert_string_equal(job->error, error);
}

static void each_keeps_its_own_end(void **state)
{
    struct migration_jobs j = {0};

    (void)state;
    migration_jobs_begin(&j);
    migration_jobs_status(&j, MIGRATION_SETUP, ""); /* nobody's yet */
    migration_jobs_name(&j, "a", MIGRATION_SETUP);
    migration_jobs_status(&j, MIGRATION_FAILED, "no route");
    migration_jobs_begin(&j);
    migration_jobs_status(&j, MIGRATION_COMPLETED, ""); /* one without a name is not a's */
    migration_jobs_begin(&j);
    migration_jobs_name(&j, "b", MIGRATION_SETUP);
    migration_jobs_status(&j, MIGRATION_COMPLETED, "an old error");
    is(&j, "a", MIGRATION_FAILED, "no route");
    is(&j, "b", MIGRATION_COMPLETED, "");
    assert_null(migration_jobs_find(&j, ""));
    assert_null(migration_jobs_find(&j, "c"));
}

static void the_oldest_are_forgotten(void **state)
{
    struct migration_jobs j = {0};
    char name[MIGRATION_JOB_NAME_BYTES + 20];

    (void)state;
    for (unsigned i = 0; i < MIGRATION_JOBS_MAX + 1; i++) {
        snprintf(name, sizeof(name), "%u", i);
        migration_jobs_begin(&j);
        migration_jobs_name(&j, name, MIGRATION_SETUP);
    }
    assert_null(migration_jobs_find(&j, "0"));
    is(&j, "1", MIGRATION_SETUP, "");
    is(&j, name, MIGRATION_SETUP, "");
    memset(name, 'x', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    migration_jobs_name(&j, name, MIGRATION_SETUP);
    assert_int_equal(strlen(j.current->name), MIGRATION_JOB_NAME_BYTES - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_keeps_its_own_end),
        cmocka_unit_test(the_oldest_are_forgotten),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
