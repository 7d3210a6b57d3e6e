/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of files in options, from '/' on. A description goes to processes that were started in
 * other directories, where a relative name means another file, or none; so it is made absolute
 * where it is given.
 */
#pragma once

#include <ferry/err.h>

struct keyval;
struct option;
struct options;
struct prop;

/* To be freed; NULL and a sentence if there is no such directory any more, or no memory. */
char *absolute_name(const char *path, struct ferry_err *err);
/* The same behind a scheme that names a file ("file:", "unix:"); all else as it is. */
char *absolute_place(const char *place, struct ferry_err *err);
/* Of the pairs that props says are names; how many were not absolute, or -errno. */
int absolute_pairs(struct keyval *kv, const struct prop *props, struct ferry_err *err);
/* Every name of a file or socket in them, as of the directory that this process is in. */
int absolute_option(struct option *option, struct ferry_err *err) FERRY_MUST_CHECK;
int absolute_options(struct options *o, struct ferry_err *err) FERRY_MUST_CHECK;
