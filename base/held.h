/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Does somebody have this file? For whoever is about to write over one that a name leads to. The
 * kernel is asked, so the answer covers every process, this one too. Any thread; nothing blocks.
 */
#pragma once

#include <stdbool.h>

/*
 * Somebody else's open file holds a lock on it, of fcntl(2) in either form or of flock(2): the disk
 * image of a VM, ferry's or QEMU's, for one. fd is a loan, open in any way.
 */
bool held_by_lock(int fd);
/*
 * Somebody has it open for writing, or mapped so. fd: a loan, open for reading only, the one
 * descriptor that this process has for it. False too where the kernel does not tell: a file of
 * somebody else's for a process that is not root, some network file systems.
 */
bool held_by_writer(int fd);
