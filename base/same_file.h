/* SPDX-License-Identifier: Apache-2.0 */
/* Whether two names or descriptors are one file: a number of it is one only on its device. */
#pragma once

#include <stdbool.h>
#include <sys/stat.h>

static inline bool same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}
