/* SPDX-License-Identifier: Apache-2.0 */
/* struct fd_table from the inside: what is done with it (fd_table.c), how it moves
 * (fd_table_state.c). Others include fd_table.h. */
#pragma once

#include "vmm/backend/fd_table.h"

struct fd_entry {
    char *name;  /* NULL: member of a set */
    int64_t set; /* of a member */
    char *opaque;
    int number; /* of a member: what clients know it by, in whichever process it is */
    int fd;
};

struct fd_table {
    struct fd_entry entries[FD_TABLE_MAX]; /* names anywhere; members by set, then by age */
    size_t count;
};

/*
 * fd_table_add() with the number that a member had elsewhere; it gets another one if that is in
 * use here.
 */
int fd_table_add_as(struct fd_table *t, int64_t set, const char *opaque, int *number, int *fd,
                    struct ferry_err *err) FERRY_MUST_CHECK;
