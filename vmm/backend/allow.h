/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What of this host a machine may have that somebody else described: files beneath some
 * directories (--allow-path), TAPs whose names begin in some way (--allow-tap), and whatever this
 * host's own command line names. Everything else does not exist for it.
 *
 * A directory is opened when it is allowed. A name is then looked up beneath it, by the kernel and
 * in the call that opens it, so that neither "..", nor a link, nor a rename in between leads out.
 *
 * Filled on the main thread before a peer comes; afterwards any thread may ask.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/types.h>

#include <ferry/err.h>

struct allow_list;

int allow_list_new(struct allow_list **ret, struct ferry_err *err) FERRY_MUST_CHECK;
void allow_list_free(struct allow_list *a);

/* A relative name, here and below, is one in the directory that this process was started in. */
int allow_list_add_dir(struct allow_list *a, const char *dir,
                       struct ferry_err *err) FERRY_MUST_CHECK;
int allow_list_add_tap(struct allow_list *a, const char *prefix,
                       struct ferry_err *err) FERRY_MUST_CHECK;
/* This host's own command line names just this file: it is opened as any other. */
int allow_list_add_name(struct allow_list *a, const char *path,
                        struct ferry_err *err) FERRY_MUST_CHECK;

/* By its words: a name beneath an allowed directory, without "..". Looks at nothing of the host. */
bool allow_list_has_path(const struct allow_list *a, const char *path);
bool allow_list_has_tap(const struct allow_list *a, const char *ifname);
/* For who keeps a process to it. The nth directory, a loan; NULL: there are no more. */
const char *allow_list_dir(const struct allow_list *a, size_t nth);
bool allow_list_takes_taps(const struct allow_list *a); /* any at all */

/*
 * As open(2), but -errno on failure. a: NULL = every name is this host's own. Of what is only
 * allowed, regular files and block devices. -EXDEV: it leads out.
 */
int allow_open(const struct allow_list *a, const char *path, int flags, mode_t mode);
/* As access(2), but -errno on failure. Opens nothing. */
int allow_access(const struct allow_list *a, const char *path, int mode);
/* As stat(2), but -errno on failure. Opens nothing. */
int allow_stat(const struct allow_list *a, const char *path, struct stat *ret);
/* The size of a regular file, or -errno. Opens nothing. -EINVAL: it is something else. */
int64_t allow_file_bytes(const struct allow_list *a, const char *path);
/* What to add to a sentence about that errno of allow_open(): "" for most. */
const char *allow_hint(int errnum);
