/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON from a byte stream, cut into values by their own delimiters, as QMP wants it: several
 * values in one piece of input, one value in many pieces, no dependence on lines.
 *
 * Bytes in, one value or one error out; no I/O. Every limit on what a client may send is here, of
 * its shape as QEMU's, of the memory that it takes in a budget (json_budget.h). A client can always
 * force a known state with a control byte (other than TAB, LF, CR) or 0xFF.
 *
 * Beyond JSON: strings in single quotes, and \' in strings. Stricter than most readers: UTF-8 is
 * verified, duplicate keys, numbers beyond a double and noncharacters are refused. U+0000 in a
 * string is kept as the two bytes C0 80, so every string is a C string; json_out writes it back as
 * \u0000.
 */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ferry/err.h>

#include "base/buf.h"

#define JSON_IN_DEPTH_MAX 1024u
#define JSON_IN_BYTES_MAX (64u << 20) /* text of all tokens of one value */
#define JSON_IN_TOKEN_MAX (2u << 20)  /* tokens of one value */
#define JSON_IN_TEXT_MAX  (8u << 20)  /* memory of json_in_text() */

struct json_budget;
struct json_in;

enum json_in_kind {
    JSON_IN_NOTHING = 0, /* all input is used up, no value is complete */
    JSON_IN_VALUE,
    JSON_IN_ERROR, /* this value is lost; the next call goes on behind it */
};

struct json_in_result {
    enum json_in_kind kind;
    struct json_object *value; /* VALUE: the caller's; NULL is JSON's null */
    size_t held_bytes;         /* VALUE: of the budget, to be returned when it is put */
    struct ferry_err err;      /* ERROR */
};

/* budget: a loan, outlives it; what a value takes of it is refused or held. NULL: out of memory. */
struct json_in *json_in_new(struct json_budget *budget);
void json_in_free(struct json_in *j);
/* Until one value or error is complete; returns how many bytes were used. Call again with the
 * rest. */
size_t json_in_feed(struct json_in *j, const void *data, size_t n, struct json_in_result *ret);
/* No more bytes will come: what a number or keyword at the very end was, or that a value is cut.
 * Call until NOTHING. */
void json_in_end(struct json_in *j, struct json_in_result *ret);

/* Between two values: nothing of one was read that is not complete. */
bool json_in_idle(const struct json_in *j);

/*
 * What json_in_feed() came to, for another process: a new one that has loaded it goes on as this
 * one would. The loader believes nothing of it.
 */
void json_in_save(const struct json_in *j, struct buf *out);
int json_in_load(struct json_in *j, struct rd *in, struct ferry_err *err) FERRY_MUST_CHECK;

/* One whole text. */
int json_in_text(const char *text, struct json_object **ret,
                 struct ferry_err *err) FERRY_MUST_CHECK;
