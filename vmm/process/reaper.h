/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waits for the end of a process that was started for us and is of no use any more, and says how it
 * ended: a target that failed before it could give a reason. One that does not end by itself in
 * time is to be killed by who started it. Main thread.
 */
#pragma once

#include <stdint.h>

#include <ferry/err.h>

#include "vmm/machine/loop.h"

struct reaper;

/* end: " (exit status 1)", " (killed by signal 9, Killed)"; "" for one that had to be killed. */
typedef void reaper_fn(void *arg, const char *end);

/* mail: where its end will be told (base/mail.h); taken. */
int reaper_new(struct reaper **ret, struct loop *loop, int *mail, int64_t grace_ns, reaper_fn *fn,
               void *arg, struct ferry_err *err) FERRY_MUST_CHECK;
/* After fn() was called, or to give up: then the process is killed. NULL is fine. */
void reaper_free(struct reaper *r);
/* The same without waiting for anything; mail is a loan. */
void reaper_kill(int mail);
