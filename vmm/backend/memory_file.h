/* SPDX-License-Identifier: Apache-2.0 */
/* The file of -object memory-backend-file: opened with care, and with room for all of the guest's
 * memory. */
#pragma once

#include <ferry/err.h>

struct config_memory;
struct vm_config;

/*
 * Of m, in the description c. *ret_fd: the caller's, for ferry_ram_give_file(). Its path is a
 * regular file of this user's or root's, no drive's image, not a symbolic link; is made, readable
 * by its owner only, if there is none; or is a directory, then the file has no name in it. With
 * prealloc=on all its blocks are reserved, so that no store of the guest fails for want of room
 * later (SIGBUS). Waits for the file system. Main thread, before the guest runs.
 */
int memory_file_open(const struct vm_config *c, const struct config_memory *m, int *ret_fd,
                     struct ferry_err *err) FERRY_MUST_CHECK;
