/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes to JSON tokens, one byte at a time. What json_in reads first. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

enum json_token {
    JSON_TOKEN_NONE = 0, /* more bytes, please */
    JSON_TOKEN_OBJECT_BEGIN,
    JSON_TOKEN_OBJECT_END,
    JSON_TOKEN_ARRAY_BEGIN,
    JSON_TOKEN_ARRAY_END,
    JSON_TOKEN_COLON,
    JSON_TOKEN_COMMA,
    JSON_TOKEN_STRING,   /* text with its quotes, not yet decoded */
    JSON_TOKEN_INTEGER,  /* text */
    JSON_TOKEN_FLOAT,    /* text */
    JSON_TOKEN_KEYWORD,  /* text */
    JSON_TOKEN_STRAY,    /* text: what cannot be a token, with the byte that shows it */
    JSON_TOKEN_TOO_LONG, /* the token goes on, unread, and is not reported again */
};

enum json_lex_state {
    JSON_LEX_START = 0,
    JSON_LEX_STRING,
    JSON_LEX_STRING_ESCAPE,
    JSON_LEX_SIGN,
    JSON_LEX_ZERO,
    JSON_LEX_DIGITS,
    JSON_LEX_POINT, /* after '.', a digit must follow */
    JSON_LEX_FRACTION,
    JSON_LEX_E,      /* after 'e' */
    JSON_LEX_E_SIGN, /* after its sign */
    JSON_LEX_E_DIGITS,
    JSON_LEX_KEYWORD,
    JSON_LEX_RECOVERY, /* after a stray: until something structural, or a byte that never fits */
};

struct json_lex {
    enum json_lex_state state;
    uint8_t quote;         /* of the string under way */
    bool dropping;         /* the token under way was too long */
    struct buf text;       /* of the last or current token; NUL terminated when it is reported */
    size_t text_max_bytes; /* may be changed between tokens */
};

void json_lex_free(struct json_lex *l);
/* *used is false if the byte ended the token before it and must be given again. */
enum json_token json_lex_byte(struct json_lex *l, uint8_t byte, bool *used);
/* The token that the end of input completes: NONE, INTEGER, FLOAT, KEYWORD or STRAY. */
enum json_token json_lex_end(struct json_lex *l);
/* Was it a byte that clients use to force a known state? */
bool json_lex_is_reset(uint8_t byte);
