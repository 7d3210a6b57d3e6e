/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/move/migration_jobs.h"

#include <stdio.h>
#include <string.h>

void migration_jobs_begin(struct migration_jobs *j)
{
    j->current = NULL;
}

void migration_jobs_name(struct migration_jobs *j, const char *name, enum migration_status status)
{
    j->current = &j->jobs[j->next++ % MIGRATION_JOBS_MAX];
    *j->current = (struct migration_job){.status = status};
    snprintf(j->current->name, sizeof(j->current->name), "%s", name);
}

void migration_jobs_status(struct migration_jobs *j, enum migration_status status,
                           const char *error)
{
    if (!j->current)
        return;
    j->current->status = status;
    if (status == MIGRATION_FAILED)
        snprintf(j->current->error, sizeof(j->current->error), "%s", error);
}

const struct migration_job *migration_jobs_find(const struct migration_jobs *j, const char *name)
{
    for (size_t i = 0; i < MIGRATION_JOBS_MAX; i++)
        if (*j->jobs[i].name && !strcmp(j->jobs[i].name, name))
            return &j->jobs[i];
    return NULL;
}
