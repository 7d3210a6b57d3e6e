/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/qmp/json_lex.h"

#include <string.h>

void json_lex_free(struct json_lex *l)
{
    buf_free(&l->text);
}

bool json_lex_is_reset(uint8_t byte)
{
    return byte >= 0xfe || (byte < 0x20 && byte != '\t' && byte != '\n' && byte != '\r');
}

static bool is_digit(uint8_t byte)
{
    return byte >= '0' && byte <= '9';
}

/* NONE: the byte is not structural. */
static enum json_token structural_token(uint8_t byte)
{
    static const char bytes[] = "{}[]:,"; /* in the order of their tokens */
    const char *at = byte ? strchr(bytes, byte) : NULL;

    return at ? (enum json_token)(JSON_TOKEN_OBJECT_BEGIN + (at - bytes)) : JSON_TOKEN_NONE;
}

/* What there is if the token ends here; STRAY: it cannot. */
static enum json_token token_so_far(enum json_lex_state state)
{
    switch (state) {
    case JSON_LEX_START:
    case JSON_LEX_RECOVERY:
        return JSON_TOKEN_NONE;
    case JSON_LEX_ZERO:
    case JSON_LEX_DIGITS:
        return JSON_TOKEN_INTEGER;
    case JSON_LEX_FRACTION:
    case JSON_LEX_E_DIGITS:
        return JSON_TOKEN_FLOAT;
    case JSON_LEX_KEYWORD:
        return JSON_TOKEN_KEYWORD;
    default:
        return JSON_TOKEN_STRAY;
    }
}

/* The token is complete: report it unless it was dropped. */
static enum json_token lex_finish(struct json_lex *l, enum json_token token)
{
    bool dropped = l->dropping;

    l->state = token == JSON_TOKEN_STRAY ? JSON_LEX_RECOVERY : JSON_LEX_START;
    l->dropping = false;
    buf_u8(&l->text, 0);
    return dropped ? JSON_TOKEN_NONE : token;
}

/* The byte belongs to the token, which goes on. */
static enum json_token lex_take(struct json_lex *l, uint8_t byte, enum json_lex_state next)
{
    l->state = next;
    if (l->dropping)
        return JSON_TOKEN_NONE;
    if (l->text.len_bytes >= l->text_max_bytes) {
        l->dropping = true;
        buf_free(&l->text);
        return JSON_TOKEN_TOO_LONG;
    }
    buf_u8(&l->text, byte);
    return JSON_TOKEN_NONE;
}

static enum json_token lex_stray(struct json_lex *l, uint8_t byte)
{
    (void)lex_take(l, byte, JSON_LEX_RECOVERY);
    return lex_finish(l, JSON_TOKEN_STRAY);
}

static enum json_token lex_start(struct json_lex *l, uint8_t byte)
{
    enum json_token structural = structural_token(byte);

    /* Memory is kept for the next token, but not that of a giant. */
    if (l->text.cap_bytes > 65536)
        buf_free(&l->text);
    buf_reset(&l->text);
    l->dropping = false;

    if (byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r')
        return JSON_TOKEN_NONE;
    if (structural != JSON_TOKEN_NONE) {
        buf_u8(&l->text, byte);
        return lex_finish(l, structural);
    }
    if (byte == '"' || byte == '\'') {
        l->quote = byte;
        return lex_take(l, byte, JSON_LEX_STRING);
    }
    if (byte == '-')
        return lex_take(l, byte, JSON_LEX_SIGN);
    if (byte == '0')
        return lex_take(l, byte, JSON_LEX_ZERO);
    if (is_digit(byte))
        return lex_take(l, byte, JSON_LEX_DIGITS);
    if (byte >= 'a' && byte <= 'z')
        return lex_take(l, byte, JSON_LEX_KEYWORD);
    return lex_stray(l, byte);
}

static enum json_token lex_string(struct json_lex *l, uint8_t byte)
{
    if (byte < 0x20 || byte >= 0xfe)
        return lex_stray(l, byte);
    if (l->state == JSON_LEX_STRING_ESCAPE)
        return lex_take(l, byte, JSON_LEX_STRING);
    if (byte == '\\')
        return lex_take(l, byte, JSON_LEX_STRING_ESCAPE);
    if (byte == l->quote) {
        enum json_token token = lex_take(l, byte, JSON_LEX_STRING);

        if (token != JSON_TOKEN_NONE) { /* too long by this very byte */
            (void)lex_finish(l, token);
            return token;
        }
        return lex_finish(l, JSON_TOKEN_STRING);
    }
    return lex_take(l, byte, JSON_LEX_STRING);
}

/* Where the byte leads a number; RECOVERY: nowhere. */
static enum json_lex_state number_next(enum json_lex_state state, uint8_t byte)
{
    static const enum json_lex_state after_digit[] = {
        [JSON_LEX_SIGN] = JSON_LEX_DIGITS,
        [JSON_LEX_ZERO] = JSON_LEX_RECOVERY, /* no leading zeros */
        [JSON_LEX_DIGITS] = JSON_LEX_DIGITS,
        [JSON_LEX_POINT] = JSON_LEX_FRACTION,
        [JSON_LEX_FRACTION] = JSON_LEX_FRACTION,
        [JSON_LEX_E] = JSON_LEX_E_DIGITS,
        [JSON_LEX_E_SIGN] = JSON_LEX_E_DIGITS,
        [JSON_LEX_E_DIGITS] = JSON_LEX_E_DIGITS,
    };
    bool integer = state == JSON_LEX_ZERO || state == JSON_LEX_DIGITS;

    if (byte == '0' && state == JSON_LEX_SIGN)
        return JSON_LEX_ZERO;
    if (is_digit(byte))
        return after_digit[state];
    if (byte == '.' && integer)
        return JSON_LEX_POINT;
    if ((byte == 'e' || byte == 'E') && (integer || state == JSON_LEX_FRACTION))
        return JSON_LEX_E;
    if ((byte == '+' || byte == '-') && state == JSON_LEX_E)
        return JSON_LEX_E_SIGN;
    return JSON_LEX_RECOVERY;
}

/* A number ends at the byte behind it, which is looked at again. */
static enum json_token lex_number(struct json_lex *l, uint8_t byte, bool *used)
{
    enum json_lex_state next = number_next(l->state, byte);
    enum json_token ended = token_so_far(l->state);

    if (next != JSON_LEX_RECOVERY)
        return lex_take(l, byte, next);
    if (ended == JSON_TOKEN_STRAY || is_digit(byte))
        return lex_stray(l, byte);
    *used = false;
    return lex_finish(l, ended);
}

enum json_token json_lex_byte(struct json_lex *l, uint8_t byte, bool *used)
{
    *used = true;
    switch (l->state) {
    case JSON_LEX_START:
        return lex_start(l, byte);
    case JSON_LEX_STRING:
    case JSON_LEX_STRING_ESCAPE:
        return lex_string(l, byte);
    case JSON_LEX_KEYWORD:
        if (byte >= 'a' && byte <= 'z')
            return lex_take(l, byte, JSON_LEX_KEYWORD);
        *used = false;
        return lex_finish(l, JSON_TOKEN_KEYWORD);
    case JSON_LEX_RECOVERY:
        if (structural_token(byte) != JSON_TOKEN_NONE || byte >= 0xfe ||
            (byte < 0x20 && byte != '\t')) {
            l->state = JSON_LEX_START;
            *used = false;
        }
        return JSON_TOKEN_NONE;
    default:
        return lex_number(l, byte, used);
    }
}

enum json_token json_lex_end(struct json_lex *l)
{
    enum json_token token = token_so_far(l->state);

    if (token != JSON_TOKEN_NONE)
        return lex_finish(l, token);
    l->state = JSON_LEX_START;
    return JSON_TOKEN_NONE;
}
