/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file descriptors that monitor clients have given to the VM: by name (getfd), for one use, and
 * in sets (add-fd), to be opened any number of times as /dev/fdset/N. They outlive their client.
 *
 * Owns every fd in it; bounded. Main thread.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <ferry/chan.h>
#include <ferry/err.h>

#define FD_TABLE_MAX            256u /* names and members of sets together */
#define FD_TABLE_TEXT_MAX_BYTES 255u /* of a name, of an opaque string */

struct fd_table;

int fd_table_new(struct fd_table **ret, struct ferry_err *err) FERRY_MUST_CHECK;
void fd_table_free(struct fd_table *t); /* NULL is fine */

/* --- Names --- */

/* Takes *fd on success. A name that is in use gets the new one, the old one is closed. */
int fd_table_name(struct fd_table *t, const char *name, int *fd,
                  struct ferry_err *err) FERRY_MUST_CHECK;
/* Closes it. */
int fd_table_forget(struct fd_table *t, const char *name, struct ferry_err *err) FERRY_MUST_CHECK;

/* --- Sets --- */

#define FD_TABLE_ANY_SET (-1)
/* Takes *fd on success. *set: not negative; or ANY = the lowest that is free, and becomes that.
 * opaque may be NULL. *number: what the member is known by from now on, also in another process. */
int fd_table_add(struct fd_table *t, int64_t *set, const char *opaque, int *fd, int *number,
                 struct ferry_err *err) FERRY_MUST_CHECK;
/* number: NULL = all of the set. What was opened from it stays open. */
int fd_table_remove(struct fd_table *t, int64_t set, const int64_t *number,
                    struct ferry_err *err) FERRY_MUST_CHECK;

struct fd_table_member {
    int64_t set;
    int number;
    const char *opaque; /* NULL: none; a loan until the table changes */
};
/* By set, then in the order they were added; -ENOENT past the end. */
int fd_table_member_at(const struct fd_table *t, size_t index, struct fd_table_member *ret);

/*
 * For addresses. take() leaves the name in the table and returns a duplicate: who has used it calls
 * fd_table_forget(). open_set() wants a member whose access mode is that of the flags, or one that
 * can be read and written, and which has O_DIRECT if and only if the flags do.
 */
struct ferry_fd_names fd_table_names(struct fd_table *t);
