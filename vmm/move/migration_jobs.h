/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who asks for a move, a snapshot or an update gives it a name, and asks by that name how it goes:
 * the next one may have begun before the first question. The last few are remembered.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "vmm/machine/migration.h"

#define MIGRATION_JOBS_MAX 16u

struct migration_jobs {
    struct migration_job {
        char name[MIGRATION_JOB_NAME_BYTES];
        enum migration_status status;
        char error[FERRY_ERR_TEXT_BYTES];
    } jobs[MIGRATION_JOBS_MAX];
    size_t next;                   /* to be forgotten */
    struct migration_job *current; /* NULL: the last one that began has no name */
};

/* One begins, without a name. */
void migration_jobs_begin(struct migration_jobs *j);
void migration_jobs_name(struct migration_jobs *j, const char *name, enum migration_status status);
/* error: of MIGRATION_FAILED. */
void migration_jobs_status(struct migration_jobs *j, enum migration_status status,
                           const char *error);
/* NULL: there was none, or too many since. */
const struct migration_job *migration_jobs_find(const struct migration_jobs *j, const char *name);
