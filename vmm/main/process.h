/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A process that runs or receives a VM: signals as loop events (SIGTERM, SIGINT and SIGHUP end the
 * VM; SIGPIPE and SIGXFSZ are ignored, since the call that failed says so).
 */
#pragma once

#include <ferry/err.h>

struct process_signals;
struct vm;

/*
 * A VM that signals reach from now on. Before the first thread is made. What was made by a call
 * that failed is the caller's to free, too.
 */
int process_begin(struct process_signals **ret, struct vm **ret_vm,
                  struct ferry_err *err) FERRY_MUST_CHECK;
void process_signals_free(struct process_signals *s);
