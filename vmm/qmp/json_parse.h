/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tokens to one value: the grammar, with a stack of containers under construction instead of
 * recursion. Between json_lex, which makes the tokens, and json_in, which knows where values begin
 * and end. What is created is counted before it is.
 */
#pragma once

#include <json-c/json.h>
#include <stddef.h>

#include <ferry/err.h>

#include "base/buf.h"
#include "vmm/qmp/json_lex.h"

struct json_budget;
struct json_frame;

struct json_parse {
    struct json_budget *budget; /* loan */
    size_t held_bytes;          /* of the budget: what was created */
    struct json_frame *frames;  /* owned */
    size_t depth, frame_cap;
    struct json_object *value; /* owned; when depth is 0 again */
};

void json_parse_free(struct json_parse *p);
/* text: the token's, NUL terminated. -E2BIG: by the budget. After an error, json_parse_drop(). */
int json_parse_token(struct json_parse *p, enum json_token token, const struct buf *text,
                     struct ferry_err *err) FERRY_MUST_CHECK;
/* The value, now that it is complete, with what it holds of the budget: both the caller's. */
struct json_object *json_parse_take(struct json_parse *p, size_t *held_bytes);
/* What there is of the value, and what it held. */
void json_parse_drop(struct json_parse *p);
