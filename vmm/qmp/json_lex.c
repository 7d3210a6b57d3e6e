/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/qmp/json_lex.h"

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

static bool is_structural(uint8_t byte)
{
    return byte == '{' || byte == '}' || byte == '[' || byte == ']' || byte == ':' || byte == ',';
}

static enum json_token structural_token(uint8_t byte)
{
    switch (byte) {
    case '{':
        return JSON_TOKEN_OBJECT_BEGIN;
    case '}':
        return JSON_TOKEN_OBJECT_END;
    case '[':
        return JSON_TOKEN_ARRAY_BEGIN;
    case ']':
        return JSON_TOKEN_ARRAY_END;
    case ':':
        return JSON_TOKEN_COLON;
    default:
        return JSON_TOKEN_COMMA;
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
    /* Memory is kept for the next token, but not that of a giant. */
    if (l->text.cap_bytes > 65536)
        buf_free(&l->text);
    buf_reset(&l->text);
    l->dropping = false;

    if (byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r')
        return JSON_TOKEN_NONE;
    if (is_structural(byte)) {
        buf_u8(&l->text, byte);
        return lex_finish(l, structural_token(byte));
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

/* A number ends at the byte behind it, which is looked at again. */
static enum json_token lex_number(struct json_lex *l, uint8_t byte, bool *used)
{
    bool digit = is_digit(byte), e = byte == 'e' || byte == 'E';

    switch (l->state) {
    case JSON_LEX_SIGN:
        if (digit)
            return lex_take(l, byte, byte == '0' ? JSON_LEX_ZERO : JSON_LEX_DIGITS);
        break;
    case JSON_LEX_POINT:
        if (digit)
            return lex_take(l, byte, JSON_LEX_FRACTION);
        break;
    case JSON_LEX_E:
        if (byte == '+' || byte == '-')
            return lex_take(l, byte, JSON_LEX_E_SIGN);
        if (digit)
            return lex_take(l, byte, JSON_LEX_E_DIGITS);
        break;
    case JSON_LEX_E_SIGN:
        if (digit)
            return lex_take(l, byte, JSON_LEX_E_DIGITS);
        break;
    case JSON_LEX_ZERO:
    case JSON_LEX_DIGITS:
        if (digit && l->state == JSON_LEX_ZERO)
            break; /* no leading zeros */
        if (digit)
            return lex_take(l, byte, JSON_LEX_DIGITS);
        if (byte == '.')
            return lex_take(l, byte, JSON_LEX_POINT);
        if (e)
            return lex_take(l, byte, JSON_LEX_E);
        *used = false;
        return lex_finish(l, JSON_TOKEN_INTEGER);
    default: /* FRACTION, E_DIGITS */
        if (digit)
            return lex_take(l, byte, l->state);
        if (e && l->state == JSON_LEX_FRACTION)
            return lex_take(l, byte, JSON_LEX_E);
        *used = false;
        return lex_finish(l, JSON_TOKEN_FLOAT);
    }
    return lex_stray(l, byte);
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
        if (is_structural(byte) || byte >= 0xfe || (byte < 0x20 && byte != '\t')) {
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
    switch (l->state) {
    case JSON_LEX_START:
    case JSON_LEX_RECOVERY:
        l->state = JSON_LEX_START;
        return JSON_TOKEN_NONE;
    case JSON_LEX_ZERO:
    case JSON_LEX_DIGITS:
        return lex_finish(l, JSON_TOKEN_INTEGER);
    case JSON_LEX_FRACTION:
    case JSON_LEX_E_DIGITS:
        return lex_finish(l, JSON_TOKEN_FLOAT);
    case JSON_LEX_KEYWORD:
        return lex_finish(l, JSON_TOKEN_KEYWORD);
    default:
        return lex_finish(l, JSON_TOKEN_STRAY);
    }
}
