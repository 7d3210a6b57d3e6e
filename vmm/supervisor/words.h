/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An operator's words: read from a connection that a VMM has handed on, whose word alone proves
 * nothing. Who spoke is the kernel's to say. For errand.c, in its process.
 */
#pragma once

#include <stddef.h>
#include <sys/types.h>

#include <ferry/err.h>

struct supervisor_policy;

/*
 * Exactly `bytes` of what waits in fd, to be freed, with a NUL behind; they are used up by this,
 * also when what they came through is refused: a stream socket that was accepted where a monitor
 * of this VM listens, from a process of our user or root that is still connected and no VMM of this
 * supervisor's.
 */
int words_read(int fd, size_t bytes, const struct supervisor_policy *policy, char **ret,
               struct ferry_err *err) FERRY_MUST_CHECK;
