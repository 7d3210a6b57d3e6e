/* SPDX-License-Identifier: Apache-2.0 */
/* What is inside the quotes of a JSON string: escapes and UTF-8. Pure. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <ferry/err.h>

#include "base/buf.h"

/* text: n bytes between the quotes. Appends the decoded bytes to out. */
int json_string_decode(struct buf *out, const char *text, size_t n,
                       struct ferry_err *err) FERRY_MUST_CHECK;
