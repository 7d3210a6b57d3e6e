/* SPDX-License-Identifier: Apache-2.0 */
/* Scalar tokens to values: numbers, keywords, strings with their escapes and UTF-8. Pure. */
#pragma once

#include <json-c/json.h>

#include <ferry/err.h>

#include "base/buf.h"
#include "vmm/qmp/json_lex.h"

/* text: the token's, NUL terminated. *ret: the caller's; NULL is JSON's null. */
int json_scalar(enum json_token token, const struct buf *text, struct json_object **ret,
                struct ferry_err *err) FERRY_MUST_CHECK;
/* What a string token says, to out (empty), NUL terminated. */
int json_scalar_string(const struct buf *text, struct buf *out,
                       struct ferry_err *err) FERRY_MUST_CHECK;
