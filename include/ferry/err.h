/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors of libferry.
 *
 * Every function that can fail returns 0 (or a count) on success and a negative errno on failure,
 * and describes the failure in a caller-owned struct ferry_err: a value, nothing to free, usable
 * when memory is exhausted. The text is one sentence an operator can act on.
 */
#pragma once

#define FERRY_ERR_TEXT_BYTES 512

#define FERRY_MUST_CHECK __attribute__((warn_unused_result))
#define FERRY_API        __attribute__((visibility("default")))

struct ferry_err {
    int errnum;                      /* positive errno, 0 = no error */
    char text[FERRY_ERR_TEXT_BYTES]; /* NUL terminated; cut, never overrun */
};
