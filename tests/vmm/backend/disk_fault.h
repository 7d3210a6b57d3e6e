/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A host whose disk hangs or fails: the calls that a block worker makes go through here (the
 * program is linked with disk_fault_args) and then to the kernel, unless the test said otherwise.
 * Any thread.
 */
#pragma once

enum disk_call { DISK_READ = 0, DISK_WRITE, DISK_SYNC, DISK_ALLOCATE, DISK_CALLS };

/* Everything as it is again: whatever hangs goes on, and no call fails. The count begins at 0. */
void disk_fault_reset(void);
/* From now on such calls hang. */
void disk_fault_hang(enum disk_call call);
/* Until so many calls hang. */
void disk_fault_wait_hanging(enum disk_call call, unsigned count);
/* Whatever hangs goes on; what comes later does not hang. */
void disk_fault_let_go(void);
/* The `times` calls after the next `after` ones fail with errnum. */
void disk_fault_fail(enum disk_call call, int errnum, unsigned after, unsigned times);
/* A write stores no more than this; 0: no limit. */
void disk_fault_short(unsigned bytes);
unsigned disk_fault_count(enum disk_call call);
