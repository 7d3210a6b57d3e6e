/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the operator of the program reads on stderr. For vmm/ only: the library returns errors and
 * never logs. Any thread; one write per line.
 */
#pragma once

/* In the environment of a process, and those it starts: each line begins with the time. */
#define LOG_TIMES "FERRY_LOG_TIMES"

/* "ferry: warning: ..." */
void log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* "ferry: ..." */
void log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
