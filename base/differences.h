/* SPDX-License-Identifier: Apache-2.0 */
/* What two sides have different, as one sentence: "a is 1 there and 2 here; b is only here". */
#pragma once

#include <stddef.h>

#include <ferry/err.h>

struct differences {
    char text[FERRY_ERR_TEXT_BYTES];
    size_t n;
    unsigned count, left_out; /* did not fit */
};

/* All zeros before the first. */
void differences_add(struct differences *d, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* 0 if there are none, or -EINVAL with all that fit, and how many more there are. */
int differences_end(const struct differences *d, struct ferry_err *err) FERRY_MUST_CHECK;
