/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How much memory JSON from strangers may hold: of one of them, and of all that share a monitor.
 *
 * Text says little about what it costs: "{}," is three bytes and some 800 of an empty table. So
 * what is counted is what is created, by the estimates below, and the text that is kept. Each
 * stranger has a part of his own that no other can use up, so that a small command is always
 * understood; what he holds beyond it comes out of what all share. One thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <ferry/err.h>

/* Of json-c's values with what malloc adds: at least what they really take. */
#define JSON_OBJECT_BYTES  800u /* its table has 16 entries from the start */
#define JSON_MEMBER_BYTES  144u /* its part of a table that grew, but for the name's text */
#define JSON_ARRAY_BYTES   400u /* room for 32 elements from the start */
#define JSON_ELEMENT_BYTES 24u
#define JSON_SCALAR_BYTES  80u /* but for a string's text */

struct json_budget {
    struct json_budget *shared; /* loan; NULL: nobody else */
    size_t max_bytes;           /* all that this one may hold */
    size_t own_bytes;           /* of that, what is not taken from shared */
    size_t held_bytes;
};

/* False, and nothing taken, if it is too much. */
bool json_budget_take(struct json_budget *b, size_t bytes);
/* The same, with a sentence for the client: -E2BIG. */
int json_budget_charge(struct json_budget *b, size_t bytes, struct ferry_err *err) FERRY_MUST_CHECK;
/* bytes that were taken. */
void json_budget_return(struct json_budget *b, size_t bytes);
