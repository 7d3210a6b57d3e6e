/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A process that runs or receives a VM: signals as loop events (SIGTERM, SIGINT and SIGHUP end the
 * VM, SIGPIPE is ignored). Call process_prepare() before the first thread is made.
 */
#pragma once

#include <ferry/err.h>

struct process_signals;
struct vm;

int process_prepare(struct process_signals **ret, struct ferry_err *err) FERRY_MUST_CHECK;
/* Signals reach vm from now on. */
int process_serve(struct process_signals *s, struct vm *vm, struct ferry_err *err) FERRY_MUST_CHECK;
void process_signals_free(struct process_signals *s);
