/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory of a file that is not there any more: somebody made the file shorter while it is mapped,
 * or its file system is full (prealloc=off). A file cannot be sealed against that as a memfd can.
 *
 * The guest, whose store or load it is, cannot go on without it. The kernel's answer is SIGBUS;
 * here the process says which file it was and ends with status 1.
 */
#pragma once

#include <stdint.h>

/* For the whole process, all its threads. */
void lost_memory_watch(void);
/*
 * The guest's memory is that of this file; `path` is a loan until the next call, NULL takes it
 * back. For the threads of a VM, which may not ask the kernel. Before they begin.
 */
void lost_memory_is(const void *at, uint64_t size_bytes, const char *path);
