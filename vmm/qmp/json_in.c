/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A value ends when its braces and brackets are balanced (or one closes that was never opened), so
 * an error inside it costs exactly this value and one answer. After a limit was exceeded, all is
 * passed over up to the matching closer. After a byte that cannot be JSON nothing is certain: an
 * opener begins a new value, and closers, commas, colons and scalars that may belong to the broken
 * one are passed over while it still owes closers ("debt").
 */
#include "vmm/qmp/json_in.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/num.h"
#include "base/text.h"
#include "vmm/qmp/json_budget.h"
#include "vmm/qmp/json_lex.h"
#include "vmm/qmp/json_parse.h"

/* Between two looks at the budget. */
#define IN_PIECE_BYTES 4096u
#define TOO_MANY_BYTES "JSON token size limit exceeded"

struct json_in {
    struct json_budget *budget; /* loan */
    struct json_lex lex;
    size_t text_held_bytes; /* of the budget: the lexer's text */

    /* The value under way. */
    struct json_parse parse;
    long braces, brackets; /* open ones; negative: one closed that was never opened */
    size_t token_count, token_bytes;
    struct buf kept;        /* its tokens, for json_in_save() */
    size_t kept_held_bytes; /* of the budget: kept */
    bool failed;
    struct ferry_err err; /* of the first failure */

    size_t skip; /* closers to pass over after a limit was exceeded */
    size_t debt; /* closers that a broken value may still have */
};

struct json_in *json_in_new(struct json_budget *budget)
{
    struct json_in *j = calloc(1, sizeof(*j));

    if (!j)
        return NULL;
    j->budget = budget;
    j->parse.budget = budget;
    j->lex.text_max_bytes = JSON_IN_BYTES_MAX;
    return j;
}

static void in_drop_kept(struct json_in *j)
{
    buf_free(&j->kept);
    json_budget_return(j->budget, j->kept_held_bytes);
    j->kept_held_bytes = 0;
}

static void in_reset(struct json_in *j)
{
    json_parse_drop(&j->parse);
    in_drop_kept(j);
    j->braces = j->brackets = 0;
    j->token_count = j->token_bytes = 0;
    j->lex.text_max_bytes = JSON_IN_BYTES_MAX;
    j->failed = false;
}

void json_in_free(struct json_in *j)
{
    if (!j)
        return;
    json_parse_free(&j->parse);
    in_drop_kept(j);
    json_lex_free(&j->lex);
    json_budget_return(j->budget, j->text_held_bytes);
    free(j);
}

/* --- Where values begin and end --- */

static size_t in_open(const struct json_in *j)
{
    return (size_t)(j->braces + j->brackets);
}

/* Up to the end of the value that is under way. */
static void in_pass_over(struct json_in *j, int errnum, const char *what,
                         struct json_in_result *ret)
{
    ret->kind = JSON_IN_ERROR;
    err_set(&ret->err, errnum, "%s", what);
    j->skip = in_open(j);
    in_reset(j);
}

static void in_stray(struct json_in *j, struct json_in_result *ret)
{
    const struct buf *text = &j->lex.text;
    bool reset = json_lex_is_reset(text->data[text->len_bytes - 2]);

    if (j->skip > 0 && !reset)
        return;
    ret->kind = JSON_IN_ERROR;
    err_set(&ret->err, EINVAL, "JSON parse error, stray '%s'", (const char *)text->data);
    j->debt = reset ? 0 : j->debt + in_open(j);
    j->skip = 0;
    in_reset(j);
}

static void in_finish(struct json_in *j, struct json_in_result *ret)
{
    if (j->failed) {
        ret->kind = JSON_IN_ERROR;
        ret->err = j->err;
    } else {
        ret->kind = JSON_IN_VALUE;
        ret->value = json_parse_take(&j->parse, &ret->held_bytes);
    }
    in_reset(j);
}

/* The token is of a value that goes on. */
static int in_keep(struct json_in *j)
{
    int rc;

    buf_put(&j->kept, j->lex.text.data, j->lex.text.len_bytes - 1);
    buf_u8(&j->kept, ' ');
    if (j->kept.failed)
        return err_set(&j->err, EINVAL, "JSON parse error, out of memory");
    rc = json_budget_charge(j->budget, j->kept.cap_bytes - j->kept_held_bytes, &j->err);
    if (!rc)
        j->kept_held_bytes = j->kept.cap_bytes;
    return rc;
}

static void in_count(struct json_in *j, enum json_token token)
{
    j->braces += (token == JSON_TOKEN_OBJECT_BEGIN) - (token == JSON_TOKEN_OBJECT_END);
    j->brackets += (token == JSON_TOKEN_ARRAY_BEGIN) - (token == JSON_TOKEN_ARRAY_END);
    j->token_count++;
    j->token_bytes += j->lex.text.len_bytes - 1;
}

/* The limit that the value under way exceeds, or NULL. */
static const char *in_limit(const struct json_in *j)
{
    if (j->token_bytes > JSON_IN_BYTES_MAX)
        return TOO_MANY_BYTES;
    if (j->token_count > JSON_IN_TOKEN_MAX)
        return "JSON token count limit exceeded";
    if (j->braces + j->brackets > (long)JSON_IN_DEPTH_MAX)
        return "JSON nesting depth limit exceeded";
    return NULL;
}

static void in_token(struct json_in *j, enum json_token token, struct json_in_result *ret)
{
    bool opens = token == JSON_TOKEN_OBJECT_BEGIN || token == JSON_TOKEN_ARRAY_BEGIN;
    bool closes = token == JSON_TOKEN_OBJECT_END || token == JSON_TOKEN_ARRAY_END;
    const char *limit;
    int rc;

    if (token == JSON_TOKEN_STRAY) {
        in_stray(j, ret);
        return;
    }
    if (j->skip > 0) {
        j->skip += opens ? 1 : 0;
        j->skip -= closes ? 1 : 0;
        return;
    }
    if (token == JSON_TOKEN_TOO_LONG) {
        in_pass_over(j, E2BIG, TOO_MANY_BYTES, ret);
        return;
    }
    if (j->debt > 0 && in_open(j) == 0 && !opens) {
        j->debt -= closes ? 1 : 0;
        return;
    }
    in_count(j, token);
    limit = in_limit(j);
    if (limit) {
        in_pass_over(j, E2BIG, limit, ret);
        return;
    }
    j->lex.text_max_bytes = JSON_IN_BYTES_MAX - j->token_bytes;
    rc = j->failed ? 0 : json_parse_token(&j->parse, token, &j->lex.text, &j->err);
    if (!rc && !j->failed && in_open(j) > 0)
        rc = in_keep(j);
    if (rc == -E2BIG) {
        in_pass_over(j, E2BIG, j->err.text, ret);
        return;
    }
    if (rc < 0) {
        j->failed = true;
        json_parse_drop(&j->parse);
        in_drop_kept(j);
    }
    if (j->braces < 0 || j->brackets < 0 || in_open(j) == 0)
        in_finish(j, ret);
}

/* A token whose text could not be stored is not what the client sent. */
static bool in_no_memory(struct json_in *j, struct json_in_result *ret)
{
    if (!j->lex.text.failed)
        return false;
    in_pass_over(j, ENOMEM, "JSON parse error, out of memory", ret);
    return true;
}

/* Before n more bytes: as much text as the budget has room for, which may be none. */
static void in_text_take(struct json_in *j, size_t n)
{
    size_t want = 2 * (j->lex.text.len_bytes + n), left = JSON_IN_BYTES_MAX - j->token_bytes;

    if (want > j->text_held_bytes && !json_budget_take(j->budget, want - j->text_held_bytes))
        left = num_min(left, j->text_held_bytes / 2);
    else if (want > j->text_held_bytes)
        j->text_held_bytes = want;
    j->lex.text_max_bytes = left;
}

/* And behind them: what was kept. */
static void in_text_settle(struct json_in *j)
{
    size_t kept = num_min(j->lex.text.cap_bytes, j->text_held_bytes);

    json_budget_return(j->budget, j->text_held_bytes - kept);
    j->text_held_bytes = kept;
}

size_t json_in_feed(struct json_in *j, const void *data, size_t n, struct json_in_result *ret)
{
    const uint8_t *at = data;
    size_t pos = 0;

    *ret = (struct json_in_result){0};
    while (pos < n && ret->kind == JSON_IN_NOTHING) {
        size_t piece_end = pos + num_min(n - pos, IN_PIECE_BYTES);

        in_text_take(j, piece_end - pos);
        while (pos < piece_end && ret->kind == JSON_IN_NOTHING) {
            bool used;
            enum json_token token = json_lex_byte(&j->lex, at[pos], &used);

            pos += used;
            if (token != JSON_TOKEN_NONE && !in_no_memory(j, ret))
                in_token(j, token, ret);
        }
        in_text_settle(j);
    }
    return pos;
}

void json_in_end(struct json_in *j, struct json_in_result *ret)
{
    enum json_token token = json_lex_end(&j->lex);

    *ret = (struct json_in_result){0};
    if (token != JSON_TOKEN_NONE && !in_no_memory(j, ret))
        in_token(j, token, ret);
    j->skip = j->debt = 0;
    if (ret->kind != JSON_IN_NOTHING || in_open(j) == 0)
        return;
    if (!j->failed)
        err_set(&j->err, EINVAL, "JSON parse error, premature EOI");
    j->failed = true;
    in_finish(j, ret);
}

bool json_in_idle(const struct json_in *j)
{
    return in_open(j) == 0 && j->skip == 0 && j->debt == 0;
}

/* --- To another process --- */

/*
 *     u64 skip   u64 debt
 *     u8 the value under way has failed; if so:
 *         u32 errno   u16 length, text   u32 braces   u32 brackets   u32 tokens   u32 their bytes
 *     u8 state of the lexer, if it passes over bytes; else 0      u8 quote    u8 drops a token
 *     u32 length, text: tokens of the value under way, if it has not failed; the token under way
 */
void json_in_save(const struct json_in *j, struct buf *out)
{
    const struct json_lex *lex = &j->lex;
    bool passes = lex->state == JSON_LEX_RECOVERY || lex->dropping;
    size_t token_bytes = passes || lex->state == JSON_LEX_START ? 0 : lex->text.len_bytes;

    buf_be64(out, j->skip);
    buf_be64(out, j->debt);
    buf_u8(out, j->failed);
    if (j->failed) {
        buf_be32(out, (uint32_t)j->err.errnum);
        buf_be16(out, (uint16_t)strlen(j->err.text));
        buf_str(out, j->err.text);
        buf_be32(out, (uint32_t)j->braces);
        buf_be32(out, (uint32_t)j->brackets);
        buf_be32(out, (uint32_t)j->token_count);
        buf_be32(out, (uint32_t)j->token_bytes);
    }
    buf_u8(out, passes ? (uint8_t)lex->state : 0);
    buf_u8(out, passes ? lex->quote : 0);
    buf_u8(out, passes && lex->dropping);
    buf_be32(out, (uint32_t)(j->kept.len_bytes + token_bytes));
    buf_put(out, j->kept.data, j->kept.len_bytes);
    buf_put(out, lex->text.data, token_bytes);
}

static bool in_load_failure(struct json_in *j, struct rd *in)
{
    uint32_t errnum = rd_be32(in), numbers[4];
    size_t n = rd_be16(in);
    const uint8_t *text = rd_take(in, n);

    for (size_t i = 0; i < 4; i++)
        numbers[i] = rd_be32(in);
    if (in->failed || n >= sizeof(j->err.text) || numbers[0] > JSON_IN_DEPTH_MAX ||
        numbers[1] > JSON_IN_DEPTH_MAX || numbers[2] > JSON_IN_TOKEN_MAX ||
        numbers[3] > JSON_IN_BYTES_MAX || numbers[0] + numbers[1] == 0)
        return false;
    j->err.errnum = errnum && errnum < 4096 ? (int)errnum : EINVAL;
    text_copy(j->err.text, sizeof(j->err.text), text, n);
    j->failed = true;
    j->braces = (long)numbers[0];
    j->brackets = (long)numbers[1];
    j->token_count = numbers[2];
    j->token_bytes = numbers[3];
    return true;
}

/* The same way that it came; a whole value or an error would be none that is under way. */
static bool in_replay(struct json_in *j, const uint8_t *text, size_t n)
{
    bool was_failed = j->failed;
    struct json_in_result r;

    if (json_in_feed(j, text, n, &r) == n && r.kind == JSON_IN_NOTHING)
        return j->failed == was_failed;
    json_object_put(r.value);
    json_budget_return(j->budget, r.held_bytes);
    return false;
}

int json_in_load(struct json_in *j, struct rd *in, struct ferry_err *err)
{
    uint64_t skip = rd_be64(in), debt = rd_be64(in);
    uint8_t failed = rd_u8(in), state, quote, dropping;
    bool good = failed <= 1 && (!failed || in_load_failure(j, in));
    const uint8_t *text;
    size_t n;

    state = rd_u8(in);
    quote = rd_u8(in);
    dropping = rd_u8(in);
    n = rd_be32(in);
    text = rd_take(in, n);
    if (!good || in->failed || skip > INT64_MAX || debt > INT64_MAX || dropping > 1 ||
        state > JSON_LEX_RECOVERY || (!state && dropping) ||
        (state && !dropping && state != JSON_LEX_RECOVERY) || !in_replay(j, text, n))
        return err_set(err, EPROTO, "the state of a client's input is malformed");
    if (state) {
        buf_reset(&j->lex.text);
        j->lex.state = (enum json_lex_state)state;
        j->lex.quote = quote;
        j->lex.dropping = dropping;
    }
    j->skip = (size_t)skip;
    j->debt = (size_t)debt;
    return 0;
}

int json_in_text(const char *text, struct json_object **ret, struct ferry_err *err)
{
    struct json_budget budget = {.max_bytes = JSON_IN_TEXT_MAX};
    struct json_in *j = json_in_new(&budget);
    struct json_in_result first, second = {0};
    size_t n = strlen(text), used;

    if (!j)
        return err_set(err, ENOMEM, "no memory to read JSON");
    used = json_in_feed(j, text, n, &first);
    if (first.kind == JSON_IN_NOTHING)
        json_in_end(j, &first);
    else if (json_in_feed(j, text + used, n - used, &second), second.kind == JSON_IN_NOTHING)
        json_in_end(j, &second);
    json_in_free(j);
    if (first.kind == JSON_IN_VALUE && second.kind == JSON_IN_NOTHING) {
        *ret = first.value;
        return 0;
    }
    json_object_put(first.value);
    json_object_put(second.value);
    if (first.kind == JSON_IN_ERROR)
        return err_set(err, first.err.errnum, "%s", first.err.text);
    return err_set(err, EINVAL,
                   first.kind == JSON_IN_NOTHING ? "there is no JSON value"
                                                 : "there is more than one JSON value");
}
