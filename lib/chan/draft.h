/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file that has its name when it is whole: it is written without one, where the file system can
 * do that, else beside it under a name of its own, and takes the place of what was there in one
 * step. Until then the old one is untouched, and what becomes nothing leaves nothing; without a
 * name also where the process is killed. Blocks, as file systems do. One thread at a time.
 */
#pragma once

#include <ferry/err.h>

struct draft;

/*
 * *ret_fd is the caller's, to write to; nobody else can read it, as the guest's memory will be in
 * it. Refused if what has the name is no regular file, or somebody has it (base/held.h).
 */
int draft_begin(struct draft **ret, const char *path, int *ret_fd,
                struct ferry_err *err) FERRY_MUST_CHECK;
/* What was written is on the disk: give it its name. Returns when that is on the disk, too. */
int draft_keep(struct draft *d, struct ferry_err *err) FERRY_MUST_CHECK;
/* Removes what was not kept. NULL is fine. */
void draft_free(struct draft *d);
/* For OWN(). */
static inline void draft_freep(struct draft **d)
{
    draft_free(*d);
}

/*
 * For those that write into it as it is: refused if what has the name is no regular file or locked.
 * Whoever has it open to write may be the one who asks.
 */
int draft_check(const char *path, struct ferry_err *err) FERRY_MUST_CHECK;
