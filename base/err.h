/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Setting and extending a struct ferry_err (declared in <ferry/err.h>).
 *
 * The layer that detects a fault says what is wrong (err_set); each layer above adds one clause of
 * where (err_prefix); nobody repeats. Whatever is quoted in it, the text ends up printable
 * (base/text.h). Any thread; the error belongs to the caller.
 */
#pragma once

#include <stdarg.h>

#include <ferry/err.h>

/* Record errnum (positive errno) and the sentence; returns -errnum. err may be NULL. */
int err_set(struct ferry_err *err, int errnum, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Like err_set, with ": strerror(errnum)" appended. */
int err_sys(struct ferry_err *err, int errnum, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Put "clause: " before the sentence already in err; returns -err->errnum. */
int err_prefix(struct ferry_err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
