/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What clients have given to the VM, as entries that go to the process that takes this one's place
 * (vmm/machine/extras.h), with a file descriptor each. All numbers are big endian:
 *
 *     u8 1, a name (getfd)        u8 length, it
 *     u8 2, a member (add-fd)     u64 set   u32 number   u8 1: has an opaque string   u8 length, it
 *
 * Main thread.
 */
#pragma once

#include "vmm/backend/fd_table.h"
#include "vmm/machine/extras.h"

extern const struct extras_kind fd_table_state_kind;

void fd_table_save(const struct fd_table *t, struct extras *e);
/* Adds what came, by the same rules as what clients say; what cannot be is left out with a warning
 * in the log. */
void fd_table_load(struct fd_table *t, struct extras *e);
